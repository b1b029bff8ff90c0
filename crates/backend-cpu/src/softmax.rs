//! Softmax over rows, and its backward.

use crate::math::{self, dot, max};
use crate::memory::{read, write};
use crate::parallel::{Par, Rows, RowsMut};
use crate::real::Real;
use crate::simd::simd;
use latimer_tensor::op::{Softmax, SoftmaxBackward};
use latimer_tensor::{Handled, Result};
use std::ops::Range;

simd! {
    /// Writes `e^(scale·x - greatest)` and returns the sum of these and the greatest `scale·x`.
    pub(crate) fn exponentials<E: Real>(x: &[E], scale: f32, y: &mut [f32]) -> (f32, f32) {
        for (y, &x) in y.iter_mut().zip(x) {
            *y = scale * x.load();
        }
        let most = max::<FMA, _>(y);
        // mutant: softmax_without_maximum
        (math::exponentials::<FMA>(y, most), most)
    }
}

simd! {
    pub(crate) fn scale_row(y: &mut [f32], factor: f32) {
        for y in y {
            *y *= factor;
        }
    }
}

pub(crate) fn forward<E: Real>(op: &mut Softmax<'_>, par: Par) -> Result<Handled> {
    let (rows, c) = (op.x.shape().rows(), op.x.shape().columns());
    let x = read::<E>(op.x)?;
    // A causal row reaches one column more than the one above it in its matrix
    // (`Softmax::reach`).
    let shape = op.x.shape();
    let height = if shape.rank() < 2 {
        1
    } else {
        shape.dims()[shape.rank() - 2]
    };
    let (causal, valid) = (op.causal, op.valid_columns);
    let first = (c + 1).saturating_sub(height);
    let y = write(op.y.reborrow())?;
    let scale = op.scale;
    let ns = x.len() + rows * 10;
    let parts = (0..rows, Rows(x, c), RowsMut(y, c));
    par.split(rows, ns, parts, &|(rows, x, y): (
        Range<usize>,
        Rows<'_, E>,
        RowsMut<'_, E>,
    )| {
        for ((row, x), y) in rows.zip(x.0.chunks_exact(c)).zip(y.0.chunks_exact_mut(c)) {
            let (y, masked) = y.split_at_mut(if causal {
                valid.min(first + row % height)
            } else {
                valid
            });
            // mutant: softmax_mask_left_as_it_was
            masked.fill(E::store(0.0));
            let x = &x[..y.len()];
            E::overwrite(y, |y| {
                let (total, _) = exponentials(x, scale, y);
                scale_row(y, 1.0 / total);
            });
        }
    });
    Ok(Handled::Done)
}

simd! {
    fn row_backward<E: Real>(y: &[E], dy: &[E], dx: &mut [E], scale: f32) {
        let mean = dot::<FMA, _, _>(y, dy);
        for ((dx, &y), &dy) in dx.iter_mut().zip(y).zip(dy) {
            // mutant: softmax_backward_unscaled
            *dx = E::store(scale * y.load() * (dy.load() - mean));
        }
    }
}

pub(crate) fn backward<E: Real>(op: &mut SoftmaxBackward<'_>, par: Par) -> Result<Handled> {
    let (rows, c) = (op.y.shape().rows(), op.y.shape().columns());
    let y = read::<E>(op.y)?;
    let dy = read(op.dy)?;
    let dx = write(op.dx.reborrow())?;
    if y.is_empty() {
        return Ok(Handled::Done);
    }
    let scale = op.scale;
    let parts = (Rows(y, c), Rows(dy, c), RowsMut(dx, c));
    let work = |(y, dy, dx): (Rows<'_, E>, Rows<'_, E>, RowsMut<'_, E>)| {
        let rows = y.0.chunks_exact(c).zip(dy.0.chunks_exact(c));
        for ((y, dy), dx) in rows.zip(dx.0.chunks_exact_mut(c)) {
            row_backward(y, dy, dx, scale);
        }
    };
    par.split(rows, y.len() / 4 + rows * 8, parts, &work);
    Ok(Handled::Done)
}
