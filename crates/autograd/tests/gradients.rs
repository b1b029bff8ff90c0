//! Gradients that a pass composes, against central differences.
//!
//! `latimer-conformance` checks the backward operations themselves in f64; these tests check that a
//! method connects them correctly. A pass computes in f32, so the steps are wide. Their error is
//! measured (the difference over twice the step has four times as much), and the error of rounding
//! is counted: the reference device rounds each operation once, so a term of the loss carries at
//! most [`ROUNDINGS`] roundings, divided by the step; the slope itself carries as many, of the size
//! of the terms.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use latimer_autograd::{
    AdamW, AttentionSpec, Declarations, Init, LmHead, Optimizer, Param, Params, Pass, Result, Slab,
};
use latimer_tensor::op::UnaryKind;
use latimer_tensor::philox::Stream;
use latimer_tensor::{DType, Device, Shape, Tensor};

const STEP: f32 = 1.0 / 64.0;

/// In every test, fewer operations than this lie one after the other on the way to a term of the
/// loss.
const ROUNDINGS: f64 = 8.0;

/// A parameter as a tensor of a pass: the identity matrix times it.
fn tensor_of(pass: &Pass<'_>, shape: Shape, param: Param) -> Result<Tensor> {
    let n = shape.rows();
    let eye: Vec<f32> = (0..n * n)
        .map(|i| f32::from(u8::from(i % (n + 1) == 0)))
        .collect();
    let eye = pass.constant(Tensor::from_slice(pass.device(), &eye, [n, n])?);
    Ok(pass.linear(&eye, param, None)?.reshape(shape)?)
}

/// `Σ weight·y` with fixed weights, as the loss, and its terms.
fn loss_of(pass: &Pass<'_>, y: &Tensor) -> Result<(Tensor, Vec<f64>)> {
    let n = y.shape().numel();
    let mut stream = Stream::new(3, 1, 0);
    let weights: Vec<f32> = (0..n).map(|_| stream.normal() as f32).collect();
    let values = y.to_vec::<f32>()?;
    let terms = values.iter().zip(&weights);
    let terms = terms.map(|(y, w)| f64::from(*y) * f64::from(*w)).collect();
    let weights = pass.constant(Tensor::from_slice(pass.device(), &weights, [n, 1])?);
    let loss = pass.matmul(&y.reshape([1, n])?, &weights, false)?;
    Ok((loss, terms))
}

/// Checks the gradients of parameters of these shapes, of which those beyond `used` may have none.
/// `model` gives a loss and the terms that it is the sum of.
fn check_params<const N: usize>(
    what: &str,
    shapes: [Shape; N],
    used: usize,
    model: impl Fn(&Pass<'_>, [Param; N]) -> Result<(Tensor, Vec<f64>)>,
) {
    let mut declarations = Declarations::new();
    let mut root = declarations.root();
    let mut number = 0;
    let all = shapes.map(|shape| {
        number += 1;
        root.param(&format!("p{number}"), shape, Init::Normal { std: 1.0 })
    });
    let device = Device::reference();
    let mut params = Params::new(&device, declarations, 1).unwrap();
    let optimizer = Optimizer::new(&mut params, AdamW::default()).unwrap();
    // Move values away from 0, for quotients and for functions with a bend there.
    for param in all.into_iter().take(used) {
        let mut values: Vec<f32> = params.get(Slab::Values, param).unwrap();
        values.iter_mut().for_each(|x| *x += x.signum());
        params.set(Slab::Values, param, &values).unwrap();
    }
    let run = |params: &Params, train: bool| {
        let pass = optimizer.pass(params);
        let (loss, terms) = model(&pass, all).unwrap();
        if train {
            pass.backward(loss).unwrap();
        }
        terms
    };
    params.zero_gradients().unwrap();
    run(&params, true);
    let gradients: [Vec<f32>; N] = all.map(|param| params.get(Slab::Gradients, param).unwrap());
    for (p, (param, gradient)) in all.into_iter().zip(gradients).enumerate() {
        let values: Vec<f32> = params.get(Slab::Values, param).unwrap();
        for (i, &got) in gradient.iter().enumerate() {
            let (mut size, mut all_terms, got) = (0.0f64, 0.0f64, f64::from(got));
            let [near, far] = [STEP, 2.0 * STEP].map(|step| {
                let [high, low] = [values[i] + step, values[i] - step];
                let [up, down] = [high, low].map(|x| {
                    let mut moved = values.clone();
                    moved[i] = x;
                    params.set(Slab::Values, param, &moved).unwrap();
                    run(&params, false)
                });
                all_terms = all_terms.max(up.iter().map(|term| term.abs()).sum());
                // Term by term: terms that do not depend on the coordinate cancel exactly.
                let reached = || up.iter().zip(&down).filter(|(up, down)| up != down);
                size = size.max(reached().map(|(up, down)| up.abs() + down.abs()).sum());
                let rise: f64 = reached().map(|(up, down)| up - down).sum();
                rise / (f64::from(high) - f64::from(low))
            });
            let rounding = ROUNDINGS * DType::F32.unit_roundoff();
            let allowed = (far - near).abs() + rounding * (size / f64::from(STEP) + all_terms);
            assert!(
                (got - near).abs() <= allowed,
                "{what}: slope {i} of p{} is {got}, differences give {near} within {allowed:e}",
                p + 1
            );
        }
        params.set(Slab::Values, param, &values).unwrap();
        let any = gradient.iter().any(|x| *x != 0.0);
        assert!(any || p >= used, "{what}: all slopes of p{} are 0", p + 1);
    }
}

/// Checks the gradients of two tensors of these shapes under a model, which may also use a
/// parameter of the first's width.
fn check<A: Into<Shape>, B: Into<Shape>>(
    what: &str,
    a: A,
    b: B,
    model: impl Fn(&Pass<'_>, [&Tensor; 2], Param) -> Result<Tensor>,
) {
    let shapes = [a.into(), b.into()];
    // The store keeps matrices.
    let [a, b] = shapes.map(|shape| Shape::new(&[shape.rows(), shape.columns()]));
    let norm = Shape::new(&[shapes[0].columns()]);
    check_params(what, [a, b, norm], 2, |pass, [a, b, norm]| {
        let (a, b) = (
            tensor_of(pass, shapes[0], a)?,
            tensor_of(pass, shapes[1], b)?,
        );
        loss_of(pass, &model(pass, [&a, &b], norm)?)
    });
}

/// Checks the gradient of one tensor.
fn check_one(
    what: &str,
    shape: impl Into<Shape>,
    model: impl Fn(&Pass<'_>, &Tensor) -> Result<Tensor>,
) {
    let shape = shape.into();
    let matrix = Shape::new(&[shape.rows(), shape.columns()]);
    check_params(what, [matrix], 1, |pass, [x]| {
        loss_of(pass, &model(pass, &tensor_of(pass, shape, x)?)?)
    });
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
            // Use it twice, so that gradients are added up, and along another path as well.
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

/// Models that use both the sum and the norm, and either alone.
#[test]
fn sums_and_norms() {
    const EPS: f32 = 0.5;
    check("layer_norm", [3, 5], [1, 1], |pass, [x, b], norm| {
        let flat = |x: &Tensor| x.reshape([x.shape().numel()]);
        let y = pass.layer_norm(x, norm, None, EPS)?;
        pass.concat(&flat(&y)?, &flat(b)?, 0)
    });
    check("rms_norm", [3, 5], [3, 5], |pass, [x, r], norm| {
        // The gradient of `x` is there already when the norm adds to it.
        pass.add(&pass.rms_norm(x, norm, EPS)?, &pass.mul(x, r)?)
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

/// Second operands of the same shape, repeated over rows, and of a single value.
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

#[test]
fn sums_of_two() {
    check("add", [3, 4], [3, 4], |pass, [a, b], _| pass.add(a, b));
    // The same on both sides, and a result used twice.
    check("twice", [3, 4], [3, 4], |pass, [a, b], _| {
        let s = pass.add(a, a)?;
        pass.add(&s, &pass.add(&s, b)?)
    });
}

#[test]
fn functions() {
    for kind in UnaryKind::ALL {
        check_one(&format!("{kind:?}"), [3, 4], |pass, x| pass.unary(kind, x));
    }
}

#[test]
fn products() {
    for (a, b, trans_b) in [
        (Shape::new(&[2, 3]), Shape::new(&[3, 4]), false),
        (Shape::new(&[2, 3]), Shape::new(&[4, 3]), true),
        (Shape::new(&[2, 2, 3]), Shape::new(&[2, 3, 4]), false),
        (Shape::new(&[2, 2, 3]), Shape::new(&[2, 4, 3]), true),
    ] {
        check("matmul", a, b, |pass, [a, b], _| pass.matmul(a, b, trans_b));
    }
}

/// Inputs of more than two axes, with a bias and without.
#[test]
fn linear_maps() {
    let shapes = [[6, 3], [3, 4]].map(|dims| Shape::new(&dims));
    let bias = Shape::new(&[4]);
    check_params(
        "linear",
        [shapes[0], shapes[1], bias],
        3,
        |pass, [x, w, b]| {
            let x = tensor_of(pass, [2, 3, 3].into(), x)?;
            let y = pass.linear(&x, w, Some(b))?;
            assert_eq!(y.dims(), [2, 3, 4]);
            loss_of(pass, &pass.add(&y, &pass.linear(&x, w, None)?)?)
        },
    );
}

#[test]
fn orders_of_axes() {
    for axes in [[0, 1, 2], [2, 0, 1], [1, 2, 0], [2, 1, 0]] {
        check_one("permute", [2, 3, 4], |pass, x| pass.permute(x, &axes));
    }
    check_one("permute 4", [2, 3, 2, 2], |pass, x| {
        pass.permute(x, &[0, 2, 1, 3])
    });
}

#[test]
fn probabilities() {
    for (scale, causal) in [(1.0, false), (0.5, true), (-0.75, true)] {
        check_one("softmax", [2, 3, 4], |pass, x| {
            pass.softmax(x, scale, causal)
        });
    }
}

#[test]
fn dropouts() {
    check_one("dropout", [4, 7], |pass, x| {
        let y = pass.dropout(x, 0.5, 3)?;
        pass.mul(&y, &pass.dropout(x, 0.25, 4)?)
    });
}

#[test]
fn attentions() {
    let usual = 0.5f32.sqrt(); // 1/√D
    for (causal, dropout, scale) in [
        (false, 0.0, usual),
        (true, 0.0, usual),
        (true, 0.4, usual),
        (true, 0.0, 1.0),
        (true, 0.4, usual / 3.0),
    ] {
        let spec = AttentionSpec {
            n_head: 2,
            scale,
            causal,
            dropout,
            site: 5,
        };
        check_one("attention", [2, 3, 12], |pass, qkv| {
            pass.attention(qkv, spec)
        });
    }
}

/// Repeated ids, and rows that no id or position names.
#[test]
fn embeddings() {
    let tables = [[5, 3], [4, 3]].map(|dims| Shape::new(&dims));
    check_params("embedding", tables, 2, |pass, [wte, wpe]| {
        let ids = Tensor::from_slice(pass.device(), &[4u32, 0, 4, 1, 4, 3], [2, 3])?;
        let y = pass.embedding(&ids, wte, Some(wpe), 0)?;
        loss_of(pass, &pass.add(&y, &pass.embedding(&ids, wte, None, 0)?)?)
    });
}

/// Losses with padded columns, and with a table shared with the embedding, as in GPT-2.
#[test]
fn losses() {
    let shapes = [[4, 3], [7, 3]].map(|dims| Shape::new(&dims));
    let bias = Shape::new(&[7]);
    let one = |loss: Tensor| {
        let value = f64::from(loss.to_vec::<f32>()?[0]);
        Ok((loss, vec![value]))
    };
    let targets = |pass: &Pass<'_>| Tensor::from_slice(pass.device(), &[0u32, 5, 2, 2], [2, 2]);
    check_params(
        "lm_loss",
        [shapes[0], shapes[1], bias],
        3,
        |pass, [x, weight, bias]| {
            let x = tensor_of(pass, [2, 2, 3].into(), x)?;
            let head = LmHead {
                weight,
                bias: Some(bias),
                valid_columns: 6,
            };
            one(pass.lm_loss(&x, head, &targets(pass)?)?)
        },
    );
    check_params("tied", [shapes[1]], 1, |pass, [weight]| {
        let ids = Tensor::from_slice(pass.device(), &[1u32, 1, 6, 0], [2, 2])?;
        let x = pass.embedding(&ids, weight, None, 0)?;
        let head = LmHead {
            weight,
            bias: None,
            valid_columns: 6,
        };
        one(pass.lm_loss(&x, head, &targets(pass)?)?)
    });
}
