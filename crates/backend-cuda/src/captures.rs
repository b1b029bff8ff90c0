//! One capture at a time in a process, and nothing is destroyed during it.
//!
//! A thread that destroys a cuBLASLt handle, frees memory or unloads a module may make the driver
//! wait for the whole device, which invalidates a running capture, even one of another thread
//! (llama.cpp met this: <https://github.com/ggml-org/llama.cpp/pull/14288>). The capturing thread
//! may not free memory at all. So a capture holds a process-wide lock exclusively, and objects to
//! be destroyed during it wait in a list until the capture is over. Destroying never blocks.

use std::cell::Cell;
use std::sync::{Mutex, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard, TryLockError};

/// Write-locked during a capture, read-locked while something is destroyed.
static CAPTURES: RwLock<()> = RwLock::new(());

type Destroy = Box<dyn FnOnce() + Send>;

/// The objects that wait to be destroyed, oldest first.
static WAITING: Mutex<Vec<Destroy>> = Mutex::new(Vec::new());

thread_local! {
    /// The number of captures that this thread is in: captures of several devices may nest.
    static HERE: Cell<u32> = const { Cell::new(0) };
}

/// A capture in progress.
#[derive(Debug)]
pub(crate) struct Capturing(Option<RwLockWriteGuard<'static, ()>>);

/// Waits until no other thread captures or destroys, and keeps others from it until dropped.
pub(crate) fn begin() -> Capturing {
    // mutant: captures_hold_nobody_off
    let outermost = HERE.get() == 0;
    HERE.set(HERE.get() + 1);
    Capturing(outermost.then(|| CAPTURES.write().unwrap_or_else(PoisonError::into_inner)))
}

impl Drop for Capturing {
    fn drop(&mut self) {
        HERE.set(HERE.get() - 1);
        if self.0.take().is_some() {
            destroy_waiting();
        }
    }
}

/// Keeps captures from beginning; `None` if one is in progress. A capture that panicked is over.
fn no_capture() -> Option<RwLockReadGuard<'static, ()>> {
    match CAPTURES.try_read() {
        Ok(guard) => Some(guard),
        Err(TryLockError::Poisoned(error)) => Some(error.into_inner()),
        Err(TryLockError::WouldBlock) => None,
    }
}

/// Destroys something now, or at the end of the capture in progress.
pub(crate) fn destroy(work: impl FnOnce() + Send + 'static) {
    if let Some(_no_capture) = no_capture() {
        return work();
    }
    let mut waiting = WAITING.lock().unwrap_or_else(PoisonError::into_inner);
    waiting.push(Box::new(work));
    drop(waiting);
    // The capture may have ended before this was in the list.
    destroy_waiting();
}

/// Destroys all that waits, unless a capture is in progress, which will do so at its end.
fn destroy_waiting() {
    while let Some(_no_capture) = no_capture() {
        let mut waiting = WAITING.lock().unwrap_or_else(PoisonError::into_inner);
        let all = std::mem::take(&mut *waiting);
        drop(waiting);
        if all.is_empty() {
            return;
        }
        // Destroying may destroy more, which then need not wait.
        all.into_iter().for_each(|work| work());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::panic::catch_unwind;
    use std::sync::atomic::{AtomicU32, Ordering};
    use std::sync::{Arc, mpsc};
    use std::thread;

    /// Something to destroy, which counts how often that happens.
    fn counted(count: &Arc<AtomicU32>) -> impl FnOnce() + Send + use<> {
        let count = Arc::clone(count);
        move || _ = count.fetch_add(1, Ordering::Relaxed)
    }

    /// One test, as the lock is the process's.
    #[test]
    fn what_is_destroyed_in_a_capture_waits_for_its_end() {
        let count = Arc::new(AtomicU32::new(0));
        let destroyed = || count.load(Ordering::Relaxed);
        destroy(counted(&count));
        assert_eq!(destroyed(), 1, "nothing is captured");

        let outer = begin();
        destroy(counted(&count));
        let of_another = counted(&count);
        thread::spawn(move || destroy(of_another))
            .join()
            .expect("it does not block");
        // A nested capture of another device.
        drop(begin());
        assert_eq!(destroyed(), 1, "a capture is under way");
        drop(outer);
        assert_eq!(destroyed(), 3);

        // A capture that panics is over, too, and destroys what waits.
        let of_capture = counted(&count);
        let panicked = catch_unwind(move || {
            let _capturing = begin();
            destroy(of_capture);
            panic!("in the middle of a capture");
        });
        assert!(panicked.is_err());
        assert_eq!(destroyed(), 4);
        destroy(counted(&count));
        assert_eq!(destroyed(), 5);

        // Another thread's capture waits for this one's end.
        let capturing = begin();
        let (said, heard) = mpsc::channel();
        let other = thread::spawn(move || {
            let _capturing = begin();
            said.send(()).expect("it is heard");
        });
        assert!(heard.try_recv().is_err());
        drop(capturing);
        heard.recv().expect("it begins");
        other.join().expect("it ends");
    }
}
