//! Products with very few rows, at the speed of memory: the right operand is streamed once, row by
//! row as it lies there.

use super::Gemm;
use crate::math::dot;
use crate::memory::Shared;
use crate::parallel::{Par, op_scratch, scratch};
use crate::real::Real;
use crate::simd::{fma, simd};
use std::ops::Range;

/// Rows of a row-major right operand that are added at a time: as many streams of memory.
const STREAMS: usize = 8;
/// Columns handed out together.
const UNIT: usize = 64;

pub(super) fn run<E: Real, Y: Real>(gemm: &Gemm<'_, E>, y: &mut [Y], par: Par) {
    let (m, n, k) = (gemm.m, gemm.n, gemm.k);
    let y = Shared::new(y);
    let ns = n * k / 3;
    let units = n.div_ceil(UNIT);
    op_scratch(m * k, |a| {
        for (i, row) in a.chunks_exact_mut(k).enumerate() {
            if gemm.trans_a {
                for (l, a) in row.iter_mut().enumerate() {
                    *a = gemm.a[l * m + i].load();
                }
            } else {
                for (a, &from) in row.iter_mut().zip(&gemm.a[i * k..][..k]) {
                    *a = from.load();
                }
            }
        }
        let a = &*a;
        par.split(units, ns, 0..units, &|units: Range<usize>| {
            let columns = units.start * UNIT..(units.end * UNIT).min(n);
            scratch(m * columns.len(), |sums| {
                if gemm.trans_b {
                    dots(a, gemm.b, k, columns.clone(), sums);
                } else {
                    streams(a, gemm.b, n, columns.clone(), sums);
                }
                for (i, sums) in sums.chunks_exact(columns.len()).enumerate() {
                    let y = part(y, i * n, &columns);
                    let bias = gemm.bias.map(|bias| &bias[columns.clone()]);
                    finish(gemm, sums, bias, y);
                }
            });
        });
    });
}

/// Columns of the row of `y` that begins at element `row`; they are the caller's own.
#[allow(
    unsafe_code,
    reason = "columns of a row-major output cannot be split safely"
)]
fn part<'a, Y: Real>(y: Shared<Y>, row: usize, columns: &Range<usize>) -> &'a mut [Y] {
    // SAFETY: `row + columns` lies in `y` (rows below m, columns below n), which `run` borrows
    // exclusively; columns go to one thread each.
    unsafe { std::slice::from_raw_parts_mut(y.get().add(row + columns.start), columns.len()) }
}

fn finish<E: Real, Y: Real>(gemm: &Gemm<'_, E>, sums: &[f32], bias: Option<&[E]>, y: &mut [Y]) {
    let (alpha, beta) = (gemm.alpha, gemm.beta);
    for (j, (y, &sum)) in y.iter_mut().zip(sums).enumerate() {
        let bias = bias.map_or(0.0, |bias| bias[j].load());
        let value = alpha * sum + bias;
        *y = Y::store(if beta == 0.0 {
            value
        } else {
            value + beta * y.load()
        });
    }
}

simd! {
    /// `sums[i, j] = Σ_l a[i, l]·b[j, l]` for the columns `j`.
    fn dots<E: Real>(a: &[f32], b: &[E], k: usize, columns: Range<usize>, sums: &mut [f32]) {
        let width = columns.len();
        for (at, j) in columns.enumerate() {
            let b = &b[j * k..][..k];
            for (i, a) in a.chunks_exact(k).enumerate() {
                sums[i * width + at] = dot::<FMA, _, _>(a, b);
            }
        }
    }
}

simd! {
    /// `sums[i, j] = Σ_l a[i, l]·b[l, j]` for the columns `j`, several rows of `b` at a time.
    fn streams<E: Real>(a: &[f32], b: &[E], n: usize, columns: Range<usize>, sums: &mut [f32]) {
        let width = columns.len();
        let k = b.len() / n;
        sums.fill(0.0);
        let mut l = 0;
        while l + STREAMS <= k {
            let rows: [&[E]; STREAMS] =
                std::array::from_fn(|s| &b[(l + s) * n + columns.start..][..width]);
            for (a, sums) in a.chunks_exact(k).zip(sums.chunks_exact_mut(width)) {
                let a: [f32; STREAMS] = std::array::from_fn(|s| a[l + s]);
                for j in 0..width {
                    let mut sum = sums[j];
                    for s in 0..STREAMS {
                        sum = fma::<FMA>(a[s], rows[s][j].load(), sum);
                    }
                    sums[j] = sum;
                }
            }
            l += STREAMS;
        }
        for l in l..k {
            let row = &b[l * n + columns.start..][..width];
            for (a, sums) in a.chunks_exact(k).zip(sums.chunks_exact_mut(width)) {
                for (sum, &b) in sums.iter_mut().zip(row) {
                    *sum = fma::<FMA>(a[l], b.load(), *sum);
                }
            }
        }
    }
}
