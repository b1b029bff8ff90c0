//! The optimizer: the norm of the gradients, the clip factor, the update.
//!
//! Values that change from step to step (learning rate, clip factor, bias corrections) are read
//! from the device's scalar block, see [`ScalarBlock`].

use super::{OpSpec, op};
use crate::{Host, Real, Result};

/// The layout of the operand `scalars` of [`ClipScale`] and [`AdamW`]: what changes from step to step
/// lies in memory, so that a recorded step stays valid.
#[derive(Clone, Copy, Debug)]
pub struct ScalarBlock;

impl ScalarBlock {
    /// Floats in the block.
    pub const LEN: usize = 8;
    /// Index of the learning rate.
    pub const LR: usize = 0;
    /// Index of the factor that clips gradients; 1 until [`ClipScale`] writes it.
    pub const CLIP: usize = 1;
    /// Index of the first moment's bias correction, `1 - beta1^t`.
    pub const BIAS1: usize = 2;
    /// Index of the second moment's bias correction, `1 - beta2^t`.
    pub const BIAS2: usize = 3;
    /// Index of the gradients' norm before clipping, written by [`ClipScale`].
    pub const GRAD_NORM: usize = 4;
}

op! {
    /// `y = Σ x²`, or `y += Σ x²`.
    SumSquares "sum_squares" {
        /// The terms.
        x: In "float", "any";
        /// The sum.
        y: OutOrInOut(op: op.accumulate) "f32", "[1]";
    } {
        /// Adds to `y` instead of overwriting it.
        accumulate: bool;
    }
}

impl OpSpec for SumSquares<'_> {
    fn reference<R: Real>(&self, host: &mut Host<'_, R>) -> Result<()> {
        let x = host.read(self.x)?;
        let mut sum = R::sum(x.into_iter().map(|x| x * x));
        sum.accumulate(if self.accumulate {
            host.read(self.y.as_view())?[0]
        } else {
            R::from(0.0)
        });
        host.write("y", vec![sum]);
        Ok(())
    }

    fn flops(&self) -> u64 {
        2 * self.x.numel() as u64
    }
}

op! {
    /// `clip = min(1, max_norm / (norm + 1e-6))` with `norm = √sum_squares`, into the scalar block, as
    /// PyTorch's `clip_grad_norm_`; the norm is kept there too.
    ///
    /// A norm that is NaN or infinite makes `clip` NaN, whatever `max_norm`: then [`AdamW`] changes
    /// nothing, so that one bad step does not spoil the parameters.
    ClipScale "clip_scale" {
        /// The sum over all gradients.
        sum_squares: In "f32", "[1]";
        /// The scalar block: `CLIP` and `GRAD_NORM` are written, the others kept.
        scalars: InOut "f32", "[8]";
    } {
        /// The greatest norm that is not clipped; infinite to clip nothing.
        max_norm: f32, Positive;
    }
}

impl OpSpec for ClipScale<'_> {
    fn reference<R: Real>(&self, host: &mut Host<'_, R>) -> Result<()> {
        let norm = host.read(self.sum_squares)?[0].sqrt();
        let mut block = host.read(self.scalars.as_view())?;
        block[ScalarBlock::CLIP] = if norm.value().is_finite() {
            (R::from(self.max_norm) / (norm + R::constant(1e-6))).min(R::from(1.0))
        } else {
            R::from(f64::NAN)
        };
        block[ScalarBlock::GRAD_NORM] = norm;
        host.write("scalars", block);
        Ok(())
    }

    fn flops(&self) -> u64 {
        4
    }
}

op! {
    /// One AdamW update of a range of parameters (Loshchilov and Hutter 2019, arXiv 1711.05101; the
    /// order of PyTorch's): with `g = clip · grad`,
    ///
    /// `m = beta1·m + (1 - beta1)·g`, `v = beta2·v + (1 - beta2)·g²`,
    /// `p = p·(1 - lr·weight_decay) - lr/bias1 · m / (√v/√bias2 + eps)`.
    ///
    /// If `clip` is NaN, the gradients were not finite (see [`ClipScale`]), and `param`, `m` and
    /// `v` keep their values. In both cases `working`, if given, becomes the rounded `param`.
    AdamW "adamw" {
        /// Parameters.
        param: InOut "f32", "[N]";
        /// Their gradients.
        grad: In "f32", "[N]";
        /// First moment.
        m: InOut "f32", "[N]";
        /// Second moment.
        v: InOut "f32", "[N]";
        /// The copy that forward and backward read: `param` as it is after the update, rounded to
        /// nearest even.
        working: MaybeOut "bf16", "[N]";
        /// The scalar block: `LR`, `CLIP`, `BIAS1` and `BIAS2` are read.
        scalars: In "f32", "[8]";
    } {
        /// Decay of the first moment.
        beta1: f32, Share;
        /// Decay of the second moment.
        beta2: f32, Share;
        /// Keeps the quotient finite.
        eps: f32, Positive;
        /// The share of a parameter that decays per unit of learning rate.
        weight_decay: f32, NotNegative;
    }
}

impl OpSpec for AdamW<'_> {
    fn reference<R: Real>(&self, host: &mut Host<'_, R>) -> Result<()> {
        let (mut param, grad) = (host.read(self.param.as_view())?, host.read(self.grad)?);
        let (mut m, mut v) = (host.read(self.m.as_view())?, host.read(self.v.as_view())?);
        let block = host.read(self.scalars)?;
        let [lr, clip, bias1, bias2] = [
            ScalarBlock::LR,
            ScalarBlock::CLIP,
            ScalarBlock::BIAS1,
            ScalarBlock::BIAS2,
        ]
        .map(|i| block[i]);
        let [beta1, beta2, eps, decay] =
            [self.beta1, self.beta2, self.eps, self.weight_decay].map(R::from);
        let one = R::from(1.0);
        let is_broken = clip.value().is_nan();
        for i in (0..param.len()).filter(|_| !is_broken) {
            let g = clip * grad[i];
            m[i] = beta1 * m[i] + (one - beta1) * g;
            v[i] = beta2 * v[i] + (one - beta2) * g * g;
            let denominator = (v[i] / bias2).sqrt() + eps;
            let update = lr / bias1 * m[i] / denominator;
            param[i] = param[i] * (one - lr * decay) - update;
        }
        if self.working.is_some() {
            // The parameter as it is stored, rounded once more.
            let stored = param.iter().map(|p| p.read_back_from_f32()).collect();
            host.write("working", stored);
        }
        host.write("param", param);
        host.write("m", m);
        host.write("v", v);
        Ok(())
    }

    fn flops(&self) -> u64 {
        16 * self.param.numel() as u64
    }
}
