//! `kernels/adamw.cu`: AdamW, the clip factor.

use super::rows::is_wide;
use crate::Cuda;
use crate::kernel::{Arg, Geometry};
use crate::memory::{input, output, output_or_null};
use latimer_tensor::op::{AdamW, ClipScale};
use latimer_tensor::{DType, Handled, Result};

const BLOCK: usize = 256;
/// Elements that a thread takes if memory is aligned.
const WIDE: usize = 4;
/// The alignment, in bytes, of the copy of as many elements: four `bf16`.
const WORKING_ALIGNED: u64 = 8;

/// `1 - beta`, rounded once.
fn rest(beta: f32) -> f32 {
    (1.0 - f64::from(beta)) as f32
}

pub(crate) fn adamw(cuda: &Cuda, op: &mut AdamW<'_>) -> Result<Handled> {
    let n = op.param.numel();
    let param = output(&mut op.param)?;
    let grad = input(op.grad)?;
    let m = output(&mut op.m)?;
    let v = output(&mut op.v)?;
    let working = output_or_null(&mut op.working)?;
    let scalars = input(op.scalars)?;
    let copies = !matches!(working, Arg::Pointer(at) if !at.is_multiple_of(WORKING_ALIGNED));
    let (kernel, each) = if copies && is_wide(0, DType::F32, &[param, grad, m, v]) {
        ("adamw_wide_f32", BLOCK * WIDE)
    } else {
        ("adamw_f32", BLOCK)
    };
    let betas = [op.beta1, rest(op.beta1), op.beta2, rest(op.beta2)];
    let [beta1, rest1, beta2, rest2] = betas.map(Arg::from);
    let (eps, weight_decay) = (op.eps.into(), op.weight_decay.into());
    cuda.launch(
        kernel,
        Geometry::row(n.div_ceil(each), BLOCK as u32),
        &[
            param,
            grad,
            m,
            v,
            working,
            scalars,
            (n as u64).into(),
            beta1,
            rest1,
            beta2,
            rest2,
            eps,
            weight_decay,
        ],
    )
}

pub(crate) fn clip_scale(cuda: &Cuda, op: &mut ClipScale<'_>) -> Result<Handled> {
    let sum_squares = input(op.sum_squares)?;
    let scalars = output(&mut op.scalars)?;
    cuda.launch(
        "clip_scale_f32",
        Geometry::row(1, 32),
        &[sum_squares, scalars, op.max_norm.into()],
    )
}
