//! `kernels/attention_bf16.cu`: bf16 by tensor cores.

use crate::Cuda;
use latimer_tensor::op::{Attention, AttentionBackward};
use latimer_tensor::{Ran, Result};

pub(crate) fn forward(_cuda: &Cuda, _op: &mut Attention<'_>) -> Result<Ran> {
    Ok(Ran::Unsupported)
}

pub(crate) fn backward(_cuda: &Cuda, _op: &mut AttentionBackward<'_>) -> Result<Ran> {
    Ok(Ran::Unsupported)
}
