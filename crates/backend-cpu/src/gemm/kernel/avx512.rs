//! Tiles of at most 14 × 32 sums, or 16 × 16.

use super::{Left, Output, Product, Right};
use std::arch::x86_64::{
    __m512, __mmask16, _MM_HINT_ET0, _mm_prefetch, _mm512_add_ps, _mm512_fmadd_ps,
    _mm512_mask_storeu_ps, _mm512_maskz_loadu_ps, _mm512_mul_ps, _mm512_set1_ps, _mm512_setzero_ps,
};

/// Floats of a vector.
const LANES: usize = 16;
/// Columns of a panel: two vectors.
pub(super) const PANEL: usize = 2 * LANES;
/// Rows of a tile as wide as a panel: 28 of 32 registers hold sums.
pub(super) const TILE_ROWS: usize = 14;
/// Terms between two rows of the output that are fetched ahead.
const FETCH: usize = 4;
/// Rows of a tile one vector wide.
const NARROW_ROWS: usize = 16;

super::by_tiles! {
    "avx512f",
    two vectors wide: 1 2 3 4 5 6 7 8 9 10 11 12 13 14,
    one vector wide: 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16,
}

/// `ROWS × (16·VECTORS)` sums in registers. `FULL` says that there are as many columns: a masked
/// load takes the place of a multiply-add. `ADJACENT` says that `a.row` is 1.
///
/// # Safety
/// Same contract as [`super::product`], with `ROWS` rows, and at most `16·VECTORS` but more than
/// `16·(VECTORS - 1)` columns.
#[target_feature(enable = "avx512f")]
unsafe fn tile<const ROWS: usize, const VECTORS: usize, const FULL: bool, const ADJACENT: bool>(
    p: Product,
    a: Left,
    b: Right,
    c: Output,
) {
    // mutant: tile_writes_one_past_the_end
    let mask: __mmask16 = u16::MAX >> (LANES * VECTORS - p.n);
    let of = |v: usize| {
        if FULL || v + 1 < VECTORS {
            u16::MAX
        } else {
            mask
        }
    };
    let step = if ADJACENT { 1 } else { a.row };
    let mut sums = [[_mm512_setzero_ps(); VECTORS]; ROWS];
    let (mut a_at, mut b_at) = (a.start, b.start);
    macro_rules! terms {
        ($count:expr) => {
            for _ in 0..$count {
                let mut right = [_mm512_setzero_ps(); VECTORS];
                for (v, right) in right.iter_mut().enumerate() {
                    // SAFETY: row l of `b`; lanes beyond its columns are masked.
                    *right = unsafe { _mm512_maskz_loadu_ps(of(v), b_at.add(v * LANES)) };
                }
                for (i, sums) in sums.iter_mut().enumerate() {
                    // SAFETY: element (i, l) of `a`.
                    let left = _mm512_set1_ps(unsafe { *a_at.add(i * step) });
                    for (sum, right) in sums.iter_mut().zip(right) {
                        *sum = _mm512_fmadd_ps(left, right, *sum);
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
            for v in 0..VECTORS {
                let line = row.wrapping_add(v * LANES).cast();
                #[allow(unused_unsafe, reason = "unsafe for the oldest compiler only")]
                // SAFETY: asks for a line, whatever its address.
                unsafe {
                    _mm_prefetch::<_MM_HINT_ET0>(line);
                }
            }
            row = row.wrapping_add(c.row);
            terms!(FETCH);
        }
        terms!(p.k - ROWS * FETCH);
    } else {
        terms!(p.k);
    }
    let alpha = _mm512_set1_ps(p.alpha);
    let mut shift: [Option<__m512>; VECTORS] = [None; VECTORS];
    if !p.bias.is_null() {
        for (v, shift) in shift.iter_mut().enumerate() {
            // SAFETY: n elements; lanes beyond are masked.
            *shift = Some(unsafe { _mm512_maskz_loadu_ps(of(v), p.bias.add(v * LANES)) });
        }
    }
    for (i, sums) in sums.into_iter().enumerate() {
        for (v, sum) in sums.into_iter().enumerate() {
            // SAFETY: within row i of the window.
            let at = unsafe { c.start.add(i * c.row + v * LANES) };
            let mut value = _mm512_mul_ps(alpha, sum);
            if let Some(shift) = shift[v] {
                value = _mm512_add_ps(value, shift);
            }
            if p.beta != 0.0 {
                // SAFETY: as above; masked.
                let old = unsafe { _mm512_maskz_loadu_ps(of(v), at) };
                value = _mm512_fmadd_ps(_mm512_set1_ps(p.beta), old, value);
            }
            // SAFETY: as above; masked.
            unsafe { _mm512_mask_storeu_ps(at, of(v), value) };
        }
    }
}
