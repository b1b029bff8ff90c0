//! Tiled attention for AVX-512, with scores, weights and sums kept in registers as long as they
//! fit: masks, maxima, dropout, factors and the check for non-finite values are folded into passes
//! that happen anyway, and no product computes keys that no query of its vector sees.
//!
//! Scores are kept in powers of two: queries are scaled by `scale·log₂ e` as they are packed, and
//! weights are `2^(s - m)`.

mod backward;
mod forward;

pub(super) use backward::head_backward;
pub(super) use forward::block_forward;

use super::{Lines, QUERIES};
use crate::math::avx512::power_of_two;
use std::arch::x86_64::{
    __m512, __mmask16, _mm_loadu_ps, _mm512_add_ps, _mm512_castps128_ps512, _mm512_fmadd_ps,
    _mm512_insertf32x4, _mm512_loadu_ps, _mm512_mask_storeu_ps, _mm512_maskz_loadu_ps,
    _mm512_mul_ps, _mm512_set1_ps, _mm512_setzero_ps, _mm512_shuffle_ps, _mm512_storeu_ps,
    _mm512_unpackhi_ps, _mm512_unpacklo_ps,
};
use std::ops::Range;

/// Floats of a vector.
const LANES: usize = 16;

/// Packs as [`super::pack`] does. If `queries` and `d` are multiples of 16, [`turn`] transposes
/// them in blocks of 16 by 16.
///
/// # Safety
/// Same contract as [`super::pack`]. The CPU must support AVX-512F.
#[target_feature(enable = "avx512f")]
unsafe fn pack(
    from: Lines,
    queries: usize,
    d: usize,
    lanes: usize,
    scale: f32,
    packed: &mut [f32],
) {
    if !queries.is_multiple_of(LANES) || !d.is_multiple_of(LANES) {
        // SAFETY: the caller's promise.
        unsafe { super::pack(from, queries, d, lanes, scale, packed) };
        return;
    }
    assert!(
        queries <= lanes && packed.len() >= d * lanes,
        "packed is too short"
    );
    for top in (0..queries).step_by(LANES) {
        for left in (0..d).step_by(LANES) {
            let mut from = from.from(top);
            from.start = from.start.wrapping_add(left);
            let to = Lines {
                start: packed[left * lanes + top..].as_mut_ptr(),
                row: lanes,
            };
            // SAFETY: a block of the rows; `packed` by the assertion.
            unsafe { turn(from, scale, to) };
        }
    }
}

/// Writes a block of 16 by 16, transposed and times `scale`, to `to`. Parts of four rows are
/// combined as they are loaded (quarter `l` of a vector is four elements of row `4l + r`), which
/// saves half of the shuffles.
///
/// # Safety
/// 16 rows of 16 floats of `from` may be read, and 16 such rows of `to` be written. The CPU must
/// support AVX-512F.
#[target_feature(enable = "avx512f")]
unsafe fn turn(from: Lines, scale: f32, to: Lines) {
    let scale = _mm512_set1_ps(scale);
    for first in (0..LANES).step_by(4) {
        let part = |row: usize| {
            let at = from.from(row).start.wrapping_add(first);
            // SAFETY: four floats of a row.
            unsafe { _mm_loadu_ps(at) }
        };
        let rows = |r: usize| {
            let x = _mm512_castps128_ps512(part(r));
            let x = _mm512_insertf32x4::<1>(x, part(r + 4));
            let x = _mm512_insertf32x4::<2>(x, part(r + 8));
            _mm512_mul_ps(_mm512_insertf32x4::<3>(x, part(r + 12)), scale)
        };
        let (a, b, c, d) = (rows(0), rows(1), rows(2), rows(3));
        let (ab, cd) = (_mm512_unpacklo_ps(a, b), _mm512_unpacklo_ps(c, d));
        let (ab_high, cd_high) = (_mm512_unpackhi_ps(a, b), _mm512_unpackhi_ps(c, d));
        let columns = [
            _mm512_shuffle_ps::<0x44>(ab, cd),
            _mm512_shuffle_ps::<0xEE>(ab, cd),
            _mm512_shuffle_ps::<0x44>(ab_high, cd_high),
            _mm512_shuffle_ps::<0xEE>(ab_high, cd_high),
        ];
        for (x, column) in columns.into_iter().enumerate() {
            // SAFETY: a row of `to`.
            unsafe { _mm512_storeu_ps(to.from(first + x).start, column) };
        }
    }
}

/// Cuts a number of rows into blocks of nearly equal height, at most `most`.
fn blocks(rows: usize, most: usize) -> impl Iterator<Item = Range<usize>> {
    let height = rows.div_ceil(rows.div_ceil(most).max(1)).max(1);
    (0..rows)
        .step_by(height)
        .map(move |top| top..(top + height).min(rows))
}

/// Calls a kernel whose height is fixed when it is compiled.
macro_rules! by_height { ($height:expr, $kernel:ident, $fixed:tt, $arguments:tt: $($rows:literal)*) => {
    match $height {
        $(
            // SAFETY: the caller of the function around this macro makes the kernel's promise.
            $rows => unsafe { $crate::attention::avx512::by_height!(@ $kernel, $rows, $fixed, $arguments) },
        )*
        _ => unreachable!("a block is as high as its kernel at most"),
    }
};
(@ $kernel:ident, $rows:literal, ($($fixed:literal),*), ($($argument:expr),*)) => {
    $kernel::<$rows, $($fixed),*>($($argument),*)
}; }
use by_height;

/// How an output's old content enters the result.
#[derive(Clone, Copy, Debug)]
enum Before<'a> {
    /// The output is not read.
    Nothing,
    /// The product is added to the old content.
    Sum,
    /// Row `i` of the old content is multiplied by factor `i`, then the product is added.
    Scaled(&'a [f32]),
}

/// The left operand of a [`Mix`], by the address of its first element.
#[derive(Clone, Copy, Debug)]
enum Left {
    /// Its columns are rows of a tile; the second field is the distance between them, in elements.
    Turned(*const f32, usize),
    /// Its rows are rows of a tile, [`QUERIES`] elements apart.
    Upright(*const f32),
}

/// Rows of a head that are sums of others: `out[i] = after[i]·(before[i] + Σ_l left[i, l]·right[l])`.
#[derive(Clone, Copy, Debug)]
struct Mix<'a> {
    terms: usize,
    left: Left,
    right: Lines,
    out: Lines,
    before: Before<'a>,
    after: Option<&'a [f32]>,
}

impl Mix<'_> {
    /// Computes rows `rows` of `d` elements; `poison` collects `0·x` of every `x` that is written.
    ///
    /// # Safety
    /// - The CPU must support AVX-512F.
    /// - The operands may be read; the caller may write these rows of `out`, and nobody else
    ///   touches them.
    #[target_feature(enable = "avx512f")]
    unsafe fn run(mut self, rows: Range<usize>, d: usize, poison: &mut __m512) {
        self.left = match self.left {
            Left::Turned(at, row) => Left::Turned(at.wrapping_add(rows.start), row),
            Left::Upright(at) => Left::Upright(at.wrapping_add(rows.start * QUERIES)),
        };
        self.out = self.out.from(rows.start);
        if let Before::Scaled(factors) = self.before {
            self.before = Before::Scaled(&factors[rows.clone()]);
        }
        self.after = self.after.map(|factors| &factors[rows.clone()]);
        for first in (0..d).step_by(2 * LANES) {
            let width = d - first;
            let mut part = self;
            part.right.start = part.right.start.wrapping_add(first);
            part.out.start = part.out.start.wrapping_add(first);
            let narrow = width <= LANES;
            let mask = u16::MAX >> ((2 - usize::from(narrow)) * LANES).saturating_sub(width);
            match (self.left, narrow) {
                (Left::Turned(at, row), false) => {
                    by_height!(rows.len(), mix, (2, 1), (part, at, row, mask, poison):
                        1 2 3 4 5 6 7 8 9 10 11 12);
                }
                (Left::Upright(at), false) => {
                    by_height!(rows.len(), mix, (2, 32), (part, at, 1, mask, poison):
                        1 2 3 4 5 6 7 8 9 10 11 12);
                }
                (Left::Turned(at, row), true) => {
                    by_height!(rows.len(), mix, (1, 1), (part, at, row, mask, poison):
                        1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16);
                }
                (Left::Upright(at), true) => {
                    by_height!(rows.len(), mix, (1, 32), (part, at, 1, mask, poison):
                        1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16);
                }
            }
        }
    }

    /// The most rows that one call of [`mix`] takes.
    fn most_rows(d: usize) -> usize {
        if d > LANES { 12 } else { 16 }
    }
}

/// # Safety
/// Same contract as [`Mix::run`], for `ROWS` rows and `16·VECTORS` columns, where `mask` selects
/// the valid ones of the last 16; element `(i, l)` of the left operand is at `left + i·STEP +
/// l·column`.
#[target_feature(enable = "avx512f")]
unsafe fn mix<const ROWS: usize, const VECTORS: usize, const STEP: usize>(
    m: Mix<'_>,
    left: *const f32,
    column: usize,
    mask: __mmask16,
    poison: &mut __m512,
) {
    let of = |v: usize| if v + 1 == VECTORS { mask } else { u16::MAX };
    let mut sums = [[_mm512_setzero_ps(); VECTORS]; ROWS];
    if !matches!(m.before, Before::Nothing) {
        for (i, sums) in sums.iter_mut().enumerate() {
            for (v, sum) in sums.iter_mut().enumerate() {
                let at = m.out.from(i).start.wrapping_add(v * LANES);
                // SAFETY: within row i; lanes beyond its end are masked.
                *sum = unsafe { _mm512_maskz_loadu_ps(of(v), at) };
                if let Before::Scaled(factors) = m.before {
                    *sum = _mm512_mul_ps(*sum, _mm512_set1_ps(factors[i]));
                }
            }
        }
    }
    let (mut left_at, mut right_at) = (left, m.right.start.cast_const());
    for _ in 0..m.terms {
        let mut right = [_mm512_setzero_ps(); VECTORS];
        for (v, right) in right.iter_mut().enumerate() {
            // SAFETY: row l of `right`; lanes beyond its end are masked.
            *right = unsafe { _mm512_maskz_loadu_ps(of(v), right_at.add(v * LANES)) };
        }
        for (i, sums) in sums.iter_mut().enumerate() {
            // SAFETY: element (i, l) of `left`.
            let left = _mm512_set1_ps(unsafe { *left_at.add(i * STEP) });
            for (sum, right) in sums.iter_mut().zip(right) {
                *sum = _mm512_fmadd_ps(left, right, *sum);
            }
        }
        left_at = left_at.wrapping_add(column);
        right_at = right_at.wrapping_add(m.right.row);
    }
    let mut zeros = [_mm512_setzero_ps(); VECTORS];
    for (i, sums) in sums.into_iter().enumerate() {
        for (v, mut sum) in sums.into_iter().enumerate() {
            if let Some(factors) = m.after {
                sum = _mm512_mul_ps(sum, _mm512_set1_ps(factors[i]));
            }
            zeros[v] = _mm512_fmadd_ps(sum, _mm512_setzero_ps(), zeros[v]);
            let at = m.out.from(i).start.wrapping_add(v * LANES);
            // SAFETY: within row i; masked.
            unsafe { _mm512_mask_storeu_ps(at, of(v), sum) };
        }
    }
    for zeros in zeros {
        *poison = _mm512_add_ps(*poison, zeros);
    }
}

/// Addresses of one column's elements in many rows, column after column. Each address is a sum of
/// few registers. The compiler, knowing how rows are spaced, would step from each row to the next,
/// one cycle a step, and that chain would take longer than the products.
#[derive(Clone, Copy, Debug)]
struct Down {
    /// Rows 0, 4, 8 and 12 at this column.
    fours: [*const f32; 4],
    row: usize,
    three_rows: usize,
}

impl Down {
    #[inline(always)]
    fn new(lines: Lines) -> Self {
        let start = lines.start.cast_const();
        Self {
            fours: [0, 4, 8, 12].map(|i| start.wrapping_add(opaque(i * lines.row))),
            row: lines.row,
            three_rows: opaque(3 * lines.row),
        }
    }

    /// The address of row `i`'s element in this column.
    #[inline(always)]
    fn at(&self, i: usize) -> *const f32 {
        let start = self.fours[i / 4];
        match i % 4 {
            3 => start.wrapping_add(self.three_rows),
            below => start.wrapping_add(below * self.row),
        }
    }

    /// Moves on to the next column.
    #[inline(always)]
    fn step(&mut self) {
        self.fours = self.fours.map(|start| start.wrapping_add(1));
    }
}

/// Returns `x`, hidden from the optimizer.
#[inline(always)]
fn opaque(mut x: usize) -> usize {
    // SAFETY: no instruction at all.
    unsafe {
        std::arch::asm!("/* {} */", inout(reg) x, options(pure, nomem, nostack, preserves_flags))
    };
    x
}

/// The vector at `at`.
///
/// # Safety
/// 16 floats there may be read.
#[inline]
#[target_feature(enable = "avx512f")]
unsafe fn load(at: *const f32) -> __m512 {
    // SAFETY: the caller's promise.
    unsafe { _mm512_loadu_ps(at) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simd::{Level, level};

    #[test]
    #[expect(unsafe_code, reason = "what is tested")]
    fn packed_as_elsewhere() {
        if level() != Level::Avx512 {
            return;
        }
        for [queries, d] in [[16usize, 16], [32, 48], [16, 40], [20, 16]] {
            let from: Vec<f32> = (0..queries * d).map(|x| x as f32).collect();
            let lanes = queries.next_multiple_of(LANES);
            let (mut got, mut want) = (vec![0.0; d * lanes], vec![0.0; d * lanes]);
            let from = Lines::of(&from, 0, d);
            // SAFETY: the CPU supports AVX-512; rows as allocated.
            unsafe {
                pack(from, queries, d, lanes, 0.5, &mut got);
                crate::attention::pack(from, queries, d, lanes, 0.5, &mut want);
            }
            assert_eq!(got, want, "[{queries}, {d}]");
        }
    }

    #[test]
    fn blocks_take_every_row_once() {
        for (rows, most, heights) in [(32, 12, &[11, 11, 10][..]), (16, 16, &[16]), (0, 12, &[])] {
            let got: Vec<usize> = blocks(rows, most).map(|block| block.len()).collect();
            assert_eq!(got, heights);
        }
    }
}
