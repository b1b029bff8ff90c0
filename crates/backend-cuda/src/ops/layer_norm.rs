//! Launches of `kernels/layer_norm.cu` and `kernels/layer_norm_bf16.cu`.

use super::rows::{Rows, by_rows, has_kernels, is_wide};
use crate::Cuda;
use crate::kernel::{Arg, Geometry, by_dtype};
use crate::memory::{input, input_or_null, output, output_or_null};
use latimer_tensor::op::{AddLayerNorm, LayerNorm, LayerNormBackward};
use latimer_tensor::{Handled, Result};

/// Threads of a forward block at most.
const FORWARD_THREADS: u32 = 512;

pub(crate) fn forward(cuda: &Cuda, op: &mut LayerNorm<'_>) -> Result<Handled> {
    let dtype = op.x.dtype();
    if !has_kernels(cuda, dtype) {
        return Ok(Handled::Unsupported);
    }
    let (rows, columns) = (op.x.shape().rows(), op.x.shape().columns());
    let x = input(op.x)?;
    let weight = input(op.weight)?;
    let bias = input_or_null(op.bias)?;
    let y = output(&mut op.y)?;
    let mean = output(&mut op.mean)?;
    let rstd = output(&mut op.rstd)?;
    let Some(layout) = Rows::new([rows, columns], dtype, &[x, weight, bias, y], 2) else {
        return Ok(Handled::Unsupported);
    };
    let layout = layout.at_most(FORWARD_THREADS);
    let [rows, columns] = [rows, columns].map(|n| (n as u32).into());
    let eps = op.eps.into();
    cuda.launch(
        by_rows!(layout, dtype, "layer_norm_forward"),
        layout.geometry,
        &[x, weight, bias, y, mean, rstd, rows, columns, eps],
    )
}

pub(crate) fn add_forward(cuda: &Cuda, op: &mut AddLayerNorm<'_>) -> Result<Handled> {
    let dtype = op.x.dtype();
    if !has_kernels(cuda, dtype) {
        return Ok(Handled::Unsupported);
    }
    let (rows, columns) = (op.x.shape().rows(), op.x.shape().columns());
    let x = input(op.x)?;
    let r = input(op.r)?;
    let weight = input(op.weight)?;
    let bias = input_or_null(op.bias)?;
    let s = output(&mut op.s)?;
    let y = output(&mut op.y)?;
    let mean = output(&mut op.mean)?;
    let rstd = output(&mut op.rstd)?;
    let aligned = [x, r, weight, bias, s, y];
    let Some(layout) = Rows::new([rows, columns], dtype, &aligned, 2) else {
        return Ok(Handled::Unsupported);
    };
    let layout = layout.at_most(FORWARD_THREADS);
    let [rows, columns] = [rows, columns].map(|n| (n as u32).into());
    let eps = op.eps.into();
    cuda.launch(
        by_rows!(layout, dtype, "layer_norm_add_forward"),
        layout.geometry,
        &[x, r, weight, bias, s, y, mean, rstd, rows, columns, eps],
    )
}

/// Columns that a thread of a backward block keeps in registers.
const KEPT_COLUMNS: usize = 8;
/// Threads of a backward block at most.
const BACKWARD_THREADS: usize = 512;
/// Bytes of shared memory of a backward block: two sums of two rows.
const BACKWARD_SHARED: usize = 4 * 128;
/// Threads that run at once on a large device, an H100: 132 multiprocessors of 65536 registers,
/// some 90 per thread, less what whole blocks cannot use. More blocks would wait for a second turn,
/// in which most of the device is idle.
const THREADS_IN_FLIGHT: usize = 88_000;
/// A block has at least this many rows, so that its partial sums are small against what it reads.
const LEAST_TALL: usize = 4;
/// Warps of a block that adds up partial sums.
const WARPS: usize = 16;

/// The numbers of rows and threads of a block. They depend on the shape only, because they
/// determine the order of the parameters' sums.
fn backward_blocks(rows: usize, columns: usize) -> (usize, usize) {
    let threads = columns.div_ceil(32 * KEPT_COLUMNS) * 32;
    let threads = threads.min(BACKWARD_THREADS);
    let tall = rows.div_ceil(THREADS_IN_FLIGHT / threads).max(LEAST_TALL);
    (tall, threads)
}

pub(crate) fn backward(cuda: &Cuda, op: &mut LayerNormBackward<'_>) -> Result<Handled> {
    let (dtype, sums) = (op.x.dtype(), op.dweight.dtype());
    let (rows, columns) = (op.x.shape().rows(), op.x.shape().columns());
    // The kernels count two rows of partial sums at once.
    let fits = rows.max(2 * columns) <= i32::MAX as usize;
    if !has_kernels(cuda, dtype) || !has_kernels(cuda, sums) || !fits {
        return Ok(Handled::Unsupported);
    }
    let x = input(op.x)?;
    let weight = input(op.weight)?;
    let mean = input(op.mean)?;
    let rstd = input(op.rstd)?;
    let dy = input(op.dy)?;
    let dx = output(&mut op.dx)?;
    let dweight = output(&mut op.dweight)?;
    let dbias = output_or_null(&mut op.dbias)?;
    if rows == 0 {
        return Ok(Handled::Done);
    }
    let (tall, threads) = backward_blocks(rows, columns);
    let blocks = rows.div_ceil(tall);
    let partials = Arg::Pointer(cuda.workspace(blocks * 2 * columns * size_of::<f32>())?);
    let kernel = if is_wide(columns, dtype, &[x, weight, dy, dx]) {
        by_dtype!(dtype, "layer_norm_backward_wide")
    } else {
        by_dtype!(dtype, "layer_norm_backward")
    };
    let sum_kernel = by_dtype!(sums, "layer_norm_parameters");
    let [rows, width, tall, height] = [rows, columns, tall, blocks].map(|n| (n as u32).into());
    let accumulate = op.accumulate.into();
    cuda.kernels.launch(
        kernel,
        Geometry::row(blocks, threads as u32).shared(BACKWARD_SHARED),
        &[
            x, weight, mean, rstd, dy, dx, partials, rows, width, tall, accumulate,
        ],
    )?;
    let of_both = if op.dbias.is_some() { 2 } else { 1 };
    cuda.launch(
        sum_kernel,
        Geometry::row((of_both * columns).div_ceil(32), 32 * WARPS as u32)
            .shared(32 * WARPS * size_of::<f32>()),
        &[partials, height, width, dweight, dbias],
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_of_backward_fill_a_device_and_no_more() {
        // GPT-2's 124M at 32 x 1024 tokens.
        let (tall, threads) = backward_blocks(32_768, 768);
        assert_eq!((tall, threads), (36, 96));
        assert_eq!(backward_blocks(1, 1), (LEAST_TALL, 32));
        assert_eq!(backward_blocks(100, 100_000).1, BACKWARD_THREADS);
    }
}
