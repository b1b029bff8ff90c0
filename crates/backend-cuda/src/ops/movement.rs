//! Launches of `kernels/movement.cu`: copies that change places, not bits.

use crate::Cuda;
use crate::kernel::{Arg, Geometry};
use crate::memory::pointer;
use latimer_tensor::op::{Concat, Permute, Slice};
use latimer_tensor::{Handled, Result, Shape};

const BLOCK: u32 = 256;
/// Units that a block of `move_rows` copies.
const MOVED: usize = 1024;
/// Side of a tile of `permute_tiles`.
const SIDE: usize = 32;

/// The largest unit, in bytes, of which all of these addresses, lengths and strides are multiples.
fn unit(bytes: &[u64]) -> u64 {
    let all = bytes.iter().fold(16, |all, bytes| all | bytes);
    1 << all.trailing_zeros()
}

/// The kernel for a unit; no element is smaller than 2 bytes.
macro_rules! by_unit {
    ($unit:expr, $name:literal) => {
        match $unit {
            16 => concat!($name, "_16"),
            8 => concat!($name, "_8"),
            4 => concat!($name, "_4"),
            _ => concat!($name, "_2"),
        }
    };
}

/// A matrix of bytes in memory: where it begins, and how far apart its rows are.
#[derive(Clone, Copy, Debug)]
struct Rows {
    at: u64,
    stride: u64,
}

/// Copies `rows` rows of `width` bytes.
fn move_rows(cuda: &Cuda, from: Rows, to: Rows, rows: usize, width: usize) -> Result<()> {
    if rows == 0 || width == 0 {
        return Ok(());
    }
    let (rows, width) = (rows as u64, width as u64);
    let dense = from.stride == width && to.stride == width;
    let (rows, width) = if dense {
        (1, rows * width)
    } else {
        (rows, width)
    };
    // A single row has no stride to fit.
    let strides = if rows == 1 {
        0
    } else {
        from.stride | to.stride
    };
    let unit = unit(&[from.at, to.at, strides, width]);
    let n = rows * (width / unit);
    cuda.kernels.launch(
        by_unit!(unit, "move_rows"),
        Geometry::row((n as usize).div_ceil(MOVED), BLOCK),
        &[
            Arg::Pointer(from.at),
            Arg::Pointer(to.at),
            n.into(),
            (width / unit).into(),
            (from.stride / unit).into(),
            (to.stride / unit).into(),
        ],
    )
}

/// Copies `bytes` bytes.
pub(super) fn copy(cuda: &Cuda, from: u64, to: u64, bytes: usize) -> Result<Handled> {
    let row = |at| Rows { at, stride: 0 };
    move_rows(cuda, row(from), row(to), 1, bytes)?;
    Ok(Handled::Done)
}

pub(crate) fn slice(cuda: &Cuda, op: &mut Slice<'_>) -> Result<Handled> {
    let (blocks, size) = (op.blocks(), op.x.dtype().size());
    let from = Rows {
        at: pointer(op.x)? + (blocks.first * size) as u64,
        stride: (blocks.block * size) as u64,
    };
    let to = Rows {
        at: pointer(op.y.as_view())?,
        stride: (blocks.length * size) as u64,
    };
    move_rows(cuda, from, to, blocks.outer, blocks.length * size)?;
    Ok(Handled::Done)
}

/// Copies each of the two parts by itself.
pub(crate) fn concat(cuda: &Cuda, op: &mut Concat<'_>) -> Result<Handled> {
    let ((outer, of_a, of_b), size) = (op.blocks(), op.a.dtype().size());
    let (of_a, of_b) = (of_a * size, of_b * size);
    let dense = |at, width: usize| Rows {
        at,
        stride: width as u64,
    };
    let a = dense(pointer(op.a)?, of_a);
    let b = dense(pointer(op.b)?, of_b);
    let y = dense(pointer(op.y.as_view())?, of_a + of_b);
    move_rows(cuda, a, y, outer, of_a)?;
    let y = Rows {
        at: y.at + of_a as u64,
        ..y
    };
    move_rows(cuda, b, y, outer, of_b)?;
    Ok(Handled::Done)
}

/// An axis of a permuted tensor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Axis {
    length: usize,
    /// The distance of one step along the axis, in elements of `x` and of `y`.
    in_x: usize,
    in_y: usize,
}

const NO_AXIS: Axis = Axis {
    length: 1,
    in_x: 0,
    in_y: 0,
};

/// The axes of `y`, outermost first, without those of length 1, and with neighbours merged that are
/// neighbours in `x`, too. There is at least one axis.
fn axes(x: Shape, axes: [usize; 4]) -> Vec<Axis> {
    let mut made: Vec<Axis> = Vec::with_capacity(4);
    let lengths = |axes: &[usize]| axes.iter().map(|&axis| x.dims()[axis]).product();
    for to in 0..x.rank() {
        let axis = Axis {
            length: x.dims()[axes[to]],
            in_x: x.dims()[axes[to] + 1..].iter().product(),
            in_y: lengths(&axes[to + 1..x.rank()]),
        };
        match made.last_mut() {
            _ if axis.length == 1 => {}
            Some(last) if last.in_x == axis.length * axis.in_x => {
                *last = Axis {
                    length: last.length * axis.length,
                    ..axis
                };
            }
            _ => made.push(axis),
        }
    }
    if made.is_empty() {
        made.push(Axis {
            length: 1,
            in_x: 1,
            in_y: 1,
        });
    }
    made
}

pub(crate) fn permute(cuda: &Cuda, op: &mut Permute<'_>) -> Result<Handled> {
    let (n, size) = (op.x.numel(), op.x.dtype().size());
    let x = pointer(op.x)?;
    let y = pointer(op.y.as_view())?;
    if n == 0 {
        return Ok(Handled::Done);
    }
    let mut outer = axes(op.x.shape(), op.axes);
    let last = outer.pop().unwrap_or(NO_AXIS);
    if last.in_x != 1 {
        return permute_tiles(cuda, x, y, size, outer, last);
    }
    let bytes = |elements: usize| (elements * size) as u64;
    let width = bytes(last.length);
    if outer.is_empty() {
        return copy(cuda, x, y, last.length * size);
    }
    let mut next = || outer.pop().unwrap_or(NO_AXIS);
    let outer = [next(), next(), next()];
    let strides = outer.map(|axis| bytes(axis.in_x));
    let unit = unit(&[x, y, width, strides[0], strides[1], strides[2]]);
    // The kernel counts in 32 bits.
    let Ok(units) = u32::try_from(n as u64 * size as u64 / unit) else {
        return Ok(Handled::Unsupported);
    };
    let [stride_2, stride_1, stride_0] = strides.map(|bytes| bytes / unit);
    cuda.launch(
        by_unit!(unit, "permute_rows"),
        Geometry::row((units as usize).div_ceil(BLOCK as usize), BLOCK),
        &[
            Arg::Pointer(x),
            Arg::Pointer(y),
            units.into(),
            ((width / unit) as u32).into(),
            (outer[0].length as u32).into(),
            (outer[1].length as u32).into(),
            stride_2.into(),
            stride_1.into(),
            stride_0.into(),
        ],
    )
}

/// Permutes tile by tile. `row` is the last axis of `y`, which is not the last axis of `x`.
fn permute_tiles(
    cuda: &Cuda,
    x: u64,
    y: u64,
    size: usize,
    mut outer: Vec<Axis>,
    row: Axis,
) -> Result<Handled> {
    let Some(at) = outer.iter().position(|axis| axis.in_x == 1) else {
        return Ok(Handled::Unsupported);
    };
    let column = outer.remove(at);
    let name = match size {
        8 => "permute_tiles_8",
        4 => "permute_tiles_4",
        2 => "permute_tiles_2",
        _ => return Ok(Handled::Unsupported),
    };
    let mut next = || outer.pop().unwrap_or(NO_AXIS);
    let [inner, outer] = [next(), next()];
    let tiles = row.length.div_ceil(SIDE) * column.length.div_ceil(SIDE);
    let tiles = tiles * inner.length * outer.length;
    let lengths = [row.length, column.length, inner.length, tiles];
    // The kernel counts in 32 bits, and a grid's first axis ends at 2^31.
    if lengths.iter().any(|&length| length >= 1 << 31) {
        return Ok(Handled::Unsupported);
    }
    let count = |length: usize| Arg::U32(length as u32);
    let stride = |stride: usize| Arg::U64(stride as u64);
    cuda.launch(
        name,
        Geometry::row(tiles, BLOCK).shared(SIDE * (SIDE + 1) * size),
        &[
            Arg::Pointer(x),
            Arg::Pointer(y),
            count(row.length),
            count(column.length),
            count(inner.length),
            stride(row.in_x),
            stride(column.in_y),
            stride(inner.in_x),
            stride(inner.in_y),
            stride(outer.in_x),
            stride(outer.in_y),
        ],
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_fit_everything() {
        assert_eq!(unit(&[256, 64, 0]), 16);
        assert_eq!(unit(&[256, 24]), 8);
        assert_eq!(unit(&[4, 32]), 4);
        assert_eq!(unit(&[6, 0]), 2);
    }

    #[test]
    fn axes_that_stay_together_are_one() {
        let axis = |length, in_x, in_y| Axis { length, in_x, in_y };
        // [B, T, NH, D] to [B, NH, T, D].
        assert_eq!(
            axes([2, 5, 3, 4].into(), [0, 2, 1, 3]),
            [
                axis(2, 60, 60),
                axis(3, 4, 20),
                axis(5, 12, 4),
                axis(4, 1, 1)
            ]
        );
        // A transposition of the first axis with all the others.
        assert_eq!(
            axes([2, 3, 1, 4].into(), [1, 2, 3, 0]),
            [axis(12, 1, 2), axis(2, 12, 1)]
        );
        assert_eq!(axes([6, 1, 7].into(), [1, 0, 2, 3]), [axis(42, 1, 1)]);
        assert_eq!(axes([1, 1].into(), [1, 0, 2, 3]), [axis(1, 1, 1)]);
    }
}
