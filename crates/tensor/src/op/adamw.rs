//! The optimizer: the norm of the gradients, the clip factor, the update.
//!
//! Values that change from step to step (learning rate, clip factor, bias corrections) are read
//! from the device's scalar block, see [`ScalarBlock`].

use super::{OpSpec, op};
use crate::{Host, Result};

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
    fn reference(&self, host: &mut Host<'_>) -> Result<()> {
        let x = host.read(self.x)?;
        let old = if self.accumulate {
            host.read(self.y.as_view())?[0]
        } else {
            0.0
        };
        let sum = x.iter().map(|x| x * x).sum::<f64>() + old;
        host.write("y", vec![sum], vec![(x.len() + 1) as f64 * sum]);
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
    fn reference(&self, host: &mut Host<'_>) -> Result<()> {
        let norm = host.read(self.sum_squares)?[0].sqrt();
        let mut block = host.read(self.scalars.as_view())?;
        let mut sizes = vec![0.0; block.len()];
        block[ScalarBlock::CLIP] = if norm.is_finite() {
            (f64::from(self.max_norm) / (norm + 1e-6)).min(1.0)
        } else {
            f64::NAN
        };
        block[ScalarBlock::GRAD_NORM] = norm;
        sizes[ScalarBlock::CLIP] = 4.0 * block[ScalarBlock::CLIP];
        sizes[ScalarBlock::GRAD_NORM] = 2.0 * norm;
        host.write("scalars", block, sizes);
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
    fn reference(&self, host: &mut Host<'_>) -> Result<()> {
        let (param, grad) = (host.read(self.param.as_view())?, host.read(self.grad)?);
        let (m, v) = (host.read(self.m.as_view())?, host.read(self.v.as_view())?);
        let block = host.read(self.scalars)?;
        let [lr, clip, bias1, bias2] = [
            ScalarBlock::LR,
            ScalarBlock::CLIP,
            ScalarBlock::BIAS1,
            ScalarBlock::BIAS2,
        ]
        .map(|i| block[i]);
        let [beta1, beta2, eps, decay] =
            [self.beta1, self.beta2, self.eps, self.weight_decay].map(f64::from);
        let mut out = [const { Vec::new() }; 6];
        for i in 0..param.len() {
            if clip.is_nan() {
                for (at, kept) in [param[i], m[i], v[i]].into_iter().enumerate() {
                    out[2 * at].push(kept);
                    out[2 * at + 1].push(0.0);
                }
                continue;
            }
            let g = clip * grad[i];
            let new_m = beta1 * m[i] + (1.0 - beta1) * g;
            let new_v = beta2 * v[i] + (1.0 - beta2) * g * g;
            let denominator = (new_v / bias2).sqrt() + eps;
            let update = lr / bias1 * new_m / denominator;
            let m_size = 4.0 * ((beta1 * m[i]).abs() + ((1.0 - beta1) * g).abs());
            out[0].push(param[i] * (1.0 - lr * decay) - update);
            out[1].push(
                3.0 * param[i].abs() + 12.0 * update.abs() + lr / bias1 * m_size / denominator,
            );
            out[2].push(new_m);
            out[3].push(m_size);
            out[4].push(new_v);
            out[5].push(6.0 * new_v);
        }
        let [p, p_sizes, m, m_sizes, v, v_sizes] = out;
        if self.working.is_some() {
            // The parameter as it is stored, rounded once more.
            let stored = p.iter().map(|&p| f64::from(p as f32)).collect();
            host.write("working", stored, p_sizes.clone());
        }
        host.write("param", p, p_sizes);
        host.write("m", m, m_sizes);
        host.write("v", v, v_sizes);
        Ok(())
    }

    fn flops(&self) -> u64 {
        16 * self.param.numel() as u64
    }
}
