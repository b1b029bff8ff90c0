//! The meaning's backward operations are the derivatives of its forward operations, by central
//! differences in f64.
//!
//! Every test fixes an incoming gradient `dy` (called weights here) and differentiates `Σ
//! dy·forward(x)`, operand by operand. Operations without a backward of their own are tested in
//! `composed.rs`, with the operations that compose their gradients.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod composed;

use latimer_conformance::gradcheck::first_misfit;
use latimer_tensor::op::{
    AddLayerNorm, Attention, AttentionBackward, CrossEntropy, Dropout, Embedding,
    EmbeddingBackward, LayerNorm, LayerNormBackward, Matmul, RmsNorm, RmsNormBackward, Softmax,
    SoftmaxBackward, Unary, UnaryBackward, UnaryKind,
};
use latimer_tensor::philox::Stream;
use latimer_tensor::{DType, Device, Result, Shape, Tensor};

fn normal(n: usize, site: u32) -> Vec<f64> {
    let mut stream = Stream::new(11, site, 0);
    (0..n).map(|_| stream.normal()).collect()
}

fn tensor(device: &Device, values: &[f64], shape: impl Into<Shape>) -> Tensor {
    Tensor::from_slice(device, values, shape).unwrap()
}

fn zeros(device: &Device, shape: impl Into<Shape>) -> Tensor {
    Tensor::zeros(device, shape, DType::F64).unwrap()
}

/// The terms of `Σ dy·y`.
fn terms(y: &Tensor, dy: &[f64]) -> Vec<f64> {
    let y = y.to_vec::<f64>().unwrap();
    y.iter().zip(dy).map(|(y, dy)| y * dy).collect()
}

fn assert_gradient(what: &str, f: impl Fn(&[f64]) -> Vec<f64>, x: &[f64], gradient: &Tensor) {
    let gradient = gradient.to_vec::<f64>().unwrap();
    assert!(
        gradient.iter().any(|g| *g != 0.0),
        "{what}: all slopes are 0"
    );
    assert_eq!(first_misfit(f, x, &gradient), None, "{what}");
}

#[test]
fn unary() -> Result<()> {
    let device = Device::reference();
    let (x, dy) = (normal(40, 0), normal(40, 1));
    for kind in UnaryKind::ALL {
        let mut dx = zeros(&device, [40]);
        device.run(UnaryBackward {
            kind,
            x: tensor(&device, &x, [40]).view(),
            dy: tensor(&device, &dy, [40]).view(),
            dx: dx.view_mut()?,
        })?;
        let forward = |x: &[f64]| {
            let mut y = zeros(&device, [40]);
            let x = tensor(&device, x, [40]);
            let op = Unary {
                kind,
                x: x.view(),
                y: y.view_mut().unwrap(),
            };
            device.run(op).unwrap();
            terms(&y, &dy)
        };
        assert_gradient(&format!("{kind:?}"), forward, &x, &dx);
    }
    Ok(())
}

/// The backward of `y = alpha·a·b + bias` is two products and a sum over rows.
#[test]
fn matmul() -> Result<()> {
    let device = Device::reference();
    let (m, k, n, alpha) = (3, 5, 4, 0.75);
    let (a, b, bias, dy) = (
        normal(m * k, 0),
        normal(k * n, 1),
        normal(n, 2),
        normal(m * n, 3),
    );
    let forward = |a: &[f64], b: &[f64], bias: &[f64]| {
        let mut y = zeros(&device, [m, n]);
        let (a, b, bias) = (
            tensor(&device, a, [m, k]),
            tensor(&device, b, [k, n]),
            tensor(&device, bias, [n]),
        );
        let op = Matmul::new(a.view(), b.view(), y.view_mut().unwrap())
            .scaled(alpha, 0.0)
            .with_bias(Some(bias.view()));
        device.run(op).unwrap();
        terms(&y, &dy)
    };
    let (at, bt, dyt) = (
        tensor(&device, &a, [m, k]),
        tensor(&device, &b, [k, n]),
        tensor(&device, &dy, [m, n]),
    );
    let (mut da, mut db) = (zeros(&device, [m, k]), zeros(&device, [k, n]));
    let product = Matmul::new(dyt.view(), bt.view(), da.view_mut()?).trans_b();
    device.run(product.scaled(alpha, 0.0))?;
    let product = Matmul::new(at.view(), dyt.view(), db.view_mut()?).trans_a();
    device.run(product.scaled(alpha, 0.0))?;
    let dbias = dyt.t()?.sum()?;
    assert_gradient("a", |a| forward(a, &b, &bias), &a, &da);
    assert_gradient("b", |b| forward(&a, b, &bias), &b, &db);
    assert_gradient("bias", |bias| forward(&a, &b, bias), &bias, &dbias);
    Ok(())
}

#[test]
fn layer_norm() -> Result<()> {
    let device = Device::reference();
    let (n, c) = (3, 7);
    let (x, weight, bias, dy) = (
        normal(n * c, 0),
        normal(c, 1),
        normal(c, 2),
        normal(n * c, 3),
    );
    let forward = |x: &[f64], weight: &[f64], bias: &[f64]| {
        let (mut y, mut mean, mut rstd) = (
            zeros(&device, [n, c]),
            zeros(&device, [n]),
            zeros(&device, [n]),
        );
        let (x, weight, bias) = (
            tensor(&device, x, [n, c]),
            tensor(&device, weight, [c]),
            tensor(&device, bias, [c]),
        );
        let op = LayerNorm {
            x: x.view(),
            weight: weight.view(),
            bias: Some(bias.view()),
            y: y.view_mut().unwrap(),
            mean: mean.view_mut().unwrap(),
            rstd: rstd.view_mut().unwrap(),
            eps: 1e-2,
        };
        device.run(op).unwrap();
        (y, mean, rstd)
    };
    let (_, mean, rstd) = forward(&x, &weight, &bias);
    for accumulate in [false, true] {
        let (mut dx, mut dweight, mut dbias) = (
            zeros(&device, [n, c]),
            zeros(&device, [c]),
            zeros(&device, [c]),
        );
        device.run(LayerNormBackward {
            x: tensor(&device, &x, [n, c]).view(),
            weight: tensor(&device, &weight, [c]).view(),
            mean: mean.view(),
            rstd: rstd.view(),
            dy: tensor(&device, &dy, [n, c]).view(),
            dx: dx.view_mut()?,
            accumulate,
            dweight: dweight.view_mut()?,
            dbias: Some(dbias.view_mut()?),
        })?;
        let scalar = |x: &[f64], w: &[f64], b: &[f64]| terms(&forward(x, w, b).0, &dy);
        assert_gradient("x", |x| scalar(x, &weight, &bias), &x, &dx);
        assert_gradient("weight", |w| scalar(&x, w, &bias), &weight, &dweight);
        assert_gradient("bias", |b| scalar(&x, &weight, b), &bias, &dbias);
    }
    Ok(())
}

/// The backward of the fused residual sum is that of the layer norm, plus the gradient that arrives
/// at the sum.
#[test]
fn add_layer_norm() -> Result<()> {
    let device = Device::reference();
    let (n, c) = (3, 7);
    let [x, r, ds, dy] = [0, 1, 2, 3].map(|site| normal(n * c, site));
    let (weight, bias) = (normal(c, 4), normal(c, 5));
    let forward = |x: &[f64], r: &[f64], weight: &[f64], bias: &[f64]| {
        let [mut s, mut y] = [(); 2].map(|()| zeros(&device, [n, c]));
        let [mut mean, mut rstd] = [(); 2].map(|()| zeros(&device, [n]));
        let [x, r] = [x, r].map(|values| tensor(&device, values, [n, c]));
        let [weight, bias] = [weight, bias].map(|values| tensor(&device, values, [c]));
        let op = AddLayerNorm {
            x: x.view(),
            r: r.view(),
            weight: weight.view(),
            bias: Some(bias.view()),
            s: s.view_mut().unwrap(),
            y: y.view_mut().unwrap(),
            mean: mean.view_mut().unwrap(),
            rstd: rstd.view_mut().unwrap(),
            eps: 1e-2,
        };
        device.run(op).unwrap();
        (s, y, mean, rstd)
    };
    let (s, _, mean, rstd) = forward(&x, &r, &weight, &bias);
    let mut dx = tensor(&device, &ds, [n, c]);
    let [mut dweight, mut dbias] = [(); 2].map(|()| zeros(&device, [c]));
    device.run(LayerNormBackward {
        x: s.view(),
        weight: tensor(&device, &weight, [c]).view(),
        mean: mean.view(),
        rstd: rstd.view(),
        dy: tensor(&device, &dy, [n, c]).view(),
        dx: dx.view_mut()?,
        accumulate: true,
        dweight: dweight.view_mut()?,
        dbias: Some(dbias.view_mut()?),
    })?;
    let scalar = |x: &[f64], r: &[f64], w: &[f64], b: &[f64]| {
        let (s, y, ..) = forward(x, r, w, b);
        [terms(&s, &ds), terms(&y, &dy)].concat()
    };
    assert_gradient("x", |x| scalar(x, &r, &weight, &bias), &x, &dx);
    assert_gradient("r", |r| scalar(&x, r, &weight, &bias), &r, &dx);
    assert_gradient("weight", |w| scalar(&x, &r, w, &bias), &weight, &dweight);
    assert_gradient("bias", |b| scalar(&x, &r, &weight, b), &bias, &dbias);
    Ok(())
}

#[test]
fn rms_norm() -> Result<()> {
    let device = Device::reference();
    let (n, c) = (3, 7);
    let (x, weight, dy) = (normal(n * c, 0), normal(c, 1), normal(n * c, 2));
    let forward = |x: &[f64], weight: &[f64]| {
        let (mut y, mut rstd) = (zeros(&device, [n, c]), zeros(&device, [n]));
        let (x, weight) = (tensor(&device, x, [n, c]), tensor(&device, weight, [c]));
        let op = RmsNorm {
            x: x.view(),
            weight: weight.view(),
            y: y.view_mut().unwrap(),
            rstd: rstd.view_mut().unwrap(),
            eps: 1e-2,
        };
        device.run(op).unwrap();
        (y, rstd)
    };
    let (_, rstd) = forward(&x, &weight);
    for accumulate in [false, true] {
        let (mut dx, mut dweight) = (zeros(&device, [n, c]), zeros(&device, [c]));
        device.run(RmsNormBackward {
            x: tensor(&device, &x, [n, c]).view(),
            weight: tensor(&device, &weight, [c]).view(),
            rstd: rstd.view(),
            dy: tensor(&device, &dy, [n, c]).view(),
            dx: dx.view_mut()?,
            accumulate,
            dweight: dweight.view_mut()?,
        })?;
        let scalar = |x: &[f64], w: &[f64]| terms(&forward(x, w).0, &dy);
        assert_gradient("x", |x| scalar(x, &weight), &x, &dx);
        assert_gradient("weight", |w| scalar(&x, w), &weight, &dweight);
    }
    Ok(())
}

#[test]
fn softmax() -> Result<()> {
    let device = Device::reference();
    let shape = [2, 4, 5];
    let (x, dy) = (normal(40, 0), normal(40, 1));
    for (causal, valid_columns, scale) in [(false, 5, 1.0), (true, 5, 0.5), (true, 3, -1.5)] {
        let forward = |x: &[f64]| {
            let mut y = zeros(&device, shape);
            let x = tensor(&device, x, shape);
            let op = Softmax {
                x: x.view(),
                y: y.view_mut().unwrap(),
                scale,
                causal,
                valid_columns,
            };
            device.run(op).unwrap();
            y
        };
        let mut dx = zeros(&device, shape);
        device.run(SoftmaxBackward {
            y: forward(&x).view(),
            dy: tensor(&device, &dy, shape).view(),
            dx: dx.view_mut()?,
            scale,
        })?;
        let what = format!("causal {causal}, {valid_columns} columns");
        assert_gradient(&what, |x| terms(&forward(x), &dy), &x, &dx);
    }
    Ok(())
}

#[test]
fn attention() -> Result<()> {
    let device = Device::reference();
    let (b, t, n_head, d) = (2, 4, 2, 3);
    let c = n_head * d;
    let (x, dy) = (normal(b * t * 3 * c, 0), normal(b * t * c, 1));
    let random = Tensor::from_slice(&device, &[5u32, 6, 7, 2], [4])?;
    for (causal, rate) in [(false, 0.0), (true, 0.0), (false, 0.4), (true, 0.4)] {
        let (scale, site) = (0.6, 3);
        let forward = |qkv: &[f64]| {
            let (mut y, mut lse) = (zeros(&device, [b, t, c]), zeros(&device, [b, n_head, t]));
            let qkv = tensor(&device, qkv, [b, t, 3 * c]);
            let op = Attention {
                qkv: qkv.view(),
                y: y.view_mut().unwrap(),
                lse: lse.view_mut().unwrap(),
                n_head,
                scale,
                causal,
                rate,
                site,
                random: Some(random.view()),
            };
            device.run(op).unwrap();
            (y, lse)
        };
        let (y, lse) = forward(&x);
        let mut dqkv = zeros(&device, [b, t, 3 * c]);
        device.run(AttentionBackward {
            qkv: tensor(&device, &x, [b, t, 3 * c]).view(),
            y: y.view(),
            lse: lse.view(),
            dy: tensor(&device, &dy, [b, t, c]).view(),
            dqkv: dqkv.view_mut()?,
            n_head,
            scale,
            causal,
            rate,
            site,
            random: Some(random.view()),
        })?;
        let what = format!("causal {causal}, dropout {rate}");
        assert_gradient(&what, |x| terms(&forward(x).0, &dy), &x, &dqkv);
    }
    Ok(())
}

#[test]
fn cross_entropy() -> Result<()> {
    let device = Device::reference();
    let (n, padded, valid_columns, scale) = (4, 9, 7, 0.25f32);
    let logits = normal(n * padded, 0);
    let targets = Tensor::from_slice(&device, &[0u32, 6, 3, 3], [n])?;
    let run = |logits: &[f64], gradient| {
        let (mut logits, mut losses) = (tensor(&device, logits, [n, padded]), zeros(&device, [n]));
        let op = CrossEntropy {
            logits: logits.view_mut().unwrap(),
            targets: targets.view(),
            losses: losses.view_mut().unwrap(),
            valid_columns,
            gradient,
        };
        device.run(op).unwrap();
        (logits, losses)
    };
    let (gradient, _) = run(&logits, Some(scale));
    let weights = vec![f64::from(scale); n];
    let scalar = |logits: &[f64]| terms(&run(logits, None).1, &weights);
    assert_gradient("logits", scalar, &logits, &gradient);
    Ok(())
}

#[test]
fn embedding() -> Result<()> {
    let device = Device::reference();
    let (b, t, v, c) = (2, 3, 5, 4);
    let (wte, wpe, dy) = (
        normal(v * c, 0),
        normal((t + 1) * c, 1),
        normal(b * t * c, 2),
    );
    // Some ids repeat, and one does not occur.
    let ids = Tensor::from_slice(&device, &[4u32, 0, 4, 1, 4, 3], [b, t])?;
    let forward = |wte: &[f64], wpe: &[f64]| {
        let mut y = zeros(&device, [b, t, c]);
        let (wte, wpe) = (
            tensor(&device, wte, [v, c]),
            tensor(&device, wpe, [t + 1, c]),
        );
        let op = Embedding {
            ids: ids.view(),
            wte: wte.view(),
            wpe: Some(wpe.view()),
            y: y.view_mut().unwrap(),
            first_position: 0,
        };
        device.run(op).unwrap();
        terms(&y, &dy)
    };
    let (mut dwte, mut dwpe) = (zeros(&device, [v, c]), zeros(&device, [t + 1, c]));
    device.run(EmbeddingBackward {
        ids: ids.view(),
        dy: tensor(&device, &dy, [b, t, c]).view(),
        dwte: dwte.view_mut()?,
        dwpe: Some(dwpe.view_mut()?),
    })?;
    assert_gradient("wte", |wte| forward(wte, &wpe), &wte, &dwte);
    assert_gradient("wpe", |wpe| forward(&wte, wpe), &wpe, &dwpe);
    Ok(())
}

/// Dropout is linear, so its backward is dropout of the gradient.
#[test]
fn dropout() -> Result<()> {
    let device = Device::reference();
    let random = Tensor::from_slice(&device, &[1u32, 2, 3, 4], [4])?;
    let (x, dy) = (normal(60, 0), normal(60, 1));
    let run = |x: &[f64]| {
        let mut y = zeros(&device, [6, 10]);
        let x = tensor(&device, x, [6, 10]);
        let op = Dropout {
            x: x.view(),
            y: y.view_mut().unwrap(),
            rate: 0.3,
            site: 5,
            random: random.view(),
        };
        device.run(op).unwrap();
        y
    };
    assert_gradient("x", |x| terms(&run(x), &dy), &x, &run(&dy));
    Ok(())
}
