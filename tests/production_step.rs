//! A training step of production size on a GPU against the CPU backend: GPT-2 124M, two rows of
//! 1024 tokens, the whole padded vocabulary, in f32 and in bf16. It needs a GPU (`GPU_REQUIRED`);
//! elsewhere it says that it was skipped, and the same comparison of a small model runs on the CPU
//! shim.
//!
//! # The bounds
//!
//! Rounding changes a result in proportion to the unit roundoff, whatever the network does with it.
//! So the CPU's bf16 step, compared with its f32 step, measures for each parameter how much a step
//! amplifies roundings of size `U_BF16`, at every operation that stores a value.
//!
//! - **bf16**: the gradient on the GPU may be at most twice as far from the CPU's f32 gradient as
//!   the CPU's bf16 gradient is: the rule of `backends_agree` for whole steps.
//! - **f32**: the same distance, times `U_F32 / U_BF16`, times the square root of the longest sum,
//!   as f32 sums are now rounded in the type of their result; twice that, as both devices round.
//! - **loss**: see [`loss_tolerance`].
//!
//! The distance of two gradients bounds the difference of their norms.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use latimer_autograd::{AdamW, Optimizer, Params, Slab};
use latimer_backend_cpu::Cpu;
use latimer_backend_cuda::Cuda;
use latimer_cuda_shim::{GPU_REQUIRED, can_be_driver};
use latimer_nn::{Gpt, GptConfig};
use latimer_tensor::philox::Stream;
use latimer_tensor::{Device, Tensor};

/// Unit roundoffs.
const U_F32: f64 = 1.0 / (1u32 << 24) as f64;
const U_BF16: f64 = 1.0 / 256.0;

/// A model and the shape of its batch.
struct Size {
    config: GptConfig,
    rows: usize,
}

impl Size {
    fn production() -> Self {
        let config = GptConfig {
            padded_vocab_size: 50_304,
            n_layer: 12,
            n_head: 12,
            n_embd: 768,
            block_size: 1024,
            ..GptConfig::gpt2(50_257)
        };
        Self { config, rows: 2 }
    }

    /// A size with everything that the large one has, small enough to run in seconds one block at a
    /// time.
    fn small() -> Self {
        let config = GptConfig {
            padded_vocab_size: 384,
            n_layer: 3,
            n_head: 2,
            n_embd: 64,
            block_size: 40,
            ..GptConfig::gpt2(301)
        };
        Self { config, rows: 2 }
    }

    fn tokens(&self) -> usize {
        self.rows * self.config.block_size
    }

    /// Terms of the longest sum of a step: over the vocabulary or over all tokens.
    fn longest_sum(&self) -> f64 {
        self.config.padded_vocab_size.max(self.tokens()) as f64
    }
}

/// The results of a step: the loss, and each parameter's gradient.
struct Step {
    loss: f64,
    gradients: Vec<(String, Vec<f32>)>,
}

/// One forward and backward pass from the same initial weights on the same tokens.
fn step(size: &Size, device: &Device, bf16: bool) -> Step {
    let (gpt, declarations) = Gpt::new(&size.config).unwrap();
    let mut params = Params::new(device, declarations, 7).unwrap();
    if bf16 {
        params.enable_bf16().unwrap();
    }
    let mut optimizer = Optimizer::new(&mut params, AdamW::default()).unwrap();
    let mut stream = Stream::new(1, 2, 3);
    let mut tokens = || {
        let below = size.config.vocab_size as u64;
        let ids: Vec<u32> = (0..size.tokens())
            .map(|_| stream.below(below) as u32)
            .collect();
        Tensor::from_slice(device, &ids, [size.rows, size.config.block_size]).unwrap()
    };
    let (ids, targets) = (tokens(), tokens());
    let loss = device.enter(|| {
        let loss = optimizer.backward(&params, 0, |pass| gpt.loss(pass, &ids, &targets));
        loss.unwrap()
    });
    assert_eq!(device.fallbacks(), 0, "every operation runs on the device");
    let gradient = |param| params.get(Slab::Gradients, param).unwrap();
    Step {
        loss: f64::from(
            loss.cast(latimer_tensor::DType::F32)
                .unwrap()
                .to_vec::<f32>()
                .unwrap()[0],
        ),
        gradients: params
            .iter()
            .map(|(param, info)| (info.name().to_owned(), gradient(param)))
            .collect(),
    }
}

fn norm(gradient: &[f32]) -> f64 {
    let squares = gradient.iter().map(|x| f64::from(*x).powi(2));
    squares.sum::<f64>().sqrt()
}

fn distance(a: &[f32], b: &[f32]) -> f64 {
    assert_eq!(a.len(), b.len());
    let squares = a.iter().zip(b);
    let squares = squares.map(|(a, b)| (f64::from(*a) - f64::from(*b)).powi(2));
    squares.sum::<f64>().sqrt()
}

/// The greatest difference allowed between two devices' losses.
///
/// Logits are products of a row of norm `√C`, as the last normalisation makes it, and a row of the
/// embedding, drawn with a deviation of 0.02: their deviation is `0.02·√C`. Two values are added to
/// the residual stream in each layer, the embedding and the head come on top, so a logit carries
/// `2n + 3` roundings of relative size `unit`, which add up as independent ones do. The loss is a
/// mean over `N` positions of a difference of logits; 10 deviations of that, and the f32 mean of
/// `N` losses itself.
fn loss_tolerance(size: &Size, unit: f64, loss: f64) -> f64 {
    let GptConfig {
        n_layer, n_embd, ..
    } = size.config;
    let logit = (2.0 * n_layer as f64 + 3.0).sqrt() * unit * 0.02 * (n_embd as f64).sqrt();
    let positions = (size.tokens() as f64).sqrt();
    10.0 * logit / positions + positions * U_F32 * loss
}

/// Compares a device's steps with the CPU's. It prints the differences, even if all is well.
fn hold(size: &Size, cuda: &Device) {
    let cpu = Device::new(Cpu::new(0).unwrap());
    let [exact, rounded] = [false, true].map(|bf16| step(size, &cpu, bf16));
    let f32_share = U_F32 / U_BF16 * size.longest_sum().sqrt();
    let sums = (size.config.n_embd as f64).sqrt();
    for (name, bf16, share, unit) in [
        ("f32", false, f32_share, U_F32 * sums),
        ("bf16", true, 1.0, U_BF16),
    ] {
        let got = step(size, cuda, bf16);
        let near = if bf16 { &rounded } else { &exact };
        let (off, most) = (
            (got.loss - near.loss).abs(),
            loss_tolerance(size, unit, near.loss),
        );
        eprintln!(
            "{name}: loss {} on {}, {} on the CPU: {off:.1e} apart, {most:.1e} allowed",
            got.loss,
            cuda.info().name,
            near.loss
        );
        assert!(off <= most, "{name}: the losses are {off:.2e} apart");
        let mut worst = (0.0, "");
        let theirs = exact.gradients.iter().zip(&rounded.gradients);
        for ((parameter, gradient), ((_, exact), (_, rounded))) in got.gradients.iter().zip(theirs)
        {
            let (off, most) = (
                distance(gradient, exact),
                2.0 * share * distance(rounded, exact),
            );
            assert!(
                off <= most,
                "{name}: the gradient of {parameter} has norm {:.6e}, on the CPU {:.6e}; they are \
                 {off:.2e} apart, {most:.2e} allowed",
                norm(gradient),
                norm(exact)
            );
            if off / most > worst.0 {
                worst = (off / most, parameter);
            }
        }
        let (ratio, parameter) = worst;
        eprintln!("{name}: {parameter} uses the most of what is allowed, {ratio:.2}");
    }
}

#[test]
fn loss_and_gradients_of_gpt2_124m_agree_with_the_cpus() {
    if std::env::var_os(GPU_REQUIRED).is_none() {
        eprintln!(
            "skipped: a step of GPT-2 124M needs a GPU (set GPU_REQUIRED where there is one)"
        );
        return;
    }
    let cuda = Device::new(Cuda::new(0).expect("GPU_REQUIRED is set, so a GPU must open"));
    let name = cuda.info().name;
    assert_ne!(
        name, "cpu-shim",
        "GPU_REQUIRED is set, so a GPU must be there"
    );
    hold(&Size::production(), &cuda);
}

/// Tests the comparison itself, on a device that every machine has.
#[test]
fn loss_and_gradients_of_a_small_model_agree_with_the_cpus() {
    if can_be_driver() {
        hold(&Size::small(), &Device::new(Cuda::new(0).unwrap()));
    }
}

/// Without this, a comparison that allows anything would pass everywhere.
#[test]
#[should_panic(expected = "wte.weight")]
fn a_gradient_that_is_a_little_off_is_noticed() {
    let size = Size::small();
    let cpu = Device::new(Cpu::new(1).unwrap());
    let [exact, rounded] = [false, true].map(|bf16| step(&size, &cpu, bf16));
    let share = 2.0 * U_F32 / U_BF16 * size.longest_sum().sqrt();
    for ((name, exact), (_, rounded)) in exact.gradients.iter().zip(&rounded.gradients) {
        let off: Vec<f32> = exact.iter().map(|x| x * 1.001).collect();
        let most = share * distance(rounded, exact);
        assert!(distance(&off, exact) <= most, "{name}");
    }
}
