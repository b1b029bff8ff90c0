//! What is done with the sums of a product of `bf16`: factor, bias, the old output, one rounding.

use super::Gemm;
use crate::parallel::{Par, Rows, RowsMut};
use crate::real::Real;
use crate::simd::{fma, simd};
use half::bf16;

impl Gemm<'_, bf16> {
    /// `y = alpha·sums + bias + beta·y`, for all rows.
    pub(super) fn finish_rows<Y: Real>(&self, sums: &[f32], y: &mut [Y], par: Par) {
        let parts = (Rows(sums, self.n), RowsMut(y, self.n));
        let work = |(sums, y): (Rows<'_>, RowsMut<'_, Y>)| {
            let rows = sums.0.chunks_exact(self.n);
            for (sums, y) in rows.zip(y.0.chunks_exact_mut(self.n)) {
                finish(sums, self.alpha, self.bias.unwrap_or(&[]), self.beta, y);
            }
        };
        par.split(self.m, self.m * self.n / 4, parts, &work);
    }
}

simd! {
    /// `y = alpha·sums + bias + beta·y`, for a part of a row; an empty `bias` means no bias.
    pub(super) fn finish<Y: Real>(
        sums: &[f32],
        alpha: f32,
        bias: &[bf16],
        beta: f32,
        y: &mut [Y],
    ) {
        match (bias.is_empty(), beta == 0.0) {
            (true, true) => {
                for (y, &sum) in y.iter_mut().zip(sums) {
                    *y = Y::store(alpha * sum);
                }
            }
            (true, false) => {
                for (y, &sum) in y.iter_mut().zip(sums) {
                    *y = Y::store(fma::<FMA>(beta, y.load(), alpha * sum));
                }
            }
            (false, true) => {
                for ((y, &sum), &bias) in y.iter_mut().zip(sums).zip(bias) {
                    *y = Y::store(alpha * sum + bias.load());
                }
            }
            (false, false) => {
                for ((y, &sum), &bias) in y.iter_mut().zip(sums).zip(bias) {
                    *y = Y::store(fma::<FMA>(beta, y.load(), alpha * sum + bias.load()));
                }
            }
        }
    }
}
