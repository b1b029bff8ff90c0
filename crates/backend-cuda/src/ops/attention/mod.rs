//! Attention: tensor cores (`kernels/attention_bf16.cu`) where they can, else plain kernels.

mod plain;
mod tensor_cores;

use crate::Cuda;
use latimer_tensor::op::{Attention, AttentionBackward, AttentionDecode};
use latimer_tensor::{Handled, Result};

/// The first way that can.
pub(crate) fn forward(cuda: &Cuda, op: &mut Attention<'_>) -> Result<Handled> {
    match tensor_cores::forward(cuda, op)? {
        Handled::Done => Ok(Handled::Done),
        Handled::Unsupported => plain::forward(cuda, op),
    }
}

/// As [`forward`].
pub(crate) fn backward(cuda: &Cuda, op: &mut AttentionBackward<'_>) -> Result<Handled> {
    match tensor_cores::backward(cuda, op)? {
        Handled::Done => Ok(Handled::Done),
        Handled::Unsupported => plain::backward(cuda, op),
    }
}

/// Bound by the memory it reads: the plain kernels do for every type.
pub(crate) fn decode(cuda: &Cuda, op: &mut AttentionDecode<'_>) -> Result<Handled> {
    plain::decode(cuda, op)
}
