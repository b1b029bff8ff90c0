//! `kernels/elementwise.cu`.

use crate::Cuda;
use latimer_tensor::op::{Axpby, Binary, Unary, UnaryBackward};
use latimer_tensor::{Ran, Result};

pub(crate) fn unary(_cuda: &Cuda, _op: &mut Unary<'_>) -> Result<Ran> {
    Ok(Ran::Unsupported)
}

pub(crate) fn unary_backward(_cuda: &Cuda, _op: &mut UnaryBackward<'_>) -> Result<Ran> {
    Ok(Ran::Unsupported)
}

pub(crate) fn binary(_cuda: &Cuda, _op: &mut Binary<'_>) -> Result<Ran> {
    Ok(Ran::Unsupported)
}

pub(crate) fn axpby(_cuda: &Cuda, _op: &mut Axpby<'_>) -> Result<Ran> {
    Ok(Ran::Unsupported)
}
