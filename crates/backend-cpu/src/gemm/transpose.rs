//! Transposed copies, in blocks of 16 by 16 that stay in registers.

use crate::simd::{Level, level};

/// Side of a block.
const SIDE: usize = 16;

/// `to[x, i] = scale · from[i, x]` for `i` below `height` and `x` below `width`; from `height` up to
/// the next multiple of 16, columns of `to` become 0.
///
/// # Safety
/// - `from` has `height` rows, `row` apart, of `width` elements each that may be read.
/// - `to` has `width` rows, `to_row` apart, of `height` rounded up to 16 elements each that may be
///   written, and overlaps nothing.
pub(crate) unsafe fn transpose(
    from: *const f32,
    row: usize,
    [height, width]: [usize; 2],
    scale: f32,
    to: *mut f32,
    to_row: usize,
) {
    for top in (0..height).step_by(SIDE) {
        for left in (0..width).step_by(SIDE) {
            let sizes = [(height - top).min(SIDE), (width - left).min(SIDE)];
            let from = from.wrapping_add(top * row + left);
            let to = to.wrapping_add(left * to_row + top);
            match level() {
                #[cfg(target_arch = "x86_64")]
                // SAFETY: the CPU has the features; a block of the caller's.
                Level::Avx512 => unsafe { avx512::block(from, row, sizes, scale, to, to_row) },
                #[cfg(target_arch = "x86_64")]
                // SAFETY: as above.
                Level::Avx2 => unsafe { avx2::block(from, row, sizes, scale, to, to_row) },
                // SAFETY: a block of the caller's.
                _ => unsafe { portable(from, row, sizes, scale, to, to_row) },
            }
        }
    }
}

/// # Safety
/// Same contract as [`transpose`], for a block.
unsafe fn portable(
    from: *const f32,
    row: usize,
    [height, width]: [usize; 2],
    scale: f32,
    to: *mut f32,
    to_row: usize,
) {
    for x in 0..width {
        for i in 0..SIDE {
            let value = if i < height {
                // SAFETY: an element of the block.
                // mutant: packing_forgets_the_factor
                scale * unsafe { *from.add(i * row + x) }
            } else {
                0.0
            };
            // SAFETY: row x of `to` is 16 wide from here.
            unsafe { *to.add(x * to_row + i) = value };
        }
    }
}

#[cfg(target_arch = "x86_64")]
pub(super) mod avx512 {
    use super::SIDE;
    use std::arch::x86_64::{
        __m512, __mmask16, _mm512_maskz_loadu_ps, _mm512_maskz_mul_ps, _mm512_set1_ps,
        _mm512_setzero_ps, _mm512_shuffle_f32x4, _mm512_shuffle_ps, _mm512_storeu_ps,
        _mm512_unpackhi_ps, _mm512_unpacklo_ps,
    };

    /// # Safety
    /// Same contract as [`super::transpose`], for a block of at most 16 by 16.
    #[target_feature(enable = "avx512f")]
    pub(super) unsafe fn block(
        from: *const f32,
        row: usize,
        [height, width]: [usize; 2],
        scale: f32,
        to: *mut f32,
        to_row: usize,
    ) {
        let mask: __mmask16 = u16::MAX >> (SIDE - width);
        let scale = _mm512_set1_ps(scale);
        let mut rows = [_mm512_setzero_ps(); SIDE];
        // Always 16 lines, so that they stay in registers: for lines beyond the last, the last is
        // loaded again with all lanes masked.
        for (i, line) in rows.iter_mut().enumerate() {
            let mask = if i < height { mask } else { 0 };
            let from = from.wrapping_add(i.min(height - 1) * row);
            // SAFETY: a row of the block; lanes beyond its columns are masked.
            *line = unsafe { _mm512_maskz_loadu_ps(mask, from) };
            *line = _mm512_maskz_mul_ps(mask, *line, scale);
        }
        for (x, column) in columns(rows).into_iter().enumerate() {
            if x < width {
                // SAFETY: row x of `to` is 16 wide from here.
                unsafe { _mm512_storeu_ps(to.wrapping_add(x * to_row), column) };
            }
        }
    }

    /// The 16 columns of 16 rows: pairs, then fours within 128 bits, then the quarters.
    #[target_feature(enable = "avx512f")]
    pub(in super::super) fn columns(rows: [__m512; SIDE]) -> [__m512; SIDE] {
        // fours[g][c], quarter L: rows 4g .. 4g + 4 of column 4L + c.
        let mut fours = [[_mm512_setzero_ps(); 4]; 4];
        for (g, fours) in fours.iter_mut().enumerate() {
            let [a, b, c, d] = [
                rows[4 * g],
                rows[4 * g + 1],
                rows[4 * g + 2],
                rows[4 * g + 3],
            ];
            let (ab, cd) = (_mm512_unpacklo_ps(a, b), _mm512_unpacklo_ps(c, d));
            fours[0] = _mm512_shuffle_ps::<0x44>(ab, cd);
            fours[1] = _mm512_shuffle_ps::<0xEE>(ab, cd);
            let (ab, cd) = (_mm512_unpackhi_ps(a, b), _mm512_unpackhi_ps(c, d));
            fours[2] = _mm512_shuffle_ps::<0x44>(ab, cd);
            fours[3] = _mm512_shuffle_ps::<0xEE>(ab, cd);
        }
        let mut columns = [_mm512_setzero_ps(); SIDE];
        for c in 0..4 {
            let even = _mm512_shuffle_f32x4::<0x88>(fours[0][c], fours[1][c]);
            let odd = _mm512_shuffle_f32x4::<0xDD>(fours[0][c], fours[1][c]);
            let even_below = _mm512_shuffle_f32x4::<0x88>(fours[2][c], fours[3][c]);
            let odd_below = _mm512_shuffle_f32x4::<0xDD>(fours[2][c], fours[3][c]);
            columns[c] = _mm512_shuffle_f32x4::<0x88>(even, even_below);
            columns[4 + c] = _mm512_shuffle_f32x4::<0x88>(odd, odd_below);
            columns[8 + c] = _mm512_shuffle_f32x4::<0xDD>(even, even_below);
            columns[12 + c] = _mm512_shuffle_f32x4::<0xDD>(odd, odd_below);
        }
        columns
    }
}

#[cfg(target_arch = "x86_64")]
pub(super) mod avx2 {
    use super::SIDE;
    use std::arch::x86_64::{
        __m256, __m256i, _mm256_loadu_ps, _mm256_loadu_si256, _mm256_maskload_ps, _mm256_mul_ps,
        _mm256_permute2f128_ps, _mm256_set1_ps, _mm256_setzero_ps, _mm256_shuffle_ps,
        _mm256_storeu_ps, _mm256_unpackhi_ps, _mm256_unpacklo_ps,
    };

    /// Floats of a vector, and side of the squares that a block is turned by.
    const LANES: usize = 8;

    /// # Safety
    /// Same contract as [`super::transpose`], for a block of at most 16 by 16.
    #[target_feature(enable = "avx2,fma")]
    pub(super) unsafe fn block(
        from: *const f32,
        row: usize,
        [height, width]: [usize; 2],
        scale: f32,
        to: *mut f32,
        to_row: usize,
    ) {
        let scale = _mm256_set1_ps(scale);
        for left in (0..width).step_by(LANES) {
            let across = LANES.min(width - left);
            for top in (0..SIDE).step_by(LANES) {
                let mut rows = [_mm256_setzero_ps(); LANES];
                for (i, line) in rows.iter_mut().enumerate() {
                    if top + i < height {
                        let from = from.wrapping_add((top + i) * row + left);
                        // SAFETY: a row of the block.
                        let values = unsafe { load(from, across) };
                        *line = _mm256_mul_ps(values, scale);
                    }
                }
                for (x, column) in columns(rows).into_iter().enumerate() {
                    if x < across {
                        let to = to.wrapping_add((left + x) * to_row + top);
                        // SAFETY: row x of `to` is 16 wide from here, or from 8 before.
                        unsafe { _mm256_storeu_ps(to, column) };
                    }
                }
            }
        }
    }

    /// Up to 8 adjacent elements, then zeros.
    ///
    /// # Safety
    /// These elements may be read.
    #[inline]
    #[target_feature(enable = "avx2,fma")]
    pub(in super::super) unsafe fn load(from: *const f32, count: usize) -> __m256 {
        // SAFETY: the caller's promise; lanes beyond the elements are masked.
        unsafe {
            if count == LANES {
                _mm256_loadu_ps(from)
            } else {
                _mm256_maskload_ps(from, mask(count))
            }
        }
    }

    /// A mask of the first `lanes` lanes.
    #[inline]
    #[target_feature(enable = "avx2,fma")]
    pub(in super::super) fn mask(lanes: usize) -> __m256i {
        const ALL: [i32; 2 * LANES] = [-1, -1, -1, -1, -1, -1, -1, -1, 0, 0, 0, 0, 0, 0, 0, 0];
        let from = &ALL[LANES - lanes..][..LANES];
        // SAFETY: eight elements.
        unsafe { _mm256_loadu_si256(from.as_ptr().cast()) }
    }

    /// The 8 columns of 8 rows: pairs, then fours within 128 bits, then the halves.
    #[inline]
    #[target_feature(enable = "avx2,fma")]
    pub(in super::super) fn columns(rows: [__m256; LANES]) -> [__m256; LANES] {
        // fours[g][c], half L: rows 4g .. 4g + 4 of column 4L + c.
        let mut fours = [[_mm256_setzero_ps(); 4]; 2];
        for (fours, rows) in fours.iter_mut().zip(rows.as_chunks::<4>().0) {
            let [a, b, c, d] = *rows;
            let (ab, cd) = (_mm256_unpacklo_ps(a, b), _mm256_unpacklo_ps(c, d));
            fours[0] = _mm256_shuffle_ps::<0x44>(ab, cd);
            fours[1] = _mm256_shuffle_ps::<0xEE>(ab, cd);
            let (ab, cd) = (_mm256_unpackhi_ps(a, b), _mm256_unpackhi_ps(c, d));
            fours[2] = _mm256_shuffle_ps::<0x44>(ab, cd);
            fours[3] = _mm256_shuffle_ps::<0xEE>(ab, cd);
        }
        let mut columns = [_mm256_setzero_ps(); LANES];
        for c in 0..4 {
            columns[c] = _mm256_permute2f128_ps::<0x20>(fours[0][c], fours[1][c]);
            // mutant: avx2_turn_swaps_halves
            columns[4 + c] = _mm256_permute2f128_ps::<0x31>(fours[0][c], fours[1][c]);
        }
        columns
    }
}

#[cfg(test)]
mod tests {
    use super::transpose;

    #[test]
    #[expect(unsafe_code, reason = "what is tested")]
    fn every_element_lands() {
        for [height, width] in [[1usize, 1], [16, 16], [3, 20], [17, 5], [32, 33]] {
            let row = width + 3;
            let from: Vec<f32> = (0..height * row).map(|x| x as f32).collect();
            let to_row = height.next_multiple_of(16);
            let mut to = vec![-1.0; width * to_row];
            // SAFETY: sizes as allocated.
            unsafe {
                transpose(
                    from.as_ptr(),
                    row,
                    [height, width],
                    2.0,
                    to.as_mut_ptr(),
                    to_row,
                );
            }
            for (at, &got) in to.iter().enumerate() {
                let (x, i) = (at / to_row, at % to_row);
                let want = if i < height {
                    2.0 * from[i * row + x]
                } else {
                    0.0
                };
                assert_eq!(got, want, "[{height}, {width}] at {x}, {i}");
            }
        }
    }
}
