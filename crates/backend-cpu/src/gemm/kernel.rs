//! The innermost product: a strided left operand, a row-major right one, one output window.
//!
//! `C = alpha·A·B + bias + beta·C`. The left operand is read element by element (broadcast to all
//! lanes), so any strides will do and a transpose is free; the right operand is read in vectors
//! along its rows. A tile of sums stays in registers for all of `k`: 14 × 32 of them at most on
//! AVX-512, 6 × 16 on AVX2. Elsewhere `matrixmultiply` does the work.
//!
//! In these tiles every output element is one chain of fused multiply-adds over `l = 0, 1, … k - 1`,
//! whatever the tile it falls into: how an output is cut, and how wide vectors are, does not change a
//! bit.

#![expect(
    unsafe_code,
    reason = "pointers into operands that interleave with others'"
)]

/// Defines `product` and `packed_product` in a module that has `tile::<ROWS, VECTORS, FULL,
/// ADJACENT>`, `LANES`, `PANEL`, `TILE_ROWS` and `NARROW_ROWS`, compiled for the given features and
/// tile heights.
#[cfg(target_arch = "x86_64")]
macro_rules! by_tiles { (
    $features:literal,
    two vectors wide: $($wide:literal)*,
    one vector wide: $($narrow:literal)*,
) => {
    /// # Safety
    /// Same contract as [`super::product`].
    #[target_feature(enable = $features)]
    pub(super) unsafe fn product(p: Product, a: Left, b: Right, c: Output) {
        let most = |width| if width > LANES { TILE_ROWS } else { NARROW_ROWS };
        // SAFETY: parts of the caller's product.
        super::cut(p, a, b, c, PANEL, most, |p, a, b, c| unsafe {
            tile_of_height(p, a, b, c);
        });
    }

    /// # Safety
    /// Same contract as [`super::packed_product`].
    #[target_feature(enable = $features)]
    pub(super) unsafe fn packed_product(
        p: Product,
        height: usize,
        a: *const f32,
        b: Right,
        c: Output,
    ) {
        // SAFETY: tiles of the caller's panel.
        super::cut_packed(p, height, a, c, |p, a, c| unsafe {
            tile_of_height(p, a, b, c);
        });
    }

    /// # Safety
    /// Same contract as [`super::product`], for at most [`PANEL`] columns and one tile's rows.
    #[target_feature(enable = $features)]
    unsafe fn tile_of_height(p: Product, a: Left, b: Right, c: Output) {
        match (p.n > LANES, p.m, p.n % LANES == 0, a.row) {
            $(
                // SAFETY: the caller's promise, for a tile of these sizes.
                (true, $wide, true, 1) => unsafe { tile::<$wide, 2, true, true>(p, a, b, c) },
                // SAFETY: as above.
                (true, $wide, true, _) => unsafe { tile::<$wide, 2, true, false>(p, a, b, c) },
                // SAFETY: as above.
                (true, $wide, false, _) => unsafe { tile::<$wide, 2, false, false>(p, a, b, c) },
            )*
            $(
                // SAFETY: as above.
                (false, $narrow, true, 1) => unsafe { tile::<$narrow, 1, true, true>(p, a, b, c) },
                // SAFETY: as above.
                (false, $narrow, true, _) => unsafe { tile::<$narrow, 1, true, false>(p, a, b, c) },
                // SAFETY: as above.
                (false, $narrow, false, _) => unsafe { tile::<$narrow, 1, false, false>(p, a, b, c) },
            )*
            _ => unreachable!("a tile has at most NARROW_ROWS rows"),
        }
    }
} }
#[cfg(target_arch = "x86_64")]
use by_tiles;

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;

use crate::simd::{Level, level};

/// Whether this processor has tile kernels of our own. Without them, call [`whole_product`] for
/// products that are not small: it packs both operands on every call.
pub(super) fn has_tiles() -> bool {
    level() > Level::Portable
}

/// Columns of a panel of the right operand, where [`has_tiles`].
pub(super) fn panel() -> usize {
    match level() {
        #[cfg(target_arch = "x86_64")]
        Level::Avx512 => avx512::PANEL,
        #[cfg(target_arch = "x86_64")]
        Level::Avx2 => avx2::PANEL,
        _ => unreachable!("no tiles, so no panels"),
    }
}

/// Rows of a tile as wide as a panel, where [`has_tiles`].
pub(super) fn tile_rows() -> usize {
    match level() {
        #[cfg(target_arch = "x86_64")]
        Level::Avx512 => avx512::TILE_ROWS,
        #[cfg(target_arch = "x86_64")]
        Level::Avx2 => avx2::TILE_ROWS,
        _ => unreachable!("no tiles, so no rows of them"),
    }
}

/// Threads may share an output between rows that are multiples of this: small, for equal shares.
pub(super) const ROW_UNIT: usize = 4;

/// Threads may share an output of [`whole_product`] between rows or columns that are multiples of this,
/// because `matrixmultiply` rounds differently in the ragged tiles at the edges of a call: a multiple of
/// the heights and widths of its tiles (4 to 16 by machine).
// mutant: matmul_cut_between_tiles
pub(super) const WHOLE_UNIT: usize = 48;

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
        // SAFETY: the CPU has the features (`level`); the operands are the caller's promise.
        #[cfg(target_arch = "x86_64")]
        Level::Avx512 => unsafe { avx512::product(p, a, b, c) },
        // SAFETY: as above.
        #[cfg(target_arch = "x86_64")]
        Level::Avx2 => unsafe { avx2::product(p, a, b, c) },
        _ => {
            let b = Left {
                start: b.start,
                row: b.row,
                column: 1,
            };
            // SAFETY: the caller's promise.
            unsafe { whole_product(p, a, b, c) }
        }
    }
}

/// Runs a product with one panel, at most [`panel`] columns, and a left operand that
/// [`super::left::pack`] has packed into tiles of `height` rows, at most [`tile_rows`].
///
/// # Safety
/// Same contract as [`product`], and [`has_tiles`] must be true.
pub(super) unsafe fn packed_product(p: Product, height: usize, a: *const f32, b: Right, c: Output) {
    match level() {
        // SAFETY: the CPU has the features (`level`); the operands are the caller's promise.
        #[cfg(target_arch = "x86_64")]
        Level::Avx512 => unsafe { avx512::packed_product(p, height, a, b, c) },
        // SAFETY: as above.
        #[cfg(target_arch = "x86_64")]
        Level::Avx2 => unsafe { avx2::packed_product(p, height, a, b, c) },
        _ => unreachable!("packed elsewhere: {p:?} {height} {a:?} {b:?} {c:?}"),
    }
}

/// Calls `tile` with the parts of a product: at most `panel` columns each, and at most
/// `most(columns)` rows.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
fn cut(
    p: Product,
    a: Left,
    b: Right,
    c: Output,
    panel: usize,
    most: impl Fn(usize) -> usize,
    tile: impl Fn(Product, Left, Right, Output),
) {
    for first in (0..p.n).step_by(panel) {
        let width = (p.n - first).min(panel);
        // Blocks of nearly equal height: 16 rows are 8 and 8, not 12 and 4.
        let blocks = p.m.div_ceil(most(width));
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
            let part = Product {
                m: height.min(p.m - top),
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
            tile(part, a, b, c);
        }
    }
}

/// Calls `tile` with the parts of a product whose left operand is packed into tiles of `height` rows.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
fn cut_packed(
    p: Product,
    height: usize,
    a: *const f32,
    c: Output,
    tile: impl Fn(Product, Left, Output),
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
        tile(part, a, c);
    }
}

/// Runs a product by `matrixmultiply` on the calling thread. The right operand may have any
/// strides, so it is given as a [`Left`]: element `(l, j)` is at `start + l·row + j·column`.
///
/// # Safety
/// Same contract as [`product`].
pub(super) unsafe fn whole_product(p: Product, a: Left, b: Left, c: Output) {
    let [ar, ac, br, bc, cr] =
        [a.row, a.column, b.row, b.column, c.row].map(|stride| stride as isize);
    // SAFETY: the caller's promise; strides are those of the operands.
    unsafe {
        matrixmultiply::sgemm(
            p.m, p.k, p.n, p.alpha, a.start, ar, ac, b.start, br, bc, p.beta, c.start, cr, 1,
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
