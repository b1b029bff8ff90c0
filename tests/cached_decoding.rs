//! Decoding over a cache gives the logits of computing everything anew.
//!
//! Both are f32 evaluations of one function in different orders, so both are compared with the
//! reference device's (every operation in f64, rounded once): the cached error may be at most twice
//! the uncached one's, plus one rounding of the greatest logit.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use latimer_autograd::{Params, Slab};
use latimer_backend_cpu::Cpu;
use latimer_nn::{Generator, Gpt, GptConfig};
use latimer_tensor::{Device, philox::Stream};

const VOCAB: u64 = 31;

/// A model whose weights are large enough that attention is far from uniform.
fn model(device: &Device, config: &GptConfig) -> (Gpt, Params) {
    let (gpt, declarations) = Gpt::new(config).unwrap();
    let mut params = Params::new(device, declarations, 3).unwrap();
    let matrices: Vec<_> = params
        .iter()
        .filter(|(_, info)| info.is_decayed())
        .map(|(param, _)| param)
        .collect();
    for param in matrices {
        let large: Vec<f32> = params
            .get(Slab::Values, param)
            .unwrap()
            .iter()
            .map(|w| 10.0 * w)
            .collect();
        params.set(Slab::Values, param, &large).unwrap();
    }
    (gpt, params)
}

/// Logits after each of a prompt's growing prefixes, past the block size too.
fn logits(device: &Device, config: &GptConfig, cached: bool) -> Vec<Vec<f32>> {
    let mut stream = Stream::new(5, 0, 0);
    let ids: Vec<u32> = (0..config.block_size + 5)
        .map(|_| stream.below(VOCAB) as u32)
        .collect();
    let (gpt, params) = model(device, config);
    let mut generator = Generator::new(&gpt, &params, &ids[..3]).unwrap();
    if !cached {
        generator = generator.without_cache();
    }
    let mut all = Vec::new();
    for &id in &ids[3..] {
        all.push(generator.logits().unwrap());
        generator.push(id).unwrap();
    }
    all
}

#[test]
fn cached_logits_are_the_uncached_ones() {
    let config = GptConfig {
        qkv_bias: false,
        ..GptConfig::gpt2(VOCAB as usize, 37, 3, 3, 48)
    };
    let want = logits(&Device::reference(), &config, false);
    let cpu = Device::new(Cpu::new(2).unwrap());
    let (cached, uncached) = (logits(&cpu, &config, true), logits(&cpu, &config, false));
    let error = |got: &[Vec<f32>]| {
        got.iter()
            .flatten()
            .zip(want.iter().flatten())
            .map(|(g, w)| (g - w).abs())
            .fold(0.0, f32::max)
    };
    let largest = want.iter().flatten().map(|x| x.abs()).fold(0.0, f32::max);
    let bound = 2.0 * error(&uncached) + f32::EPSILON / 2.0 * largest;
    assert!(largest > 1.0, "logits of {largest} would prove little");
    assert!(error(&cached) <= bound, "{} above {bound}", error(&cached));
}
