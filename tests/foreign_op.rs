//! An operation from outside, with its backward: `silu(x) = x·σ(x)`, defined here, recorded on a
//! pass, checked by differences and trained through, on two devices that have never heard of it.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use latimer_autograd::{AdamW, Declarations, Head, Init, Mode, Params, Pass};
use latimer_backend_cpu::Cpu;
use latimer_tensor::op::{Computed, Custom, CustomOp};
use latimer_tensor::{Device, Error, Result, Scalars, StepValues, Tensor};

/// `x·σ(x)`. Elfwing, Uchibe and Doya 2017, arXiv 1702.03118.
#[derive(Debug)]
struct Silu;

/// `dx = dy·σ(x)·(1 + x·(1 - σ(x)))`.
#[derive(Debug)]
struct SiluBackward;

fn sigmoid(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}

fn silu(x: f64) -> f64 {
    x * sigmoid(x)
}

fn slope(x: f64) -> f64 {
    sigmoid(x) * (1.0 + x * (1.0 - sigmoid(x)))
}

impl CustomOp for Silu {
    fn name(&self) -> &'static str {
        "silu"
    }
    fn check(&self, op: &Custom<'_>) -> Result<()> {
        op.has(1, 1)?;
        op.is_elementwise()
    }
    fn reference(&self, _op: &Custom<'_>, inputs: &[Vec<f64>]) -> Vec<Computed> {
        vec![Computed {
            values: inputs[0].iter().map(|&x| silu(x)).collect(),
            magnitudes: inputs[0]
                .iter()
                .map(|x| x.abs() * (4.0 + x.abs()))
                .collect(),
        }]
    }
    fn flops(&self, op: &Custom<'_>) -> u64 {
        4 * op.inputs[0].numel() as u64
    }
}

impl CustomOp for SiluBackward {
    fn name(&self) -> &'static str {
        "silu_backward"
    }
    fn check(&self, op: &Custom<'_>) -> Result<()> {
        op.has(2, 1)?;
        op.is_elementwise()
    }
    fn reference(&self, _op: &Custom<'_>, inputs: &[Vec<f64>]) -> Vec<Computed> {
        let pairs = || inputs[0].iter().zip(&inputs[1]);
        vec![Computed {
            values: pairs().map(|(&x, dy)| slope(x) * dy).collect(),
            magnitudes: pairs()
                .map(|(x, dy)| dy.abs() * (8.0 + 8.0 * x.abs()))
                .collect(),
        }]
    }
    fn flops(&self, op: &Custom<'_>) -> u64 {
        8 * op.inputs[0].numel() as u64
    }
}

/// What a crate that brings an operation writes: the forward run, and what backward does.
fn apply(pass: &Pass<'_>, x: &Tensor) -> latimer_autograd::Result<Tensor> {
    let wants = pass.wants("silu", "x", x)?;
    let mut y = Tensor::empty(pass.device(), x.shape(), x.dtype())?;
    pass.device().run(Custom {
        kind: &Silu,
        inputs: vec![x.view()],
        outputs: vec![y.view_mut()?],
    })?;
    let x = x.clone();
    pass.record(&y, move |gradients, dy| {
        if !wants {
            return Ok(());
        }
        let mut dx = Tensor::empty(gradients.device(), x.shape(), x.dtype())?;
        gradients.device().run(Custom {
            kind: &SiluBackward,
            inputs: vec![x.view(), dy.view()],
            outputs: vec![dx.view_mut()?],
        })?;
        gradients.give(&x, dx)
    });
    Ok(y)
}

fn devices() -> [Device; 2] {
    [Device::reference(), Device::new(Cpu::new(1).unwrap())]
}

#[test]
fn its_backward_is_its_derivative() {
    let device = Device::reference();
    let x = [-7.0, -1.5, -0.2, 0.0, 0.3, 1.0, 4.0, 9.0];
    let tensor = |x: &[f64]| Tensor::from_slice(&device, x, [x.len()]).unwrap();
    let forward = |x: &[f64]| {
        let (x, mut y) = (tensor(x), tensor(x));
        let op = Custom {
            kind: &Silu,
            inputs: vec![x.view()],
            outputs: vec![y.view_mut().unwrap()],
        };
        device.run(op).unwrap();
        y.to_vec::<f64>().unwrap()
    };
    let (at, dy, mut dx) = (tensor(&x), tensor(&[1.0; 8]), tensor(&x));
    let op = Custom {
        kind: &SiluBackward,
        inputs: vec![at.view(), dy.view()],
        outputs: vec![dx.view_mut().unwrap()],
    };
    device.run(op).unwrap();
    // Central differences err by h²/6·f''' and u/h: below 1e-9.
    let h = 1e-5;
    let up = forward(&x.map(|x| x + h));
    let down = forward(&x.map(|x| x - h));
    for (i, got) in dx.to_vec::<f64>().unwrap().into_iter().enumerate() {
        let want = (up[i] - down[i]) / (2.0 * h);
        assert!((got - want).abs() < 1e-9, "{}: {got}, {want}", x[i]);
    }
}

#[test]
fn misfits_are_named() {
    let device = Device::reference();
    let x = Tensor::from_slice(&device, &[1.0f32, 2.0], [2]).unwrap();
    let mut y = Tensor::from_slice(&device, &[0.0f32; 3], [3]).unwrap();
    let mut run = |inputs: Vec<_>| {
        let op = Custom {
            kind: &Silu,
            inputs,
            outputs: vec![y.view_mut().unwrap()],
        };
        device.run(op).unwrap_err().to_string()
    };
    assert_eq!(
        run(vec![x.view()]),
        "silu: output0 has shape [3], expected [2]"
    );
    assert_eq!(
        run(vec![x.view(), x.view()]),
        "silu: inputs is 2: it takes another number of them"
    );
    device.deny_fallback(true);
    let mut z = Tensor::empty(&device, [2], x.dtype()).unwrap();
    let denied = device.run(Custom {
        kind: &Silu,
        inputs: vec![x.view()],
        outputs: vec![z.view_mut().unwrap()],
    });
    assert!(matches!(
        denied,
        Err(Error::FallbackDenied { op: "silu", .. })
    ));
}

#[test]
fn a_model_trains_through_it() {
    for device in devices() {
        let mut declarations = Declarations::new();
        let mut root = declarations.root();
        let normal = Init::Normal { std: 0.5 };
        let wte = root.param("wte", [4, 8], normal);
        let middle = root.param("middle", [8, 8], normal);
        let head = Head {
            weight: root.param("head", [4, 8], normal),
            bias: None,
            valid_columns: 4,
        };
        let mut params = Params::new(&device, declarations, 1).unwrap();
        params.enable_training().unwrap();
        let mut scalars = Scalars::new(&device).unwrap();
        let adamw = AdamW {
            beta1: 0.9,
            beta2: 0.99,
            eps: 1e-8,
            weight_decay: 0.0,
            decay_all: false,
            grad_clip: 1.0,
        };
        let ids = Tensor::from_slice(&device, &[0u32, 1, 2, 3], [1, 4]).unwrap();
        let targets = Tensor::from_slice(&device, &[1u32, 2, 3, 0], [1, 4]).unwrap();
        let mut losses = Vec::new();
        for step in 1..=30 {
            let [bias1, bias2] = adamw.bias_corrections(step);
            let values = StepValues {
                lr: 0.1,
                bias1,
                bias2,
                seed: 1,
                step,
            };
            scalars.set(&values).unwrap();
            params.zero_gradients().unwrap();
            let pass = Pass::new(&params, &scalars, Mode::Train { loss_scale: 1.0 });
            let x = pass.embedding(&ids, wte, None, 0).unwrap(); // [1, 4, 8]
            let x = apply(&pass, &pass.linear(&x, middle, None).unwrap()).unwrap();
            let loss = pass.lm_loss(&x, head, &targets).unwrap();
            losses.push(loss.to_vec::<f32>().unwrap()[0]);
            pass.backward(loss).unwrap();
            // It reached the parameters beneath.
            params.check_gradients().unwrap();
            adamw.update(&mut params, &mut scalars).unwrap();
        }
        assert!(losses[29] < 0.1 * losses[0], "{losses:?}");
    }
}
