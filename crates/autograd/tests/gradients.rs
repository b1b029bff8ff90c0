//! Gradients that a pass composes, against central differences.
//!
//! The backward operations themselves are checked in f64 by `latimer-conformance`; what is checked
//! here is that a method wires them rightly. So f32 is enough: with steps of 1/64 and losses
//! around 10, differences err by some 1e-4.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use latimer_autograd::{Declarations, Init, Mode, Param, Params, Pass, Result, Slab};
use latimer_tensor::philox::Stream;
use latimer_tensor::{Device, Scalars, Shape, Tensor};

const STEP: f32 = 1.0 / 64.0;
const ALLOWED: f32 = 2e-3;

/// A parameter as a tensor of a pass: the identity matrix times it.
fn tensor_of(pass: &Pass<'_>, shape: Shape, param: Param) -> Result<Tensor> {
    let n = shape.rows();
    let eye: Vec<f32> = (0..n * n)
        .map(|i| f32::from(u8::from(i % (n + 1) == 0)))
        .collect();
    let eye = pass.constant(Tensor::from_slice(pass.device(), &eye, [n, n])?);
    Ok(pass.linear(&eye, param, None)?.reshape(shape)?)
}

/// `Σ weight·y` with fixed weights, as the loss.
fn loss_of(pass: &Pass<'_>, y: &Tensor) -> Result<Tensor> {
    let n = y.shape().numel();
    let mut stream = Stream::new(3, 1, 0);
    let weights: Vec<f32> = (0..n).map(|_| stream.normal() as f32).collect();
    let weights = pass.constant(Tensor::from_slice(pass.device(), &weights, [n, 1])?);
    pass.matmul(&y.reshape([1, n])?, &weights, false)
}

/// Checks the gradients of two tensors of these shapes under a model, which may also use a parameter
/// of the first's width.
fn check<A: Into<Shape>, B: Into<Shape>>(
    what: &str,
    a: A,
    b: B,
    model: impl Fn(&Pass<'_>, [&Tensor; 2], Param) -> Result<Tensor>,
) {
    let shapes = [a.into(), b.into()];
    let mut declarations = Declarations::new();
    let mut root = declarations.root();
    let normal = Init::Normal { std: 1.0 };
    // The store keeps matrices.
    let names = ["a", "b"];
    let both = [0, 1].map(|i| {
        let shape = [shapes[i].rows(), shapes[i].columns()];
        root.param(names[i], shape, normal)
    });
    let norm = root.param("norm", [shapes[0].columns()], normal);
    let device = Device::reference();
    let mut params = Params::new(&device, declarations, 1).unwrap();
    params.enable_training().unwrap();
    let scalars = Scalars::new(&device).unwrap();
    // Away from 0, for quotients.
    for param in both {
        let mut values: Vec<f32> = params.get(Slab::Values, param).unwrap();
        values.iter_mut().for_each(|x| *x += x.signum());
        params.set(Slab::Values, param, &values).unwrap();
    }
    let run = |params: &Params, train: bool| -> f32 {
        let mode = Mode::Train { loss_scale: 1.0 };
        let pass = Pass::new(params, &scalars, mode);
        let [a, b] = [0, 1].map(|i| tensor_of(&pass, shapes[i], both[i]).unwrap());
        let y = model(&pass, [&a, &b], norm).unwrap();
        let loss = loss_of(&pass, &y).unwrap();
        let value = loss.to_vec::<f32>().unwrap()[0];
        if train {
            params.zero_gradients().unwrap();
            pass.backward(loss).unwrap();
        }
        value
    };
    run(&params, true);
    for (param, name) in [both[0], both[1], norm].into_iter().zip(["a", "b", "norm"]) {
        let gradient: Vec<f32> = params.get(Slab::Gradients, param).unwrap();
        let values: Vec<f32> = params.get(Slab::Values, param).unwrap();
        let mut any = false;
        for (i, &got) in gradient.iter().enumerate() {
            let mut at = |x: f32| {
                let mut moved = values.clone();
                moved[i] = x;
                params.set(Slab::Values, param, &moved).unwrap();
                run(&params, false)
            };
            let want = (at(values[i] + STEP) - at(values[i] - STEP)) / (2.0 * STEP);
            let allowed = ALLOWED * (1.0 + want.abs());
            assert!(
                (got - want).abs() <= allowed,
                "{what}: slope {i} of {name} is {got}, differences give {want}"
            );
            any |= got != 0.0;
        }
        params.set(Slab::Values, param, &values).unwrap();
        assert!(any || param == norm, "{what}: all slopes of {name} are 0");
    }
}

#[test]
fn slices() {
    for (axis, first, n) in [
        (0, 0, 2),
        (0, 1, 2),
        (1, 1, 2),
        (1, 2, 2),
        (2, 0, 5),
        (2, 4, 1),
    ] {
        check("slice", [3, 4, 5], [1, 1], |pass, [x, b], _| {
            let y = pass.slice(x, axis, first, n)?;
            // Twice, so that gradients are added, and along another path.
            let (y, z) = (pass.add(&y, &y)?, pass.slice(x, 1, 0, 1)?);
            let n = y.shape().numel() + z.shape().numel() + 1;
            let flat = |x: &Tensor| x.reshape([x.shape().numel()]);
            let y = pass.concat(&flat(&y)?, &flat(&z)?, 0)?;
            let y = pass.concat(&y, &flat(b)?, 0)?;
            assert_eq!(y.dims(), [n]);
            Ok(y)
        });
    }
}

#[test]
fn concatenations() {
    check("rows", [2, 3], [4, 3], |pass, [a, b], _| {
        pass.concat(a, b, 0)
    });
    check("columns", [2, 3], [2, 5], |pass, [a, b], _| {
        pass.concat(a, b, 1)
    });
    check("middle", [2, 1, 3], [2, 2, 3], |pass, [a, b], _| {
        pass.concat(b, a, 1)
    });
}

/// The sum and the norm both used, and either alone.
#[test]
fn sums_and_norms() {
    const EPS: f32 = 0.5;
    check("layer_norm", [3, 5], [1, 1], |pass, [x, b], norm| {
        let flat = |x: &Tensor| x.reshape([x.shape().numel()]);
        let y = pass.layer_norm(x, norm, None, EPS)?;
        pass.concat(&flat(&y)?, &flat(b)?, 0)
    });
    check("both", [3, 5], [3, 5], |pass, [x, r], norm| {
        let (s, y) = pass.add_layer_norm(x, r, norm, None, EPS)?;
        pass.concat(&s, &y, 1)
    });
    check("y", [3, 5], [3, 5], |pass, [x, r], norm| {
        Ok(pass.add_layer_norm(x, r, norm, None, EPS)?.1)
    });
    check("s", [3, 5], [3, 5], |pass, [x, r], norm| {
        Ok(pass.add_layer_norm(x, r, norm, None, EPS)?.0)
    });
}

/// Of the same shape, repeated over rows, and a single value.
#[test]
fn arithmetic() {
    for b in [Shape::new(&[3, 4]), Shape::new(&[4]), Shape::new(&[])] {
        check("sub", [3, 4], b, |pass, [a, b], _| pass.sub(a, b));
        check("mul", [3, 4], b, |pass, [a, b], _| pass.mul(a, b));
        check("div", [3, 4], b, |pass, [a, b], _| pass.div(a, b));
    }
    // One tensor on both sides, and one that wants no gradient.
    check("square", [3, 4], [3, 4], |pass, [a, b], _| {
        pass.sub(&pass.mul(a, a)?, &pass.scale(b, -0.75)?)
    });
    check("sum and mean", [2, 3, 4], [2, 3], |pass, [a, b], _| {
        let sums = pass.mul(&pass.sum(a)?, &b.reshape([6])?)?;
        let all = pass.mean(&a.reshape([24])?)?;
        pass.sub(&sums, &all.reshape([0; 0])?)
    });
}
