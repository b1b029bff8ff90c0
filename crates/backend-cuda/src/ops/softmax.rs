//! Launches of `kernels/softmax.cu` and `kernels/softmax_bf16.cu`.

use super::rows::{Rows, by_rows, has_kernels};
use crate::Cuda;
use crate::memory::{input, output};
use latimer_tensor::op::{Softmax, SoftmaxBackward};
use latimer_tensor::{Handled, Result};

pub(crate) fn forward(cuda: &Cuda, op: &mut Softmax<'_>) -> Result<Handled> {
    let (shape, dtype) = (op.x.shape(), op.x.dtype());
    if !has_kernels(cuda, dtype) {
        return Ok(Handled::Unsupported);
    }
    let (rows, columns) = (shape.rows(), shape.columns());
    let x = input(op.x)?;
    let y = output(&mut op.y)?;
    let Some(layout) = Rows::new([rows, columns], dtype, &[x, y], 2) else {
        return Ok(Handled::Unsupported);
    };
    // A causal row reaches one column more than the one above it in its matrix
    // (`Softmax::reach`); without a mask all rows are first ones.
    let height = match shape.dims() {
        [.., height, _] if op.causal => *height,
        _ => 1,
    };
    let first = if op.causal {
        (columns + 1).saturating_sub(height)
    } else {
        columns
    };
    let sizes = [rows, columns, op.valid_columns, height.max(1), first];
    let [rows, columns, valid, height, first] = sizes.map(|n| (n as u32).into());
    cuda.launch(
        by_rows!(layout, dtype, "softmax_forward"),
        layout.geometry,
        &[x, y, rows, columns, valid, height, first, op.scale.into()],
    )
}

pub(crate) fn backward(cuda: &Cuda, op: &mut SoftmaxBackward<'_>) -> Result<Handled> {
    let (shape, dtype) = (op.y.shape(), op.y.dtype());
    if !has_kernels(cuda, dtype) {
        return Ok(Handled::Unsupported);
    }
    let (rows, columns) = (shape.rows(), shape.columns());
    let y = input(op.y)?;
    let dy = input(op.dy)?;
    let dx = output(&mut op.dx)?;
    let Some(layout) = Rows::new([rows, columns], dtype, &[y, dy, dx], 1) else {
        return Ok(Handled::Unsupported);
    };
    let [rows, columns] = [rows, columns].map(|n| (n as u32).into());
    cuda.launch(
        by_rows!(layout, dtype, "softmax_backward"),
        layout.geometry,
        &[y, dy, dx, rows, columns, op.scale.into()],
    )
}
