//! `kernels/movement.cu`: casts, permutations, slices.

use crate::Cuda;
use latimer_tensor::op::{Cast, Concat, Permute, Slice};
use latimer_tensor::{Ran, Result};

pub(crate) fn cast(_cuda: &Cuda, _op: &mut Cast<'_>) -> Result<Ran> {
    Ok(Ran::Unsupported)
}

pub(crate) fn permute(_cuda: &Cuda, _op: &mut Permute<'_>) -> Result<Ran> {
    Ok(Ran::Unsupported)
}

pub(crate) fn slice(_cuda: &Cuda, _op: &mut Slice<'_>) -> Result<Ran> {
    Ok(Ran::Unsupported)
}

pub(crate) fn concat(_cuda: &Cuda, _op: &mut Concat<'_>) -> Result<Ran> {
    Ok(Ran::Unsupported)
}
