//! Launches of `kernels/embedding.cuh`.

use super::wide;
use crate::Cuda;
use crate::faults::Ids;
use crate::kernel::{Arg, Geometry, by_dtype};
use crate::memory::{input, input_or_null, output};
use latimer_tensor::op::{Embedding, EmbeddingBackward};
use latimer_tensor::{DType, Handled, Result};

const BLOCK: u32 = 256;
/// Keys of a tile that is sorted by one block, at most and at least.
const TILE: usize = 4096;
const SMALLEST_TILE: usize = 64;
/// Threads of a sorting block at most.
const SORTERS: usize = 1024;
/// Neighbours in the order of ids that a warp adds up.
const PART: usize = 32;

/// The number of elements that a thread takes of rows of `columns` columns, and whether these are
/// 16 bytes.
fn unit(columns: usize, dtype: DType, operands: &[Arg]) -> (usize, bool) {
    let size = dtype.size();
    if wide::aligned(operands) && (columns * size).is_multiple_of(16) {
        (16 / size, true)
    } else {
        (1, false)
    }
}

/// Enough blocks for one thread per unit, for `units` units.
fn threads(units: usize) -> Geometry {
    Geometry::row(units.div_ceil(BLOCK as usize), BLOCK)
}

/// Whether all lengths fit the 32 bits that the kernels count in.
fn fits(lengths: [usize; 3]) -> bool {
    lengths.iter().all(|&length| u32::try_from(length).is_ok())
}

pub(crate) fn forward(cuda: &Cuda, op: &mut Embedding<'_>) -> Result<Handled> {
    let (dtype, ids, table) = (op.wte.dtype(), op.ids.shape(), op.wte.shape());
    let (rows, columns) = (table.rows(), table.columns());
    // Without columns no thread would look at the ids.
    if !wide::computes_in(cuda, dtype) || !fits([ids.numel(), rows, columns]) || columns == 0 {
        return Ok(Handled::Unsupported);
    }
    let name = by_dtype!(dtype, "embedding_forward");
    let ids_at = input(op.ids)?;
    let wte = input(op.wte)?;
    let wpe = input_or_null(op.wpe)?;
    let y = output(&mut op.y)?;
    let (elements, wide) = unit(columns, dtype, &[wte, wpe, y]);
    let units = ids.numel() * (columns / elements);
    cuda.launch(
        name,
        threads(units),
        &[
            ids_at,
            wte,
            wpe,
            y,
            (units as u64).into(),
            (rows as u32).into(),
            (columns as u32).into(),
            (ids.columns() as u32).into(),
            (op.first_position as u64).into(),
            cuda.faults.place(Ids::Embedding, rows),
            wide.into(),
        ],
    )
}

pub(crate) fn backward(cuda: &Cuda, op: &mut EmbeddingBackward<'_>) -> Result<Handled> {
    let (dtype, gradients) = (op.dy.dtype(), op.dwte.dtype());
    let (add_rows, add_positions, join) = match (dtype, gradients) {
        (DType::F32, DType::F32) => (
            "embedding_backward_rows_f32",
            "embedding_backward_positions_f32",
            "embedding_backward_join_f32",
        ),
        (DType::Bf16, DType::Bf16) => (
            "embedding_backward_rows_bf16",
            "embedding_backward_positions_bf16",
            "embedding_backward_join_bf16",
        ),
        (DType::Bf16, DType::F32) => (
            "embedding_backward_rows_bf16_f32",
            "embedding_backward_positions_bf16_f32",
            "embedding_backward_join_f32",
        ),
        _ => return Ok(Handled::Unsupported),
    };
    let (ids, table) = (op.ids.shape(), op.dwte.shape());
    let (n, rows, columns) = (ids.numel(), table.rows(), table.columns());
    if !wide::computes_in(cuda, dtype) || !fits([n, rows, columns]) {
        return Ok(Handled::Unsupported);
    }
    if n == 0 {
        return Ok(Handled::Done);
    }
    let dy = input(op.dy)?;
    let dwte = output(&mut op.dwte)?;
    let places = places(cuda, op, n, rows, columns)?;
    let (keys, edges) = (Arg::Pointer(places.keys), Arg::Pointer(places.edges));
    let warps = |elements: usize| {
        let parts = n.div_ceil(PART) * (columns / elements).div_ceil(32);
        Geometry::row(parts.div_ceil(BLOCK as usize / 32), BLOCK)
    };

    let (elements, wide) = unit(columns, dtype, &[dy, dwte]);
    let sizes = [
        (n as u64).into(),
        (rows as u32).into(),
        (columns as u32).into(),
    ];
    let [n_argument, rows_argument, columns_argument] = sizes;
    let args = [
        keys,
        dy,
        dwte,
        edges,
        n_argument,
        rows_argument,
        columns_argument,
        wide.into(),
    ];
    cuda.kernels.launch(add_rows, warps(elements), &args)?;
    if n > PART {
        let (elements, wide) = unit(columns, gradients, &[dwte]);
        let args = [
            keys,
            edges,
            dwte,
            n_argument,
            rows_argument,
            columns_argument,
            wide.into(),
        ];
        cuda.kernels.launch(join, warps(elements), &args)?;
    }
    if let Some(dwpe) = &mut op.dwpe {
        let dwpe = output(dwpe)?;
        let (elements, wide) = unit(columns, dtype, &[dy, dwpe]);
        let args = [
            dy,
            dwpe,
            (ids.rows() as u32).into(),
            (ids.columns() as u32).into(),
            columns_argument,
            wide.into(),
        ];
        let units = ids.columns() * (columns / elements);
        cuda.kernels.launch(add_positions, threads(units), &args)?;
    }
    Ok(Handled::Done)
}

/// The addresses in the workspace of the sorted keys and of the room for partial sums.
struct Places {
    keys: u64,
    edges: u64,
}

/// Sorts the positions by id; positions of the same id stay in order.
fn places(
    cuda: &Cuda,
    op: &EmbeddingBackward<'_>,
    n: usize,
    rows: usize,
    columns: usize,
) -> Result<Places> {
    let ids = input(op.ids)?;
    let tile = n.next_power_of_two().clamp(SMALLEST_TILE, TILE);
    let bytes_of_keys = (n * 8).next_multiple_of(16);
    let bytes_of_edges = n.div_ceil(PART) * 2 * columns * 4;
    let tiles = cuda.workspace(2 * bytes_of_keys + bytes_of_edges)?;
    let places = Places {
        keys: tiles + bytes_of_keys as u64,
        edges: tiles + 2 * bytes_of_keys as u64,
    };
    // A single tile is sorted directly into its final place.
    let sorted = if n > tile { tiles } else { places.keys };
    let args = [
        ids,
        Arg::Pointer(sorted),
        (n as u32).into(),
        (rows as u32).into(),
        (tile as u32).into(),
        cuda.faults.place(Ids::EmbeddingBackward, rows),
    ];
    let sorters = (tile / 2).min(SORTERS) as u32;
    let geometry = Geometry::row(n.div_ceil(tile), sorters).shared(tile * 8);
    let kernels = &cuda.kernels;
    kernels.launch("embedding_backward_sort", geometry, &args)?;
    if n > tile {
        let args = [
            Arg::Pointer(tiles),
            Arg::Pointer(places.keys),
            (n as u32).into(),
            (tile as u32).into(),
        ];
        kernels.launch("embedding_backward_rank", threads(n), &args)?;
    }
    Ok(places)
}
