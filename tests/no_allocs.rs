//! The memory that a training step requests: from the third step on, none from the device, and from
//! the host the same few small pieces every time.
//!
//! There is only one test, since the counts are process-wide.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]
#![allow(clippy::print_stdout, reason = "figures for `-- --nocapture`")]
#![allow(
    unsafe_code,
    reason = "an allocator that counts and leaves the work to the system's"
)]

use latimer_backend_cpu::Cpu;
use latimer_tensor::{Device, Observer};
use latimer_trainer::Training;
use latimer_trainer::config::{Config, TrainConfig};
use latimer_trainer::data::{RowKey, Source, Windows};
use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};

/// An allocator that counts every request by its alignment. A collection of numbers or handles is
/// aligned to 16 bytes at most. Only `matrixmultiply` requests more, for its packing buffers (on
/// processors without tiles of our own), and the backend, for its buffers.
struct Counting {
    count: AtomicU64,
    bytes: AtomicU64,
    largest: AtomicUsize,
    aligned: AtomicU64,
    live: AtomicU64,
}

#[global_allocator]
static HOST: Counting = Counting {
    count: AtomicU64::new(0),
    bytes: AtomicU64::new(0),
    largest: AtomicUsize::new(0),
    aligned: AtomicU64::new(0),
    live: AtomicU64::new(0),
};

impl Counting {
    fn note(&self, layout: Layout) {
        self.live.fetch_add(layout.size() as u64, Relaxed);
        if layout.align() > 16 {
            self.aligned.fetch_add(1, Relaxed);
        } else {
            self.count.fetch_add(1, Relaxed);
            self.bytes.fetch_add(layout.size() as u64, Relaxed);
            self.largest.fetch_max(layout.size(), Relaxed);
        }
    }

    fn asked(&self) -> Asked {
        Asked {
            count: self.count.load(Relaxed),
            bytes: self.bytes.load(Relaxed),
        }
    }
}

// SAFETY: every request goes to the system's allocator as it is.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        self.note(layout);
        // SAFETY: the caller's promise is the system allocator's condition.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        self.note(layout);
        // SAFETY: as above.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, start: *mut u8, layout: Layout) {
        self.live.fetch_sub(layout.size() as u64, Relaxed);
        // SAFETY: as above.
        unsafe { System.dealloc(start, layout) }
    }
}

/// The requests to the host's allocator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Asked {
    count: u64,
    bytes: u64,
}

/// The number of buffers that the pool had to request from the backend.
#[derive(Debug, Default)]
struct NewBuffers(AtomicU64);

impl Observer for NewBuffers {
    fn allocated(&self, _bytes: usize) {
        self.0.fetch_add(1, Relaxed);
    }
}

/// Rows that cost nothing to make and differ from step to step.
#[derive(Debug)]
struct Counter;

impl Source for Counter {
    fn row(&self, _seed: u64, key: RowKey, ids: &mut [u32]) {
        let first = key.step as u32 * 7 + key.row * 3;
        for (id, i) in ids.iter_mut().zip(first..) {
            *id = i % VOCAB_SIZE as u32;
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

const VOCAB_SIZE: usize = 65;

/// A preset with its settings changed.
fn config(preset: &str, changes: &[(&str, &str)]) -> Config {
    let changes: Vec<_> = changes
        .iter()
        .map(|&(key, value)| (key.to_owned(), value.to_owned()))
        .collect();
    Config::resolve(Some(preset), None, &changes).unwrap()
}

/// A model in training, and its device.
fn training(config: &Config, threads: usize) -> (Training, Device) {
    let device = Device::new(Cpu::new(threads).unwrap());
    let model = config.model.with_vocab(VOCAB_SIZE);
    let training = Training::new(&device, &model, &config.train).unwrap();
    (training, device)
}

/// Bytes of the smallest activation of a block, `[B, T, C]`.
fn activation(config: &Config, train: &TrainConfig) -> usize {
    train.batch_size * config.model.block_size * config.model.n_embd * 4
}

/// Checks that from step 3 on there is no miss of the pool, no allocation by the backend, and equal
/// requests to the host, none of a buffer's size; and that the pool holds what was predicted before
/// step 1.
fn a_step_repeats(name: &str, config: &Config, threads: usize) {
    const STEPS: usize = 40;
    let (mut training, device) = training(config, threads);
    let new = Arc::new(NewBuffers::default());
    let _observing = device.observe(new.clone());
    let model = config.model.with_vocab(VOCAB_SIZE);
    let needs = Training::needs(&device, &model, &config.train).unwrap();
    let inside = device.clone();
    // Run within one `enter`, like a step's micro-steps.
    let asked = inside.enter(|| {
        for _ in 0..2 {
            training.next_step(&Counter).unwrap();
        }
        let before = (device.pool_stats().misses, new.0.load(Relaxed));
        HOST.largest.store(0, Relaxed);
        let (mut asked, aligned) = (Vec::with_capacity(STEPS), HOST.aligned.load(Relaxed));
        for _ in 0..STEPS {
            let start = HOST.asked();
            training.next_step(&Counter).unwrap();
            let end = HOST.asked();
            asked.push(Asked {
                count: end.count - start.count,
                bytes: end.bytes - start.bytes,
            });
        }
        let after = (device.pool_stats().misses, new.0.load(Relaxed));
        assert_eq!(before, after, "{name}: misses of the pool, allocations");
        let packing = (HOST.aligned.load(Relaxed) - aligned) as f64 / STEPS as f64;
        let (largest, first) = (HOST.largest.load(Relaxed), asked[0]);
        println!("{name}: {first:?} a step, the largest {largest}, packing {packing}");
        assert!(
            largest < activation(config, &config.train),
            "{name}: {largest} bytes at once are a buffer's"
        );
        asked
    });
    let odd = asked.iter().position(|a| *a != asked[0]);
    let odd = odd.map(|i| (i + 3, asked[i]));
    assert_eq!(odd, None, "{name}: the step differs from {:?}", asked[0]);
    assert_eq!(device.fallbacks(), 0, "{name}: all ran natively");
    let held = device.pool_stats().held_bytes as u64;
    assert_eq!(held, needs.memory_bytes, "{name}: bytes of the pool");
}

/// Checks that entering the device anew for every step requests no memory either.
fn entries_are_free(config: &Config) {
    const STEPS: usize = 200;
    let (mut training, _) = training(config, 2);
    for _ in 0..2 {
        training.next_step(&Counter).unwrap();
    }
    let mut asked = Vec::with_capacity(STEPS);
    for _ in 0..STEPS {
        let start = HOST.asked();
        training.next_step(&Counter).unwrap();
        let end = HOST.asked();
        asked.push((end.count - start.count, end.bytes - start.bytes));
    }
    assert!(asked.iter().all(|a| *a == asked[0]), "{asked:?}");
}

/// Checks that ten thousand steps later no more memory is held.
fn memory_is_flat(config: &Config) {
    let (mut training, device) = training(config, 2);
    let mut steps = |n: usize| {
        for _ in 0..n {
            training.next_step(&Counter).unwrap();
        }
        (HOST.live.load(Relaxed), device.pool_stats().held_bytes)
    };
    let (live, held) = steps(100);
    let (live_after, held_after) = steps(9_900);
    println!("live bytes after 100 steps {live}, after 10,000 {live_after}");
    assert_eq!(held, held_after, "bytes of the pool");
    assert_eq!(live, live_after, "live bytes after 100 and 10,000 steps");
}

#[test]
fn a_step_asks_for_nothing_new() {
    let seed = config("seed", &[]);
    let accumulated = config(
        "baby",
        &[
            ("model.dropout", "0.1"),
            ("train.grad_accum", "2"),
            ("train.batch_size", "4"),
        ],
    );
    let narrow = config("baby", &[("train.dtype", "bf16"), ("model.dropout", "0.1")]);
    for threads in [1, 2] {
        a_step_repeats(&format!("seed, {threads} threads"), &seed, threads);
        a_step_repeats(
            &format!("baby in bf16, {threads} threads"),
            &narrow,
            threads,
        );
        let name = format!("baby with dropout in two micro-steps, {threads} threads");
        a_step_repeats(&name, &accumulated, threads);
    }
    let tiny = config(
        "baby",
        &[
            ("model.n_layer", "1"),
            ("model.n_embd", "16"),
            ("model.n_head", "2"),
            ("model.block_size", "8"),
            ("train.batch_size", "2"),
        ],
    );
    entries_are_free(&tiny);
    memory_is_flat(&tiny);
}
