//! Packing for AVX-512: copies in vectors of 16, and squares of 16 by 16.

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
/// Same contract as [`super::pack`].
#[target_feature(enable = "avx512f")]
pub(super) unsafe fn pack(a: Left, rows: usize, terms: usize, height: usize, to: *mut f32) {
    let tile = |top: usize| to.wrapping_add(top * terms);
    if a.row == 1 {
        for first in (0..terms).step_by(DEPTH) {
            let some = first..(first + DEPTH).min(terms);
            for top in (0..rows).step_by(height) {
                // mutant: packed_tile_lacks_a_row
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
/// Same contract as [`super::pack`].
#[target_feature(enable = "avx512f")]
unsafe fn turn(a: Left, rows: usize, terms: Range<usize>, height: usize, to: *mut f32) {
    let (across, down) = (mask(terms.len()), mask(rows));
    let mut lines = [_mm512_setzero_ps(); LANES];
    for (i, line) in lines.iter_mut().enumerate() {
        // Beyond the last row, load it again: a constant number of lines stays in registers.
        // mutant: packed_tile_repeats_a_row
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
