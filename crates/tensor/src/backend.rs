//! The trait a device implements.

use crate::{Buffer, DType, Op, Result, View, ViewMut};
use std::fmt::Debug;
use std::time::Duration;

/// A recorded sequence of operations, to be repeated at the cost of one.
///
/// The caller guarantees, with the help of [`crate::CapturedStep`], at every launch:
///
/// 1. Every buffer that the sequence reads or writes is alive and has not moved.
/// 2. Memory requested during the capture has been given to nobody else.
/// 3. Shapes and attributes have not changed; only the contents of memory may differ. Values that
///    change from step to step (learning rate, step number, ids) are uploaded before the launch.
/// 4. The host took no part in the captured step: it contains no upload and no download.
///
/// A graph may be dropped while a launch is still running on the queue.
pub trait Graph: Debug + Send {
    /// Enqueues the sequence.
    ///
    /// # Errors
    /// The device's own failure.
    fn launch(&self) -> Result<()>;
}

/// A description of a device, for reports.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct DeviceInfo {
    /// The backend's name as users type it: `cpu`, `cuda`.
    pub backend: String,
    /// The device's own name.
    pub name: String,
    /// Memory in bytes, if known.
    pub memory_bytes: Option<u64>,
    /// Worker threads, for a device that has them.
    pub threads: Option<usize>,
    /// Anything else worth a line: instruction set, driver version.
    pub detail: String,
}

/// The work that a backend has counted so far, for programs that measure.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct WorkReport {
    /// Products enqueued so far, for a backend that shares them between two implementations: first
    /// those by the faster library, then those by the backend's own kernels. Products of a recorded
    /// step count once, when it is recorded.
    pub products: Option<[u64; 2]>,
    /// Reasons why work was not done in the fastest way, a line each.
    pub notes: Vec<String>,
}

/// The result of [`Backend::run`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Handled {
    /// The operation is done, or enqueued.
    Done,
    /// The backend has no native version of it: the device runs its f64 meaning on the host.
    Unsupported,
}

/// The default of [`Backend::chunk_bytes`]: 64 MiB.
pub const SMALL_CHUNK: usize = 64 << 20;

/// One device and its in-order queue.
///
/// The first four methods make a backend *correct*: every operation it does not know runs by its
/// f64 meaning on the host ([`crate::fallback`]). The rest make it fast.
///
/// Outputs are given, never returned: no call but [`Backend::alloc`] allocates, and only the pool
/// of a [`crate::Device`] calls that. Views are dense and row-major.
pub trait Backend: Debug + Send + Sync + 'static {
    /// The device, for reports.
    fn info(&self) -> DeviceInfo;

    /// New memory of `bytes` bytes, its content unspecified, aligned to 256 bytes or to whatever
    /// the device needs. All buffers of a backend are of one type: the device passes no view of
    /// another type to the calls below.
    ///
    /// # Errors
    /// [`crate::Error::OutOfMemory`] when there is no room.
    fn alloc(&self, bytes: usize) -> Result<Box<dyn Buffer>>;

    /// Copies host bytes into a window of the same size. The bytes are read before it returns.
    ///
    /// # Errors
    /// The device's own failure.
    fn upload(&self, src: &[u8], dst: ViewMut<'_>) -> Result<()>;

    /// Waits for everything enqueued before, then copies a window to host bytes of the same size.
    ///
    /// # Errors
    /// Whatever an earlier operation failed with.
    fn download(&self, src: View<'_>, dst: &mut [u8]) -> Result<()>;

    /// Enqueues a checked operation, or says that it has no native version.
    ///
    /// # Errors
    /// Bad ids, or the device's own failure.
    fn run(&self, op: &mut Op<'_>) -> Result<Handled> {
        let _ = op;
        Ok(Handled::Unsupported)
    }

    /// Whether products of this type, and the other operations of a model, run natively. It is used
    /// only to warn that a type is slow.
    fn is_native(&self, dtype: DType) -> bool {
        dtype == DType::F32
    }

    /// Whether operations are queued: [`Backend::run`] then returns before they are done, and timing
    /// one call on the host measures how long it takes to enqueue.
    fn has_queue(&self) -> bool {
        false
    }

    /// The size of a chunk, in bytes, of a temporary that is too large to be made whole, such as the
    /// logits of a batch. Large chunks keep a large device busy, but a step then needs more memory.
    ///
    /// The last bits of results depend on it, as sums over chunks are added up. So it must always
    /// be the same on the same kind of device, whatever else uses the device.
    fn chunk_bytes(&self) -> usize {
        SMALL_CHUNK
    }

    /// Loads everything that otherwise loads at its first use, such as compiled kernels. Returns the
    /// time that loading took so far, or `None` if there is nothing to load.
    ///
    /// # Errors
    /// The device's failure.
    fn preload(&self) -> Result<Option<Duration>> {
        Ok(None)
    }

    /// The work counted so far.
    fn work_report(&self) -> WorkReport {
        WorkReport::default()
    }

    /// Waits until all enqueued work is done.
    ///
    /// # Errors
    /// Whatever an earlier operation failed with.
    fn synchronize(&self) -> Result<()> {
        Ok(())
    }

    /// Records the operations that `step` enqueues, without running them. Returns `None`, without
    /// calling `step`, if the backend cannot record. Only [`crate::Device::capture`] calls this,
    /// and keeps the promises below.
    ///
    /// `step` is called once. During it only [`Backend::run`] is called: the device refuses copies,
    /// waiting and captures within captures. The same step has been run before, with operations of
    /// the same kinds and shapes, so kernels are loaded, algorithms chosen, and workspaces large
    /// enough; [`Backend::alloc`] is called only if the pool has less free memory than it had then.
    /// Nobody else uses the device during the recording.
    ///
    /// # Errors
    /// The error that `step` failed with, in which case nothing has been recorded and nothing run;
    /// or the device's own failure.
    fn capture(&self, step: &mut dyn FnMut() -> Result<()>) -> Result<Option<Box<dyn Graph>>> {
        let _ = step;
        Ok(None)
    }

    /// Runs `work` on the thread this backend prefers, for example inside its thread pool. A trainer
    /// runs all its steps inside one `enter`; calls may nest.
    fn enter(&self, work: &mut (dyn FnMut() + Send)) {
        work();
    }
}
