//! A device that can say how long its operations take.

use super::profile::{Key, Ledger};
use latimer_tensor::{
    Backend, Buffer, DType, Device, DeviceInfo, Graph, Op, Ran, Result, View, ViewMut, WorkReport,
};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// The backend of a device, watched.
#[derive(Debug)]
pub(super) struct Watched(pub(super) Device, pub(super) Watch);

/// Whether operations are timed, and how long they took since the last reset.
#[derive(Clone, Debug, Default)]
pub(super) struct Watch {
    on: Arc<AtomicBool>,
    nanoseconds: Arc<AtomicU64>,
    /// Whether each is also entered in the ledger, once the device is done with it.
    one_by_one: Arc<AtomicBool>,
    ledger: Arc<Mutex<Ledger>>,
}

impl Watch {
    /// Milliseconds of `work` outside of operations.
    pub(super) fn outside<E>(
        &self,
        work: impl FnOnce() -> std::result::Result<(), E>,
    ) -> std::result::Result<f64, E> {
        self.nanoseconds.store(0, Ordering::Relaxed);
        self.on.store(true, Ordering::Relaxed);
        let start = Instant::now();
        let result = work();
        let all = start.elapsed().as_nanos() as f64;
        self.on.store(false, Ordering::Relaxed);
        let within = self.nanoseconds.load(Ordering::Relaxed) as f64;
        result.map(|()| (all - within) * 1e-6)
    }

    /// The same, and every operation is entered in the ledger, as one of a step that counts or not.
    pub(super) fn step<E>(
        &self,
        counts: bool,
        work: impl FnOnce() -> std::result::Result<(), E>,
    ) -> std::result::Result<f64, E> {
        self.one_by_one.store(true, Ordering::Relaxed);
        let outside = self.outside(work);
        self.one_by_one.store(false, Ordering::Relaxed);
        self.ledger().end_step(counts);
        outside
    }

    /// What was entered. It is whole whenever the lock is free, also after a panic.
    pub(super) fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Backend for Watched {
    fn info(&self) -> DeviceInfo {
        self.0.info()
    }

    fn alloc(&self, bytes: usize) -> Result<Box<dyn Buffer>> {
        self.0.backend().alloc(bytes)
    }

    fn upload(&self, src: &[u8], dst: ViewMut<'_>) -> Result<()> {
        self.0.backend().upload(src, dst)
    }

    fn download(&self, src: View<'_>, dst: &mut [u8]) -> Result<()> {
        self.0.backend().download(src, dst)
    }

    fn run(&self, op: &mut Op<'_>) -> Result<Ran> {
        if !self.1.on.load(Ordering::Relaxed) {
            return self.0.backend().run(op);
        }
        let one_by_one = self.1.one_by_one.load(Ordering::Relaxed);
        let entry = one_by_one.then(|| (Key::of(op), op.cost()));
        let start = Instant::now();
        let ran = self.0.backend().run(op)?;
        if one_by_one {
            self.0.backend().synchronize()?;
        }
        let took = start.elapsed().as_nanos() as u64;
        self.1.nanoseconds.fetch_add(took, Ordering::Relaxed);
        // What the device does not know, it runs by its meaning on the host, elsewhere.
        if let (Some((key, cost)), Ran::Done) = (entry, ran) {
            self.1.ledger().enter(key, cost, took);
        }
        Ok(ran)
    }

    fn native(&self, dtype: DType) -> bool {
        self.0.native(dtype)
    }

    fn has_queue(&self) -> bool {
        self.0.has_queue()
    }

    fn chunk_bytes(&self) -> usize {
        self.0.chunk_bytes()
    }

    fn preload(&self) -> Result<Option<Duration>> {
        self.0.backend().preload()
    }

    fn work_report(&self) -> WorkReport {
        self.0.backend().work_report()
    }

    fn synchronize(&self) -> Result<()> {
        self.0.backend().synchronize()
    }

    fn capture(&self, step: &mut dyn FnMut() -> Result<()>) -> Result<Option<Box<dyn Graph>>> {
        self.0.backend().capture(step)
    }

    fn enter(&self, work: &mut (dyn FnMut() + Send)) {
        self.0.backend().enter(work);
    }
}
