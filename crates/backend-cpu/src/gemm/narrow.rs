//! Products of `bf16`, summed in `f32` and rounded once.
//!
//! If the processor multiplies `bf16` itself, both operands are packed ([`super::pairs`]) and the
//! output is computed in blocks of 32 by 32 ([`super::dots`]), which go to different threads.
//! Otherwise the operands are widened as a whole and multiplied as `f32`.

use super::{FEW_ROWS, Gemm, vector};
use crate::memory::{read, write};
use crate::parallel::{Par, Rows, RowsMut};
use crate::real::{Real, widen};
use crate::scratch::op_scratch;
use crate::simd::{Dots, dots};
use half::bf16;
use latimer_tensor::op::Matmul;
use latimer_tensor::{DType, Handled, Result};
use std::ops::Range;

/// A product whose operands are `bf16`, its output `bf16` or `f32`.
pub(crate) fn narrow_matmul(op: &mut Matmul<'_>, par: Par) -> Result<Handled> {
    if op.a.dtype() != DType::Bf16 {
        return Ok(Handled::Unsupported);
    }
    match op.y.dtype() {
        DType::F32 => onto::<f32>(op, par),
        _ => onto::<bf16>(op, par),
    }
}

fn onto<Y: Real>(op: &mut Matmul<'_>, par: Par) -> Result<Handled> {
    let sizes = op.sizes();
    let (batch, m, n, k) = (sizes.batch, sizes.m, sizes.n, sizes.k);
    let a = read::<bf16>(op.a)?;
    let b = read::<bf16>(op.b)?;
    let bias = op.bias.map(|bias| read::<bf16>(bias)).transpose()?;
    let y = write::<Y>(op.y.reborrow())?;
    if y.is_empty() {
        return Ok(Handled::Done);
    }
    let one = |s: usize, y: &mut [Y], par: Par| {
        let gemm = Gemm {
            m,
            n,
            k,
            a: &a[s * m * k..][..m * k],
            b: &b[s * k * n..][..k * n],
            bias,
            trans_a: op.trans_a,
            trans_b: op.trans_b,
            alpha: op.alpha,
            beta: op.beta,
        };
        gemm.run_narrow(y, par);
    };
    if batch == 1 {
        one(0, y, par);
    } else {
        let parts = (0..batch, RowsMut(y, m * n));
        let ns = batch * super::nanoseconds(m, n, k);
        par.split(batch, ns, parts, &|(which, y): (Range<usize>, _)| {
            for (s, y) in which.zip(y.0.chunks_exact_mut(m * n)) {
                one(s, y, Par::SERIAL);
            }
        });
    }
    Ok(Handled::Done)
}

impl Gemm<'_, bf16> {
    fn run_narrow<Y: Real>(&self, y: &mut [Y], par: Par) {
        if self.m <= FEW_ROWS && self.k > 0 {
            vector::run(self, y, par);
            return;
        }
        match dots() {
            #[cfg(target_arch = "x86_64")]
            dots @ (Dots::Pairs | Dots::Tiles) => super::blocks::run(self, dots, y, par),
            _ => self.run_widened(y, par),
        }
    }

    /// The product of widened operands, with the bits of a product of `f32`.
    fn run_widened<Y: Real>(&self, y: &mut [Y], par: Par) {
        let (m, n, k) = (self.m, self.n, self.k);
        op_scratch(m * k + k * n, |memory| {
            let (a, b) = memory.split_at_mut(m * k);
            for (from, to) in [(self.a, &mut *a), (self.b, &mut *b)] {
                rows(par, from, to, &|from, to| widen(from, to));
            }
            let product = Gemm {
                m,
                n,
                k,
                a: &*a,
                b: &*b,
                bias: None,
                trans_a: self.trans_a,
                trans_b: self.trans_b,
                alpha: 1.0,
                beta: 0.0,
            };
            op_scratch(m * n, |sums| {
                product.run(sums, par);
                self.finish_rows(sums, y, par);
            });
        });
    }
}

/// Cuts two slices of equal length at the same places and calls `work` with each pair of pieces.
fn rows<A: Sync, B: Send>(
    par: Par,
    from: &[A],
    to: &mut [B],
    work: &(impl Fn(&[A], &mut [B]) + Sync),
) {
    const UNIT: usize = 256;
    let units = from.len().div_ceil(UNIT);
    let parts = (Rows(from, UNIT), RowsMut(to, UNIT));
    par.split(units, from.len() / 8, parts, &|(from, to)| {
        work(from.0, to.0)
    });
}
