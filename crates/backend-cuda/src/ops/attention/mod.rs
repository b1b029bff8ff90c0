//! Attention: on tensor cores (`kernels/attention_bf16.cu`) if they support it, otherwise by plain
//! kernels.

mod plain;
mod tensor_cores;

use crate::Cuda;
use latimer_tensor::op::{Attention, AttentionBackward, AttentionDecode};
use latimer_tensor::{Handled, Result};

/// Runs forward by the first kind of kernels that supports it.
pub(crate) fn forward(cuda: &Cuda, op: &mut Attention<'_>) -> Result<Handled> {
    match tensor_cores::forward(cuda, op)? {
        Handled::Done => Ok(Handled::Done),
        Handled::Unsupported => plain::forward(cuda, op),
    }
}

/// Runs backward by the first kind of kernels that supports it.
pub(crate) fn backward(cuda: &Cuda, op: &mut AttentionBackward<'_>) -> Result<Handled> {
    match tensor_cores::backward(cuda, op)? {
        Handled::Done => Ok(Handled::Done),
        Handled::Unsupported => plain::backward(cuda, op),
    }
}

/// Runs decoding by the plain kernels for every type: reading memory limits its speed.
pub(crate) fn decode(cuda: &Cuda, op: &mut AttentionDecode<'_>) -> Result<Handled> {
    plain::decode(cuda, op)
}
