//! Small products over many terms: a gradient of a weight is a sum over all rows of a batch.
//!
//! If such an output were cut by its rows or columns, every thread would fetch nearly all of both
//! operands, half of which another core has just written. So the terms are cut into stretches, as
//! activations are cut into rows: each core sums the terms that it has, and the sums are added in
//! order. The stretches depend on the shape only.

use super::{Gemm, nanoseconds};
use crate::parallel::{Par, RowsMut};
use crate::scratch::op_scratch;
use crate::simd::simd;
use std::ops::Range;

/// If there are several stretches, each has at least this many terms.
const TERMS: usize = 256;
/// Stretches are used only if the output's `m·n` sums are at most this many times `m + n`, the
/// elements of both operands that one term has.
const SUMS_PER_ELEMENT: usize = 64;
/// Elements of the output that are added together.
const UNIT: usize = 512;

impl Gemm<'_> {
    /// Into how many stretches to cut the terms.
    pub(super) fn stretches(&self) -> usize {
        let small = self.m * self.n <= SUMS_PER_ELEMENT * (self.m + self.n);
        if self.trans_a && !self.trans_b && self.bias.is_none() && small {
            (self.k / TERMS).max(1)
        } else {
            1
        }
    }

    /// `y = alpha·A·B + beta·y`, with the terms cut into `stretches` stretches.
    pub(super) fn run_stretches(&self, stretches: usize, y: &mut [f32], par: Par) {
        let (m, n, k) = (self.m, self.n, self.k);
        op_scratch(stretches * m * n, |sums| {
            let parts = (0..stretches, RowsMut(&mut *sums, m * n));
            let ns = nanoseconds(m, n, k);
            par.split(stretches, ns, parts, &|(which, sums): (Range<usize>, _)| {
                for (s, sums) in which.zip(sums.0.chunks_exact_mut(m * n)) {
                    let terms = k * s / stretches..k * (s + 1) / stretches;
                    let stretch = Gemm {
                        k: terms.len(),
                        a: &self.a[terms.start * m..terms.end * m],
                        b: &self.b[terms.start * n..terms.end * n],
                        alpha: 1.0,
                        beta: 0.0,
                        ..*self
                    };
                    stretch.run(sums, Par::SERIAL);
                }
            });
            let sums = &*sums;
            let parts = (0..(m * n).div_ceil(UNIT), RowsMut(y, UNIT));
            let ns = (stretches + 2) * m * n / 8;
            let units = (m * n).div_ceil(UNIT);
            par.split(units, ns, parts, &|(which, y): (Range<usize>, _)| {
                for (unit, y) in which.zip(y.0.chunks_mut(UNIT)) {
                    add(sums, m * n, unit * UNIT, self.alpha, self.beta, y);
                }
            });
        });
    }
}

simd! {
    /// `y = alpha·Σ_s sums[s] + beta·y`, for the elements from `first` on of sums of `len` elements.
    fn add(sums: &[f32], len: usize, first: usize, alpha: f32, beta: f32, y: &mut [f32]) {
        let mut total = [0.0; UNIT];
        let total = &mut total[..y.len()];
        for sums in sums.chunks_exact(len) {
            for (total, sum) in total.iter_mut().zip(&sums[first..][..y.len()]) {
                *total += sum;
            }
        }
        for (y, &total) in y.iter_mut().zip(&*total) {
            let value = alpha * total;
            *y = if beta == 0.0 { value } else { crate::simd::fma::<FMA>(beta, *y, value) };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::team::Team;

    #[test]
    fn stretches_are_the_sum_and_do_not_depend_on_threads() {
        let (m, n, k) = (20, 33, if cfg!(miri) { 513 } else { 1100 });
        let number = |i: usize| ((i * 7919) % 2003) as f32 / 1001.5 - 1.0;
        let a: Vec<f32> = (0..k * m).map(number).collect();
        let b: Vec<f32> = (0..k * n).map(|i| number(i + 17)).collect();
        let before: Vec<f32> = (0..m * n).map(|i| number(i + 5)).collect();
        let gemm = Gemm {
            m,
            n,
            k,
            a: &a,
            b: &b,
            bias: None,
            trans_a: true,
            trans_b: false,
            alpha: 0.5,
            beta: 2.0,
        };
        let stretches = gemm.stretches();
        assert_eq!(stretches, k / TERMS);
        let run = |threads: usize| {
            let mut y = before.clone();
            if threads == 1 {
                gemm.run_stretches(stretches, &mut y, Par::SERIAL);
            } else {
                let team = Team::new(threads).unwrap();
                team.enter(|| gemm.run_stretches(stretches, &mut y, Par::new(threads)));
            }
            y
        };
        let y = run(1);
        for threads in [2, 3] {
            assert_eq!(run(threads), y, "{threads} threads");
        }
        for (at, &y) in y.iter().enumerate() {
            let (i, j) = (at / n, at % n);
            let term = |l: usize| f64::from(a[l * m + i]) * f64::from(b[l * n + j]);
            let old = 2.0 * f64::from(before[at]);
            let want = 0.5 * (0..k).map(term).sum::<f64>() + old;
            let magnitude = 0.5 * (0..k).map(|l| term(l).abs()).sum::<f64>() + old.abs();
            // A term is rounded at most once for each later one of its stretch, then for each stretch.
            let roundings = (k.div_ceil(stretches) + stretches + 2) as f64;
            let bound = roundings * f64::from(f32::EPSILON) / 2.0 * magnitude;
            assert!(
                (f64::from(y) - want).abs() <= bound,
                "[{i}, {j}]: {y}, want {want}"
            );
        }
    }
}
