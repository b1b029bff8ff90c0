//! `kernels/cross_entropy.cu`.

use crate::Cuda;
use latimer_tensor::op::CrossEntropy;
use latimer_tensor::{Ran, Result};

pub(crate) fn cross_entropy(_cuda: &Cuda, _op: &mut CrossEntropy<'_>) -> Result<Ran> {
    Ok(Ran::Unsupported)
}
