//! `kernels/dropout.cu`.

use crate::Cuda;
use latimer_tensor::op::Dropout;
use latimer_tensor::{Ran, Result};

pub(crate) fn dropout(_cuda: &Cuda, _op: &mut Dropout<'_>) -> Result<Ran> {
    Ok(Ran::Unsupported)
}
