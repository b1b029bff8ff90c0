//! `kernels/adamw.cu`: AdamW, the clip factor.

use crate::Cuda;
use latimer_tensor::op::{AdamW, ClipScale};
use latimer_tensor::{Ran, Result};

pub(crate) fn adamw(_cuda: &Cuda, _op: &mut AdamW<'_>) -> Result<Ran> {
    Ok(Ran::Unsupported)
}

pub(crate) fn clip_scale(_cuda: &Cuda, _op: &mut ClipScale<'_>) -> Result<Ran> {
    Ok(Ran::Unsupported)
}
