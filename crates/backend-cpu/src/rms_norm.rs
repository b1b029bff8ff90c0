//! Root mean square normalisation, a row at a time: the mean of its squares, then the result.

use crate::math::dot;
use crate::memory::{read, write};
use crate::parallel::{Par, Rows, RowsMut};
use crate::real::Real;
use crate::simd::simd;
use latimer_tensor::op::RmsNorm;
use latimer_tensor::{Handled, Result};

simd! {
    fn rows_forward<E: Real>(x: &[E], weight: &[E], y: &mut [E], rstd: &mut [f32], eps: f32) {
        let c = weight.len();
        let n = c as f32;
        let rows = x.chunks_exact(c).zip(y.chunks_exact_mut(c));
        for ((x, y), rstd) in rows.zip(rstd) {
            let scale = 1.0 / (dot::<FMA, _, _>(x, x) / n + eps).sqrt();
            *rstd = scale;
            for ((y, &x), &w) in y.iter_mut().zip(x).zip(weight) {
                *y = E::store(x.load() * scale * w.load());
            }
        }
    }
}

pub(crate) fn forward<E: Real>(op: &mut RmsNorm<'_>, par: Par) -> Result<Handled> {
    let (rows, c) = (op.x.shape().rows(), op.x.shape().columns());
    let x = read::<E>(op.x)?;
    let weight = read::<E>(op.weight)?;
    let y = write::<E>(op.y.reborrow())?;
    let rstd = write(op.rstd.reborrow())?;
    let eps = op.eps;
    let parts = (Rows(x, c), RowsMut(y, c), RowsMut(rstd, 1));
    par.split(rows, x.len() / 4 + rows * 10, parts, &|(x, y, rstd)| {
        rows_forward(x.0, weight, y.0, rstd.0, eps);
    });
    Ok(Handled::Done)
}
