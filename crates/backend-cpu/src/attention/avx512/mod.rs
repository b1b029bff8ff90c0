//! The same tiles for AVX-512, with scores, weights and sums kept in registers for as long as they
//! fit: masks, maxima, dropout, factors and the check for what is not finite are folded into passes
//! that happen anyway, and no product goes over pairs that no query of its vector sees.
//!
//! Scores are kept in powers of two: queries are scaled by `scale·log₂ e` as they are packed, and
//! weights are `2^(s - m)`.

mod backward;
mod forward;

pub(super) use backward::head_backward;
pub(super) use forward::block_forward;

use super::{Lines, QUERIES};
use std::arch::x86_64::{
    __m512, __mmask16, _CMP_NLT_UQ, _mm512_add_ps, _mm512_cmp_ps_mask, _mm512_fmadd_ps,
    _mm512_loadu_ps, _mm512_mask_storeu_ps, _mm512_maskz_loadu_ps, _mm512_maskz_scalef_ps,
    _mm512_mul_ps, _mm512_roundscale_ps, _mm512_set1_ps, _mm512_setzero_ps, _mm512_sub_ps,
};
use std::ops::Range;

/// Floats of a vector.
const LANES: usize = 16;

/// `(2^r - 1) / r` for `|r| <= 1/2`, interpolated at Chebyshev nodes: leaves a relative error of
/// 1e-8 in `2^r`.
const POWER: [f32; 6] = [
    std::f32::consts::LN_2,
    0.240_226_5,
    0.055_503_57,
    0.009_618_083,
    0.001_339_086_3,
    0.000_154_531_63,
];

/// `2^x` to 1.5 ulp in the lanes of `keep`; 0 in others and below the least subnormal. NaN stays.
#[inline]
#[target_feature(enable = "avx512f")]
fn power_of_two(x: __m512, keep: __mmask16) -> __m512 {
    // Lanes left out cost no detour through subnormals, as those that underflow would.
    let keep = keep & _mm512_cmp_ps_mask::<_CMP_NLT_UQ>(x, _mm512_set1_ps(-150.0));
    let n = _mm512_roundscale_ps::<0>(x);
    let r = _mm512_sub_ps(x, n);
    let mut sum = _mm512_set1_ps(POWER[5]);
    for c in POWER[..5].iter().rev() {
        sum = _mm512_fmadd_ps(sum, r, _mm512_set1_ps(*c));
    }
    let power = _mm512_fmadd_ps(sum, r, _mm512_set1_ps(1.0));
    _mm512_maskz_scalef_ps(keep, power, n)
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
            // SAFETY: the promise that whoever calls this macro has from its caller.
            $rows => unsafe { $crate::attention::avx512::by_height!(@ $kernel, $rows, $fixed, $arguments) },
        )*
        _ => unreachable!("a block is as high as its kernel at most"),
    }
};
(@ $kernel:ident, $rows:literal, ($($fixed:literal),*), ($($argument:expr),*)) => {
    $kernel::<$rows, $($fixed),*>($($argument),*)
}; }
use by_height;

/// What is in an output before a product is added.
#[derive(Clone, Copy, Debug)]
enum Before<'a> {
    /// Nothing: it is not read.
    Nothing,
    /// A sum to be added to.
    Sum,
    /// A sum whose row `i` is multiplied by factor `i` first.
    Scaled(&'a [f32]),
}

/// The left operand of a [`Mix`] begins here.
#[derive(Clone, Copy, Debug)]
enum Left {
    /// Its columns are rows of a tile, so many elements apart.
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
    /// Runs it for some rows of `d` elements; `poison` collects `0·x` of what is written.
    ///
    /// # Safety
    /// - AVX-512 is there.
    /// - The operands may be read, and these rows of `out` are the caller's to write.
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

    /// Most rows that one call takes.
    fn most_rows(d: usize) -> usize {
        if d > LANES { 12 } else { 16 }
    }
}

/// # Safety
/// As [`Mix::run`], for `ROWS` rows and `16·VECTORS` columns, of the last 16 those in `mask`; element
/// `(i, l)` of the left operand is at `left + i·STEP + l·column`.
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

/// Elements of many rows, column by column. Addresses are sums of few registers: the compiler,
/// which knows how rows are related, would step from each row to the next, one cycle a step, and
/// that chain would take longer than the products.
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

    /// Where row `i` is.
    #[inline(always)]
    fn at(&self, i: usize) -> *const f32 {
        let start = self.fours[i / 4];
        match i % 4 {
            3 => start.wrapping_add(self.three_rows),
            below => start.wrapping_add(below * self.row),
        }
    }

    /// Goes to the next column.
    #[inline(always)]
    fn step(&mut self) {
        self.fours = self.fours.map(|start| start.wrapping_add(1));
    }
}

/// The same number, of which the compiler knows nothing.
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
    use std::arch::x86_64::_mm512_storeu_ps;

    #[test]
    #[expect(unsafe_code, reason = "what is tested")]
    fn powers_of_two_are_within_their_bound() {
        if level() != Level::Avx512 {
            return;
        }
        let power = |x: f32| {
            let mut y = [0.0f32; LANES];
            // SAFETY: AVX-512 is there, and `y` is a vector long.
            unsafe { _mm512_storeu_ps(y.as_mut_ptr(), power_of_two(_mm512_set1_ps(x), u16::MAX)) };
            y[0]
        };
        for i in -126_000..126_000 {
            let x = i as f32 / 1000.0;
            let want = f64::from(x).exp2();
            let error = (f64::from(power(x)) / want - 1.0).abs();
            assert!(error <= 1.5 * f64::from(f32::EPSILON), "{x}");
        }
        assert_eq!(power(f32::NEG_INFINITY), 0.0);
        assert_eq!(power(-149.0), f32::from_bits(1));
        assert!(power(f32::NAN).is_nan());
    }

    #[test]
    fn blocks_take_every_row_once() {
        for (rows, most, heights) in [(32, 12, &[11, 11, 10][..]), (16, 16, &[16]), (0, 12, &[])] {
            let got: Vec<usize> = blocks(rows, most).map(|block| block.len()).collect();
            assert_eq!(got, heights);
        }
    }
}
