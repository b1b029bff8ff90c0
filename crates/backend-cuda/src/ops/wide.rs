//! Geometry for `kernels/wide.cuh`: kernels that go over all elements, 16 bytes per thread.

use crate::Cuda;
use crate::kernel::{Arg, Geometry};
use latimer_tensor::DType;

/// Threads of a block of such kernels, as in their sources.
pub(super) const THREADS: u32 = 256;

/// Blocks for `n` elements of `size` bytes, when each thread moves 16 bytes.
pub(super) fn geometry(n: usize, size: usize) -> Geometry {
    Geometry::row(n.div_ceil(THREADS as usize * 16 / size), THREADS)
}

/// Whether all pointers are multiples of 16 bytes; null pointers are.
pub(super) fn aligned(pointers: &[Arg]) -> bool {
    let is_aligned = |arg: &Arg| !matches!(arg, Arg::Pointer(at) if at % 16 != 0);
    pointers.iter().all(is_aligned)
}

/// Whether kernels that compute in `f32` take this type on this device.
pub(super) fn computes_in(cuda: &Cuda, dtype: DType) -> bool {
    dtype == DType::F32 || dtype == DType::Bf16 && cuda.has_bf16()
}
