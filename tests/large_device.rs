//! On a device with much memory the head's logits come in large chunks, and a step takes as much
//! memory as was predicted. The test runs on the CPU shim, which reports an H200's memory.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]
#![allow(unsafe_code, reason = "sets an environment variable")]

use latimer_backend_cpu::Cpu;
use latimer_backend_cuda::Cuda;
use latimer_cuda_shim::{GPU_REQUIRED, can_be_driver};
use latimer_tensor::Device;
use latimer_trainer::Training;
use latimer_trainer::config::Config;
use latimer_trainer::data::{RowKey, Source, Windows};

const VOCABULARY: usize = 50_257;
const PADDED: usize = 50_304;
/// Rows of logits: twice the chunk of 320 rows that the CPU takes in f32.
const ROWS: usize = 5 * 128;

/// Ids that differ from row to row.
#[derive(Debug)]
struct Ids;

impl Source for Ids {
    fn row(&self, _seed: u64, key: RowKey, ids: &mut [u32]) {
        for (i, id) in (0..).zip(ids) {
            *id = (key.row * 997 + i * 131) % VOCABULARY as u32;
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

/// A model with GPT-2's vocabulary and little else.
fn config() -> Config {
    let mut config = Config::preset("baby").unwrap();
    let (model, train) = (&mut config.model, &mut config.train);
    (model.n_layer, model.n_head, model.n_embd) = (1, 1, 4);
    (model.block_size, model.dropout) = (ROWS / 5, 0.0);
    (train.batch_size, train.grad_accum) = (5, 1);
    config
}

#[test]
fn logits_come_in_chunks_of_the_devices_size_and_memory_is_as_predicted() {
    if std::env::var_os(GPU_REQUIRED).is_some() {
        eprintln!("skipped: a GPU has the memory that it has");
        return;
    }
    // SAFETY: this is the only test of this program.
    unsafe { std::env::set_var("SHIM_MEMORY", (141u64 << 30).to_string()) };
    if !can_be_driver() {
        return;
    }
    let Config { model, train, .. } = config();
    let model = model.with_vocab(VOCABULARY);
    let step = |device: &Device| {
        let needs = Training::needs(device, &model, &train).unwrap();
        let mut training = Training::new(device, &model, &train).unwrap();
        let loss = training.next_step(&Ids).unwrap().loss;
        let held = device.pool_stats().held_bytes as u64;
        assert_eq!(held, needs.memory_bytes, "{}", device.info().name);
        (loss, needs)
    };
    let (cuda, cpu) = (
        Device::new(Cuda::new(0).unwrap()),
        Device::new(Cpu::new(2).unwrap()),
    );
    assert_eq!([&cuda, &cpu].map(Device::chunk_bytes), [1 << 30, 64 << 20]);
    let ((large, on_cuda), (small, on_cpu)) = (step(&cuda), step(&cpu));
    // One device takes all rows at once, the other twice 320 rows in the same memory.
    let more = (ROWS - 320) * PADDED * 4;
    assert!(
        on_cuda.memory_bytes >= on_cpu.memory_bytes + more as u64 * 3 / 4,
        "{on_cuda:?} {on_cpu:?}"
    );
    assert!(on_cuda.ops < on_cpu.ops, "{on_cuda:?} {on_cpu:?}");
    assert_eq!(on_cuda.flops, on_cpu.flops);
    // A mean of 640 losses near 10.8, whose f32 sums may be rounded at each term.
    let rounding = f32::EPSILON / 2.0 * (ROWS as f32).sqrt() * small;
    assert!((large - small).abs() <= 2.0 * rounding, "{large} {small}");
}
