//! The right operand in panels: of 32 columns, or 16 on AVX2.

#![expect(unsafe_code, reason = "transposed copies go through pointers")]

use super::Gemm;
use super::kernel::panel;
use super::transpose::transpose;
use crate::parallel::{Par, RowsMut};
use crate::simd::simd;
use std::ops::Range;

/// Rows that are copied together: enough to fill a stretch of every panel, few enough for the
/// processor to follow as streams.
const ROWS: usize = 8;

impl Gemm<'_> {
    /// Copies columns `across` of rows `deep` of the right operand into panels: element `(l, j)` of
    /// a panel is at `l·panel() + j`; columns beyond the last are zero.
    pub(super) fn pack(
        &self,
        across: &Range<usize>,
        deep: &Range<usize>,
        packed: &mut [f32],
        par: Par,
    ) {
        let wide = panel();
        let panel = deep.len() * wide;
        let panels = across.len().div_ceil(wide);
        let ns = panels * panel / if self.trans_b { 2 } else { 8 };
        let parts = (0..panels, RowsMut(&mut packed[..panels * panel], panel));
        par.split(panels, ns, parts, &|(which, packed): (Range<usize>, _)| {
            let left = across.start + which.start * wide;
            let columns = left..(across.start + which.end * wide).min(across.end);
            if !self.trans_b {
                let b = &self.b[deep.start * self.n + left..];
                match wide {
                    16 => pack_rows_by_16(b, self.n, columns.len(), packed.0, panel),
                    _ => pack_rows_by_32(b, self.n, columns.len(), packed.0, panel),
                }
                return;
            }
            let panels = packed.0.chunks_exact_mut(panel);
            for (first, packed) in columns.clone().step_by(wide).zip(panels) {
                let b = &self.b[first * self.k + deep.start..];
                let sizes = [wide.min(columns.end - first), deep.len()];
                // SAFETY: up to `wide` rows of the stored operand from `first` on, `deep` of their
                // columns; the panel has a row of `wide` for each of these.
                unsafe {
                    transpose(b.as_ptr(), self.k, sizes, 1.0, packed.as_mut_ptr(), wide);
                }
            }
        });
    }
}

simd! {
    fn pack_rows_by_16(b: &[f32], row: usize, width: usize, packed: &mut [f32], panel: usize) {
        let _ = FMA;
        pack_rows::<16>(b, row, width, packed, panel);
    }
}

simd! {
    fn pack_rows_by_32(b: &[f32], row: usize, width: usize, packed: &mut [f32], panel: usize) {
        let _ = FMA;
        pack_rows::<32>(b, row, width, packed, panel);
    }
}

/// Copies a few rows into all panels, then the next few, so that rows are read from end to end.
#[inline(always)]
fn pack_rows<const WIDE: usize>(
    b: &[f32],
    row: usize,
    width: usize,
    packed: &mut [f32],
    panel: usize,
) {
    for (first, l) in (0..panel).step_by(ROWS * WIDE).zip((0..).step_by(ROWS)) {
        let some = first..(first + ROWS * WIDE).min(panel);
        for (i, packed) in packed.chunks_exact_mut(panel).enumerate() {
            let width = WIDE.min(width - i * WIDE);
            let b = &b[l * row + i * WIDE..];
            let packed = packed[some.clone()].as_chunks_mut::<WIDE>().0;
            for (l, packed) in packed.iter_mut().enumerate() {
                let b = &b[l * row..][..width];
                if let Ok(b) = <&[f32; WIDE]>::try_from(b) {
                    *packed = *b;
                } else {
                    packed[..width].copy_from_slice(b);
                    packed[width..].fill(0.0);
                }
            }
        }
    }
}
