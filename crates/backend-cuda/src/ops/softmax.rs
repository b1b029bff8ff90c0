//! `kernels/softmax.cu`.

use crate::Cuda;
use latimer_tensor::op::{Softmax, SoftmaxBackward};
use latimer_tensor::{Ran, Result};

pub(crate) fn forward(_cuda: &Cuda, _op: &mut Softmax<'_>) -> Result<Ran> {
    Ok(Ran::Unsupported)
}

pub(crate) fn backward(_cuda: &Cuda, _op: &mut SoftmaxBackward<'_>) -> Result<Ran> {
    Ok(Ran::Unsupported)
}
