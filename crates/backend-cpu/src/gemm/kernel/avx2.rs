//! Tiles of at most 6 × 16 sums, or 12 × 8.

use super::{Left, Output, Product, Right};
use crate::gemm::transpose::avx2::mask;
use std::arch::x86_64::{
    __m256, _MM_HINT_T0, _mm_prefetch, _mm256_add_ps, _mm256_fmadd_ps, _mm256_loadu_ps,
    _mm256_maskload_ps, _mm256_maskstore_ps, _mm256_mul_ps, _mm256_set1_ps, _mm256_setzero_ps,
    _mm256_storeu_ps,
};

/// Floats of a vector.
const LANES: usize = 8;
/// Columns of a panel: two vectors, which is a line of the cache.
pub(super) const PANEL: usize = 2 * LANES;
/// Rows of a tile as wide as a panel: 12 of 16 registers hold sums.
pub(super) const TILE_ROWS: usize = 6;
/// Rows of a tile one vector wide.
const NARROW_ROWS: usize = 12;
/// Terms between two rows of the output that are fetched ahead.
const FETCH: usize = 4;

super::by_tiles! {
    "avx2,fma",
    two vectors wide: 1 2 3 4 5 6,
    one vector wide: 1 2 3 4 5 6 7 8 9 10 11 12,
}

/// `ROWS × (8·VECTORS)` sums in registers. `FULL` says that there are as many columns: a masked load
/// takes the place of a multiply-add. `ADJACENT` says that `a.row` is 1.
///
/// # Safety
/// Same contract as [`super::product`], with `ROWS` rows, and at most `8·VECTORS` but more than
/// `8·(VECTORS - 1)` columns.
#[target_feature(enable = "avx2,fma")]
unsafe fn tile<const ROWS: usize, const VECTORS: usize, const FULL: bool, const ADJACENT: bool>(
    p: Product,
    a: Left,
    b: Right,
    c: Output,
) {
    // mutant: avx2_tile_writes_one_past_the_end
    let last = mask(p.n - LANES * (VECTORS - 1));
    let load = |from: *const f32, v: usize| {
        // SAFETY: a vector of a row; lanes beyond its columns are masked.
        unsafe {
            if FULL || v + 1 < VECTORS {
                _mm256_loadu_ps(from.wrapping_add(v * LANES))
            } else {
                _mm256_maskload_ps(from.wrapping_add(v * LANES), last)
            }
        }
    };
    let step = if ADJACENT { 1 } else { a.row };
    let mut sums = [[_mm256_setzero_ps(); VECTORS]; ROWS];
    let (mut a_at, mut b_at) = (a.start, b.start);
    macro_rules! terms {
        ($count:expr) => {
            for _ in 0..$count {
                let mut right = [_mm256_setzero_ps(); VECTORS];
                for (v, right) in right.iter_mut().enumerate() {
                    *right = load(b_at, v);
                }
                for (i, sums) in sums.iter_mut().enumerate() {
                    // SAFETY: element (i, l) of `a`.
                    let left = _mm256_set1_ps(unsafe { *a_at.add(i * step) });
                    for (sum, right) in sums.iter_mut().zip(right) {
                        *sum = _mm256_fmadd_ps(left, right, *sum);
                    }
                }
                a_at = a_at.wrapping_add(a.column);
                b_at = b_at.wrapping_add(b.row);
            }
        };
    }
    if FULL && ADJACENT && p.k >= ROWS * FETCH {
        // Prefetch lines of the output while the sums are computed, few at a time.
        let mut row = c.start;
        for _ in 0..ROWS {
            #[allow(unused_unsafe, reason = "unsafe for the oldest compiler only")]
            // SAFETY: asks for a line, whatever its address.
            unsafe {
                _mm_prefetch::<_MM_HINT_T0>(row.cast());
            }
            row = row.wrapping_add(c.row);
            terms!(FETCH);
        }
        terms!(p.k - ROWS * FETCH);
    } else {
        terms!(p.k);
    }
    let alpha = _mm256_set1_ps(p.alpha);
    let mut shift: [Option<__m256>; VECTORS] = [None; VECTORS];
    if !p.bias.is_null() {
        for (v, shift) in shift.iter_mut().enumerate() {
            *shift = Some(load(p.bias, v));
        }
    }
    for (i, sums) in sums.into_iter().enumerate() {
        let row = c.start.wrapping_add(i * c.row);
        for (v, sum) in sums.into_iter().enumerate() {
            let mut value = _mm256_mul_ps(alpha, sum);
            if let Some(shift) = shift[v] {
                value = _mm256_add_ps(value, shift);
            }
            if p.beta != 0.0 {
                value = _mm256_fmadd_ps(_mm256_set1_ps(p.beta), load(row, v), value);
            }
            let at = row.wrapping_add(v * LANES);
            // SAFETY: within row i of the window; lanes beyond its columns are masked.
            unsafe {
                if FULL || v + 1 < VECTORS {
                    _mm256_storeu_ps(at, value);
                } else {
                    _mm256_maskstore_ps(at, last, value);
                }
            }
        }
    }
}
