//! The left operand in tiles, packed as the kernel reads it.
//!
//! Where it lies, a tile's rows are as far apart as the operand is wide, often a multiple of the page
//! size: their lines fall into the same few sets of the cache, and their pages out of the table of
//! addresses. Packed, a tile is one stretch of memory, which stays in the nearest cache.

#![expect(unsafe_code, reason = "elements that interleave with others'")]

use super::kernel::Left;
use crate::simd::{Level, level};

/// Whether the left operand may be packed: elsewhere `matrixmultiply` does it.
pub(super) fn packs() -> bool {
    level() == Level::Avx512
}

/// Packs `rows` rows of so many terms into tiles of `height` rows, at most 16: element `(i, l)` of a
/// tile is at `l·height + i`. The last tile may have less rows; places beyond them stay as they are.
///
/// # Safety
/// - [`packs`].
/// - All these elements of `a` lie in memory that may be read; `a.row` or `a.column` is 1.
/// - `to` has `terms·height` elements for every tile, which may be written and overlap nothing.
pub(super) unsafe fn pack(a: Left, rows: usize, terms: usize, height: usize, to: *mut f32) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: the caller's promise.
    unsafe {
        avx512::pack(a, rows, terms, height, to);
    }
    #[cfg(not(target_arch = "x86_64"))]
    unreachable!("packed elsewhere: {a:?} {rows} {terms} {height} {to:?}");
}

#[cfg(target_arch = "x86_64")]
mod avx512 {
    use super::Left;
    use crate::gemm::transpose::avx512::columns;
    use std::arch::x86_64::{
        __mmask16, _mm512_mask_storeu_ps, _mm512_maskz_loadu_ps, _mm512_setzero_ps,
    };
    use std::ops::Range;

    /// Floats of a vector.
    const LANES: usize = 16;
    /// Terms that are copied together where those of a row are not adjacent: with more, their lines
    /// could push each other out of the nearest cache.
    const DEPTH: usize = 8;

    /// # Safety
    /// As [`super::pack`].
    #[target_feature(enable = "avx512f")]
    pub(super) unsafe fn pack(a: Left, rows: usize, terms: usize, height: usize, to: *mut f32) {
        let tile = |top: usize| to.wrapping_add(top * terms);
        if a.row == 1 {
            for first in (0..terms).step_by(DEPTH) {
                let some = first..(first + DEPTH).min(terms);
                for top in (0..rows).step_by(height) {
                    let mask = mask(height.min(rows - top));
                    for l in some.clone() {
                        let from = a.start.wrapping_add(top + l * a.column);
                        // SAFETY: adjacent rows of term l; lanes beyond them are masked.
                        unsafe {
                            let line = _mm512_maskz_loadu_ps(mask, from);
                            _mm512_mask_storeu_ps(tile(top).add(l * height), mask, line);
                        }
                    }
                }
            }
            return;
        }
        for top in (0..rows).step_by(height) {
            let within = height.min(rows - top);
            let a = Left {
                start: a.start.wrapping_add(top * a.row),
                ..a
            };
            for first in (0..terms).step_by(LANES) {
                let some = first..(first + LANES).min(terms);
                // SAFETY: a tile's rows of these terms.
                unsafe { turn(a, within, some, height, tile(top)) };
            }
        }
    }

    fn mask(lanes: usize) -> __mmask16 {
        u16::MAX >> (LANES - lanes)
    }

    /// Packs up to 16 adjacent terms of one tile.
    ///
    /// # Safety
    /// As [`super::pack`].
    #[target_feature(enable = "avx512f")]
    unsafe fn turn(a: Left, rows: usize, terms: Range<usize>, height: usize, to: *mut f32) {
        let (across, down) = (mask(terms.len()), mask(rows));
        let mut lines = [_mm512_setzero_ps(); LANES];
        for (i, line) in lines.iter_mut().enumerate() {
            // The last row again beyond it: a constant number of lines stays in registers.
            let from = a.start.wrapping_add(i.min(rows - 1) * a.row + terms.start);
            // SAFETY: these terms of a row; lanes beyond them are masked.
            *line = unsafe { _mm512_maskz_loadu_ps(across, from) };
        }
        for (l, column) in columns(lines).into_iter().enumerate() {
            if l < terms.len() {
                let to = to.wrapping_add((terms.start + l) * height);
                // SAFETY: the rows of term l; lanes beyond them are masked.
                unsafe { _mm512_mask_storeu_ps(to, down, column) };
            }
        }
    }
}
