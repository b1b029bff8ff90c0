//! Timing the operations of a device.

use super::profile::{Key, Ledger};
use latimer_tensor::{Device, Observer, Op, Result};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

/// Times the operations of a device on request.
#[derive(Debug)]
pub(super) struct Watch {
    device: Device,
    clock: Arc<Clock>,
}

/// Time that operations took since the last reset.
#[derive(Debug, Default)]
struct Clock {
    /// When the current operation began.
    began: Mutex<Option<Instant>>,
    nanoseconds: AtomicU64,
    /// Whether to wait for each operation and record it in the ledger.
    one_by_one: AtomicBool,
    ledger: Mutex<Ledger>,
}

impl Watch {
    pub(super) fn new(device: &Device) -> Self {
        Self {
            device: device.clone(),
            clock: Arc::default(),
        }
    }

    /// Runs `work` and returns the milliseconds that it spent outside operations.
    pub(super) fn outside<E>(
        &self,
        work: impl FnOnce() -> std::result::Result<(), E>,
    ) -> std::result::Result<f64, E> {
        let clock = &self.clock;
        clock.nanoseconds.store(0, Relaxed);
        let observing = self.device.observe(clock.clone());
        let start = Instant::now();
        let result = work();
        let all = start.elapsed().as_nanos() as f64;
        drop(observing);
        let within = clock.nanoseconds.load(Relaxed) as f64;
        result.map(|()| (all - within) * 1e-6)
    }

    /// As [`Watch::outside`], but each operation is waited for and recorded in the ledger, as part
    /// of a step that may be discarded (`counts`).
    pub(super) fn step<E>(
        &self,
        counts: bool,
        work: impl FnOnce() -> std::result::Result<(), E>,
    ) -> std::result::Result<f64, E> {
        self.clock.one_by_one.store(true, Relaxed);
        let outside = self.outside(work);
        self.clock.one_by_one.store(false, Relaxed);
        self.ledger().end_step(counts);
        outside
    }

    /// The ledger of recorded operations.
    pub(super) fn ledger(&self) -> MutexGuard<'_, Ledger> {
        lock(&self.clock.ledger)
    }
}

/// Locks a mutex even after a panic: its content is consistent whenever it is unlocked.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Observer for Clock {
    fn before(&self, _device: &Device, _op: &mut Op<'_>) -> Result<()> {
        *lock(&self.began) = Some(Instant::now());
        Ok(())
    }

    fn after(&self, device: &Device, op: &mut Op<'_>, native: bool) -> Result<()> {
        let one_by_one = self.one_by_one.load(Relaxed);
        if one_by_one {
            device.backend().synchronize()?;
        }
        let began = lock(&self.began).take();
        // An operation without a native version runs on the host, which counts as outside.
        if let (Some(began), true) = (began, native) {
            let took = began.elapsed().as_nanos() as u64;
            self.nanoseconds.fetch_add(took, Relaxed);
            if one_by_one {
                lock(&self.ledger).enter(Key::of(op, device.phase()), op.cost(), took);
            }
        }
        Ok(())
    }
}
