//! Gradients that are composed of other operations: arithmetic, products, reductions, and those
//! that move values. The tests write down in f64 how `latimer-autograd` composes them, and compare
//! with differences.

use super::{assert_gradient, normal, tensor, terms, zeros};
use latimer_tensor::op::{
    Axpby, Binary, BinaryKind, Cast, Concat, Matmul, Over, Permute, Reduce, ReduceKind, Slice,
};
use latimer_tensor::{DType, Device, Result, Shape, Tensor};

/// `f(a, b)` with `b` repeated over the leading axes.
fn binary(kind: BinaryKind, a: &Tensor, b: &Tensor) -> Result<Tensor> {
    let mut y = zeros(a.device(), a.shape());
    a.device().run(Binary {
        kind,
        a: a.view(),
        b: b.view(),
        y: y.view_mut()?,
    })?;
    Ok(y)
}

/// `factor · x`.
fn scaled(x: &Tensor, factor: f32) -> Result<Tensor> {
    let mut y = zeros(x.device(), x.shape());
    x.device().run(Axpby {
        alpha: factor,
        x: x.view(),
        beta: 0.0,
        y: y.view_mut()?,
    })?;
    Ok(y)
}

fn reduced(kind: ReduceKind, over: Over, x: &Tensor) -> Result<Tensor> {
    let shape = x.shape();
    let kept = match over {
        Over::Rows => shape.columns(),
        Over::Columns => shape.rows(),
    };
    let mut y = zeros(x.device(), [kept]);
    x.device().run(Reduce {
        kind,
        over,
        x: x.view(),
        y: y.view_mut()?,
        accumulate: false,
    })?;
    Ok(y)
}

fn product(a: &Tensor, b: &Tensor, [trans_a, trans_b]: [bool; 2], alpha: f32) -> Result<Tensor> {
    let dims = |x: &Tensor| [x.dims().len() - 2, x.dims().len() - 1].map(|i| x.dims()[i]);
    let ([a0, a1], [b0, b1]) = (dims(a), dims(b));
    let (rows, columns) = (if trans_a { a1 } else { a0 }, if trans_b { b0 } else { b1 });
    let batch = &a.dims()[..a.dims().len() - 2];
    let mut y = zeros(a.device(), &[batch, &[rows, columns]].concat()[..]);
    let op = Matmul::new(a.view(), b.view(), y.view_mut()?).scaled(alpha, 0.0);
    a.device().run(Matmul {
        trans_a,
        trans_b,
        ..op
    })?;
    Ok(y)
}

/// The gradient of a broadcast `b` is summed over the rows that `b` was repeated over.
fn gathered(terms: &Tensor, b: Shape) -> Result<Tensor> {
    let n = b.numel();
    let rows = terms.reshape([terms.shape().numel() / n, n])?;
    reduced(ReduceKind::Sum, Over::Rows, &rows)?.reshape(b)
}

#[test]
fn arithmetic() -> Result<()> {
    let (device, shape) = (Device::reference(), Shape::new(&[2, 3, 4]));
    let [a, dy] = [0, 1].map(|site| normal(24, site));
    for b_shape in [&[2, 3, 4][..], &[3, 4], &[4], &[]].map(Shape::new) {
        // The values stay away from 0, for quotients.
        let b: Vec<f64> = normal(b_shape.numel(), 2);
        let b: Vec<f64> = b.iter().map(|x| x + x.signum()).collect();
        let [ta, tdy] = [&a, &dy].map(|values| tensor(&device, values, shape));
        let tb = tensor(&device, &b, b_shape);
        for kind in BinaryKind::ALL {
            let what = format!("{kind:?} of {b_shape}");
            let forward = |a: &[f64], b: &[f64]| {
                let (a, b) = (tensor(&device, a, shape), tensor(&device, b, b_shape));
                terms(&binary(kind, &a, &b).unwrap(), &dy)
            };
            let da = match kind {
                BinaryKind::Mul | BinaryKind::Div => binary(kind, &tdy, &tb)?,
                _ => tdy.clone(),
            };
            let of_b = match kind {
                BinaryKind::Sub => scaled(&tdy, -1.0)?,
                BinaryKind::Mul => binary(BinaryKind::Mul, &tdy, &ta)?,
                // -(dy/b)·(a/b)
                BinaryKind::Div => {
                    let y = binary(BinaryKind::Div, &ta, &tb)?;
                    scaled(&binary(BinaryKind::Mul, &da, &y)?, -1.0)?
                }
                _ => tdy.clone(),
            };
            let db = gathered(&of_b, b_shape)?;
            assert_gradient(&what, |a| forward(a, &b), &a, &da);
            assert_gradient(&what, |b| forward(&a, b), &b, &db);
        }
    }
    Ok(())
}

/// `y = alpha·x + beta·y`: both operands' gradients are multiples of `dy`.
#[test]
fn axpby() -> Result<()> {
    let device = Device::reference();
    let [x, old, dy] = [0, 1, 2].map(|site| normal(12, site));
    let (alpha, beta) = (0.75, -1.5);
    let forward = |x: &[f64], old: &[f64]| {
        let (x, mut y) = (tensor(&device, x, [12]), tensor(&device, old, [12]));
        let op = Axpby {
            alpha,
            x: x.view(),
            beta,
            y: y.view_mut().unwrap(),
        };
        device.run(op).unwrap();
        terms(&y, &dy)
    };
    let tdy = tensor(&device, &dy, [12]);
    assert_gradient("x", |x| forward(x, &old), &x, &scaled(&tdy, alpha)?);
    assert_gradient("y", |old| forward(&x, old), &old, &scaled(&tdy, beta)?);
    Ok(())
}

/// Gradients of both operands of a product, single or in a batch, stored either way.
#[test]
fn products() -> Result<()> {
    let device = Device::reference();
    let (m, k, n, alpha) = (3, 5, 4, 0.75);
    for (batch, trans_a, trans_b) in [
        (None, false, false),
        (None, true, false),
        (None, false, true),
        (None, true, true),
        (Some(2), false, false),
        (Some(2), true, false),
        (Some(2), false, true),
        (Some(2), true, true),
    ] {
        let of = |transposed, rows, columns| {
            let dims = if transposed {
                [columns, rows]
            } else {
                [rows, columns]
            };
            Shape::new(&[batch.as_slice(), &dims].concat())
        };
        let [sa, sb, sy] = [of(trans_a, m, k), of(trans_b, k, n), of(false, m, n)];
        let [a, b, dy] = [(sa, 0), (sb, 1), (sy, 2)].map(|(s, site)| normal(s.numel(), site));
        let forward = |a: &[f64], b: &[f64]| {
            let (a, b) = (tensor(&device, a, sa), tensor(&device, b, sb));
            terms(&product(&a, &b, [trans_a, trans_b], alpha).unwrap(), &dy)
        };
        let (ta, tb) = (tensor(&device, &a, sa), tensor(&device, &b, sb));
        let tdy = tensor(&device, &dy, sy);
        // da = dy·bᵀ and db = aᵀ·dy; for an operand stored transposed, it is the transposed
        // product.
        let da = match trans_a {
            false => product(&tdy, &tb, [false, !trans_b], alpha)?,
            true => product(&tb, &tdy, [trans_b, true], alpha)?,
        };
        let db = match trans_b {
            false => product(&ta, &tdy, [!trans_a, false], alpha)?,
            true => product(&tdy, &ta, [true, trans_a], alpha)?,
        };
        let what = format!("{batch:?} {trans_a} {trans_b}");
        assert_gradient(&what, |a| forward(a, &b), &a, &da);
        assert_gradient(&what, |b| forward(&a, b), &b, &db);
    }
    Ok(())
}

/// Every element of a line gets the gradient of its sum; for a mean, that divided by the line's
/// length.
#[test]
fn sums_and_means() -> Result<()> {
    let device = Device::reference();
    let (rows, columns) = (3, 4);
    let x = normal(rows * columns, 0);
    for (over, kept, length) in [(Over::Rows, columns, rows), (Over::Columns, rows, columns)] {
        let dy = normal(kept, 1);
        for kind in [ReduceKind::Sum, ReduceKind::Mean] {
            let ones = |n| Tensor::full(&device, [1, n], DType::F64, 1.0);
            let dy_row = tensor(&device, &dy, [1, kept]);
            let dx = match over {
                Over::Rows => product(&ones(rows)?, &dy_row, [true, false], 1.0)?,
                Over::Columns => product(&dy_row, &ones(columns)?, [true, false], 1.0)?,
            };
            let share = match kind {
                ReduceKind::Mean => 1.0 / length as f64,
                _ => 1.0,
            };
            let share = tensor(&device, &[share], [0; 0]);
            let dx = binary(BinaryKind::Mul, &dx, &share)?;
            let forward = |x: &[f64]| {
                let x = tensor(&device, x, [rows, columns]);
                terms(&reduced(kind, over, &x).unwrap(), &dy)
            };
            assert_gradient(&format!("{kind:?} {over:?}"), forward, &x, &dx);
        }
    }
    Ok(())
}

/// To get the gradient of permuted axes, the axes are permuted back.
#[test]
fn orders_of_axes() -> Result<()> {
    let device = Device::reference();
    let [x, dy] = [0, 1].map(|site| normal(24, site));
    for (shape, axes) in [
        ([2, 3, 4, 1], [2, 0, 1, 3]),
        ([2, 3, 2, 2], [3, 1, 0, 2]),
        ([1, 4, 3, 2], [1, 2, 3, 0]),
    ] {
        let shape = Shape::new(&shape);
        let permuted = |x: &Tensor, axes: [usize; 4]| {
            let to = Permute::output_shape(x.shape(), axes).unwrap();
            let mut y = zeros(&device, to);
            let (x, target) = (x.view(), y.view_mut().unwrap());
            device.run(Permute { x, y: target, axes }).unwrap();
            y
        };
        let forward = |x: &[f64]| terms(&permuted(&tensor(&device, x, shape), axes), &dy);
        let mut back = [0; 4];
        (0..4).for_each(|to| back[axes[to]] = to);
        let to = Permute::output_shape(shape, axes).unwrap();
        let dx = permuted(&tensor(&device, &dy, to), back);
        assert_eq!(dx.shape(), shape);
        assert_gradient(&format!("{axes:?}"), forward, &x, &dx);
    }
    Ok(())
}

fn sliced(x: &Tensor, axis: usize, first: usize, length: usize) -> Result<Tensor> {
    let mut dims = x.dims().to_vec();
    dims[axis] = length;
    let mut y = zeros(x.device(), &dims[..]);
    x.device().run(Slice {
        x: x.view(),
        y: y.view_mut()?,
        axis,
        first,
    })?;
    Ok(y)
}

fn joined(a: &Tensor, b: &Tensor, axis: usize) -> Result<Tensor> {
    let mut dims = a.dims().to_vec();
    dims[axis] += b.dims()[axis];
    let mut y = zeros(a.device(), &dims[..]);
    a.device().run(Concat {
        a: a.view(),
        b: b.view(),
        y: y.view_mut()?,
        axis,
    })?;
    Ok(y)
}

/// The gradient of a part is padded with zeros; the gradients of joined tensors are its parts.
#[test]
fn parts_and_wholes() -> Result<()> {
    let (device, shape) = (Device::reference(), [3, 4, 5]);
    let with = |axis: usize, length| {
        let mut dims = shape;
        dims[axis] = length;
        Shape::new(&dims)
    };
    for (axis, first, length) in [(0, 1, 1), (1, 0, 2), (1, 1, 3), (2, 2, 3)] {
        let what = format!("axis {axis} from {first}");
        let after = shape[axis] - first - length;
        let x = normal(60, 0);
        let dy = normal(with(axis, length).numel(), 1);
        let forward = |x: &[f64]| {
            let x = tensor(&device, x, shape);
            terms(&sliced(&x, axis, first, length).unwrap(), &dy)
        };
        let middle = tensor(&device, &dy, with(axis, length));
        let [before, after] = [first, after].map(|length| zeros(&device, with(axis, length)));
        let dx = joined(&joined(&before, &middle, axis)?, &after, axis)?;
        assert_gradient(&what, forward, &x, &dx);

        let of_b = with(axis, length);
        let [a, b] = [normal(60, 2), normal(of_b.numel(), 3)];
        let dy = normal(60 + b.len(), 4);
        let whole = tensor(&device, &dy, with(axis, shape[axis] + length));
        let forward = |a: &[f64], b: &[f64]| {
            let (a, b) = (tensor(&device, a, shape), tensor(&device, b, of_b));
            terms(&joined(&a, &b, axis).unwrap(), &dy)
        };
        let da = sliced(&whole, axis, 0, shape[axis])?;
        let db = sliced(&whole, axis, shape[axis], length)?;
        assert_gradient(&what, |a| forward(a, &b), &a, &da);
        assert_gradient(&what, |b| forward(&a, b), &b, &db);
    }
    Ok(())
}

/// Between equal types a cast is a copy, and so is its gradient. (A cast to a narrower type is a
/// staircase, for which differences are meaningless.)
#[test]
fn cast() -> Result<()> {
    let device = Device::reference();
    let [x, dy] = [0, 1].map(|site| normal(12, site));
    let cast = |x: &[f64]| {
        let (x, mut y) = (tensor(&device, x, [12]), zeros(&device, [12]));
        let (x, target) = (x.view(), y.view_mut().unwrap());
        device.run(Cast { x, y: target }).unwrap();
        y
    };
    assert_gradient("x", |x| terms(&cast(x), &dy), &x, &cast(&dy));
    Ok(())
}
