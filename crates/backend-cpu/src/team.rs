//! Threads that wait for pieces of work awake, for a while.
//!
//! A training step of a small model has a hundred operations of some ten microseconds each. To wake a
//! sleeping thread costs as much, and a pool whose threads fall asleep between two operations gains
//! nothing from its second thread. So threads of a team look for the next call without sleeping, for a
//! part of a millisecond; handing a piece over then costs a few movements of a cache line.
//!
//! Every thread has a share of a call's pieces, the same ones in every call of that size, so that rows
//! stay in the caches of one core from operation to operation. A thread that is done takes pieces
//! from the ends of the others' shares, so the caller also does what no other thread has begun.
//! Nothing waits for a thread that the system does not run, unless that thread is in the middle of
//! a piece.
//!
//! Life of a piece: the caller writes the job, then the shares, then counts the call. A thread owns a
//! piece from the moment it has taken it out of a share, and a call cannot end before all its
//! pieces have ended: so the job that a thread reads after taking a piece is that piece's job.

#![expect(
    unsafe_code,
    reason = "a borrowed job is lent to other threads for the time of a call"
)]

use crate::scratch::{largest_scratch, warm};
use std::any::Any;
use std::cell::{Cell, RefCell, UnsafeCell};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

/// A thread polls this often for the next call before it sleeps: 0.2 to 1 ms, by processor.
const LOOKS: u32 = if cfg!(miri) { 20 } else { 20_000 };
/// After this many polls, some 50 µs, a waiting thread starts to yield its core. Yielding sooner
/// would lose the core to other work on a busy machine, for milliseconds.
const LOOKS_ALONE: u32 = if cfg!(miri) { 0 } else { 2_000 };
/// Polls from one yield to the next.
const LOOKS_PER_OFFER: u32 = if cfg!(miri) { 1 } else { 128 };

/// The function of a call: it does the piece whose number it is given.
type Work<'a> = &'a (dyn Fn(usize) + Sync);

thread_local! {
    /// The team that this thread drives.
    static DRIVEN: RefCell<Option<Arc<Board>>> = const { RefCell::new(None) };
    /// Whether this thread is in a call.
    static CALLING: Cell<bool> = const { Cell::new(false) };
}

/// A caller's team: its own thread, and others.
#[derive(Debug)]
pub(crate) struct Team {
    board: Arc<Board>,
    /// The other threads. They end when this pool is dropped and they have left [`Board::serve`].
    _pool: rayon::ThreadPool,
}

impl Team {
    /// A team of `threads`, the caller's counted.
    ///
    /// # Errors
    /// When the system refuses to start them.
    pub(crate) fn new(threads: usize) -> Result<Self, rayon::ThreadPoolBuildError> {
        let board = Arc::new(Board::new(threads));
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads - 1)
            .thread_name(|i| format!("latimer-cpu-{}", i + 1))
            .build()?;
        let served = Arc::clone(&board);
        pool.spawn_broadcast(move |thread| served.serve(thread.index() + 1));
        Ok(Self { board, _pool: pool })
    }

    /// Whether the calling thread is inside [`Team::enter`].
    pub(crate) fn is_here(&self) -> bool {
        DRIVEN.with_borrow(|driven| {
            let driven = driven.as_ref();
            driven.is_some_and(|board| Arc::ptr_eq(board, &self.board))
        })
    }

    /// Runs `work` on the calling thread, with this team for its calls; without, if another thread
    /// drives the team.
    pub(crate) fn enter<R>(&self, work: impl FnOnce() -> R) -> R {
        if self.is_here() {
            self.warm_all();
            return work();
        }
        let Ok(_driver) = self.board.driver.try_lock() else {
            return work();
        };
        /// Restores on drop, and so after a panic too, the team that this thread drove before.
        struct Before(Option<Arc<Board>>);
        impl Drop for Before {
            fn drop(&mut self) {
                DRIVEN.set(self.0.take());
            }
        }
        let _before = Before(DRIVEN.replace(Some(Arc::clone(&self.board))));
        self.warm_all();
        work()
    }

    /// Gives every thread as much scratch memory as any thread has needed. Otherwise a thread could
    /// meet its largest piece late in a run, and allocate then.
    fn warm_all(&self) {
        if CALLING.get() {
            return;
        }
        let largest = largest_scratch();
        if self.board.warmed.fetch_max(largest, Ordering::Relaxed) >= largest {
            return;
        }
        let threads = self.board.shares.len();
        let here = AtomicUsize::new(0);
        call(threads, &|_| {
            warm();
            // A thread that waits here cannot take a second piece.
            here.fetch_add(1, Ordering::Relaxed);
            let mut looks = 0;
            while here.load(Ordering::Relaxed) < threads {
                wait(&mut looks);
            }
        });
    }
}

impl Drop for Team {
    fn drop(&mut self) {
        self.board.closing.store(true, Ordering::Relaxed);
        self.board.announce();
    }
}

/// Calls `work` with every number below `pieces`, on all threads of the team that this thread
/// drives; on this thread alone if it drives none or is already in a call.
///
/// # Panics
/// When `work` does, after all pieces have ended.
pub(crate) fn call(pieces: usize, work: Work<'_>) {
    let alone = pieces <= 1 || CALLING.get();
    let Some(board) = (!alone).then(|| DRIVEN.with_borrow(Clone::clone)).flatten() else {
        return (0..pieces).for_each(work);
    };
    CALLING.set(true);
    let panic = board.call(pieces, work);
    CALLING.set(false);
    if let Some(panic) = panic {
        resume_unwind(panic);
    }
}

/// Puts a value on a pair of cache lines of its own: processors fetch lines in pairs.
#[derive(Debug)]
#[repr(align(128))]
struct Apart<T>(T);

/// The state that the threads of a team share.
struct Board {
    /// The work of the current call. A thread may read it once it has taken a piece.
    job: UnsafeCell<Work<'static>>,
    /// Counts the calls.
    calls: Apart<AtomicUsize>,
    /// For each thread, the first of its pieces that nobody has taken, and the end of them.
    shares: Box<[Apart<AtomicU64>]>,
    /// Pieces that have not ended.
    open: Apart<AtomicUsize>,
    panic: Mutex<Option<Box<dyn Any + Send>>>,
    /// Held by the thread that calls.
    driver: Mutex<()>,
    /// The scratch memory that every thread has, in floats.
    warmed: AtomicUsize,
    /// Threads that sleep, or are about to.
    asleep: AtomicUsize,
    closing: AtomicBool,
    sleep: Mutex<()>,
    wake: Condvar,
}

// SAFETY: all fields but `job` are shareable. The driver writes `job` while no piece is open, and a
// thread reads it only after it has taken a piece.
unsafe impl Sync for Board {}
// SAFETY: `job` is a reference to something that may be shared.
unsafe impl Send for Board {}

impl std::fmt::Debug for Board {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Board")
            .field("threads", &self.shares.len())
            .field("calls", &self.calls)
            .finish_non_exhaustive()
    }
}

impl Board {
    fn new(threads: usize) -> Self {
        Self {
            job: UnsafeCell::new(&|_| ()),
            calls: Apart(AtomicUsize::new(0)),
            shares: (0..threads).map(|_| Apart(AtomicU64::new(0))).collect(),
            open: Apart(AtomicUsize::new(0)),
            panic: Mutex::new(None),
            driver: Mutex::new(()),
            warmed: AtomicUsize::new(0),
            asleep: AtomicUsize::new(0),
            closing: AtomicBool::new(false),
            sleep: Mutex::new(()),
            wake: Condvar::new(),
        }
    }

    fn call(&self, pieces: usize, work: Work<'_>) -> Option<Box<dyn Any + Send>> {
        // SAFETY: only the lifetime changes. Threads use the job between taking a piece and its end,
        // and this function ends after all pieces.
        let work = unsafe { std::mem::transmute::<Work<'_>, Work<'static>>(work) };
        // SAFETY: no piece is open, so nobody reads the job; and only the driver writes it.
        unsafe { *self.job.get() = work };
        self.open.0.store(pieces, Ordering::Relaxed);
        let threads = self.shares.len();
        for (i, share) in self.shares.iter().enumerate() {
            let [first, end] = [i, i + 1].map(|i| (pieces * i / threads) as u32);
            // Releases the job and the count of pieces to the threads that take one.
            share.0.store(pack(first, end), Ordering::Release);
        }
        self.announce();
        self.help(0);
        let mut looks = 0;
        while self.open.0.load(Ordering::Acquire) > 0 {
            wait(&mut looks);
        }
        lock(&self.panic).take()
    }

    /// Tells the other threads that something has changed.
    fn announce(&self) {
        // `rest` also uses `SeqCst`, so either this thread sees that another sleeps, or the other
        // one sees the new count.
        self.calls.0.fetch_add(1, Ordering::SeqCst);
        if self.asleep.load(Ordering::SeqCst) > 0 {
            drop(lock(&self.sleep));
            self.wake.notify_all();
        }
    }

    /// The loop of every thread but the driver: waits for calls and helps with their pieces.
    fn serve(&self, me: usize) {
        let mut seen = 0;
        loop {
            let mut looks = 0;
            while self.calls.0.load(Ordering::Acquire) == seen {
                if looks < LOOKS {
                    wait(&mut looks);
                } else {
                    self.rest(seen);
                }
            }
            seen = self.calls.0.load(Ordering::Acquire);
            if self.closing.load(Ordering::Relaxed) {
                return;
            }
            self.help(me);
        }
    }

    /// Sleeps until the count of calls is no longer `seen`.
    fn rest(&self, seen: usize) {
        let mut guard = lock(&self.sleep);
        self.asleep.fetch_add(1, Ordering::SeqCst);
        while self.calls.0.load(Ordering::SeqCst) == seen {
            guard = self
                .wake
                .wait(guard)
                .unwrap_or_else(PoisonError::into_inner);
        }
        self.asleep.fetch_sub(1, Ordering::SeqCst);
        drop(guard);
    }

    /// Does pieces until all are taken: thread `me`'s own in order, then others' from the end.
    fn help(&self, me: usize) {
        let (after, from) = (&self.shares[me..], &self.shares[..me]);
        for (i, share) in after.iter().chain(from).enumerate() {
            while let Some(piece) = take(&share.0, i == 0) {
                // SAFETY: this thread has taken a piece that has not ended, and taking it acquired
                // what the driver wrote before.
                let work = unsafe { *self.job.get() };
                if let Err(panic) = catch_unwind(AssertUnwindSafe(|| work(piece))) {
                    lock(&self.panic).get_or_insert(panic);
                }
                // Releases what the piece wrote to the driver.
                self.open.0.fetch_sub(1, Ordering::Release);
            }
        }
    }
}

/// Locks a mutex, poisoned or not: panics of pieces are caught outside locks, so its content is
/// valid.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn wait(looks: &mut u32) {
    *looks = looks.wrapping_add(1);
    if *looks > LOOKS_ALONE && looks.is_multiple_of(LOOKS_PER_OFFER) {
        std::thread::yield_now();
    } else {
        std::hint::spin_loop();
    }
}

fn pack(first: u32, end: u32) -> u64 {
    u64::from(first) << 32 | u64::from(end)
}

/// Takes a piece out of a share, the first or the last.
fn take(share: &AtomicU64, from_front: bool) -> Option<usize> {
    let mut seen = share.load(Ordering::Relaxed);
    loop {
        let (first, end) = ((seen >> 32) as u32, seen as u32);
        if first >= end {
            return None;
        }
        let (piece, rest) = if from_front {
            (first, pack(first + 1, end))
        } else {
            (end - 1, pack(first, end - 1))
        };
        match share.compare_exchange_weak(seen, rest, Ordering::Acquire, Ordering::Relaxed) {
            Ok(_) => return Some(piece as usize),
            Err(now) => seen = now,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Calls with `pieces` pieces and counts how often each is done.
    fn counts(pieces: usize) -> Vec<usize> {
        let counts: Vec<_> = (0..pieces).map(|_| AtomicUsize::new(0)).collect();
        call(pieces, &|i| {
            counts[i].fetch_add(1, Ordering::Relaxed);
        });
        counts.into_iter().map(AtomicUsize::into_inner).collect()
    }

    #[test]
    fn every_piece_is_done_once() {
        let calls = if cfg!(miri) { 5 } else { 2_000 };
        for threads in [2, 3, 5] {
            let team = Team::new(threads).unwrap();
            team.enter(|| {
                for pieces in (0..calls).map(|call| call % 23) {
                    assert_eq!(counts(pieces), vec![1; pieces]);
                }
            });
        }
    }

    #[test]
    fn sleepers_wake() {
        let team = Team::new(2).unwrap();
        for _ in 0..3 {
            // The other thread must come: the first piece waits for the second.
            let came = AtomicBool::new(false);
            team.enter(|| {
                call(2, &|i| {
                    if i == 1 {
                        came.store(true, Ordering::Release);
                    }
                    while !came.load(Ordering::Acquire) {
                        std::thread::yield_now();
                    }
                });
            });
            let slept = || team.board.asleep.load(Ordering::SeqCst) == 1;
            while !slept() {
                std::thread::yield_now();
            }
        }
    }

    #[test]
    fn a_panic_comes_out_after_all_pieces_and_the_team_goes_on() {
        let team = Team::new(3).unwrap();
        let done = AtomicUsize::new(0);
        let panic = catch_unwind(AssertUnwindSafe(|| {
            team.enter(|| {
                call(9, &|i| {
                    if i == 4 {
                        std::panic::panic_any("piece 4");
                    }
                    done.fetch_add(1, Ordering::Relaxed);
                });
            });
        }));
        assert_eq!(panic.unwrap_err().downcast_ref(), Some(&"piece 4"));
        assert_eq!(done.into_inner(), 8);
        assert!(!team.is_here(), "the team was left");
        assert_eq!(team.enter(|| counts(7)), [1; 7]);
    }

    #[test]
    fn calls_within_calls_and_second_drivers_work_alone() {
        let team = Team::new(2).unwrap();
        team.enter(|| {
            call(2, &|_| assert_eq!(counts(5), [1; 5]));
            team.enter(|| assert!(team.is_here()));
            std::thread::scope(|scope| {
                scope.spawn(|| {
                    team.enter(|| {
                        assert!(!team.is_here(), "another thread drives it");
                        assert_eq!(counts(3), [1; 3]);
                    });
                });
            });
        });
        assert_eq!(counts(3), [1; 3]);
    }
}
