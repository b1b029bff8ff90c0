//! How rows are divided among threads, for the kernels that include `kernels/rows.cuh`.

use crate::Cuda;
use crate::kernel::{Arg, Geometry};
use latimer_tensor::DType;

/// Up to this many columns, one warp computes a row.
const WARP_COLUMNS: usize = 1024;
/// Up to this many columns, 256 threads keep a row in registers.
const SMALL_BLOCK_COLUMNS: usize = 8192;
/// Warps of a block in which each warp computes a row.
const WARPS: usize = 8;
/// Bytes of shared memory of one reduction over a block.
const REDUCTION_PLACE: usize = 128;

/// The variant of a kernel that takes the rows, and its blocks.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rows {
    pub(crate) geometry: Geometry,
    /// Whether a block computes a row, rather than a warp.
    pub(crate) block: bool,
    /// Whether rows are accessed 16 bytes at once.
    pub(crate) wide: bool,
}

impl Rows {
    /// Chooses for rows of elements of this type; `args` are the kernel's arguments, `reductions`
    /// the number of its reductions over a row's threads. `None` if there are more rows or columns
    /// than a kernel can count.
    pub(crate) fn new(
        [rows, columns]: [usize; 2],
        dtype: DType,
        args: &[Arg],
        reductions: usize,
    ) -> Option<Self> {
        if rows.max(columns) > i32::MAX as usize {
            return None;
        }
        let block = columns > WARP_COLUMNS;
        let geometry = if block {
            let threads = if columns > SMALL_BLOCK_COLUMNS {
                1024
            } else {
                256
            };
            Geometry::row(rows, threads).shared(reductions * REDUCTION_PLACE)
        } else {
            Geometry::row(rows.div_ceil(WARPS), 32 * WARPS as u32)
        };
        Some(Self {
            geometry,
            block,
            wide: is_wide(columns, dtype, args),
        })
    }

    /// The same choice with blocks of at most `threads` threads, as the kernel's registers allow.
    pub(crate) fn at_most(mut self, threads: u32) -> Self {
        self.geometry.block = self.geometry.block.min(threads);
        self
    }
}

/// Whether rows can be read 16 bytes at once: all pointers and rows begin at multiples of 16 bytes.
pub(crate) fn is_wide(columns: usize, dtype: DType, args: &[Arg]) -> bool {
    let aligned = |arg: &Arg| !matches!(arg, Arg::Pointer(at) if !at.is_multiple_of(16));
    (columns * dtype.size()).is_multiple_of(16) && args.iter().all(aligned)
}

/// Whether there are kernels for elements of this type on this device.
pub(crate) fn has_kernels(cuda: &Cuda, dtype: DType) -> bool {
    dtype == DType::F32 || (dtype == DType::Bf16 && cuda.has_bf16())
}

/// The name of the kernel for a variant and a type.
macro_rules! by_rows {
    ($rows:expr, $dtype:expr, $name:literal) => {
        match ($rows.block, $rows.wide, $dtype) {
            (false, false, latimer_tensor::DType::F32) => concat!($name, "_warp_f32"),
            (false, true, latimer_tensor::DType::F32) => concat!($name, "_warp_wide_f32"),
            (true, false, latimer_tensor::DType::F32) => concat!($name, "_block_f32"),
            (true, true, latimer_tensor::DType::F32) => concat!($name, "_block_wide_f32"),
            (false, false, latimer_tensor::DType::Bf16) => concat!($name, "_warp_bf16"),
            (false, true, latimer_tensor::DType::Bf16) => concat!($name, "_warp_wide_bf16"),
            (true, false, latimer_tensor::DType::Bf16) => concat!($name, "_block_bf16"),
            (true, true, latimer_tensor::DType::Bf16) => concat!($name, "_block_wide_bf16"),
            _ => return Ok(latimer_tensor::Handled::Unsupported),
        }
    };
}
pub(crate) use by_rows;
