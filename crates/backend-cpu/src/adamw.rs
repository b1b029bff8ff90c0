//! The optimizer's update, in one pass over four arrays, and the clip factor.

use crate::memory::{read, write};
use crate::parallel::{Par, Rows, RowsMut};
use crate::real::narrow;
use crate::simd::{fma, simd};
use half::bf16;
use latimer_tensor::op::{AdamW, ClipScale, ScalarBlock};
use latimer_tensor::{Handled, Result};

pub(crate) fn clip_scale(op: &mut ClipScale<'_>) -> Result<Handled> {
    let sum = read::<f32>(op.sum_squares)?;
    let block = write::<f32>(op.scalars.reborrow())?;
    let norm = f64::from(sum[0]).sqrt();
    block[ScalarBlock::CLIP] = if norm.is_finite() {
        // mutant: clip_lengthens
        (f64::from(op.max_norm) / (norm + 1e-6)).min(1.0) as f32
    } else {
        f32::NAN
    };
    block[ScalarBlock::GRAD_NORM] = norm as f32;
    Ok(Handled::Done)
}

/// The factors that one step applies to all parameters.
#[derive(Clone, Copy)]
struct Factors {
    clip: f32,
    beta1: f32,
    /// `1 - beta1`.
    rest1: f32,
    beta2: f32,
    /// `1 - beta2`.
    rest2: f32,
    /// `1 - lr·weight_decay`.
    keep: f32,
    /// `lr / bias1`.
    rate: f32,
    /// `1 / √bias2`.
    scale: f32,
    eps: f32,
}

simd! {
    fn update(param: &mut [f32], grad: &[f32], m: &mut [f32], v: &mut [f32], f: Factors) {
        for (((p, &grad), m), v) in param.iter_mut().zip(grad).zip(m).zip(v) {
            let g = f.clip * grad;
            *m = fma::<FMA>(f.beta1, *m, f.rest1 * g);
            *v = fma::<FMA>(f.beta2, *v, f.rest2 * g * g);
            // Divide first: tiny moments times a small rate would underflow to 0.
            let step = *m / fma::<FMA>(v.sqrt(), f.scale, f.eps);
            *p = fma::<FMA>(-f.rate, step, *p * f.keep);
        }
    }
}

/// Parameters handed out together.
const UNIT: usize = 256;

pub(crate) fn run(op: &mut AdamW<'_>, par: Par) -> Result<Handled> {
    let block = read::<f32>(op.scalars)?;
    let lr = f64::from(block[ScalarBlock::LR]);
    // Computed in f64 and rounded once.
    let f = Factors {
        clip: block[ScalarBlock::CLIP],
        beta1: op.beta1,
        rest1: (1.0 - f64::from(op.beta1)) as f32,
        beta2: op.beta2,
        rest2: (1.0 - f64::from(op.beta2)) as f32,
        // mutant: adamw_decay_without_rate
        keep: (1.0 - lr * f64::from(op.weight_decay)) as f32,
        // mutant: adamw_without_bias_correction
        rate: (lr / f64::from(block[ScalarBlock::BIAS1])) as f32,
        scale: (1.0 / f64::from(block[ScalarBlock::BIAS2]).sqrt()) as f32,
        eps: op.eps,
    };
    let grad = read(op.grad)?;
    let param = write(op.param.reborrow())?;
    let m = write(op.m.reborrow())?;
    let v = write(op.v.reborrow())?;
    let working = match &mut op.working {
        Some(working) => Some(write::<bf16>(working.reborrow())?),
        None => None,
    };
    let (units, ns) = (grad.len().div_ceil(UNIT), grad.len());
    let parts = (
        RowsMut(param, UNIT),
        Rows(grad, UNIT),
        RowsMut(m, UNIT),
        RowsMut(v, UNIT),
        working.map(|working| RowsMut(working, UNIT)),
    );
    par.split(units, ns, parts, &|(param, grad, m, v, working): (
        RowsMut<'_>,
        Rows<'_>,
        RowsMut<'_>,
        RowsMut<'_>,
        Option<RowsMut<'_, bf16>>,
    )| {
        // If gradients are not finite, nothing is updated.
        if !f.clip.is_nan() {
            update(param.0, grad.0, m.0, v.0, f);
        }
        // mutant: working_copy_stale
        if let Some(working) = working {
            narrow(param.0, working.0);
        }
    });
    Ok(Handled::Done)
}
