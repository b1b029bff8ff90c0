//! Launches of `kernels/cross_entropy.cu` and `kernels/cross_entropy_bf16.cu`.

use super::rows::{Rows, by_rows, has_kernels};
use crate::Cuda;
use crate::faults::Ids;
use crate::memory::{input, output};
use latimer_tensor::op::CrossEntropy;
use latimer_tensor::{Handled, Result};

pub(crate) fn cross_entropy(cuda: &Cuda, op: &mut CrossEntropy<'_>) -> Result<Handled> {
    let (shape, dtype) = (op.logits.shape(), op.logits.dtype());
    if !has_kernels(cuda, dtype) {
        return Ok(Handled::Unsupported);
    }
    let (rows, columns) = (shape.rows(), shape.columns());
    let logits = output(&mut op.logits)?;
    let targets = input(op.targets)?;
    let losses = output(&mut op.losses)?;
    let Some(layout) = Rows::new([rows, columns], dtype, &[logits], 2) else {
        return Ok(Handled::Unsupported);
    };
    let faults = cuda.faults.place(Ids::Targets, op.valid_columns);
    let [rows, columns, valid] = [rows, columns, op.valid_columns].map(|n| (n as u32).into());
    let (gradient, factor) = (op.gradient.is_some(), op.gradient.unwrap_or(0.0));
    cuda.launch(
        by_rows!(layout, dtype, "cross_entropy"),
        layout.geometry,
        &[
            logits,
            targets,
            losses,
            faults,
            rows,
            columns,
            valid,
            gradient.into(),
            factor.into(),
        ],
    )
}
