//! Folds down the columns of a tile: each lane is a query, each row a key.
//!
//! These two loops are written with intrinsics: left to itself the compiler takes the lanes of a
//! running result apart (three times as slow for a tile of 16 by 16).

use super::QUERIES;
use crate::simd::{Level, level};

/// Raises `most[i]` to the greatest of column `i`; NaNs are passed over.
pub(super) fn raise_to_max(tile: &[f32], lanes: usize, most: &mut [f32; QUERIES]) {
    match level() {
        #[cfg(target_arch = "x86_64")]
        // SAFETY: the features are there.
        Level::Avx512 => unsafe { avx512::raise_to_max(tile, lanes, most) },
        _ => {
            for row in tile.chunks_exact(lanes) {
                for (most, &x) in most.iter_mut().zip(row) {
                    *most = if x > *most { x } else { *most };
                }
            }
        }
    }
}

/// Adds column `i` to `total[i]`, from the top down.
pub(super) fn add_sums(tile: &[f32], lanes: usize, total: &mut [f32; QUERIES]) {
    match level() {
        #[cfg(target_arch = "x86_64")]
        // SAFETY: the features are there.
        Level::Avx512 => unsafe { avx512::add_sums(tile, lanes, total) },
        _ => {
            for row in tile.chunks_exact(lanes) {
                for (total, &x) in total.iter_mut().zip(row) {
                    *total += x;
                }
            }
        }
    }
}

#[cfg(target_arch = "x86_64")]
mod avx512 {
    use super::QUERIES;
    use std::arch::x86_64::{
        __m512, _mm512_add_ps, _mm512_loadu_ps, _mm512_max_ps, _mm512_storeu_ps,
    };

    /// Folds every column into `folded`, a vector of columns at a time.
    #[inline]
    #[target_feature(enable = "avx512f")]
    fn fold(
        tile: &[f32],
        lanes: usize,
        folded: &mut [f32; QUERIES],
        f: impl Fn(__m512, __m512) -> __m512,
    ) {
        for (v, folded) in folded
            .as_chunks_mut::<16>()
            .0
            .iter_mut()
            .take(lanes / 16)
            .enumerate()
        {
            // SAFETY: 16 floats.
            let mut lane = unsafe { _mm512_loadu_ps(folded.as_ptr()) };
            for row in tile.chunks_exact(lanes) {
                let part = &row[16 * v..][..16];
                // SAFETY: 16 floats.
                lane = f(unsafe { _mm512_loadu_ps(part.as_ptr()) }, lane);
            }
            // SAFETY: 16 floats.
            unsafe { _mm512_storeu_ps(folded.as_mut_ptr(), lane) };
        }
    }

    #[target_feature(enable = "avx512f")]
    pub(super) fn raise_to_max(tile: &[f32], lanes: usize, most: &mut [f32; QUERIES]) {
        // The instruction answers with its second operand if either is NaN.
        fold(tile, lanes, most, |x, most| _mm512_max_ps(x, most));
    }

    #[target_feature(enable = "avx512f")]
    pub(super) fn add_sums(tile: &[f32], lanes: usize, total: &mut [f32; QUERIES]) {
        fold(tile, lanes, total, |x, total| _mm512_add_ps(total, x));
    }
}
