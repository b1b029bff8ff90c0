//! Attention in tiles, after FlashAttention-2 (Dao 2023, arXiv 2307.08691): weights exist for a
//! block of keys against a block of queries only, and `T × T` is never stored.
//!
//! A tile of scores is kept transposed, keys down and queries across. Queries then lie in the lanes
//! of vectors, so maxima and sums over keys need no shuffles, and all products of forward and
//! backward read queries, keys, values and gradients where they are; only the block's queries (and
//! in backward its `dy`) are packed, transposed.
//!
//! Tiles compute above the diagonal and mask afterwards. That is wrong only where something is not
//! finite (0·∞), so results are checked, and a block that is not finite is computed again by the
//! plain loops of [`plain`].

#![expect(
    unsafe_code,
    reason = "heads interleave in one buffer: pointers with strides"
)]

#[cfg(target_arch = "x86_64")]
mod avx512;
mod backward;
mod decode;
mod forward;
mod heads;
pub(crate) mod narrow;
mod plain;

pub(crate) use backward::backward;
pub(crate) use decode::decode;
pub(crate) use forward::forward;

use crate::dropout::{Mask, words};
use crate::gemm::transpose;
use crate::simd::{Level, level, simd};
use latimer_tensor::{Result, View};

/// Queries of a block: two vectors of 16 lanes.
const QUERIES: usize = 32;

/// Lanes that a block of `queries` queries takes: one vector or two.
fn lanes(queries: usize) -> usize {
    if queries <= QUERIES / 2 {
        QUERIES / 2
    } else {
        QUERIES
    }
}

/// Rows of one head, in a buffer that also holds other heads: row `i` begins at `start + i·row`.
#[derive(Clone, Copy, Debug)]
struct Lines {
    start: *mut f32,
    row: usize,
}

// SAFETY: this is only an address; each read or write through it says why it is sound.
unsafe impl Send for Lines {}
// SAFETY: as above.
unsafe impl Sync for Lines {}

impl Lines {
    /// Rows that begin at element `first` of a slice, `row` elements apart; for reading only.
    fn of(slice: &[f32], first: usize, row: usize) -> Self {
        let start = slice.as_ptr().cast_mut().wrapping_add(first);
        Self { start, row }
    }

    /// The rows from `i` on.
    fn from(self, i: usize) -> Self {
        Self {
            start: self.start.wrapping_add(i * self.row),
            ..self
        }
    }

    /// Row `i`.
    ///
    /// # Safety
    /// The row's `len` elements lie in its buffer, and nobody writes them during `'a`.
    unsafe fn get<'a>(self, i: usize, len: usize) -> &'a [f32] {
        // SAFETY: the caller's promise.
        unsafe { std::slice::from_raw_parts(self.from(i).start, len) }
    }

    /// Row `i`, to be written.
    ///
    /// # Safety
    /// The row's `len` elements lie in a buffer that may be written, and nobody else touches them
    /// during `'a`.
    unsafe fn get_mut<'a>(self, i: usize, len: usize) -> &'a mut [f32] {
        // SAFETY: the caller's promise.
        unsafe { std::slice::from_raw_parts_mut(self.from(i).start, len) }
    }
}

/// Copies rows of `d` elements into `to`, one directly after the other. Rows that are a few KiB
/// apart compete for few sets of the nearest cache, so rows that are read again and again are
/// copied first.
///
/// # Safety
/// The rows, as many as `to` has room for, may be read, and `to` overlaps none of them.
unsafe fn gather(from: Lines, d: usize, to: &mut [f32]) -> Lines {
    for (i, to) in to.chunks_exact_mut(d).enumerate() {
        // SAFETY: the caller's promise.
        to.copy_from_slice(unsafe { from.get(i, d) });
    }
    Lines {
        start: to.as_mut_ptr(),
        row: d,
    }
}

/// Copies adjacent rows of `d` elements back to their places in `to`: the reverse of [`gather`].
///
/// # Safety
/// The caller may write as many rows of `to` as `from` has, and nobody else touches them.
unsafe fn scatter(from: &[f32], d: usize, to: Lines) {
    for (i, from) in from.chunks_exact(d).enumerate() {
        // SAFETY: the caller's promise.
        unsafe { to.get_mut(i, d) }.copy_from_slice(from);
    }
}

/// Whether keys are read by enough blocks of queries for [`gather`] to pay. On AVX-512 it gains a
/// third in speed at 1024 positions and loses at 256; on AVX2, at 64, it gains a fifth in the
/// forward pass and nothing in the backward pass.
fn gathers(seq_len: usize, d: usize) -> bool {
    let from = match level() {
        Level::Avx512 => 512,
        Level::Avx2 => 64,
        Level::Portable => return false,
    };
    seq_len >= from && d > 0
}

/// The dropout of a whole attention.
#[derive(Clone, Copy, Debug)]
struct Drops {
    mask: Mask,
    /// Rows of the global batch before row 0.
    first_row: u64,
    n_head: usize,
    seq_len: usize,
}

impl Drops {
    fn new(
        random: Option<View<'_>>,
        site: u32,
        rate: f32,
        n_head: usize,
        seq_len: usize,
    ) -> Result<Option<Self>> {
        let Some(random) = random.filter(|_| rate > 0.0) else {
            return Ok(None);
        };
        let words = words(random)?;
        Ok(Some(Self {
            mask: Mask::new(words, site, rate),
            first_row: words[3].into(),
            n_head,
            seq_len,
        }))
    }

    /// Writes into `y` the dropout factors of query `i`'s weights, for the keys from `first` on.
    fn row(&self, b: usize, h: usize, i: usize, first: usize, y: &mut [f32]) {
        let head = (self.first_row + b as u64) * self.n_head as u64 + h as u64;
        let t = self.seq_len as u64;
        self.mask
            .factors((head * t + i as u64) * t + first as u64, y);
    }

    /// Writes the dropout factors of a tile into `y`, `[keys, lanes]`: keys from `first` on go
    /// down, queries from `top` on go across. `line` has room for one query's factors of all these
    /// keys.
    fn tile(&self, at: Tile, y: &mut [f32], line: &mut [f32]) {
        y.fill(0.0);
        for i in 0..at.queries {
            self.row(at.b, at.h, at.top + i, at.first, line);
            for (y, &factor) in y.chunks_exact_mut(at.lanes).zip(&*line) {
                y[i] = factor;
            }
        }
    }
}

/// The place of a tile: its row `b`, its head `h`, and its queries and keys.
#[derive(Clone, Copy, Debug)]
struct Tile {
    b: usize,
    h: usize,
    /// The first query.
    top: usize,
    queries: usize,
    lanes: usize,
    /// The first key.
    first: usize,
}

/// Writes `scale` times rows of `from`, transposed, into `packed`, `[d, lanes]`; other lanes are 0.
///
/// # Safety
/// Rows `0 .. queries` of `from` may be read, `d` elements each.
unsafe fn pack(
    from: Lines,
    queries: usize,
    d: usize,
    lanes: usize,
    scale: f32,
    packed: &mut [f32],
) {
    assert!(
        queries <= lanes && packed.len() >= d * lanes,
        "packed is too short"
    );
    if queries <= lanes - 16 {
        packed.fill(0.0);
    }
    // SAFETY: rows by the caller's promise; `packed` by the assertion.
    unsafe {
        transpose(
            from.start,
            from.row,
            [queries, d],
            scale,
            packed.as_mut_ptr(),
            lanes,
        )
    };
}

/// Floats in the widest vector of any supported processor.
const VECTOR: usize = 16;

/// Collects `0·x`, which is NaN where `x` is not finite.
#[derive(Clone, Copy, Debug)]
struct Poison([f32; VECTOR]);

impl Poison {
    const NONE: Self = Self([0.0; VECTOR]);

    #[inline(always)]
    fn collect(&mut self, x: &[f32]) {
        let (vectors, tail) = x.as_chunks::<VECTOR>();
        for vector in vectors {
            for (poison, x) in self.0.iter_mut().zip(vector) {
                *poison += x * 0.0;
            }
        }
        for &x in tail {
            self.0[0] += x * 0.0;
        }
    }

    fn is_finite(&self) -> bool {
        self.0.iter().all(|&x| x == 0.0)
    }
}

simd! {
    /// Whether the first `rows` rows, of `d` elements each, are finite.
    ///
    /// # Safety
    /// These rows may be read.
    unsafe fn are_finite(lines: Lines, rows: usize, d: usize) -> bool {
        let mut poison = Poison::NONE;
        for i in 0..rows {
            // SAFETY: the caller's promise.
            poison.collect(unsafe { lines.get(i, d) });
        }
        poison.is_finite()
    }
}

simd! {
    /// Multiplies row `i` by `factors[i]`; returns whether all results are finite.
    ///
    /// # Safety
    /// The caller may write the first `factors.len()` rows, and nobody else touches them.
    unsafe fn scale_rows(lines: Lines, d: usize, factors: &[f32]) -> bool {
        let mut poison = Poison::NONE;
        for (i, &factor) in factors.iter().enumerate() {
            // SAFETY: the caller's promise.
            let row = unsafe { lines.get_mut(i, d) };
            for x in row.iter_mut() {
                *x *= factor;
            }
            poison.collect(row);
        }
        poison.is_finite()
    }
}

simd! {
    fn dot(x: &[f32], y: &[f32]) -> f32 {
        crate::math::dot::<FMA, _, _>(x, y)
    }
}

simd! {
    fn multiply(x: &[f32], y: &mut [f32]) {
        for (y, &x) in y.iter_mut().zip(x) {
            *y *= x;
        }
    }
}
