//! Decoding over a cache gives the same logits as computing everything anew.
//!
//! Both are f32 evaluations of one function in different orders, so both are compared with the
//! reference device's (every operation in f64, rounded once): the cached error may be at most twice
//! the uncached one's, plus one rounding of the greatest logit.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use latimer_autograd::{Params, Pass, Slab};
use latimer_backend_cpu::Cpu;
use latimer_nn::{Generator, Gpt, GptConfig, KvCache};
use latimer_tensor::{Device, Tensor, philox::Stream};

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

/// Logits after each prefix of a prompt, also of prefixes longer than the block size.
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
        all.push(generator.logits().unwrap().to_vec());
        generator.push(id).unwrap();
    }
    all
}

#[test]
fn cached_logits_are_the_uncached_ones() {
    let config = GptConfig {
        qkv_bias: false,
        n_layer: 3,
        n_head: 3,
        n_embd: 48,
        block_size: 37,
        ..GptConfig::gpt2(VOCAB as usize)
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

/// Logits of the last positions when `rows` are decoded together: four tokens each, then one by
/// one.
fn side_by_side(device: &Device, config: &GptConfig, rows: &[Vec<u32>]) -> Vec<f32> {
    let (gpt, params) = model(device, config);
    let mut cache = KvCache::with_batch_size(&params, config, rows.len()).unwrap();
    let mut all = Vec::new();
    let last = rows[0].len();
    for (from, to) in [(0, 4)].into_iter().chain((4..last).map(|at| (at, at + 1))) {
        let fresh: Vec<u32> = rows
            .iter()
            .flat_map(|row| &row[from..to])
            .copied()
            .collect();
        let ids = Tensor::from_slice(device, &fresh, [rows.len(), to - from]).unwrap();
        let pass = Pass::evaluate(&params);
        let logits = gpt.decode(&pass, &ids, &mut cache).unwrap();
        assert_eq!(logits.dims(), [rows.len(), config.padded_vocab_size]);
        all.extend(logits.to_vec::<f32>().unwrap());
    }
    all
}

/// Rows decoded together give the logits of each row alone, within the difference of two orders of
/// summation: both are compared with the reference device.
#[test]
fn rows_side_by_side_are_what_each_is_alone() {
    let config = GptConfig {
        n_layer: 2,
        n_head: 3,
        n_embd: 48,
        block_size: 12,
        ..GptConfig::gpt2(VOCAB as usize)
    };
    let mut stream = Stream::new(7, 0, 0);
    let mut row = || (0..9).map(|_| stream.below(VOCAB) as u32).collect();
    let rows: Vec<Vec<u32>> = vec![row(), row(), row()];
    let want = side_by_side(&Device::reference(), &config, &rows);
    let cpu = Device::new(Cpu::new(2).unwrap());
    let together = side_by_side(&cpu, &config, &rows);
    let alone: Vec<Vec<f32>> = rows
        .iter()
        .map(|row| side_by_side(&cpu, &config, std::slice::from_ref(row)))
        .collect();
    let columns = config.padded_vocab_size;
    let (mut worst_alone, mut worst_together, mut largest) = (0.0f32, 0.0f32, 0.0f32);
    for (at, want) in want.iter().enumerate() {
        let (position, row, column) = (
            at / columns / rows.len(),
            at / columns % rows.len(),
            at % columns,
        );
        let one = alone[row][position * columns + column];
        worst_alone = worst_alone.max((one - want).abs());
        worst_together = worst_together.max((together[at] - want).abs());
        largest = largest.max(want.abs());
    }
    let bound = 2.0 * worst_alone + f32::EPSILON / 2.0 * largest;
    assert!(largest > 1.0, "logits of {largest} would prove little");
    assert!(
        worst_together <= bound,
        "{worst_together} above {bound} of {largest}"
    );
}
