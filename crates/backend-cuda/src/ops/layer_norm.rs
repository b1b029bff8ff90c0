//! `kernels/layer_norm.cu`.

use crate::Cuda;
use latimer_tensor::op::{AddLayerNorm, LayerNorm, LayerNormBackward};
use latimer_tensor::{Ran, Result};

pub(crate) fn forward(_cuda: &Cuda, _op: &mut LayerNorm<'_>) -> Result<Ran> {
    Ok(Ran::Unsupported)
}

pub(crate) fn add_forward(_cuda: &Cuda, _op: &mut AddLayerNorm<'_>) -> Result<Ran> {
    Ok(Ran::Unsupported)
}

pub(crate) fn backward(_cuda: &Cuda, _op: &mut LayerNormBackward<'_>) -> Result<Ran> {
    Ok(Ran::Unsupported)
}
