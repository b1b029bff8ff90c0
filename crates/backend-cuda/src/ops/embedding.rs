//! `kernels/embedding.cu`.

use crate::Cuda;
use latimer_tensor::op::{Embedding, EmbeddingBackward};
use latimer_tensor::{Ran, Result};

pub(crate) fn forward(_cuda: &Cuda, _op: &mut Embedding<'_>) -> Result<Ran> {
    Ok(Ran::Unsupported)
}

pub(crate) fn backward(_cuda: &Cuda, _op: &mut EmbeddingBackward<'_>) -> Result<Ran> {
    Ok(Ran::Unsupported)
}
