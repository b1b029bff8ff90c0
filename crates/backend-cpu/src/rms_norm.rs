//! Root mean square normalisation, a row at a time: the mean of its squares, then the result. Its
//! gradient is that of `layer_norm` without a mean.

use crate::math::{dot, sum};
use crate::memory::{read, write};
use crate::parallel::{Par, Rows, RowsMut};
use crate::real::Real;
use crate::reduce::chunk_rows;
use crate::scratch::op_scratch;
use crate::simd::{fma, simd};
use latimer_tensor::op::{RmsNorm, RmsNormBackward};
use latimer_tensor::{DType, Handled, Result};

simd! {
    fn rows_forward<E: Real>(x: &[E], weight: &[E], y: &mut [E], rstd: &mut [f32], eps: f32) {
        let c = weight.len();
        let n = c as f32;
        let rows = x.chunks_exact(c).zip(y.chunks_exact_mut(c));
        for ((x, y), rstd) in rows.zip(rstd) {
            let scale = 1.0 / (dot::<FMA, _, _>(x, x) / n + eps).sqrt();
            *rstd = scale;
            for ((y, &x), &w) in y.iter_mut().zip(x).zip(weight) {
                // mutant: rms_norm_without_weight
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

simd! {
    /// Overwrites `dweight` with the sums over these rows.
    fn rows_backward<E: Real>(
        x: &[E],
        weight: &[E],
        rstd: &[f32],
        dy: &[E],
        dx: &mut [E],
        accumulate: bool,
        dweight: &mut [f32],
    ) {
        let c = weight.len();
        let n = c as f32;
        dweight.fill(0.0);
        let rows = x.chunks_exact(c).zip(dy.chunks_exact(c)).zip(dx.chunks_exact_mut(c));
        for (((x, dy), dx), &rstd) in rows.zip(rstd) {
            // One pass for the average and the parameter's gradient.
            let mut gn_sum = [0.0f32; 16];
            let (x_vectors, x_tail) = x.as_chunks::<16>();
            let (dy_vectors, dy_tail) = dy.as_chunks::<16>();
            let (w_vectors, w_tail) = weight.as_chunks::<16>();
            let (dw_vectors, dw_tail) = dweight.as_chunks_mut::<16>();
            let vectors = x_vectors.iter().zip(dy_vectors).zip(w_vectors);
            for (((x, dy), w), dw) in vectors.zip(dw_vectors) {
                for i in 0..16 {
                    let dy = dy[i].load();
                    let normal = x[i].load() * rstd;
                    gn_sum[i] = fma::<FMA>(dy * w[i].load(), normal, gn_sum[i]);
                    dw[i] = fma::<FMA>(dy, normal, dw[i]);
                }
            }
            let mut gn_rest = 0.0;
            let tail = x_tail.iter().zip(dy_tail).zip(w_tail);
            for (((&x, &dy), &w), dw) in tail.zip(dw_tail) {
                let dy = dy.load();
                let normal = x.load() * rstd;
                gn_rest = fma::<FMA>(dy * w.load(), normal, gn_rest);
                *dw = fma::<FMA>(dy, normal, *dw);
            }
            let gn_mean = (sum::<FMA, _>(&gn_sum, |x| x) + gn_rest) / n;
            // dx = rstd·(g - normal·gn_mean)
            for (((dx, &x), &dy), &w) in dx.iter_mut().zip(x).zip(dy).zip(weight) {
                let normal = x.load() * rstd;
                let value = rstd * fma::<FMA>(-normal, gn_mean, dy.load() * w.load());
                *dx = E::store(if accumulate { dx.load() + value } else { value });
            }
        }
    }
}

pub(crate) fn backward<E: Real>(op: &mut RmsNormBackward<'_>, par: Par) -> Result<Handled> {
    // A sum in a narrower type would lose the terms that are added late.
    if op.dweight.dtype() != DType::F32 || op.x.dtype() != E::DTYPE {
        return Ok(Handled::Unsupported);
    }
    let (rows, c) = (op.x.shape().rows(), op.x.shape().columns());
    let x = read::<E>(op.x)?;
    let weight = read::<E>(op.weight)?;
    let rstd = read(op.rstd)?;
    let dy = read(op.dy)?;
    let dx = write(op.dx.reborrow())?;
    let dweight = write::<f32>(op.dweight.reborrow())?;
    let accumulate = op.accumulate;
    let tall = chunk_rows(rows);
    let wide = tall * c;
    let chunks = rows.div_ceil(tall);
    op_scratch(chunks * c, |partial| {
        let ins = (Rows(x, wide), Rows(dy, wide), Rows(rstd, tall));
        let outs = (RowsMut(dx, wide), RowsMut(&mut *partial, c));
        let ns = x.len() / 3 + rows * 10;
        par.split(chunks, ns, (ins, outs), &|(
            (x, dy, rstd),
            (dx, partial),
        )| {
            let (dx, partial): (RowsMut<'_, E>, RowsMut<'_>) = (dx, partial);
            let ins =
                x.0.chunks(wide)
                    .zip(dy.0.chunks(wide))
                    .zip(rstd.0.chunks(tall));
            let outs = dx.0.chunks_mut(wide).zip(partial.0.chunks_exact_mut(c));
            for (((x, dy), rstd), (dx, sums)) in ins.zip(outs) {
                rows_backward(x, weight, rstd, dy, dx, accumulate, sums);
            }
        });
        for sums in partial.chunks_exact(c) {
            for (d, &sum) in dweight.iter_mut().zip(sums) {
                *d += sum;
            }
        }
    });
    Ok(Handled::Done)
}
