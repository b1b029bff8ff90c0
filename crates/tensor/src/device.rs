//! The device: a user's handle to a backend and its memory.

use crate::observe::Observers;
use crate::op::Operand;
use crate::pool::{Owner, Pool, PoolStats, size_class};
use crate::{
    Backend, Buffer, DType, DeviceInfo, Error, Handled, Op, Reference, Result, View, ViewMut,
    fallback,
};
use std::any::{Any, TypeId};
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

/// A device: one backend, its pool of memory, and the fallback for operations it does not
/// implement.
///
/// Clones are handles to the same device.
#[derive(Clone, Debug)]
pub struct Device(pub(crate) Arc<Inner>);

#[derive(Debug)]
pub(crate) struct Inner {
    backend: Box<dyn Backend>,
    /// The type of the backend's buffers, once there is one.
    buffers: OnceLock<TypeId>,
    pool: Mutex<Pool>,
    deny_fallback: AtomicBool,
    fallbacks: AtomicU64,
    /// Whether there are observers.
    pub(crate) observed: AtomicBool,
    pub(crate) observers: Mutex<Observers>,
    /// A [`crate::Phase`].
    pub(crate) phase: AtomicU8,
}

impl Device {
    /// The device of a backend.
    #[must_use]
    pub fn new(backend: impl Backend) -> Self {
        Self::from_boxed(Box::new(backend))
    }

    /// The device of a backend chosen at run time.
    #[must_use]
    pub fn from_boxed(backend: Box<dyn Backend>) -> Self {
        Self(Arc::new(Inner {
            backend,
            buffers: OnceLock::new(),
            pool: Mutex::default(),
            deny_fallback: AtomicBool::new(false),
            fallbacks: AtomicU64::new(0),
            observed: AtomicBool::new(false),
            observers: Mutex::new(Arc::new([])),
            phase: AtomicU8::new(0),
        }))
    }

    /// A device that runs every operation by its f64 meaning: slow and exact, on the host.
    #[must_use]
    pub fn reference() -> Self {
        Self::new(Reference)
    }

    /// See [`Backend::info`].
    #[must_use]
    pub fn info(&self) -> DeviceInfo {
        self.0.backend.info()
    }

    /// See [`Backend::is_native`].
    #[must_use]
    pub fn is_native(&self, dtype: DType) -> bool {
        self.0.backend.is_native(dtype)
    }

    /// See [`Backend::has_queue`].
    #[must_use]
    pub fn has_queue(&self) -> bool {
        self.0.backend.has_queue()
    }

    /// See [`Backend::chunk_bytes`].
    #[must_use]
    pub fn chunk_bytes(&self) -> usize {
        self.0.backend.chunk_bytes()
    }

    /// The backend itself.
    #[must_use]
    #[inline]
    pub fn backend(&self) -> &dyn Backend {
        &*self.0.backend
    }

    /// Whether two handles are to the same device.
    #[must_use]
    #[inline]
    pub fn ptr_eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// Checks an operation and runs it: natively, or by its meaning on the host.
    ///
    /// # Errors
    /// What [`crate::op::OpSpec::check`] or the backend says; [`Error::FallbackDenied`];
    /// [`Error::InCapture`] for an operation without a native version.
    pub fn run<'a>(&self, op: impl Into<Op<'a>>) -> Result<()> {
        let mut op = op.into();
        op.check()?;
        self.check_memory(&mut op)?;
        if self.is_observed() {
            return self.run_observed(&mut op);
        }
        self.run_checked(&mut op).map(|_| ())
    }

    /// Checks that every operand lies in memory of this backend.
    #[inline]
    fn check_memory(&self, op: &mut Op<'_>) -> Result<()> {
        let (mut foreign, own) = (None, self.0.buffers.get().copied());
        op.operands(&mut |operand, given| {
            let view = match &given {
                Operand::In(view) => *view,
                Operand::Out(view) | Operand::InOut(view) => view.as_view(),
            };
            // mutant: foreign_memory_passes
            if own != Some(view.buffer_type()) {
                foreign.get_or_insert(operand);
            }
        });
        match foreign {
            None => Ok(()),
            Some(operand) => Err(Error::ForeignBuffer {
                op: op.name(),
                operand,
            }),
        }
    }

    /// Whether a view's buffer is of this backend's type.
    #[inline]
    fn has_buffer(&self, view: View<'_>) -> bool {
        self.0.buffers.get() == Some(&view.buffer_type())
    }

    /// Runs an operation that has been checked; returns whether it ran natively.
    #[inline]
    pub(crate) fn run_checked(&self, op: &mut Op<'_>) -> Result<bool> {
        match self.0.backend.run(op)? {
            Handled::Done => Ok(true),
            Handled::Unsupported if self.0.deny_fallback.load(Ordering::Relaxed) => {
                Err(Error::FallbackDenied {
                    device: self.info().name,
                    op: op.name(),
                })
            }
            Handled::Unsupported => {
                self.refuse_in_capture(op.name())?;
                self.0.fallbacks.fetch_add(1, Ordering::Relaxed);
                fallback::run(self.backend(), op)?;
                Ok(false)
            }
        }
    }

    /// Sets whether, from now on, an operation without a native version is an error.
    pub fn deny_fallback(&self, deny: bool) {
        self.0.deny_fallback.store(deny, Ordering::Relaxed);
    }

    /// The number of operations that have run by their meaning on the host so far.
    #[must_use]
    pub fn fallbacks(&self) -> u64 {
        self.0.fallbacks.load(Ordering::Relaxed)
    }

    /// See [`Backend::upload`].
    ///
    /// # Errors
    /// [`Error::WrongLength`] when the sizes differ, [`Error::InCapture`], or the device's failure.
    pub fn upload(&self, src: &[u8], dst: ViewMut<'_>) -> Result<()> {
        let size = dst.dtype().size();
        if src.len() != dst.bytes() {
            return Err(Error::WrongLength {
                shape: dst.shape(),
                got: src.len() / size,
            });
        }
        self.refuse_in_capture("an upload")?;
        if !self.has_buffer(dst.as_view()) {
            let (op, operand) = ("upload", "dst");
            return Err(Error::ForeignBuffer { op, operand });
        }
        if self.is_observed() {
            let observers = self.observers();
            observers.iter().for_each(|o| o.upload(src, dst.as_view()));
        }
        self.0.backend.upload(src, dst)
    }

    /// See [`Backend::download`].
    ///
    /// # Errors
    /// [`Error::WrongLength`] when the sizes differ, [`Error::InCapture`], or the device's failure.
    pub fn download(&self, src: View<'_>, dst: &mut [u8]) -> Result<()> {
        let size = src.dtype().size();
        if dst.len() != src.bytes() {
            return Err(Error::WrongLength {
                shape: src.shape(),
                got: dst.len() / size,
            });
        }
        self.refuse_in_capture("a download")?;
        if !self.has_buffer(src) {
            let (op, operand) = ("download", "src");
            return Err(Error::ForeignBuffer { op, operand });
        }
        if self.is_observed() {
            self.observers().iter().for_each(|o| o.download(src));
        }
        self.0.backend.download(src, dst)
    }

    /// See [`Backend::synchronize`].
    ///
    /// # Errors
    /// [`Error::InCapture`], or whatever an earlier operation failed with.
    pub fn synchronize(&self) -> Result<()> {
        self.refuse_in_capture("waiting for the device")?;
        self.0.backend.synchronize()
    }

    /// Runs `work` on the thread the backend prefers, and returns its result; see [`Backend::enter`].
    pub fn enter<R: Send>(&self, work: impl FnOnce() -> R + Send) -> R {
        let (mut work, mut result) = (Some(work), None);
        self.0.backend.enter(&mut || {
            if let Some(work) = work.take() {
                result = Some(work());
            }
        });
        result
            .unwrap_or_else(|| unreachable!("Backend::enter must call its work before it returns"))
    }

    /// The pool's counts so far.
    #[must_use]
    pub fn pool_stats(&self) -> PoolStats {
        self.pool().stats
    }

    /// Returns to the system the memory that no tensor uses.
    pub fn trim(&self) {
        self.pool().trim();
    }

    /// Fails if a step is being captured; `what` names the thing that needs the host.
    pub(crate) fn refuse_in_capture(&self, what: &'static str) -> Result<()> {
        if self.pool().is_capturing() {
            let device = self.info().name;
            return Err(Error::InCapture { device, what });
        }
        Ok(())
    }

    pub(crate) fn pool(&self) -> MutexGuard<'_, Pool> {
        // The pool's own code cannot panic half-way, so the pool behind a poisoned lock is valid.
        self.0.pool.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn storage(&self, bytes: usize) -> Result<Storage> {
        let class = size_class(bytes);
        let mut pool = self.pool();
        let misses = pool.stats.misses;
        let (buffer, owner) = pool.take(self.backend(), class)?;
        let is_new = pool.stats.misses != misses;
        drop(pool);
        if is_new {
            let of = (&*buffer as &dyn Any).type_id();
            let expected = *self.0.buffers.get_or_init(|| of);
            debug_assert_eq!(of, expected, "a backend's buffers are all of one type");
        }
        if is_new && self.is_observed() {
            self.observers().iter().for_each(|o| o.allocated(class));
        }
        Ok(Storage {
            buffer: Some(buffer),
            class,
            owner,
            device: self.clone(),
        })
    }
}

/// A buffer on loan from the pool of its device.
#[derive(Debug)]
pub(crate) struct Storage {
    /// `None` only while it is being dropped.
    buffer: Option<Box<dyn Buffer>>,
    class: usize,
    owner: Owner,
    device: Device,
}

impl Storage {
    pub(crate) fn buffer(&self) -> &dyn Buffer {
        match &self.buffer {
            Some(buffer) => &**buffer,
            None => unreachable!("the buffer leaves in drop only"),
        }
    }

    pub(crate) fn device(&self) -> &Device {
        &self.device
    }
}

impl Drop for Storage {
    fn drop(&mut self) {
        if let Some(buffer) = self.buffer.take() {
            self.device.pool().put(self.class, buffer, self.owner);
        }
    }
}
