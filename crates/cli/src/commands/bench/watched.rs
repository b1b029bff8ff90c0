//! A device that can say how long its operations take.

use super::profile::{Key, Ledger};
use latimer_tensor::{
    Backend, Buffer, DType, Device, DeviceInfo, Graph, Op, Ran, Result, View, ViewMut,
};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

/// The backend of a device, watched.
#[derive(Debug)]
pub(super) struct Watched(pub(super) Device, pub(super) Watch);

/// Whether operations are timed, and how long they took since the last reset.
#[derive(Clone, Debug, Default)]
pub(super) struct Watch {
    pub(super) on: Arc<AtomicBool>,
    pub(super) nanoseconds: Arc<AtomicU64>,
    /// Whether each is also entered in the ledger, once the device is done with it.
    pub(super) one_by_one: Arc<AtomicBool>,
    ledger: Arc<Mutex<Ledger>>,
}

impl Watch {
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
