//! The CPU and the CUDA backend agree: on every operation, on whole training steps of random small
//! GPTs, on dropout masks to the bit, and on the losses of a preset in training. A recorded step
//! has the bits of one launched kernel by kernel, and bf16 learns as f32 does. CUDA is the GPU if
//! `GPU_REQUIRED` is set, otherwise the CPU shim; without a compiler for the shim, the tests pass
//! and say that they were skipped.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use latimer_autograd::{AdamW, Optimizer, Params, Slab};
use latimer_backend_cpu::Cpu;
use latimer_backend_cuda::Cuda;
use latimer_nn::{Activation, Gpt, GptConfig};
use latimer_tensor::op::Dropout;
use latimer_tensor::philox::Stream;
use latimer_tensor::{DType, Device, Op, Tensor};
use latimer_trainer::Training;
use latimer_trainer::config::{Config, Dtype};
use latimer_trainer::data::{RowKey, Source, Windows};

/// Unit roundoff of f32.
const U: f64 = f32::EPSILON as f64 / 2.0;

fn cpu() -> Device {
    Device::new(Cpu::new(2).unwrap())
}

/// The device under test; `None` if neither a GPU nor the shim is available.
fn cuda() -> Option<Device> {
    latimer_cuda_shim::can_be_driver().then(|| Device::new(Cuda::new(0).unwrap()))
}

#[test]
fn every_operation_agrees() {
    let (Some(cuda), cpu) = (cuda(), cpu()) else {
        return;
    };
    // Custom operations have no kernel.
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
            let words = [seed as u32, (seed >> 32) as u32, step, first_row];
            let random = Tensor::from_slice(device, &words, [words.len()]).unwrap();
            let dropout = Dropout {
                x: x.view(),
                y: y.view_mut().unwrap(),
                rate,
                site,
                random: random.view(),
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
    /// The `i`th model: each has its own heads, widths, layers and switches.
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
            n_layer,
            n_head,
            n_embd: n_head * head_dim,
            block_size,
            ..GptConfig::gpt2(vocab_size)
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
        let adamw = AdamW {
            lr: 1e-3,
            beta2: 0.99,
            ..AdamW::default()
        };
        let optimizer = Optimizer::new(&mut params, adamw).unwrap();
        let mut optimizer = optimizer.with_seed(self.seed);
        optimizer.begin_step(1).unwrap();
        let shape = [self.batch, self.config.block_size];
        let ids = Tensor::from_slice(device, &self.ids, shape).unwrap();
        let targets = Tensor::from_slice(device, &self.targets, shape).unwrap();
        let loss = optimizer.backward(&params, 0, |pass| gpt.loss(pass, &ids, &targets));
        let loss = loss.unwrap();
        let widen = |values: Vec<f32>| values.into_iter().map(f64::from).collect::<Vec<_>>();
        let mut found = vec![("loss".to_owned(), widen(loss.to_vec::<f32>().unwrap()))];
        for (param, info) in params.iter() {
            let c = self.config.n_embd;
            let mut gradient = widen(params.get(Slab::Gradients, param).unwrap());
            if info.name().ends_with("attn.c_attn.bias") {
                // A softmax is invariant to shifts: keys' biases have gradient 0 except for
                // rounding.
                gradient.drain(c..2 * c);
            }
            found.push((info.name().to_owned(), gradient));
        }
        optimizer.measure(&params).unwrap();
        optimizer.apply(&mut params).unwrap();
        let norm = optimizer.results().unwrap().grad_norm;
        found.push(("norm".to_owned(), vec![norm.into()]));
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

// ---- training

/// Text with something to learn: each id follows from the one before, except one in eight.
#[derive(Debug)]
struct Chain(u32);

impl Source for Chain {
    fn row(&self, seed: u64, key: RowKey, ids: &mut [u32]) {
        let mut stream = Stream::new(seed, key.step as u32, key.row);
        let mut id = stream.next_u32() % self.0;
        for at in ids {
            *at = id;
            id = match stream.next_u32() % 8 {
                0 => stream.next_u32() % self.0,
                _ => (id * 5 + 7) % self.0,
            };
        }
    }

    fn validation(&self) -> Windows<'_> {
        Box::new(std::iter::empty())
    }

    fn validation_tokens(&self) -> usize {
        0
    }

    fn training_tokens(&self) -> Option<usize> {
        None
    }
}

/// A preset in training on a device, after `change` has made it smaller.
fn training(device: &Device, preset: &str, change: impl Fn(&mut Config), vocab: usize) -> Training {
    let mut config = Config::preset(preset).unwrap();
    change(&mut config);
    let model = config.model.with_vocab(vocab);
    Training::new(device, &model, &config.train).unwrap()
}

/// Makes the model small, with everything that changes from step to step.
fn small(config: &mut Config) {
    let model = &mut config.model;
    (model.n_layer, model.n_head, model.n_embd) = (2, 2, 32);
    (model.block_size, model.dropout) = (12, 0.2);
    let train = &mut config.train;
    (train.batch_size, train.grad_accum) = (3, 2);
    (train.warmup_iters, train.max_iters) = (4, 12);
}

#[test]
fn recorded_steps_have_the_bits_of_plain_launches() {
    for dtype in [Dtype::F32, Dtype::Bf16] {
        let run = |plain: bool| {
            let Some(device) = cuda() else {
                return Vec::new();
            };
            let dtyped = |config: &mut Config| {
                small(config);
                config.train.dtype = dtype;
            };
            let mut training = training(&device, "baby", dtyped, 23);
            if plain {
                training.launch_plainly();
            }
            let mut left = Vec::new();
            for _ in 0..8 {
                let step = training.next_step(&Chain(23)).unwrap();
                left.extend([step.loss.to_bits(), step.grad_norm.to_bits()]);
            }
            assert_eq!(training.is_captured(), !plain);
            assert_eq!(device.fallbacks(), 0);
            let params = training.params();
            for (param, _) in params.iter() {
                let values = params.get(Slab::Values, param).unwrap();
                left.extend(values.iter().map(|x| x.to_bits()));
            }
            left
        };
        assert!(
            run(false) == run(true),
            "{dtype:?}: other bits when recorded"
        );
    }
}

/// Twenty steps of the preset `seed` from the same weights on the same rows.
///
/// The bound, to first order: both start equal, and their gradients differ by `δ` in sum. AdamW
/// moves a parameter by `lr·m/√v`, so a relative change of its gradient changes each move by at
/// most twice `lr` times it, and the loss by that times the gradient: `2·lr·Σ|δ|` a step. That is
/// added up over the steps, with the largest `Σ|δ|` seen at the start; evaluating a loss costs 16
/// roundings.
#[test]
fn twenty_steps_of_a_preset_agree() {
    let (Some(cuda), cpu) = (cuda(), cpu()) else {
        return;
    };
    let start = |device: &Device| training(device, "seed", |_| (), 256);
    let (mut ours, mut theirs) = (start(&cuda), start(&cpu));
    let lr = Config::preset("seed").unwrap().train.learning_rate;
    let mut apart = 0.0;
    for step in 1..=20u32 {
        let ours_now = ours.next_step(&Chain(256)).unwrap();
        let theirs_now = theirs.next_step(&Chain(256)).unwrap();
        if step == 1 {
            for (param, _) in ours.params().iter() {
                let on =
                    |training: &Training| training.params().get(Slab::Gradients, param).unwrap();
                let (a, b) = (on(&ours), on(&theirs));
                apart += a
                    .iter()
                    .zip(&b)
                    .map(|(a, b)| f64::from((a - b).abs()))
                    .sum::<f64>();
            }
        }
        let difference = f64::from((ours_now.loss - theirs_now.loss).abs());
        let bound = 16.0 * U * f64::from(theirs_now.loss) + 2.0 * lr * f64::from(step) * apart;
        assert!(
            difference <= bound,
            "step {step}: losses {} and {} differ by {difference:.2e}, above {bound:.2e}",
            ours_now.loss,
            theirs_now.loss
        );
    }
    assert!(ours.is_captured(), "the steps were one graph");
    assert_eq!(cuda.fallbacks(), 0, "no operation runs on the host");
}

/// Two hundred steps of a small GPT: the mean losses of each twenty steps, in f32 and in bf16.
#[test]
fn bf16_learns_as_f32_does() {
    let curve = |dtype: Dtype| -> Option<Vec<f32>> {
        let device = cuda()?;
        let change = |config: &mut Config| {
            small(config);
            config.model.n_layer = 1;
            config.model.dropout = 0.0;
            (config.train.grad_accum, config.train.batch_size) = (1, 6);
            (config.train.max_iters, config.train.dtype) = (200, dtype);
        };
        let mut training = training(&device, "baby", change, 23);
        let mut losses = Vec::new();
        for _ in 0..200 {
            losses.push(training.next_step(&Chain(23)).unwrap().loss);
        }
        let means = losses
            .chunks(20)
            .map(|some| some.iter().sum::<f32>() / 20.0);
        Some(means.collect())
    };
    let (Some(f32s), Some(bf16s)) = (curve(Dtype::F32), curve(Dtype::Bf16)) else {
        return;
    };
    assert!(f32s[9] < f32s[0] - 0.5, "it learns: {f32s:?}");
    for (a, b) in f32s.iter().zip(&bf16s) {
        assert!((a - b).abs() <= 0.02, "{f32s:?}\n{bf16s:?}");
    }
}
