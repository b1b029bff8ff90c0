//! A backend that only counts, to find out what a step will cost before it runs.
//!
//! A training step on it requests the same memory in the same order as on any other device, so the
//! pool's peak is that device's peak, and the operations' costs are added up; nothing is allocated
//! or computed. Downloads return zeros.

use crate::backend::SMALL_CHUNK;
use crate::{Backend, Buffer, Cost, Device, DeviceInfo, Handled, Op, Result, View, ViewMut};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// The backend that only counts. Clones share their counts.
#[derive(Clone, Debug)]
pub struct DryRun {
    counts: Arc<Counts>,
    chunk_bytes: usize,
}

impl Default for DryRun {
    fn default() -> Self {
        Self {
            counts: Arc::default(),
            chunk_bytes: SMALL_CHUNK,
        }
    }
}

#[derive(Debug, Default)]
struct Counts {
    flops: AtomicU64,
    bytes: AtomicU64,
    ops: AtomicU64,
}

#[derive(Debug)]
struct Nothing;

impl Buffer for Nothing {}

impl DryRun {
    /// The backend's name, in [`DeviceInfo::backend`].
    pub const NAME: &'static str = "dry-run";

    /// A dry run of `device`: work is cut into chunks of the size that `device` uses.
    #[must_use]
    pub fn of(device: &Device) -> Self {
        Self {
            chunk_bytes: device.chunk_bytes(),
            ..Self::default()
        }
    }

    /// The cost of all operations so far.
    #[must_use]
    pub fn cost(&self) -> Cost {
        Cost {
            flops: self.counts.flops.load(Ordering::Relaxed),
            bytes: self.counts.bytes.load(Ordering::Relaxed),
        }
    }

    /// The number of operations so far.
    #[must_use]
    pub fn ops(&self) -> u64 {
        self.counts.ops.load(Ordering::Relaxed)
    }
}

impl Backend for DryRun {
    fn info(&self) -> DeviceInfo {
        DeviceInfo {
            backend: Self::NAME.into(),
            name: "dry run".into(),
            ..DeviceInfo::default()
        }
    }

    fn alloc(&self, _bytes: usize) -> Result<Box<dyn Buffer>> {
        Ok(Box::new(Nothing))
    }

    fn upload(&self, _src: &[u8], _dst: ViewMut<'_>) -> Result<()> {
        Ok(())
    }

    fn download(&self, _src: View<'_>, dst: &mut [u8]) -> Result<()> {
        dst.fill(0);
        Ok(())
    }

    fn run(&self, op: &mut Op<'_>) -> Result<Handled> {
        let cost = op.cost();
        self.counts.flops.fetch_add(cost.flops, Ordering::Relaxed);
        self.counts.bytes.fetch_add(cost.bytes, Ordering::Relaxed);
        self.counts.ops.fetch_add(1, Ordering::Relaxed);
        Ok(Handled::Done)
    }

    fn chunk_bytes(&self) -> usize {
        self.chunk_bytes
    }
}
