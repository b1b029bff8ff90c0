//! The CPU and the CUDA backend agree: on every operation, on whole training steps of random small
//! GPTs, on dropout masks to the bit. CUDA is the GPU where `GPU_REQUIRED` is set, else the CPU shim;
//! where there is no compiler for that, the tests pass and say that they were skipped.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use latimer_autograd::{AdamW, Mode, Params, Pass, Slab};
use latimer_backend_cpu::Cpu;
use latimer_backend_cuda::Cuda;
use latimer_nn::{Activation, Gpt, GptConfig};
use latimer_tensor::op::Dropout;
use latimer_tensor::philox::Stream;
use latimer_tensor::{DType, Device, Op, Scalars, StepValues, Tensor};

/// Unit roundoff of f32.
const U: f64 = f32::EPSILON as f64 / 2.0;

fn cpu() -> Device {
    Device::new(Cpu::new(2).unwrap())
}

/// The device under test; none where there is nothing to run it on.
fn cuda() -> Option<Device> {
    latimer_cuda_shim::can_be_driver().then(|| Device::new(Cuda::new(0).unwrap()))
}

#[test]
fn every_operation_agrees() {
    let (Some(cuda), cpu) = (cuda(), cpu()) else {
        return;
    };
    // The operation from outside has no kernel.
    for op in Op::NAMES.iter().filter(|name| **name != "custom") {
        let alike = latimer_conformance::check::alike(op, &cuda, &cpu);
        alike.unwrap_or_else(|failure| panic!("{failure}"));
    }
}

#[test]
fn dropout_masks_are_the_same_bits() {
    let (Some(cuda), cpu) = (cuda(), cpu()) else {
        return;
    };
    let mut stream = Stream::new(1, 0, 0);
    for (n, rate, site) in [
        (1, 0.5, 0),
        (1023, 0.1, 3),
        (4097, 0.9, 77),
        (300, 0.25, u32::MAX),
    ] {
        let (seed, step) = (u64::from(stream.next_u32()) << 32 | 5, stream.next_u32());
        let first_row = stream.next_u32() % 1000;
        let on = |device: &Device| {
            let x = Tensor::full(device, [2, n], DType::F32, 1.0).unwrap();
            let mut y = Tensor::empty(device, [2, n], DType::F32).unwrap();
            // The second micro-step of rows that are `first_row` in number.
            let mut scalars = Scalars::for_micro_steps(device, 2, first_row).unwrap();
            let values = StepValues {
                lr: 0.0,
                bias1: 1.0,
                bias2: 1.0,
                seed,
                step,
            };
            scalars.set(&values).unwrap();
            scalars.begin_micro_step(1).unwrap();
            let dropout = Dropout {
                x: x.view(),
                y: y.view_mut().unwrap(),
                rate,
                site,
                random: scalars.random(),
            };
            device.run(dropout).unwrap();
            y.to_vec::<f32>().unwrap()
        };
        let (ours, theirs) = (on(&cuda), on(&cpu));
        let same = ours
            .iter()
            .zip(&theirs)
            .all(|(a, b)| a.to_bits() == b.to_bits());
        assert!(same, "{n} elements, rate {rate}, site {site}");
        let kept = ours.iter().filter(|y| **y != 0.0).count();
        assert!(
            n < 100 || (0 < kept && kept < ours.len()),
            "some are dropped"
        );
    }
}

// ---- whole steps

/// A small GPT and rows for it.
struct Drawn {
    config: GptConfig,
    batch: usize,
    ids: Vec<u32>,
    targets: Vec<u32>,
    seed: u64,
}

impl Drawn {
    /// The `i`th: heads, widths, layers, and switches of its own.
    fn new(i: u64) -> Self {
        let mut stream = Stream::new(i, 1, 0);
        let mut below = |n: usize| stream.next_u32() as usize % n;
        let n_head = 1 + below(3);
        let head_dim = [4, 8, 16][below(3)];
        let (block_size, vocab_size, n_layer) = (3 + below(9), 5 + below(40), 1 + below(2));
        let config = GptConfig {
            activation: [Activation::Relu, Activation::GeluTanh, Activation::Gelu][below(3)],
            tie: below(2) == 0,
            dropout: [0.0, 0.2][below(2)],
            ..GptConfig::gpt2(vocab_size, block_size, n_layer, n_head, n_head * head_dim)
        };
        let batch = 1 + below(4);
        let mut rows = || {
            (0..batch * block_size)
                .map(|_| below(vocab_size) as u32)
                .collect()
        };
        Self {
            batch,
            ids: rows(),
            targets: rows(),
            config,
            seed: i,
        }
    }

    /// Loss, gradients and updated values after one step of AdamW.
    fn step(&self, device: &Device) -> Vec<(String, Vec<f64>)> {
        let (gpt, declarations) = Gpt::new(&self.config).unwrap();
        let mut params = Params::new(device, declarations, self.seed).unwrap();
        params.enable_training().unwrap();
        let mut scalars = Scalars::new(device).unwrap();
        let adamw = AdamW {
            beta1: 0.9,
            beta2: 0.99,
            eps: 1e-8,
            weight_decay: 0.1,
            decay_all: false,
            grad_clip: 1.0,
        };
        let [bias1, bias2] = adamw.bias_corrections(1);
        let values = StepValues {
            lr: 1e-3,
            bias1,
            bias2,
            seed: self.seed,
            step: 1,
        };
        scalars.set(&values).unwrap();
        let shape = [self.batch, self.config.block_size];
        let ids = Tensor::from_slice(device, &self.ids, shape).unwrap();
        let targets = Tensor::from_slice(device, &self.targets, shape).unwrap();
        let pass = Pass::new(&params, &scalars, Mode::Train { loss_scale: 1.0 });
        let loss = gpt.loss(&pass, &ids, &targets).unwrap();
        pass.backward(loss.clone()).unwrap();
        let widen = |values: Vec<f32>| values.into_iter().map(f64::from).collect::<Vec<_>>();
        let mut found = vec![("loss".to_owned(), widen(loss.to_vec::<f32>().unwrap()))];
        for (param, info) in params.iter() {
            let c = self.config.n_embd;
            let mut gradient = widen(params.get(Slab::Gradients, param).unwrap());
            if info.name().ends_with("attn.c_attn.bias") {
                // A softmax does not see a shift: keys' biases have gradient 0 but for rounding.
                gradient.drain(c..2 * c);
            }
            found.push((info.name().to_owned(), gradient));
        }
        adamw.update(&mut params, &mut scalars).unwrap();
        found.push(("norm".to_owned(), vec![scalars.grad_norm().unwrap().into()]));
        found
    }
}

/// The greatest error relative to the greatest value.
fn relative_error(got: &[f64], want: &[f64]) -> f64 {
    let greatest = |values: &mut dyn Iterator<Item = f64>| values.map(f64::abs).fold(0.0, f64::max);
    let error = greatest(&mut got.iter().zip(want).map(|(g, w)| g - w));
    error / greatest(&mut want.iter().copied()).max(f64::MIN_POSITIVE)
}

/// Flash-attention's rule, on whole steps: against the f64 meaning of every operation, CUDA may err
/// at most twice as much as the CPU does, worst tensor against worst tensor, plus one rounding.
#[test]
fn whole_steps_of_random_gpts_agree() {
    let (Some(cuda), cpu) = (cuda(), cpu()) else {
        return;
    };
    for i in 0..12 {
        let drawn = Drawn::new(i);
        let want = drawn.step(&Device::reference());
        let worst = |device: &Device| {
            let got = drawn.step(device);
            let errors = got.iter().zip(&want);
            errors
                .map(|((name, got), (_, want))| (relative_error(got, want), name.clone()))
                .fold((0.0, String::new()), |a, b| if b.0 > a.0 { b } else { a })
        };
        let ((error, name), (theirs, _)) = (worst(&cuda), worst(&cpu));
        let bound = 2.0 * theirs + U;
        assert!(
            error <= bound,
            "model {i} ({:?}): {name} errs by {error:.2e}, above {bound:.2e}",
            drawn.config
        );
    }
    assert_eq!(
        cuda.fallbacks(),
        0,
        "no operation of a GPT runs on the host"
    );
}
