//! Launches of `kernels/reduce.cu` and `kernels/reduce_bf16.cu`.

use super::rows::{Rows, by_rows, has_kernels, is_wide};
use crate::Cuda;
use crate::kernel::{Arg, Geometry, by_dtype};
use crate::memory::{input, output};
use latimer_tensor::op::{ArgMax, Over, Reduce, ReduceKind, SumSquares};
use latimer_tensor::{DType, Handled, Result};

/// Blocks that must run at once to keep a large device's memory busy.
const BLOCKS_IN_FLIGHT: usize = 1024;
/// Bytes of shared memory of a reduction over a block: a float per warp.
const BLOCK_SHARED: usize = 128;

pub(crate) fn reduce(cuda: &Cuda, op: &mut Reduce<'_>) -> Result<Handled> {
    let (dtype, sums) = (op.x.dtype(), op.y.dtype());
    let (rows, columns) = (op.x.shape().rows(), op.x.shape().columns());
    let fits = rows.max(columns) <= i32::MAX as usize;
    if !has_kernels(cuda, dtype) || !has_kernels(cuda, sums) || !fits {
        return Ok(Handled::Unsupported);
    }
    let x = input(op.x)?;
    let y = output(&mut op.y)?;
    let terms = match op.over {
        Over::Rows => rows,
        Over::Columns => columns,
    };
    let divisor = match op.kind {
        ReduceKind::Mean => terms as f32,
        _ => 1.0,
    };
    let max = match op.kind {
        ReduceKind::Sum | ReduceKind::Mean => false,
        ReduceKind::Max => true,
        _ => return Ok(Handled::Unsupported),
    };
    let accumulate = op.accumulate;
    match op.over {
        Over::Columns => {
            let Some(layout) = Rows::new([rows, columns], dtype, &[x], 1) else {
                return Ok(Handled::Unsupported);
            };
            let name = match max {
                false => by_rows!(layout, dtype, "reduce_sum_columns"),
                true => by_rows!(layout, dtype, "reduce_max_columns"),
            };
            let [rows, columns] = [rows, columns].map(|n| (n as u32).into());
            let (divisor, accumulate) = (divisor.into(), accumulate.into());
            let y_f32 = (sums == DType::F32).into();
            cuda.launch(
                name,
                layout.geometry,
                &[x, y, rows, columns, divisor, accumulate, y_f32],
            )
        }
        Over::Rows => over_rows(
            cuda,
            [x, y],
            [dtype, sums],
            [rows, columns],
            max,
            divisor,
            accumulate,
        ),
    }
}

/// Warps of a block that takes a chunk of rows.
const ROW_WARPS: usize = 8;
/// A chunk has at least this many rows, so that each warp gets several.
const LEAST_TALL: usize = 64;
/// Warps of a block that joins the chunks.
const PARTIAL_WARPS: usize = 16;

/// The number of rows of a chunk if a block takes `block_columns` columns. It depends on the shape
/// only, because it determines the order of the sums.
fn chunk_rows([rows, columns]: [usize; 2], block_columns: usize) -> usize {
    let chunks = (BLOCKS_IN_FLIGHT / columns.div_ceil(block_columns)).max(1);
    rows.div_ceil(chunks).max(LEAST_TALL)
}

fn over_rows(
    cuda: &Cuda,
    [x, y]: [Arg; 2],
    [dtype, sums]: [DType; 2],
    [rows, columns]: [usize; 2],
    max: bool,
    divisor: f32,
    accumulate: bool,
) -> Result<Handled> {
    let wide = is_wide(columns, dtype, &[x]);
    let (name, lane_columns) = match (max, wide) {
        (false, false) => (by_dtype!(dtype, "reduce_sum_rows"), 1),
        (false, true) => (by_dtype!(dtype, "reduce_sum_rows_wide"), 16 / dtype.size()),
        (true, false) => (by_dtype!(dtype, "reduce_max_rows"), 1),
        (true, true) => (by_dtype!(dtype, "reduce_max_rows_wide"), 16 / dtype.size()),
    };
    let join = match max {
        false => by_dtype!(sums, "reduce_sum_partials"),
        true => by_dtype!(sums, "reduce_max_partials"),
    };
    let block_columns = 32 * lane_columns;
    let tall = chunk_rows([rows, columns], block_columns);
    let chunks = rows.div_ceil(tall);
    let partials = match chunks {
        1 => 0,
        _ => cuda.workspace(chunks * columns * size_of::<f32>())?,
    };
    let geometry = Geometry {
        grid: [columns.div_ceil(block_columns) as u32, chunks as u32, 1],
        block: 32 * ROW_WARPS as u32,
        shared: (ROW_WARPS * block_columns * size_of::<f32>()) as u32,
    };
    let y_f32 = (sums == DType::F32).into();
    let [rows, width, tall, height] = [rows, columns, tall, chunks].map(|n| (n as u32).into());
    let (partials, divisor, accumulate) = (
        Arg::Pointer(partials),
        divisor.into(),
        Arg::from(accumulate),
    );
    cuda.kernels.launch(
        name,
        geometry,
        &[
            x, y, partials, rows, width, tall, divisor, accumulate, y_f32,
        ],
    )?;
    if chunks == 1 {
        return Ok(Handled::Done);
    }
    cuda.launch(
        join,
        Geometry::row(columns.div_ceil(32), 32 * PARTIAL_WARPS as u32)
            .shared(32 * PARTIAL_WARPS * size_of::<f32>()),
        &[partials, y, height, width, divisor, accumulate],
    )
}

/// A thread compares at least this many columns before a further thread is worth while.
const PLACE_COLUMNS: usize = 8;

pub(crate) fn arg_max(cuda: &Cuda, op: &mut ArgMax<'_>) -> Result<Handled> {
    let (rows, columns) = (op.x.shape().rows(), op.x.shape().columns());
    let fits = rows.max(columns) <= i32::MAX as usize;
    if !has_kernels(cuda, op.x.dtype()) || !fits {
        return Ok(Handled::Unsupported);
    }
    let x = input(op.x)?;
    let y = output(&mut op.y)?;
    let warps = op.valid_columns.div_ceil(32 * PLACE_COLUMNS).min(32);
    let [columns, valid] = [columns, op.valid_columns].map(|n| (n as u32).into());
    cuda.launch(
        by_dtype!(op.x.dtype(), "arg_max"),
        // A value and a place per warp.
        Geometry::row(rows, 32 * warps as u32).shared(2 * BLOCK_SHARED),
        &[x, y, columns, valid],
    )
}

/// Threads of a block that adds up squares.
const SQUARES_BLOCK: usize = 256;
/// Each of these threads takes at least this many elements.
const SQUARES: usize = 16;

pub(crate) fn sum_squares(cuda: &Cuda, op: &mut SumSquares<'_>) -> Result<Handled> {
    let (dtype, n) = (op.x.dtype(), op.x.numel());
    if !has_kernels(cuda, dtype) {
        return Ok(Handled::Unsupported);
    }
    let x = input(op.x)?;
    let y = output(&mut op.y)?;
    let blocks = n.div_ceil(SQUARES_BLOCK * SQUARES);
    let blocks = blocks.clamp(1, BLOCKS_IN_FLIGHT);
    let partials = Arg::Pointer(cuda.workspace(blocks * size_of::<f32>())?);
    // The end need not be aligned: only the start matters.
    let name = if is_wide(0, dtype, &[x]) {
        by_dtype!(dtype, "sum_squares_wide")
    } else {
        by_dtype!(dtype, "sum_squares")
    };
    cuda.kernels.launch(
        name,
        Geometry::row(blocks, SQUARES_BLOCK as u32).shared(BLOCK_SHARED),
        &[x, partials, (n as u64).into()],
    )?;
    cuda.launch(
        "sum_squares_finish",
        Geometry::row(1, SQUARES_BLOCK as u32).shared(BLOCK_SHARED),
        &[partials, y, (blocks as u32).into(), op.accumulate.into()],
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_fill_a_device_and_no_more() {
        // A bias's gradient in GPT-2's 124M: 24 blocks of columns, 42 chunks of rows.
        assert_eq!(chunk_rows([32_768, 3072], 128), 781);
        assert_eq!(chunk_rows([5, 3072], 128), LEAST_TALL);
        assert_eq!(chunk_rows([100_000, 10_000_000], 32), 100_000);
        // Chunks are counted along the grid's y, which ends at 65535.
        for rows in [1, 1 << 20, i32::MAX as usize] {
            assert!(rows.div_ceil(chunk_rows([rows, 1], 32)) <= BLOCKS_IN_FLIGHT);
        }
    }
}
