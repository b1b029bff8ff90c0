//! Operations from outside, with their gradients: a function of every element, and running sums of
//! rows. Both are defined here, recorded on a pass, checked by differences and used in training, on
//! two devices that do not know them.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use latimer_autograd::{AdamW, Declarations, Init, LmHead, Optimizer, Params, Pass};
use latimer_backend_cpu::Cpu;
use latimer_tensor::op::{Custom, CustomOp};
use latimer_tensor::{Device, Elementwise, Error, Result, Tensor};

fn sigmoid(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}

/// `x·σ(x)`, and its slope `σ(x)·(1 + x·(1 - σ(x)))`. Elfwing, Uchibe and Doya 2017, arXiv
/// 1702.03118.
fn silu() -> Elementwise {
    let slope = |x| sigmoid(x) * (1.0 + x * (1.0 - sigmoid(x)));
    Elementwise::new("silu", |x| x * sigmoid(x), slope)
}

/// `y[i, j] = Σ_{k ≤ j} x[i, k]`; backward `dx[i, j] = Σ_{k ≥ j} dy[i, k]`.
#[derive(Debug)]
struct RunningSum {
    backward: bool,
}

impl CustomOp for RunningSum {
    fn name(&self) -> &'static str {
        ["running_sum", "running_sum_backward"][usize::from(self.backward)]
    }
    fn check(&self, op: &Custom<'_>) -> Result<()> {
        op.expect_operands(1 + usize::from(self.backward), 1)?;
        op.expect_elementwise()
    }
    fn reference(&self, op: &Custom<'_>, inputs: &[Vec<f64>]) -> Vec<Vec<f64>> {
        let mut y = inputs[inputs.len() - 1].clone();
        for row in y.chunks_mut(op.inputs[0].shape().columns()) {
            if self.backward {
                row.reverse();
            }
            let mut sum = 0.0;
            for x in &mut *row {
                sum += *x;
                *x = sum;
            }
            if self.backward {
                row.reverse();
            }
        }
        vec![y]
    }
}

fn running_sum(pass: &Pass<'_>, x: &Tensor) -> latimer_autograd::Result<Tensor> {
    let [forward, backward] = [
        &RunningSum { backward: false },
        &RunningSum { backward: true },
    ];
    pass.custom(forward, backward, &[x], x.shape())
}

fn devices() -> [Device; 2] {
    [Device::reference(), Device::new(Cpu::new(1).unwrap())]
}

/// Runs an operation of f64 inputs of one shape, whose output has that shape.
fn run(kind: &dyn CustomOp, inputs: &[&[f64]], shape: [usize; 2]) -> Vec<f64> {
    let device = Device::reference();
    let tensor = |x: &[f64]| Tensor::from_slice(&device, x, shape).unwrap();
    let inputs: Vec<_> = inputs.iter().map(|x| tensor(x)).collect();
    let mut y = Tensor::zeros(&device, shape, inputs[0].dtype()).unwrap();
    let op = Custom {
        kind,
        inputs: inputs.iter().map(Tensor::view).collect(),
        outputs: vec![y.view_mut().unwrap()],
    };
    device.run(op).unwrap();
    y.to_vec().unwrap()
}

#[test]
fn backward_is_the_derivative() {
    let x = [-7.0, -1.5, -0.2, 0.0, 0.3, 1.0, 4.0, 9.0];
    // The loss is a sum of all outputs with these weights.
    let dy = [1.0, -2.0, 0.5, 3.0, -1.0, 0.25, 2.0, -0.5];
    let (silu, silu_backward) = (silu(), silu().backward());
    let [sum, sum_backward] = [false, true].map(|backward| RunningSum { backward });
    let pairs: [[&dyn CustomOp; 2]; 2] = [[&silu, &silu_backward], [&sum, &sum_backward]];
    for [forward, backward] in pairs {
        let loss = |x: &[f64]| -> f64 {
            let y = run(forward, &[x], [2, 4]);
            y.iter().zip(dy).map(|(y, dy)| y * dy).sum()
        };
        // Central differences err by h²/6 of the third derivative and by u/h: below 1e-8 for a sum
        // of eight.
        let h = 1e-5;
        for (i, got) in run(backward, &[&x, &dy], [2, 4]).into_iter().enumerate() {
            let [mut up, mut down] = [x, x];
            up[i] += h;
            down[i] -= h;
            let want = (loss(&up) - loss(&down)) / (2.0 * h);
            let name = forward.name();
            assert!((got - want).abs() < 1e-8, "{name} {i}: {got}, {want}");
        }
    }
}

#[test]
fn misfits_are_named() {
    let device = Device::reference();
    let x = Tensor::from_slice(&device, &[1.0f32, 2.0], [2]).unwrap();
    let mut y = Tensor::from_slice(&device, &[0.0f32; 3], [3]).unwrap();
    let mut run = |inputs: Vec<_>| {
        let op = Custom {
            kind: &silu(),
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
        kind: &silu(),
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
        let head = LmHead {
            weight: root.param("head", [4, 8], normal),
            bias: None,
            valid_columns: 4,
        };
        let mut params = Params::new(&device, declarations, 1).unwrap();
        let adamw = AdamW {
            lr: 0.1,
            weight_decay: 0.0,
            ..AdamW::default()
        };
        let mut optimizer = Optimizer::new(&mut params, adamw).unwrap();
        let ids = Tensor::from_slice(&device, &[0u32, 1, 2, 3], [1, 4]).unwrap();
        let targets = Tensor::from_slice(&device, &[1u32, 2, 3, 0], [1, 4]).unwrap();
        let mut losses = Vec::new();
        for _ in 0..30 {
            let loss = optimizer.step(&mut params, |pass| {
                let x = pass.embedding(&ids, wte, None, 0)?; // [1, 4, 8]
                let x = pass.linear(&x, middle, None)?;
                let x = running_sum(pass, &pass.apply(&x, &silu())?)?;
                pass.lm_loss(&x, head, &targets)
            });
            losses.push(loss.unwrap().to_vec::<f32>().unwrap()[0]);
            // The gradient reached the parameters below.
            params.check_gradients().unwrap();
        }
        assert!(losses[29] < 0.1 * losses[0], "{losses:?}");
    }
}
