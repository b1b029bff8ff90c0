//! Operations that only move values: fill, cast, permute, slice, concat. They also take other types
//! than `f32`.

use crate::memory::{read, read_bytes, write, write_bytes};
use crate::parallel::{Par, Rows, RowsMut};
use half::{bf16, f16};
use latimer_tensor::op::{Cast, Concat, Fill, Permute, Slice, SliceBlocks};
use latimer_tensor::{DType, Element, Handled, Result, ViewMut};
use std::ops::Range;

/// Elements handed out together: a few cache lines of any type.
const UNIT: usize = 256;

pub(crate) fn fill(op: &mut Fill<'_>, par: Par) -> Result<Handled> {
    let (value, y) = (op.value, op.y.reborrow());
    match y.dtype() {
        DType::F32 => fill_with(y, value as f32, par),
        DType::F64 => fill_with(y, value, par),
        DType::U32 => fill_with(y, value as u32, par),
        DType::I64 => fill_with(y, value as i64, par),
        DType::F16 => fill_with(y, f16::from_f64(value), par),
        // Through f32 unless that rounds twice.
        DType::Bf16 if f64::from(value as f32) == value => {
            fill_with(y, bf16::from_f32(value as f32), par)
        }
        _ => Ok(Handled::Unsupported),
    }
}

fn fill_with<E: Element>(y: ViewMut<'_>, value: E, par: Par) -> Result<Handled> {
    let y = write::<E>(y)?;
    let ns = size_of_val(y) / 20;
    par.split(y.len().div_ceil(UNIT), ns, RowsMut(y, UNIT), &|y| {
        y.0.fill(value)
    });
    Ok(Handled::Done)
}

pub(crate) fn cast(op: &mut Cast<'_>, par: Par) -> Result<Handled> {
    match (op.x.dtype(), op.y.dtype()) {
        (from, to) if from == to => {
            let x = read_bytes(op.x)?;
            let y = write_bytes(op.y.reborrow())?;
            each(x, y, par, |x, y| y.copy_from_slice(x));
            Ok(Handled::Done)
        }
        // mutant: cast_truncates
        (DType::F32, DType::Bf16) => convert(op, par, bf16::from_f32),
        (DType::F32, DType::F16) => convert(op, par, f16::from_f32),
        (DType::F32, DType::F64) => convert::<f32, f64>(op, par, f64::from),
        (DType::Bf16, DType::F32) => convert(op, par, bf16::to_f32),
        (DType::F16, DType::F32) => convert(op, par, f16::to_f32),
        (DType::F64, DType::F32) => convert(op, par, |x: f64| x as f32),
        _ => Ok(Handled::Unsupported),
    }
}

fn convert<A: Element, B: Element>(
    op: &mut Cast<'_>,
    par: Par,
    f: impl Fn(A) -> B + Sync,
) -> Result<Handled> {
    let x = read::<A>(op.x)?;
    let y = write::<B>(op.y.reborrow())?;
    each(x, y, par, |x, y| {
        for (y, &x) in y.iter_mut().zip(x) {
            *y = f(x);
        }
    });
    Ok(Handled::Done)
}

fn each<A: Sync, B: Send>(x: &[A], y: &mut [B], par: Par, f: impl Fn(&[A], &mut [B]) + Sync) {
    let ns = (size_of_val(x) + size_of_val(y)) / 20;
    let parts = (Rows(x, UNIT), RowsMut(y, UNIT));
    par.split(x.len().div_ceil(UNIT), ns, parts, &|(x, y)| f(x.0, y.0));
}

pub(crate) fn permute(op: &mut Permute<'_>, par: Par) -> Result<Handled> {
    match op.x.dtype() {
        DType::F32 => permute_of::<f32>(op, par),
        DType::U32 => permute_of::<u32>(op, par),
        DType::F64 => permute_of::<f64>(op, par),
        DType::I64 => permute_of::<i64>(op, par),
        DType::F16 => permute_of::<f16>(op, par),
        DType::Bf16 => permute_of::<bf16>(op, par),
        _ => Ok(Handled::Unsupported),
    }
}

/// Every row of `y` (its last axis) is a strided line of `x`.
fn permute_of<E: Element>(op: &mut Permute<'_>, par: Par) -> Result<Handled> {
    let x = read::<E>(op.x)?;
    let (from, to) = (op.x.shape(), op.y.shape());
    let rank = to.rank();
    let y = write::<E>(op.y.reborrow())?;
    if rank == 0 || y.is_empty() {
        y.copy_from_slice(x);
        return Ok(Handled::Done);
    }
    // Axes are counted from the right below, missing ones having length 1.
    let (mut lengths, mut strides) = ([1; 4], [0; 4]);
    for axis in 0..rank {
        lengths[4 - rank + axis] = to.dims()[axis];
        // mutant: permute_strides_of_the_output
        strides[4 - rank + axis] = from.dims()[op.axes[axis] + 1..].iter().product();
    }
    let width = lengths[3];
    let ns = 4 * y.len();
    let parts = (0..to.rows(), RowsMut(y, width));
    par.split(to.rows(), ns, parts, &|(rows, y): (Range<usize>, _)| {
        for (row, y) in rows.zip(y.0.chunks_mut(width)) {
            let at = [
                row / lengths[2] / lengths[1],
                row / lengths[2] % lengths[1],
                row % lengths[2],
            ];
            let first: usize = at.iter().zip(strides).map(|(i, s)| i * s).sum();
            if strides[3] == 1 {
                y.copy_from_slice(&x[first..][..width]);
            } else {
                for (y, x) in y.iter_mut().zip(x[first..].iter().step_by(strides[3])) {
                    *y = *x;
                }
            }
        }
    });
    Ok(Handled::Done)
}

pub(crate) fn slice(op: &mut Slice<'_>, par: Par) -> Result<Handled> {
    let size = op.x.dtype().size();
    let SliceBlocks {
        outer,
        block,
        first,
        length,
    } = op.blocks();
    let (block, first, length) = (block * size, first * size, length * size);
    let x = read_bytes(op.x)?;
    let y = write_bytes(op.y.reborrow())?;
    if y.is_empty() {
        return Ok(Handled::Done);
    }
    if outer == 1 {
        each(&x[first..][..length], y, par, |x, y| y.copy_from_slice(x));
        return Ok(Handled::Done);
    }
    let parts = (0..outer, RowsMut(y, length));
    let ns = outer * (4 + length / 10);
    par.split(outer, ns, parts, &|(blocks, y): (Range<usize>, _)| {
        for (i, y) in blocks.zip(y.0.chunks_exact_mut(length)) {
            // mutant: slice_steps_by_its_own_length
            y.copy_from_slice(&x[i * block + first..][..length]);
        }
    });
    Ok(Handled::Done)
}

pub(crate) fn concat(op: &mut Concat<'_>, par: Par) -> Result<Handled> {
    let size = op.a.dtype().size();
    let (outer, of_a, of_b) = op.blocks();
    let (of_a, of_b) = (of_a * size, of_b * size);
    let a = read_bytes(op.a)?;
    let b = read_bytes(op.b)?;
    let y = write_bytes(op.y.reborrow())?;
    if y.is_empty() {
        return Ok(Handled::Done);
    }
    if outer == 1 {
        let (y_a, y_b) = y.split_at_mut(of_a);
        each(a, y_a, par, |x, y| y.copy_from_slice(x));
        each(b, y_b, par, |x, y| y.copy_from_slice(x));
        return Ok(Handled::Done);
    }
    let width = of_a + of_b;
    let ns = outer * (8 + width / 10);
    let parts = (0..outer, RowsMut(y, width));
    par.split(outer, ns, parts, &|(blocks, y): (Range<usize>, _)| {
        for (i, y) in blocks.zip(y.0.chunks_exact_mut(width)) {
            let (y_a, y_b) = y.split_at_mut(of_a);
            y_a.copy_from_slice(&a[i * of_a..][..of_a]);
            // mutant: concat_repeats_the_first_block
            y_b.copy_from_slice(&b[i * of_b..][..of_b]);
        }
    });
    Ok(Handled::Done)
}
