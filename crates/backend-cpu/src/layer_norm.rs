//! Layer normalisation, a row at a time: mean, then variance, then the result. With a residual sum
//! before it, the same rows are normalised as soon as they are summed, to the same bits.

use crate::math::sum;
use crate::memory::{read, write};
use crate::parallel::{Par, Rows, RowsMut};
use crate::real::Real;
use crate::reduce::chunk_rows;
use crate::scratch::op_scratch;
use crate::simd::{fma, simd};
use latimer_tensor::op::{AddLayerNorm, LayerNorm, LayerNormBackward};
use latimer_tensor::{DType, Handled, Result};

simd! {
    /// An empty `bias` means no bias.
    fn rows_forward<X: Real, E: Real>(
        x: &[X],
        weight: &[E],
        bias: &[E],
        y: &mut [E],
        mean: &mut [f32],
        rstd: &mut [f32],
        eps: f32,
    ) {
        let c = weight.len();
        let n = c as f32;
        let rows = x.chunks_exact(c).zip(y.chunks_exact_mut(c));
        for ((x, y), (mean, rstd)) in rows.zip(mean.iter_mut().zip(rstd)) {
            let average = sum::<FMA, _>(x, |x| x) / n;
            let variance = sum::<FMA, _>(x, |x| (x - average) * (x - average)) / n;
            // mutant: layer_norm_eps_outside_the_root
            let scale = 1.0 / (variance + eps).sqrt();
            *mean = average;
            *rstd = scale;
            if bias.is_empty() {
                for ((y, &x), &w) in y.iter_mut().zip(x).zip(weight) {
                    *y = E::store((x.load() - average) * scale * w.load());
                }
            } else {
                for (((y, &x), &w), &b) in y.iter_mut().zip(x).zip(weight).zip(bias) {
                    *y = E::store(fma::<FMA>((x.load() - average) * scale, w.load(), b.load()));
                }
            }
        }
    }
}

pub(crate) fn forward<E: Real>(op: &mut LayerNorm<'_>, par: Par) -> Result<Handled> {
    let (rows, c) = (op.x.shape().rows(), op.x.shape().columns());
    let x = read::<E>(op.x)?;
    let weight = read::<E>(op.weight)?;
    let bias = op.bias.map_or(Ok(&[][..]), |bias| read(bias))?;
    let y = write(op.y.reborrow())?;
    let mean = write(op.mean.reborrow())?;
    let rstd = write(op.rstd.reborrow())?;
    let eps = op.eps;
    let parts = (
        Rows(x, c),
        RowsMut(y, c),
        RowsMut(mean, 1),
        RowsMut(rstd, 1),
    );
    par.split(rows, x.len() / 4 + rows * 10, parts, &|(
        x,
        y,
        mean,
        rstd,
    )| {
        rows_forward(x.0, weight, bias, y.0, mean.0, rstd.0, eps);
    });
    Ok(Handled::Done)
}

simd! {
    fn rows_add<E: Real>(x: &[E], r: &[E], s: &mut [f32]) {
        for ((s, &x), &r) in s.iter_mut().zip(x).zip(r) {
            *s = x.load() + r.load();
        }
    }
}

/// Floats of a sum that are normalised while they lie in the nearest cache: 8 KiB.
const NEAR: usize = 2048;

pub(crate) fn add_forward<E: Real>(op: &mut AddLayerNorm<'_>, par: Par) -> Result<Handled> {
    let (rows, c) = (op.x.shape().rows(), op.x.shape().columns());
    let x = read::<E>(op.x)?;
    let r = read(op.r)?;
    let weight = read::<E>(op.weight)?;
    let bias = op.bias.map_or(Ok(&[][..]), |bias| read(bias))?;
    let s = write(op.s.reborrow())?;
    let y = write(op.y.reborrow())?;
    let mean = write(op.mean.reborrow())?;
    let rstd = write(op.rstd.reborrow())?;
    let eps = op.eps;
    let ins = (Rows(x, c), Rows(r, c));
    let outs = (
        RowsMut(s, c),
        RowsMut(y, c),
        RowsMut(mean, 1),
        RowsMut(rstd, 1),
    );
    let ns = x.len() / 3 + rows * 10;
    par.split(rows, ns, (ins, outs), &|((x, r), (s, y, mean, rstd))| {
        let tall = (NEAR / c).max(1);
        let wide = tall * c;
        let sums = x.0.chunks(wide).zip(r.0.chunks(wide));
        let results = s.0.chunks_mut(wide).zip(y.0.chunks_mut(wide));
        let statistics = mean.0.chunks_mut(tall).zip(rstd.0.chunks_mut(tall));
        for (((x, r), (s, y)), (mean, rstd)) in sums.zip(results).zip(statistics) {
            // The sum is normalised before it is rounded.
            E::overwrite(s, |s| {
                rows_add(x, r, s);
                rows_forward(s, weight, bias, y, mean, rstd, eps);
            });
        }
    });
    Ok(Handled::Done)
}

simd! {
    /// Overwrites `sums` (`dweight`, then `dbias`) with the sums over these rows.
    fn rows_backward<E: Real>(
        x: &[E],
        weight: &[E],
        mean: &[f32],
        rstd: &[f32],
        dy: &[E],
        dx: &mut [E],
        accumulate: bool,
        sums: &mut [f32],
    ) {
        let c = weight.len();
        let n = c as f32;
        // mutant: layer_norm_backward_stale_scratch
        sums.fill(0.0);
        let (dweight, dbias) = sums.split_at_mut(c);
        let rows = x.chunks_exact(c).zip(dy.chunks_exact(c)).zip(dx.chunks_exact_mut(c));
        for (((x, dy), dx), (&mean, &rstd)) in rows.zip(mean.iter().zip(rstd)) {
            // One pass for both averages and the parameters' gradients.
            let (mut g_sum, mut gn_sum) = ([0.0f32; 16], [0.0f32; 16]);
            let (x_vectors, x_tail) = x.as_chunks::<16>();
            let (dy_vectors, dy_tail) = dy.as_chunks::<16>();
            let (w_vectors, w_tail) = weight.as_chunks::<16>();
            let (dw_vectors, dw_tail) = dweight.as_chunks_mut::<16>();
            let (db_vectors, db_tail) = dbias.as_chunks_mut::<16>();
            let vectors = x_vectors.iter().zip(dy_vectors).zip(w_vectors);
            for (((x, dy), w), (dw, db)) in vectors.zip(dw_vectors.iter_mut().zip(db_vectors)) {
                for i in 0..16 {
                    let dy = dy[i].load();
                    let normal = (x[i].load() - mean) * rstd;
                    let g = dy * w[i].load();
                    g_sum[i] += g;
                    gn_sum[i] = fma::<FMA>(g, normal, gn_sum[i]);
                    dw[i] = fma::<FMA>(dy, normal, dw[i]);
                    db[i] += dy;
                }
            }
            let (mut g_rest, mut gn_rest) = (0.0, 0.0);
            let tail = x_tail.iter().zip(dy_tail).zip(w_tail);
            for (((&x, &dy), &w), (dw, db)) in tail.zip(dw_tail.iter_mut().zip(db_tail)) {
                let dy = dy.load();
                let normal = (x.load() - mean) * rstd;
                let g = dy * w.load();
                g_rest += g;
                gn_rest = fma::<FMA>(g, normal, gn_rest);
                *dw = fma::<FMA>(dy, normal, *dw);
                *db += dy;
            }
            let g_mean = (sum::<FMA, _>(&g_sum, |x| x) + g_rest) / n;
            let gn_mean = (sum::<FMA, _>(&gn_sum, |x| x) + gn_rest) / n;
            // dx = rstd·(g - g_mean - normal·gn_mean)
            for (((dx, &x), &dy), &w) in dx.iter_mut().zip(x).zip(dy).zip(weight) {
                let normal = (x.load() - mean) * rstd;
                // `g` must be rounded here as it was in the sums. Fused into the difference it
                // would not be, and a row of equal values would keep a rounding error instead of 0.
                let g = dy.load() * w.load();
                let value = rstd * fma::<FMA>(-normal, gn_mean, g - g_mean);
                *dx = E::store(if accumulate { dx.load() + value } else { value });
            }
        }
    }
}

pub(crate) fn backward<E: Real>(op: &mut LayerNormBackward<'_>, par: Par) -> Result<Handled> {
    // A sum in a narrower type would lose the terms that are added late.
    if op.dweight.dtype() != DType::F32 || op.x.dtype() != E::DTYPE {
        return Ok(Handled::Unsupported);
    }
    let (rows, c) = (op.x.shape().rows(), op.x.shape().columns());
    let x = read::<E>(op.x)?;
    let weight = read::<E>(op.weight)?;
    let mean = read(op.mean)?;
    let rstd = read(op.rstd)?;
    let dy = read(op.dy)?;
    let dx = write(op.dx.reborrow())?;
    let dweight = write::<f32>(op.dweight.reborrow())?;
    let dbias = match &mut op.dbias {
        Some(dbias) => write::<f32>(dbias.reborrow())?,
        None => &mut [],
    };
    let accumulate = op.accumulate;
    let tall = chunk_rows(rows);
    let chunks = rows.div_ceil(tall);
    op_scratch(chunks * 2 * c, |partial| {
        let wide = tall * c;
        let ins = (
            Rows(x, wide),
            Rows(dy, wide),
            Rows(mean, tall),
            Rows(rstd, tall),
        );
        let outs = (RowsMut(dx, wide), RowsMut(&mut *partial, 2 * c));
        par.split(chunks, x.len() / 3 + rows * 10, (ins, outs), &|(
            ins,
            outs,
        )| {
            let (x, dy, mean, rstd) = ins;
            let (dx, partial): (RowsMut<'_, E>, RowsMut<'_>) = outs;
            let ins = x.0.chunks(wide).zip(dy.0.chunks(wide));
            let statistics = mean.0.chunks(tall).zip(rstd.0.chunks(tall));
            let outs = dx.0.chunks_mut(wide).zip(partial.0.chunks_exact_mut(2 * c));
            for (((x, dy), (mean, rstd)), (dx, sums)) in ins.zip(statistics).zip(outs) {
                rows_backward(x, weight, mean, rstd, dy, dx, accumulate, sums);
            }
        });
        // mutant: layer_norm_backward_first_chunk_only
        for sums in partial.chunks_exact(2 * c) {
            for (d, &sum) in dweight.iter_mut().zip(&sums[..c]) {
                *d += sum;
            }
            for (d, &sum) in dbias.iter_mut().zip(&sums[c..]) {
                *d += sum;
            }
        }
    });
    Ok(Handled::Done)
}
