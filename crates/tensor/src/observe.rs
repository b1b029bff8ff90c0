//! Observing a device: the operations, copies and allocations that it is asked for.

use crate::{Device, Op, Result, View};
use std::fmt::Debug;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, PoisonError};

/// The part of a training step that an operation belongs to. The same operation occurs in several
/// parts, so the code that runs a part announces it, by [`Device::begin_phase`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u8)]
pub enum Phase {
    /// Makes activations and the loss; also everything outside of a step.
    #[default]
    Forward,
    /// Makes gradients, including those that are computed together with the loss.
    Backward,
    /// Clips gradients and changes parameters.
    Update,
}

impl Phase {
    /// The phase's name in reports: `forward`, `backward`, `update`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Forward => "forward",
            Self::Backward => "backward",
            Self::Update => "update",
        }
    }

    pub(crate) fn from_u8(number: u8) -> Self {
        match number {
            1 => Self::Backward,
            2 => Self::Update,
            _ => Self::Forward,
        }
    }
}

/// Watches a device, see [`Device::observe`]: to count, time or record its work, to look at operands,
/// or to make it fail in a test.
///
/// Every method does nothing unless you write it. They are called on the thread that uses the device,
/// and may use the device themselves. Steps that are launched from a recording
/// ([`crate::CapturedStep`]) run no operations and are not seen.
///
/// ```
/// use latimer_tensor::{Device, Observer, Op, Result, Tensor};
/// use std::sync::{Arc, Mutex};
///
/// #[derive(Debug, Default)]
/// struct Names(Mutex<Vec<&'static str>>);
///
/// impl Observer for Names {
///     fn before(&self, _device: &Device, op: &mut Op<'_>) -> Result<()> {
///         self.0.lock().unwrap().push(op.name());
///         Ok(())
///     }
/// }
///
/// let (device, names) = (Device::reference(), Arc::new(Names::default()));
/// let observing = device.observe(names.clone());
/// let x = Tensor::from_slice(&device, &[1.0f32, 2.0], [1, 2])?.softmax(1.0)?;
/// drop(observing);
/// x.softmax(1.0)?; // not seen
/// assert_eq!(*names.0.lock().unwrap(), ["softmax"]);
/// # Ok::<(), latimer_tensor::Error>(())
/// ```
pub trait Observer: Debug + Send + Sync + 'static {
    /// An operation that fits its operands is about to run.
    ///
    /// # Errors
    /// An error makes [`Device::run`] fail with it, and the operation does not run.
    fn before(&self, device: &Device, op: &mut Op<'_>) -> Result<()> {
        let _ = (device, op);
        Ok(())
    }

    /// An operation has run, or is enqueued if the device has a queue. `native` is false if it ran
    /// by its meaning on the host.
    ///
    /// # Errors
    /// An error makes [`Device::run`] fail with it.
    fn after(&self, device: &Device, op: &mut Op<'_>, native: bool) -> Result<()> {
        let _ = (device, op, native);
        Ok(())
    }

    /// The pool has asked the backend for a buffer of this many bytes, and has got it.
    fn allocated(&self, bytes: usize) {
        let _ = bytes;
    }

    /// Bytes from the host are about to be copied to `dst`.
    fn upload(&self, src: &[u8], dst: View<'_>) {
        let _ = (src, dst);
    }

    /// `src` is about to be copied to the host.
    fn download(&self, src: View<'_>) {
        let _ = src;
    }
}

/// The observers of a device, in the order in which they came.
pub(crate) type Observers = Arc<[Arc<dyn Observer>]>;

/// An observer is watching until this is dropped.
#[must_use = "the observer watches until this is dropped"]
#[derive(Debug)]
pub struct Observing {
    device: Device,
    observer: Arc<dyn Observer>,
}

impl Device {
    /// Has `observer` watch everything that this device does, for every handle and every thread,
    /// until the guard is dropped. Several may watch at once; they are called in the order in which
    /// they came. While nobody watches this costs an operation one branch.
    pub fn observe(&self, observer: Arc<dyn Observer>) -> Observing {
        self.set_observers(|all| all.push(observer.clone()));
        Observing {
            device: self.clone(),
            observer,
        }
    }

    fn set_observers(&self, change: impl FnOnce(&mut Vec<Arc<dyn Observer>>)) {
        let slot = &self.0.observers;
        let mut slot = slot.lock().unwrap_or_else(PoisonError::into_inner);
        let mut all = slot.to_vec();
        change(&mut all);
        self.0.observed.store(!all.is_empty(), Relaxed);
        *slot = all.into();
    }

    /// Whether the device has any observer.
    #[inline]
    pub(crate) fn is_observed(&self) -> bool {
        self.0.observed.load(Relaxed)
    }

    /// The current observers. The lock is not held while they are called, as they may use the
    /// device.
    pub(crate) fn observers(&self) -> Observers {
        let slot = &self.0.observers;
        slot.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    #[cold]
    pub(crate) fn run_observed(&self, op: &mut Op<'_>) -> Result<()> {
        let observers = self.observers();
        for observer in &*observers {
            observer.before(self, op)?;
        }
        let native = self.run_checked(op)?;
        for observer in &*observers {
            observer.after(self, op, native)?;
        }
        Ok(())
    }

    /// The phase that operations belong to now.
    #[must_use]
    pub fn phase(&self) -> Phase {
        Phase::from_u8(self.0.phase.load(Relaxed))
    }

    /// Says that what this device runs belongs to `phase`, until the guard is dropped; the phase
    /// before then continues. It changes nothing but what [`Device::phase`] tells an observer.
    pub fn begin_phase(&self, phase: Phase) -> PhaseGuard<'_> {
        let before = self.0.phase.swap(phase as u8, Relaxed);
        PhaseGuard {
            device: self,
            before,
        }
    }
}

impl Drop for Observing {
    fn drop(&mut self) {
        self.device.set_observers(|all| {
            let last = all.iter().rposition(|one| Arc::ptr_eq(one, &self.observer));
            last.map(|at| all.remove(at));
        });
    }
}

/// A phase lasts until this is dropped, see [`Device::begin_phase`].
#[must_use = "the phase ends when this is dropped"]
#[derive(Debug)]
pub struct PhaseGuard<'d> {
    device: &'d Device,
    before: u8,
}

impl Drop for PhaseGuard<'_> {
    fn drop(&mut self) {
        self.device.0.phase.store(self.before, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{DType, Error, Tensor};
    use std::sync::Mutex;

    /// Records the calls that it gets, and makes every softmax fail.
    #[derive(Debug, Default)]
    struct Keeper(Mutex<Vec<String>>);

    impl Keeper {
        fn keep(&self, what: String) {
            self.0.lock().unwrap().push(what);
        }
    }

    impl Observer for Keeper {
        fn before(&self, device: &Device, op: &mut Op<'_>) -> Result<()> {
            self.keep(format!("{} in {:?}", op.name(), device.phase()));
            match op {
                Op::Softmax(_) => Err(Error::Device {
                    device: "watched".into(),
                    message: "no softmax".into(),
                }),
                _ => Ok(()),
            }
        }
        fn after(&self, device: &Device, op: &mut Op<'_>, native: bool) -> Result<()> {
            // An observer may use the device even in the middle of an operation.
            let seen = device.pool_stats().live_bytes;
            self.keep(format!("{} native {native}, {seen} live", op.name()));
            Ok(())
        }
        fn allocated(&self, bytes: usize) {
            self.keep(format!("{bytes} new"));
        }
        fn upload(&self, src: &[u8], dst: View<'_>) {
            self.keep(format!("{} up to {}", src.len(), dst.shape()));
        }
        fn download(&self, src: View<'_>) {
            self.keep(format!("{} down", src.bytes()));
        }
    }

    #[test]
    fn an_observer_sees_everything_while_it_watches() -> Result<()> {
        let (device, keeper) = (Device::reference(), Arc::new(Keeper::default()));
        let x = Tensor::zeros(&device, [2], DType::F32)?;
        let observing = device.observe(keeper.clone());
        let y = Tensor::from_slice(&device, &[1.0f32, 2.0], [2])?;
        {
            let _update = device.begin_phase(Phase::Update);
            let _backward = device.begin_phase(Phase::Backward);
            let _ = &x + &y;
        }
        assert_eq!(device.phase(), Phase::Forward);
        let failed = y.softmax(1.0).unwrap_err().to_string();
        assert!(failed.contains("no softmax"), "{failed}");
        y.to_vec::<f32>()?;
        drop(observing);
        y.to_vec::<f32>()?;
        assert!(y.softmax(1.0).is_ok());
        let kept = keeper.0.lock().unwrap();
        assert_eq!(
            kept[..],
            [
                "256 new",
                "8 up to [2]",
                "256 new",
                "binary in Backward",
                "binary native false, 768 live",
                "softmax in Forward",
                "8 down",
            ]
        );
        Ok(())
    }

    #[test]
    fn several_watch_at_once_and_each_leaves_by_itself() -> Result<()> {
        let device = Device::reference();
        let keepers = [(); 2].map(|()| Arc::new(Keeper::default()));
        let [first, second] = [0, 1].map(|i| device.observe(keepers[i].clone()));
        Tensor::zeros(&device, [2], DType::F32)?;
        drop(first);
        Tensor::zeros(&device, [2], DType::F32)?;
        drop(second);
        assert!(!device.is_observed());
        let counts = [0, 1].map(|i| keepers[i].0.lock().unwrap().len());
        assert_eq!(counts, [3, 5]);
        Ok(())
    }
}
