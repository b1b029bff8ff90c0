//! Work over rows, split between the threads.
//!
//! An operation describes its operands as [`Parts`], which can be cut at a row; the pieces go to
//! different threads of a [`team`]. The cut never changes a result: rows are independent, and sums
//! over rows go through chunks whose number and order depend on the shapes only.

use crate::scratch::{op_scratch, scratch};
use crate::team;
use std::ops::Range;
use std::sync::{Mutex, PoisonError};

/// The number of threads that an operation may use.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Par {
    threads: usize,
}

/// Work shorter than this many nanoseconds stays on one core: handing a part to another thread
/// costs about 0.5 µs. Under Miri, which looks for races, small work is split, too.
const SPLIT_NS: usize = if cfg!(miri) { 60 } else { 3_000 };

/// Up to this many pieces are kept on the stack: enough for two threads.
const FEW: usize = 8;

impl Par {
    /// Work on the calling thread.
    pub(crate) const SERIAL: Self = Self { threads: 1 };

    /// Work on up to `threads` threads; the caller must be one of the pool's.
    pub(crate) const fn new(threads: usize) -> Self {
        Self { threads }
    }

    /// The number of threads.
    pub(crate) const fn threads(self) -> usize {
        self.threads
    }

    /// Into how many pieces to cut work of about this length.
    pub(crate) fn pieces(self, ns: usize) -> usize {
        if self.threads <= 1 || ns < SPLIT_NS {
            1
        } else if ns < 200_000 {
            // Short work: one piece per thread, so that each thread keeps its rows from op to op.
            self.threads.min(ns / (SPLIT_NS / 2))
        } else {
            // Long work: some slack for a thread that is held up.
            self.threads * 4
        }
    }

    /// Calls `work` with pieces that make up all `units` of `parts`, in parallel where the whole
    /// takes long: about `ns` nanoseconds.
    pub(crate) fn split<P: Parts>(
        self,
        units: usize,
        ns: usize,
        parts: P,
        work: &(impl Fn(P) + Sync),
    ) {
        let pieces = self.pieces(ns).min(units);
        if pieces <= 1 {
            work(parts);
        } else if pieces <= FEW {
            let mut few = [const { Mutex::new(None) }; FEW];
            cut(units, parts, &mut few[..pieces]);
            run_cut(&few[..pieces], work);
        } else {
            let mut many: Vec<_> = (0..pieces).map(|_| Mutex::new(None)).collect();
            cut(units, parts, &mut many);
            run_cut(&many, work);
        }
    }

    /// Lends scratch memory for all pieces together: a thread that works alone lends its own.
    pub(crate) fn lend<R>(self, len: usize, work: impl FnOnce(&mut [f32]) -> R) -> R {
        if self.threads <= 1 {
            scratch(len, work)
        } else {
            op_scratch(len, work)
        }
    }

    /// Calls `work` with every number below `pieces`, on all threads.
    pub(crate) fn run(pieces: usize, work: &(dyn Fn(usize) + Sync)) {
        team::call(pieces, work);
    }
}

/// Cuts `units` of `parts` into nearly equal pieces, one for each place in `pieces`.
fn cut<P: Parts>(units: usize, parts: P, pieces: &mut [Mutex<Option<P>>]) {
    let (count, mut rest, mut from) = (pieces.len(), Some(parts), 0);
    for (i, piece) in pieces.iter_mut().enumerate() {
        let to = units * (i + 1) / count;
        let (first, others) = rest.take().map(|rest| rest.cut(to - from)).unzip();
        *piece = Mutex::new(first);
        (rest, from) = (others, to);
    }
}

fn run_cut<P: Parts>(pieces: &[Mutex<Option<P>>], work: &(impl Fn(P) + Sync)) {
    Par::run(pieces.len(), &|i| {
        // Each number is given to one thread only, so the lock is free.
        let piece = pieces[i]
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if let Some(piece) = piece {
            work(piece);
        }
    });
}

/// Something that can be cut in two at a unit, a row say.
pub(crate) trait Parts: Sized + Send {
    /// Splits this into what comes before unit `at` and the rest.
    fn cut(self, at: usize) -> (Self, Self);
}

/// A slice to be read as rows; the second field is the row length. The last row may be shorter.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rows<'a, T = f32>(pub(crate) &'a [T], pub(crate) usize);

/// A slice to be written as rows; the second field is the row length. The last row may be shorter.
#[derive(Debug)]
pub(crate) struct RowsMut<'a, T = f32>(pub(crate) &'a mut [T], pub(crate) usize);

impl<T: Sync> Parts for Rows<'_, T> {
    fn cut(self, at: usize) -> (Self, Self) {
        let (a, b) = self.0.split_at((at * self.1).min(self.0.len()));
        (Rows(a, self.1), Rows(b, self.1))
    }
}

impl<T: Send> Parts for RowsMut<'_, T> {
    fn cut(self, at: usize) -> (Self, Self) {
        let end = (at * self.1).min(self.0.len());
        let (a, b) = self.0.split_at_mut(end);
        (RowsMut(a, self.1), RowsMut(b, self.1))
    }
}

/// A range of units: a piece gets the numbers of its own.
impl Parts for Range<usize> {
    fn cut(self, at: usize) -> (Self, Self) {
        // mutant: halves_lose_their_place
        let middle = self.start + at;
        (self.start..middle, middle..self.end)
    }
}

impl<P: Parts> Parts for Option<P> {
    fn cut(self, at: usize) -> (Self, Self) {
        match self.map(|p| p.cut(at)) {
            Some((a, b)) => (Some(a), Some(b)),
            None => (None, None),
        }
    }
}

macro_rules! tuples { ($($name:ident $other:ident),*) => {
    impl<$($name: Parts),*> Parts for ($($name,)*) {
        #[allow(non_snake_case, reason = "one binding per type parameter")]
        fn cut(self, at: usize) -> (Self, Self) {
            let ($($name,)*) = self;
            $(let ($name, $other) = $name.cut(at);)*
            (($($name,)*), ($($other,)*))
        }
    }
} }
tuples!(A a, B b);
tuples!(A a, B b, C c);
tuples!(A a, B b, C c, D d);
tuples!(A a, B b, C c, D d, E e);
tuples!(A a, B b, C c, D d, E e, F f);
