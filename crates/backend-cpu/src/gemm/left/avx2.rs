//! Packing for AVX2: copies of fewer than 8 rows, and squares of 8 by 8.

use super::Left;
use crate::gemm::transpose::avx2::{columns, load};
use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch, _mm256_setzero_ps, _mm256_storeu_ps};

/// Floats of a vector.
const LANES: usize = 8;
/// Floats of a line of the cache.
const LINE: usize = 16;
/// Terms that are copied together where those of a row are not adjacent: with more, their lines
/// could push each other out of the nearest cache.
const DEPTH: usize = 8;

/// # Safety
/// Same contract as [`super::pack`].
#[target_feature(enable = "avx2,fma")]
pub(super) unsafe fn pack(a: Left, rows: usize, terms: usize, height: usize, to: *mut f32) {
    let tile = |top: usize| to.wrapping_add(top * terms);
    if a.row == 1 {
        for first in (0..terms).step_by(DEPTH) {
            let some = first..(first + DEPTH).min(terms);
            for top in (0..rows).step_by(height) {
                let within = height.min(rows - top);
                for l in some.clone() {
                    let from = a.start.wrapping_add(top + l * a.column);
                    fetch(from.wrapping_add(DEPTH * a.column));
                    // SAFETY: adjacent rows of term l.
                    unsafe { copy(from, within, tile(top).wrapping_add(l * height)) };
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
            let some = LANES.min(terms - first);
            if first % LINE == 0 {
                for i in height..2 * height {
                    fetch(a.start.wrapping_add(i * a.row + first));
                }
            }
            let a = Left {
                start: a.start.wrapping_add(first),
                ..a
            };
            let to = tile(top).wrapping_add(first * height);
            // SAFETY: a tile's rows of these terms.
            unsafe { turn(a, within, some, height, to) };
        }
    }
}

/// Prefetches what is copied next: rows end before the processor has recognised the stream.
#[inline]
#[target_feature(enable = "avx2,fma")]
fn fetch(from: *const f32) {
    #[allow(unused_unsafe, reason = "unsafe for the oldest compiler only")]
    // SAFETY: asks for a line, whatever its address.
    unsafe {
        _mm_prefetch::<_MM_HINT_T0>(from.cast());
    }
}

/// Copies fewer than 8 adjacent elements.
#[inline]
#[target_feature(enable = "avx2,fma")]
unsafe fn copy(from: *const f32, count: usize, to: *mut f32) {
    let mut at = 0;
    macro_rules! some { ($($size:literal)*) => { $(
        if count & $size != 0 {
            // SAFETY: elements `at .. at + size`, of `count`.
            unsafe {
                let part = from.add(at).cast::<[f32; $size]>().read_unaligned();
                to.add(at).cast::<[f32; $size]>().write_unaligned(part);
            }
            at += $size;
        }
    )* } }
    // mutant: avx2_packed_tile_lacks_a_row
    some!(4 2 1);
    debug_assert_eq!(at, count, "a tile has less than 8 rows");
}

/// Packs up to 8 adjacent terms of one tile. A term's vector reaches into the places of the next,
/// which is written after it, as is the next tile.
///
/// # Safety
/// Same contract as [`super::pack`].
#[target_feature(enable = "avx2,fma")]
unsafe fn turn(a: Left, rows: usize, terms: usize, height: usize, to: *mut f32) {
    let mut lines = [_mm256_setzero_ps(); LANES];
    for (i, line) in lines.iter_mut().enumerate() {
        // Beyond the last row, load it again: a constant number of lines stays in registers.
        // mutant: avx2_packed_tile_repeats_a_row
        let from = a.start.wrapping_add(i.min(rows - 1) * a.row);
        // SAFETY: these terms of a row.
        *line = unsafe { load(from, terms) };
    }
    for (l, column) in columns(lines).into_iter().enumerate() {
        if l < terms {
            // SAFETY: the rows of term l, and as many places behind them as make a vector.
            unsafe { _mm256_storeu_ps(to.add(l * height), column) };
        }
    }
}
