//! The innermost product: a strided left operand, a row-major right one, one output window.
//!
//! `C = alpha·A·B + bias + beta·C`. The left operand is read element by element (broadcast to all
//! lanes), so any strides will do and a transpose is free; the right operand is read in vectors
//! along its rows. On AVX-512 a tile of at most 12 × 32 (or 16 × 16) sums stays in registers for
//! all of `k`; elsewhere `matrixmultiply` does the work.
//!
//! On AVX-512 every output element is one chain of fused multiply-adds over `l = 0, 1, … k - 1`,
//! whatever the tile it falls into: how an output is cut does not change a bit. `matrixmultiply`
//! rounds differently in the ragged tiles at the edges of a call, so there the cuts must fall
//! between its tiles: see [`row_unit`].

#![expect(
    unsafe_code,
    reason = "pointers into operands that interleave with others'"
)]

use crate::simd::{Level, level};

/// Columns of a panel: two vectors.
pub(crate) const PANEL: usize = 32;
/// Rows of a tile as wide as a panel: 28 of 32 registers hold sums.
pub(crate) const TILE_ROWS: usize = 14;

/// Threads may share an output between rows that are multiples of this. On AVX-512 small, for equal
/// shares; elsewhere a multiple of the tile heights of `matrixmultiply` (4 to 16 by machine).
pub(crate) fn row_unit() -> usize {
    if level() == Level::Avx512 { 4 } else { 48 }
}

/// A left operand: element `(i, l)` is at `start + i·row + l·column`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Left {
    pub(crate) start: *const f32,
    pub(crate) row: usize,
    pub(crate) column: usize,
}

/// A right operand: element `(l, j)` is at `start + l·row + j`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Right {
    pub(crate) start: *const f32,
    pub(crate) row: usize,
}

/// An output: element `(i, j)` is at `start + i·row + j`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Output {
    pub(crate) start: *mut f32,
    pub(crate) row: usize,
}

/// Sizes and factors of a product.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Product {
    pub(crate) m: usize,
    pub(crate) n: usize,
    pub(crate) k: usize,
    pub(crate) alpha: f32,
    /// With 0, the output is not read.
    pub(crate) beta: f32,
    /// `n` elements, or null.
    pub(crate) bias: *const f32,
}

impl Product {
    /// `C = A·B`, or `C += A·B`.
    pub(crate) fn plain(m: usize, n: usize, k: usize, accumulate: bool) -> Self {
        Self {
            m,
            n,
            k,
            alpha: 1.0,
            beta: if accumulate { 1.0 } else { 0.0 },
            bias: std::ptr::null(),
        }
    }
}

/// Runs a product on the calling thread.
///
/// # Safety
/// - All elements named by `p`'s sizes lie in memory that may be read (`a`, `b`, the bias) or
///   written (`c`) while this runs.
/// - The window of `c` overlaps no operand, and no other thread touches it.
pub(crate) unsafe fn product(p: Product, a: Left, b: Right, c: Output) {
    if p.m == 0 || p.n == 0 {
        return;
    }
    match level() {
        #[cfg(target_arch = "x86_64")]
        Level::Avx512 => {
            // SAFETY: the features are there (`level`); the operands are the caller's promise.
            unsafe { avx512::product(p, a, b, c) }
        }
        // SAFETY: the caller's promise.
        _ => unsafe { portable(p, a, b, c) },
    }
}

/// Runs a product with one panel, at most [`PANEL`] columns, and a left operand that
/// [`super::left::pack`] has packed into tiles of `height` rows, at most [`TILE_ROWS`].
///
/// # Safety
/// [`super::left::packs`]; else as [`product`].
pub(super) unsafe fn packed_product(p: Product, height: usize, a: *const f32, b: Right, c: Output) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: the caller's promise.
    unsafe {
        avx512::packed_product(p, height, a, b, c);
    }
    #[cfg(not(target_arch = "x86_64"))]
    unreachable!("packed elsewhere: {p:?} {height} {a:?} {b:?} {c:?}");
}

/// # Safety
/// As [`product`].
unsafe fn portable(p: Product, a: Left, b: Right, c: Output) {
    let [ar, ac, br, cr] = [a.row, a.column, b.row, c.row].map(|s| s as isize);
    // SAFETY: the caller's promise; strides are those of the operands.
    unsafe {
        matrixmultiply::sgemm(
            p.m, p.k, p.n, p.alpha, a.start, ar, ac, b.start, br, 1, p.beta, c.start, cr, 1,
        );
    }
    if p.bias.is_null() {
        return;
    }
    for i in 0..p.m {
        for j in 0..p.n {
            // SAFETY: the caller's promise: `(i, j)` is in the window, the bias has n elements.
            unsafe { *c.start.add(i * c.row + j) += *p.bias.add(j) };
        }
    }
}

#[cfg(target_arch = "x86_64")]
mod avx512 {
    use super::{Left, Output, PANEL, Product, Right, TILE_ROWS};
    use std::arch::x86_64::{
        __m512, __mmask16, _MM_HINT_ET0, _mm_prefetch, _mm512_add_ps, _mm512_fmadd_ps,
        _mm512_mask_storeu_ps, _mm512_maskz_loadu_ps, _mm512_mul_ps, _mm512_set1_ps,
        _mm512_setzero_ps,
    };

    /// Floats of a vector.
    const LANES: usize = 16;
    /// Terms between two rows of the output that are fetched ahead.
    const FETCH: usize = 4;
    /// Rows of a tile one vector wide.
    const NARROW_ROWS: usize = 16;

    /// # Safety
    /// As [`super::product`].
    #[target_feature(enable = "avx512f")]
    pub(super) unsafe fn product(p: Product, a: Left, b: Right, c: Output) {
        for first in (0..p.n).step_by(PANEL) {
            let width = (p.n - first).min(PANEL);
            let most = if width > LANES {
                TILE_ROWS
            } else {
                NARROW_ROWS
            };
            // Blocks of nearly equal height: 16 rows are 8 and 8, not 12 and 4.
            let blocks = p.m.div_ceil(most);
            let height = p.m.div_ceil(blocks);
            let b = Right {
                start: b.start.wrapping_add(first),
                ..b
            };
            let bias = if p.bias.is_null() {
                p.bias
            } else {
                p.bias.wrapping_add(first)
            };
            for top in (0..p.m).step_by(height) {
                let rows = (p.m - top).min(height);
                let part = Product {
                    m: rows,
                    n: width,
                    bias,
                    ..p
                };
                let a = Left {
                    start: a.start.wrapping_add(top * a.row),
                    ..a
                };
                let c = Output {
                    start: c.start.wrapping_add(top * c.row + first),
                    ..c
                };
                // SAFETY: a part of the caller's product.
                unsafe { tile_of_height(part, a, b, c) };
            }
        }
    }

    /// # Safety
    /// As [`super::packed_product`].
    #[target_feature(enable = "avx512f")]
    pub(super) unsafe fn packed_product(
        p: Product,
        height: usize,
        a: *const f32,
        b: Right,
        c: Output,
    ) {
        for top in (0..p.m).step_by(height) {
            let part = Product {
                m: height.min(p.m - top),
                ..p
            };
            let a = Left {
                start: a.wrapping_add(top * p.k),
                row: 1,
                column: height,
            };
            let c = Output {
                start: c.start.wrapping_add(top * c.row),
                ..c
            };
            // SAFETY: a tile of the caller's panel.
            unsafe { tile_of_height(part, a, b, c) };
        }
    }

    /// # Safety
    /// As [`super::product`], for at most [`PANEL`] columns and the height of one tile.
    #[target_feature(enable = "avx512f")]
    unsafe fn tile_of_height(p: Product, a: Left, b: Right, c: Output) {
        macro_rules! choose { ($vectors:literal: $($rows:literal)*) => {
            match (p.m, p.n == $vectors * LANES, a.row) {
                $(
                    // SAFETY: the caller's promise, for a tile of these sizes.
                    ($rows, true, 1) => unsafe { tile::<$rows, $vectors, true, true>(p, a, b, c) },
                    // SAFETY: as above.
                    ($rows, true, _) => unsafe { tile::<$rows, $vectors, true, false>(p, a, b, c) },
                    // SAFETY: as above.
                    ($rows, false, _) => unsafe { tile::<$rows, $vectors, false, false>(p, a, b, c) },
                )*
                _ => unreachable!("a tile has at most 16 rows"),
            }
        } }
        if p.n > LANES {
            choose!(2: 1 2 3 4 5 6 7 8 9 10 11 12 13 14);
        } else {
            choose!(1: 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16);
        }
    }

    /// `ROWS × (16·VECTORS)` sums in registers. `FULL` says that there are as many columns: a masked
    /// load takes the place of a multiply-add. `ADJACENT` says that `a.row` is 1.
    ///
    /// # Safety
    /// As [`super::product`], with `ROWS` rows and at most `16·VECTORS` columns, more than
    /// `16·(VECTORS - 1)`.
    #[target_feature(enable = "avx512f")]
    unsafe fn tile<
        const ROWS: usize,
        const VECTORS: usize,
        const FULL: bool,
        const ADJACENT: bool,
    >(
        p: Product,
        a: Left,
        b: Right,
        c: Output,
    ) {
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
            // Lines of the output are under way while the sums are made, few at a time.
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
}
