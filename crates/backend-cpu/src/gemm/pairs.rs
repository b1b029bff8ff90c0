//! Packing of `bf16` operands, two terms side by side.
//!
//! The instructions that multiply `bf16` take two terms of a sum at once. A left operand is cut
//! into blocks of 16 rows by 32 terms, as it lies; a right one into panels of 32 columns, where
//! row `p` has terms `2p` and `2p + 1` of every column next to each other. What is beyond an edge
//! is 0.

#![expect(unsafe_code, reason = "loads and stores of vectors, masked at edges")]

use half::bf16;
use std::arch::x86_64::{
    __m512, __m512i, __mmask16, __mmask32, _mm256_maskz_loadu_epi16, _mm512_castps_si512,
    _mm512_castsi512_ps, _mm512_cvtepu16_epi32, _mm512_maskz_loadu_epi16, _mm512_or_si512,
    _mm512_setzero_ps, _mm512_slli_epi32, _mm512_storeu_si512,
};

/// Terms of a block: 64 bytes.
pub(super) const TERMS: usize = 32;
/// Rows or columns of a block.
pub(super) const SIDE: usize = 16;

/// Where to read a block of a stored operand: the address of its first element, and the layout.
#[derive(Clone, Copy, Debug)]
pub(super) struct Source {
    pub(super) start: *const bf16,
    /// Elements from one of its rows to the next.
    pub(super) row: usize,
    /// Whether the operand's rows are the terms, rather than its columns.
    pub(super) terms_down: bool,
}

/// How a block is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    /// 16 rows of 32 terms, adjacent.
    Left,
    /// 16 rows of 16 columns' pairs, each row one of a panel's.
    Right,
}

/// Packs one block: `terms` by `others`, at most 32 by 16; the rest of it becomes 0.
///
/// # Safety
/// - The processor has AVX-512 with BW and VL.
/// - The source's elements may be read; `to` has room for 16 rows (of 32 elements each; those of a
///   panel are 64 apart).
#[target_feature(enable = "avx512f,avx512bw,avx512vl")]
pub(super) unsafe fn pack(from: Source, [terms, others]: [usize; 2], side: Side, to: *mut bf16) {
    // SAFETY: the caller's promise.
    let lines = unsafe {
        if from.terms_down {
            interleave(from, terms, others)
        } else {
            lines(from, terms, others)
        }
    };
    let (turn, row) = match side {
        Side::Left => (from.terms_down, TERMS),
        Side::Right => (!from.terms_down, 2 * TERMS),
    };
    let lines = if turn {
        super::transpose::avx512::columns(lines)
    } else {
        lines
    };
    for (i, line) in lines.into_iter().enumerate() {
        // SAFETY: row i of the block.
        unsafe { _mm512_storeu_si512(to.add(i * row).cast(), _mm512_castps_si512(line)) };
    }
}

/// Line `i`: 32 terms of row `i`.
///
/// # Safety
/// Same contract as [`pack`].
#[target_feature(enable = "avx512f,avx512bw,avx512vl")]
unsafe fn lines(from: Source, terms: usize, others: usize) -> [__m512; SIDE] {
    let mask: __mmask32 = u32::MAX >> (TERMS - terms);
    let mut lines = [_mm512_setzero_ps(); SIDE];
    for (i, line) in lines.iter_mut().enumerate().take(others) {
        // SAFETY: terms of row i; those beyond its end are masked.
        let terms = unsafe { _mm512_maskz_loadu_epi16(mask, from.start.add(i * from.row).cast()) };
        *line = _mm512_castsi512_ps(terms);
    }
    lines
}

/// Line `p`: rows `2p` and `2p + 1`, of 16 columns, in pairs.
///
/// # Safety
/// Same contract as [`pack`].
#[target_feature(enable = "avx512f,avx512bw,avx512vl")]
unsafe fn interleave(from: Source, terms: usize, others: usize) -> [__m512; SIDE] {
    let mask: __mmask16 = u16::MAX.unbounded_shr((SIDE - others) as u32);
    let mut lines = [_mm512_setzero_ps(); SIDE];
    for (p, line) in lines.iter_mut().enumerate().take(terms.div_ceil(2)) {
        let row = |l: usize| -> __m512i {
            let mask = if l < terms { mask } else { 0 };
            let at = from.start.wrapping_add(l * from.row);
            // SAFETY: elements of row l; those beyond its end, and rows beyond the last, are masked.
            _mm512_cvtepu16_epi32(unsafe { _mm256_maskz_loadu_epi16(mask, at.cast()) })
        };
        // mutant: pairs_swapped
        let pairs = _mm512_or_si512(row(2 * p), _mm512_slli_epi32::<16>(row(2 * p + 1)));
        *line = _mm512_castsi512_ps(pairs);
    }
    lines
}
