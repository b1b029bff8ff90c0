//! A training step that is recorded and repeated has the bits of one that is enqueued op by op.
//!
//! The backend under test is the CPU's, with a recorder before it: while a step is captured it
//! keeps the operations, which hold addresses, and runs none; a launch runs them again unchanged.
//! So if a step computes something on the host, or uses other memory the second time, the results
//! differ.

#![allow(clippy::unwrap_used, reason = "a test may fail wherever it stands")]

use latimer_autograd::Slab;
use latimer_backend_cpu::Cpu;
use latimer_tensor::{
    Backend, Buffer, Device, DeviceInfo, Graph, Handled, Op, Result, View, ViewMut,
};
use latimer_trainer::Training;
use latimer_trainer::config::Config;
use latimer_trainer::data::{RowKey, Source, Windows};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex};

/// An operation with its views, kept past their lifetimes.
#[derive(Debug)]
struct Kept(Op<'static>);

impl Kept {
    /// The same operation on the same memory.
    #[allow(
        unsafe_code,
        reason = "a recording holds addresses, as a GPU's does; there is no safe way to say so"
    )]
    fn new(op: &mut Op<'_>) -> Self {
        assert!(!matches!(op, Op::Custom(_)), "it owns vectors");
        // SAFETY: of the operations' structs only `Custom` owns anything, so a copy of the bits is
        // a copy of views and numbers, and no drop follows from it. The buffers that the views
        // point to stay where they are while the recording lives: that is what `CapturedStep` (for
        // those of the step) and its user (for those around it) guarantee, see `Graph`. Exclusive
        // views are a promise about use in time: the original was given up when its `run` ended.
        Self(unsafe { std::ptr::read(std::ptr::from_mut(op).cast::<Op<'static>>()) })
    }
}

#[derive(Debug, Default)]
struct Counts {
    allocs: AtomicU64,
    uploads: AtomicU64,
    downloads: AtomicU64,
    synchronized: AtomicU64,
    ran: AtomicU64,
    captures: AtomicU64,
    launches: AtomicU64,
}

impl Counts {
    fn all(&self) -> [u64; 7] {
        let Self {
            allocs,
            uploads,
            downloads,
            synchronized,
            ran,
            captures,
            launches,
        } = self;
        [
            allocs,
            uploads,
            downloads,
            synchronized,
            ran,
            captures,
            launches,
        ]
        .map(|count| count.load(Relaxed))
    }
}

#[derive(Debug)]
struct Inner {
    cpu: Cpu,
    counts: Counts,
    recording: Mutex<Option<Vec<Kept>>>,
}

#[derive(Clone, Debug)]
struct Recorder(Arc<Inner>);

impl Recorder {
    fn new() -> Self {
        Self(Arc::new(Inner {
            cpu: Cpu::new(2).unwrap(),
            counts: Counts::default(),
            recording: Mutex::new(None),
        }))
    }
}

#[derive(Debug)]
struct Recording {
    inner: Arc<Inner>,
    ops: Mutex<Vec<Kept>>,
}

impl Graph for Recording {
    fn launch(&self) -> Result<()> {
        self.inner.counts.launches.fetch_add(1, Relaxed);
        for Kept(op) in self.ops.lock().unwrap().iter_mut() {
            assert_eq!(self.inner.cpu.run(op)?, Handled::Done);
        }
        Ok(())
    }
}

impl Backend for Recorder {
    fn info(&self) -> DeviceInfo {
        self.0.cpu.info()
    }

    fn alloc(&self, bytes: usize) -> Result<Box<dyn Buffer>> {
        self.0.counts.allocs.fetch_add(1, Relaxed);
        self.0.cpu.alloc(bytes)
    }

    fn upload(&self, src: &[u8], dst: ViewMut<'_>) -> Result<()> {
        self.0.counts.uploads.fetch_add(1, Relaxed);
        self.0.cpu.upload(src, dst)
    }

    fn download(&self, src: View<'_>, dst: &mut [u8]) -> Result<()> {
        self.0.counts.downloads.fetch_add(1, Relaxed);
        self.0.cpu.download(src, dst)
    }

    fn run(&self, op: &mut Op<'_>) -> Result<Handled> {
        if let Some(recording) = &mut *self.0.recording.lock().unwrap() {
            recording.push(Kept::new(op));
            return Ok(Handled::Done);
        }
        self.0.counts.ran.fetch_add(1, Relaxed);
        self.0.cpu.run(op)
    }

    fn synchronize(&self) -> Result<()> {
        self.0.counts.synchronized.fetch_add(1, Relaxed);
        self.0.cpu.synchronize()
    }

    fn enter(&self, work: &mut (dyn FnMut() + Send)) {
        self.0.cpu.enter(work);
    }

    fn capture(&self, step: &mut dyn FnMut() -> Result<()>) -> Result<Option<Box<dyn Graph>>> {
        let before = self.0.counts.all();
        *self.0.recording.lock().unwrap() = Some(Vec::new());
        let done = step();
        let ops = self.0.recording.lock().unwrap().take().unwrap_or_default();
        done?;
        assert_eq!(self.0.counts.all(), before, "more than operations arrived");
        self.0.counts.captures.fetch_add(1, Relaxed);
        Ok(Some(Box::new(Recording {
            inner: self.0.clone(),
            ops: Mutex::new(ops),
        })))
    }
}

/// Rows that differ from step to step.
#[derive(Debug)]
struct Ids;

impl Source for Ids {
    fn row(&self, _seed: u64, key: RowKey, ids: &mut [u32]) {
        let row = key.step as u32 * 31 + key.row * 7;
        for (i, id) in (0..).zip(ids) {
            *id = (row + i * i) % 11;
        }
    }

    fn validation(&self) -> Windows<'_> {
        Box::new(std::iter::empty())
    }

    fn validation_tokens(&self) -> usize {
        100
    }

    fn training_tokens(&self) -> Option<usize> {
        None
    }
}

/// A learning rate at which the model learns.
const RATE: f64 = 1e-3;

fn training(device: &Device, grad_accum: usize, learning_rate: f64) -> Training {
    let mut config = Config::preset("baby").unwrap();
    let model = &mut config.model;
    (model.n_layer, model.n_head, model.n_embd) = (2, 2, 16);
    (model.block_size, model.dropout) = (8, 0.2);
    let train = &mut config.train;
    (train.batch_size, train.grad_accum, train.eval_iters) = (3, grad_accum, 2);
    // The rate changes with every step.
    (train.warmup_iters, train.max_iters) = (4, 12);
    (train.learning_rate, train.min_lr) = (learning_rate, 0.1 * learning_rate);
    let model = config.model.with_vocab(11);
    Training::new(device, &model, &config.train).unwrap()
}

/// Runs steps with evaluations in between; returns all their results as bits.
fn trained(training: &mut Training, steps: usize, after: &mut dyn FnMut(usize)) -> Vec<u32> {
    let mut left = Vec::new();
    for step in 1..=steps {
        let done = training.next_step(&Ids).unwrap();
        left.extend([done.loss.to_bits(), done.grad_norm.to_bits()]);
        after(step);
        if step % 3 == 2 {
            let eval = training.estimate(&Ids).unwrap();
            left.extend([eval.train_loss.to_bits(), eval.val_loss.unwrap().to_bits()]);
        }
    }
    let params = training.params();
    for slab in [Slab::Values, Slab::M, Slab::V] {
        for (param, _) in params.iter() {
            left.extend(params.get(slab, param).unwrap().iter().map(|x| x.to_bits()));
        }
    }
    left
}

#[test]
fn repeated_steps_are_those_enqueued_one_by_one() {
    for grad_accum in [1, 3] {
        let plain = Device::new(Cpu::new(2).unwrap());
        let want = trained(&mut training(&plain, grad_accum, RATE), 10, &mut |_| ());

        let recorder = Recorder::new();
        let device = Device::new(recorder.clone());
        let mut captured = training(&device, grad_accum, RATE);
        let got = trained(&mut captured, 10, &mut |_| ());
        assert!(captured.is_captured());
        let [.., captures, launches] = recorder.0.counts.all();
        assert_eq!((captures, launches), (1, 8), "steps 3 to 10 are launched");
        assert!(got == want, "other bits with {grad_accum} micro-steps");

        let recorder = Recorder::new();
        let mut asked = training(&Device::new(recorder.clone()), grad_accum, RATE);
        asked.launch_plainly();
        assert!(trained(&mut asked, 10, &mut |_| ()) == want);
        let [.., captures, launches] = recorder.0.counts.all();
        assert_eq!((captures, launches), (0, 0));
    }
}

/// From the fourth step on, a step is three uploads (numbers, random words, ids), a launch and a
/// download.
#[test]
fn a_repeated_step_asks_for_nothing() {
    let recorder = Recorder::new();
    let mut training = training(&Device::new(recorder.clone()), 2, RATE);
    let counts = || recorder.0.counts.all();
    for _ in 0..3 {
        training.next_step(&Ids).unwrap();
    }
    for _ in 0..4 {
        let before = counts();
        training.next_step(&Ids).unwrap();
        let after = counts();
        let spent: Vec<u64> = (0..7).map(|i| after[i] - before[i]).collect();
        let [
            allocs,
            uploads,
            downloads,
            synchronized,
            ran,
            captures,
            launches,
        ] = spent[..]
        else {
            unreachable!("one number for each count")
        };
        assert_eq!((allocs, synchronized, ran, captures), (0, 0, 0, 0));
        assert_eq!((uploads, downloads, launches), (1, 1, 1));
    }
}

/// A step that is not finite stops the run and leaves the parameters as they were, although the
/// host checks only after the step. At this learning rate decay alone multiplies the weights, so
/// their products overflow, but not at once.
#[test]
fn a_step_that_is_not_finite_leaves_the_parameters() {
    for captured in [false, true] {
        let mut training = training(&Device::new(Recorder::new()), 2, 100.0);
        if !captured {
            training.launch_plainly();
        }
        let state = |training: &Training| {
            let (params, mut all) = (training.params(), Vec::new());
            for (param, _) in params.iter() {
                for slab in [Slab::Values, Slab::M, Slab::V] {
                    all.extend(params.get(slab, param).unwrap());
                }
            }
            all
        };
        let (mut before, mut error) = (Vec::new(), None);
        while error.is_none() {
            before = state(&training);
            error = training.next_step(&Ids).err();
        }
        let done = training.steps_done();
        assert!(
            done >= 3,
            "captured steps are what is asked about: {error:?}"
        );
        assert_eq!(training.is_captured(), captured);
        assert!(before.iter().all(|x| x.is_finite()));
        assert!(state(&training) == before, "{error:?}");
    }
}
