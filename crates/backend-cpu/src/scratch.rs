//! Scratch memory: lent to work, kept for the next, so that no step asks for any.

use std::cell::{Cell, RefCell};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

thread_local! {
    /// Scratch memory of this thread that is not in use.
    static FREE: RefCell<Vec<Vec<f32>>> = const { RefCell::new(Vec::new()) };
    /// How many pieces of this thread's scratch memory are in use.
    static DEPTH: Cell<usize> = const { Cell::new(0) };
}

/// The largest requests for scratch memory so far, in floats: first by work that held none, then by
/// work that already held a piece. No work nests deeper.
static LARGEST: [AtomicUsize; 2] = [AtomicUsize::new(0), AtomicUsize::new(0)];

/// Scratch memory for whole operations that no operation is using now.
static SHARED: Mutex<Vec<Vec<f32>>> = Mutex::new(Vec::new());

/// Lends one piece of work scratch memory of `len` floats, aligned to 64 bytes, its content
/// unspecified. It is the thread's own and kept for the next piece.
///
/// Which thread does which piece is chance, so a thread could meet its largest piece late in a run.
/// Therefore every thread allocates in [`warm`] the largest size that any thread has needed.
pub(crate) fn scratch<R>(len: usize, work: impl FnOnce(&mut [f32]) -> R) -> R {
    let depth = DEPTH.get();
    let largest = &LARGEST[depth.min(1)];
    if largest.load(Ordering::Relaxed) < len {
        largest.fetch_max(len, Ordering::Relaxed);
    }
    // The piece returned last is lent first, so the outermost request gets the same one every time.
    let mut memory = FREE.with_borrow_mut(Vec::pop).unwrap_or_default();
    DEPTH.set(depth + 1);
    let result = lend(&mut memory, len, work);
    DEPTH.set(depth);
    FREE.with_borrow_mut(|free| free.push(memory));
    result
}

/// Lends scratch memory as [`scratch`] does, but to a whole operation, whose pieces share it. All
/// threads draw from one list, because any of them may be the one that drives a step.
pub(crate) fn op_scratch<R>(len: usize, work: impl FnOnce(&mut [f32]) -> R) -> R {
    // The list is consistent whenever the lock is free, even after a panic.
    let shared = || SHARED.lock().unwrap_or_else(PoisonError::into_inner);
    let mut memory = shared().pop().unwrap_or_default();
    let result = lend(&mut memory, len, work);
    shared().push(memory);
    result
}

fn lend<R>(memory: &mut Vec<f32>, len: usize, work: impl FnOnce(&mut [f32]) -> R) -> R {
    const LINE: usize = 16;
    if memory.len() < len + LINE {
        memory.resize(len + LINE, 0.0);
    }
    let first = memory.as_ptr().align_offset(64).min(LINE);
    work(&mut memory[first..first + len])
}

/// The most [`scratch`] memory that a thread has held at once, in floats.
pub(crate) fn largest_scratch() -> usize {
    LARGEST
        .iter()
        .map(|most| most.load(Ordering::Relaxed))
        .sum()
}

/// Gives the calling thread scratch memory as large as any thread has needed.
pub(crate) fn warm() {
    let [outer, inner] = LARGEST.each_ref().map(|most| most.load(Ordering::Relaxed));
    scratch(outer, |_| {
        if inner > 0 {
            scratch(inner, |_| ());
        }
    });
}
