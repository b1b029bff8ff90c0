//! `kernels/reduce.cu`.

use crate::Cuda;
use latimer_tensor::op::{ArgMax, Reduce, SumSquares};
use latimer_tensor::{Ran, Result};

pub(crate) fn reduce(_cuda: &Cuda, _op: &mut Reduce<'_>) -> Result<Ran> {
    Ok(Ran::Unsupported)
}

pub(crate) fn arg_max(_cuda: &Cuda, _op: &mut ArgMax<'_>) -> Result<Ran> {
    Ok(Ran::Unsupported)
}

pub(crate) fn sum_squares(_cuda: &Cuda, _op: &mut SumSquares<'_>) -> Result<Ran> {
    Ok(Ran::Unsupported)
}
