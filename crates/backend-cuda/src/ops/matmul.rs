//! Products: `kernels/matmul.cu`, `kernels/matmul_bf16.cu`.

use crate::Cuda;
use latimer_tensor::op::Matmul;
use latimer_tensor::{Ran, Result};

pub(crate) fn matmul(_cuda: &Cuda, _op: &mut Matmul<'_>) -> Result<Ran> {
    Ok(Ran::Unsupported)
}
