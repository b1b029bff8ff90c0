//! Launches of `kernels/elementwise.cuh`: functions of one value and of two, scaled sums.

use super::wide;
use crate::Cuda;
use crate::kernel::by_dtype;
use crate::memory::{input, output};
use latimer_tensor::op::{Axpby, Binary, BinaryKind, Unary, UnaryBackward, UnaryKind};
use latimer_tensor::{Handled, Result};

pub(crate) fn unary(cuda: &Cuda, op: &mut Unary<'_>) -> Result<Handled> {
    let (n, dtype) = (op.x.numel(), op.x.dtype());
    if !wide::computes_in(cuda, dtype) {
        return Ok(Handled::Unsupported);
    }
    let name = match op.kind {
        UnaryKind::Relu => by_dtype!(dtype, "unary_relu"),
        UnaryKind::GeluTanh => by_dtype!(dtype, "unary_gelu_tanh"),
        UnaryKind::GeluErf => by_dtype!(dtype, "unary_gelu_erf"),
        UnaryKind::Tanh => by_dtype!(dtype, "unary_tanh"),
        UnaryKind::Exp => by_dtype!(dtype, "unary_exp"),
        _ => return Ok(Handled::Unsupported),
    };
    let x = input(op.x)?;
    let y = output(&mut op.y)?;
    let aligned = wide::aligned(&[x, y]);
    cuda.launch(
        name,
        wide::geometry(n, dtype.size()),
        &[x, y, (n as u64).into(), aligned.into()],
    )
}

pub(crate) fn unary_backward(cuda: &Cuda, op: &mut UnaryBackward<'_>) -> Result<Handled> {
    let (n, dtype) = (op.x.numel(), op.x.dtype());
    if !wide::computes_in(cuda, dtype) {
        return Ok(Handled::Unsupported);
    }
    let name = match op.kind {
        UnaryKind::Relu => by_dtype!(dtype, "unary_backward_relu"),
        UnaryKind::GeluTanh => by_dtype!(dtype, "unary_backward_gelu_tanh"),
        UnaryKind::GeluErf => by_dtype!(dtype, "unary_backward_gelu_erf"),
        UnaryKind::Tanh => by_dtype!(dtype, "unary_backward_tanh"),
        UnaryKind::Exp => by_dtype!(dtype, "unary_backward_exp"),
        _ => return Ok(Handled::Unsupported),
    };
    let x = input(op.x)?;
    let dy = input(op.dy)?;
    let dx = output(&mut op.dx)?;
    let aligned = wide::aligned(&[x, dy, dx]);
    cuda.launch(
        name,
        wide::geometry(n, dtype.size()),
        &[x, dy, dx, (n as u64).into(), aligned.into()],
    )
}

pub(crate) fn binary(cuda: &Cuda, op: &mut Binary<'_>) -> Result<Handled> {
    let (n, nb, dtype) = (op.a.numel(), op.b.numel(), op.a.dtype());
    if !wide::computes_in(cuda, dtype) {
        return Ok(Handled::Unsupported);
    }
    let name = match op.kind {
        BinaryKind::Add => by_dtype!(dtype, "binary_add"),
        BinaryKind::Sub => by_dtype!(dtype, "binary_sub"),
        BinaryKind::Mul => by_dtype!(dtype, "binary_mul"),
        BinaryKind::Div => by_dtype!(dtype, "binary_div"),
        _ => return Ok(Handled::Unsupported),
    };
    let a = input(op.a)?;
    let b = input(op.b)?;
    let y = output(&mut op.y)?;
    // Each 16 bytes of `a` must correspond to 16 adjacent bytes of `b`.
    let together = nb == n || (nb * dtype.size()).is_multiple_of(16);
    let aligned = together && wide::aligned(&[a, b, y]);
    cuda.launch(
        name,
        wide::geometry(n, dtype.size()),
        &[
            a,
            b,
            y,
            (n as u64).into(),
            (nb as u64).into(),
            aligned.into(),
        ],
    )
}

pub(crate) fn axpby(cuda: &Cuda, op: &mut Axpby<'_>) -> Result<Handled> {
    let (n, dtype) = (op.x.numel(), op.x.dtype());
    if !wide::computes_in(cuda, dtype) {
        return Ok(Handled::Unsupported);
    }
    let name = by_dtype!(dtype, "axpby");
    let x = input(op.x)?;
    let y = output(&mut op.y)?;
    let aligned = wide::aligned(&[x, y]);
    cuda.launch(
        name,
        wide::geometry(n, dtype.size()),
        &[
            op.alpha.into(),
            x,
            op.beta.into(),
            y,
            (n as u64).into(),
            aligned.into(),
        ],
    )
}
