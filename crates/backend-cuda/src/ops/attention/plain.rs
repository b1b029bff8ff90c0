//! `kernels/attention.cu` and `kernels/attention_plain_bf16.cu`: any head width.

use crate::Cuda;
use latimer_tensor::op::{Attention, AttentionBackward, AttentionDecode};
use latimer_tensor::{Ran, Result};

pub(crate) fn forward(_cuda: &Cuda, _op: &mut Attention<'_>) -> Result<Ran> {
    Ok(Ran::Unsupported)
}

pub(crate) fn backward(_cuda: &Cuda, _op: &mut AttentionBackward<'_>) -> Result<Ran> {
    Ok(Ran::Unsupported)
}

pub(crate) fn decode(_cuda: &Cuda, _op: &mut AttentionDecode<'_>) -> Result<Ran> {
    Ok(Ran::Unsupported)
}
