//! Products of packed `bf16`, in blocks of 32 by 32.

#![expect(
    unsafe_code,
    reason = "blocks of one output cannot be split safely along columns"
)]

use super::dots::{Left, SIDE, STEP, Sums, Tiles, pairs_block};
use super::finish::finish;
use super::pairs::{self, Side, Source, TERMS, pack};
use super::{Gemm, split_tiles};
use crate::memory::{Shared, as_bf16};
use crate::parallel::{Par, RowsMut};
use crate::real::Real;
use crate::scratch::op_scratch;
use crate::simd::Dots;
use half::bf16;
use latimer_tensor::DType;
use std::ops::Range;

/// Terms packed at a time; a panel of them is 128 KiB.
const DEPTH: usize = 2048;
/// Elements of an operand packed at a time: 8 MiB.
const PACK: usize = 1 << 22;

/// Elements of a packed block of the left operand.
const BLOCK: usize = pairs::SIDE * TERMS;

/// A part of the product, with its operands packed or usable as they are.
struct Part<'a> {
    gemm: &'a Gemm<'a, bf16>,
    dots: Dots,
    rows: Range<usize>,
    columns: Range<usize>,
    terms: Range<usize>,
    /// The packed rows, and the number of the first. Earlier rows are read from the operand itself.
    left: &'a [bf16],
    packed_from: usize,
    /// Panels.
    right: &'a [bf16],
}

pub(super) fn run<Y: Real>(gemm: &Gemm<'_, bf16>, dots: Dots, y: &mut [Y], par: Par) {
    if gemm.k > DEPTH && Y::DTYPE != DType::F32 {
        // Sums of several parts meet before they are rounded.
        let sums = Gemm {
            bias: None,
            alpha: 1.0,
            beta: 0.0,
            ..*gemm
        };
        op_scratch(gemm.m * gemm.n, |all| {
            run(&sums, dots, all, par);
            gemm.finish_rows(all, y, par);
        });
        return;
    }
    let (m, n, k) = (gemm.m, gemm.n, gemm.k);
    let depth = k.min(DEPTH).next_multiple_of(TERMS);
    let side = |most: usize| (PACK / depth.max(1) / SIDE * SIDE).min(most.next_multiple_of(SIDE));
    let (tall, wide) = (side(m), side(n));
    let y = Shared::new(y);
    // The number of rows that the instructions can read without packing.
    let whole = if gemm.trans_a || k % TERMS > 0 {
        0
    } else {
        m / SIDE * SIDE
    };
    let floats = |elements: usize| elements.div_ceil(2);
    let loose = if whole == 0 { tall } else { SIDE };
    op_scratch(floats(wide * depth), |right| {
        op_scratch(floats(loose * depth), |left| {
            let (left, right) = (as_bf16(left), as_bf16(right));
            for first in (0..n).step_by(wide) {
                let columns = first..(first + wide).min(n);
                for l in (0..k.max(1)).step_by(DEPTH) {
                    let terms = l..(l + DEPTH).min(k);
                    gemm.pack_right(&columns, &terms, right, par);
                    let mut part = |rows: Range<usize>| {
                        let packed_from = whole.clamp(rows.start, rows.end);
                        gemm.pack_left(packed_from..rows.end, &terms, left, par);
                        let part = Part {
                            gemm,
                            dots,
                            rows,
                            columns: columns.clone(),
                            terms: terms.clone(),
                            left,
                            packed_from,
                            right,
                        };
                        part.run(y, par);
                    };
                    if whole > 0 {
                        part(0..m);
                    } else {
                        for top in (0..m).step_by(tall) {
                            part(top..(top + tall).min(m));
                        }
                    }
                }
            }
        });
    });
}

impl Gemm<'_, bf16> {
    /// Packs rows of the left operand, 32 by 32, then along the terms, blocks of 16 by 32.
    fn pack_left(&self, rows: Range<usize>, terms: &Range<usize>, packed: &mut [bf16], par: Par) {
        let steps = terms.len().div_ceil(TERMS);
        let wide = SIDE * steps * TERMS;
        let count = rows.len().div_ceil(SIDE);
        if wide * count == 0 {
            return;
        }
        let parts = (0..count, RowsMut(&mut packed[..count * wide], wide));
        let ns = count * wide / 8;
        par.split(count, ns, parts, &|(which, packed): (Range<usize>, _)| {
            for (i, packed) in which.zip(packed.0.chunks_exact_mut(wide)) {
                // Pack both halves of 32 rows at each step: if rows are terms, they share cache
                // lines.
                for at in 0..2 * steps {
                    let (step, half) = (at / 2, at % 2);
                    let packed = &mut packed[(half * steps + step) * BLOCK..][..BLOCK];
                    let top = (rows.start + i * SIDE + half * pairs::SIDE).min(rows.end);
                    let l = terms.start + step * TERMS;
                    let sizes = [TERMS.min(terms.end - l), pairs::SIDE.min(rows.end - top)];
                    let from = if self.trans_a {
                        l * self.m + top
                    } else {
                        top * self.k + l
                    };
                    let from = Source {
                        start: self.a.as_ptr().wrapping_add(from),
                        row: if self.trans_a { self.m } else { self.k },
                        terms_down: self.trans_a,
                    };
                    // SAFETY: `Dots` above `Widened` implies the features. Rows below m, terms
                    // below k; a block of 16 rows of 32.
                    unsafe { pack(from, sizes, Side::Left, packed.as_mut_ptr()) };
                }
            }
        });
    }

    /// Packs columns of the right operand into panels.
    fn pack_right(
        &self,
        columns: &Range<usize>,
        terms: &Range<usize>,
        packed: &mut [bf16],
        par: Par,
    ) {
        let steps = terms.len().div_ceil(TERMS);
        let panel = steps * STEP;
        let count = columns.len().div_ceil(SIDE);
        if panel == 0 {
            return;
        }
        let parts = (0..count, RowsMut(&mut packed[..count * panel], panel));
        let ns = count * panel / 8;
        par.split(count, ns, parts, &|(which, packed): (Range<usize>, _)| {
            for (i, packed) in which.zip(packed.0.chunks_exact_mut(panel)) {
                for (at, packed) in packed.chunks_exact_mut(STEP).enumerate() {
                    for half in 0..2 {
                        let first = columns.start + i * SIDE + half * pairs::SIDE;
                        let first = first.min(columns.end);
                        let l = terms.start + at * TERMS;
                        let sizes = [
                            TERMS.min(terms.end - l),
                            pairs::SIDE.min(columns.end - first),
                        ];
                        let from = if self.trans_b {
                            first * self.k + l
                        } else {
                            l * self.n + first
                        };
                        let from = Source {
                            start: self.b.as_ptr().wrapping_add(from),
                            row: if self.trans_b { self.k } else { self.n },
                            terms_down: !self.trans_b,
                        };
                        let to = packed[half * TERMS..].as_mut_ptr();
                        // SAFETY: `Dots` above `Widened` implies the features. Columns below n,
                        // terms below k; 16 rows of a panel, from one half on.
                        unsafe { pack(from, sizes, Side::Right, to) };
                    }
                }
            }
        });
    }
}

impl Part<'_> {
    fn run<Y: Real>(&self, y: Shared<Y>, par: Par) {
        let panels = self.columns.len().div_ceil(SIDE);
        // A fifth of the time that it takes in f32.
        let ns = super::nanoseconds(self.rows.len(), self.columns.len(), self.terms.len()) / 5;
        let pieces = par.pieces(ns);
        let work = |rows: Range<usize>, panels: Range<usize>| self.piece(rows, panels, y);
        split_tiles(pieces, SIDE, self.rows.clone(), 0..panels, &work);
    }

    /// One thread's share.
    fn piece<Y: Real>(&self, rows: Range<usize>, panels: Range<usize>, y: Shared<Y>) {
        let steps = self.terms.len().div_ceil(TERMS);
        // SAFETY: `Dots::Tiles` says that they are there.
        let tiles = (self.dots == Dots::Tiles).then(|| unsafe { Tiles::new() });
        let mut sums = Sums([[0.0; SIDE]; SIDE]);
        for panel in panels {
            let first = self.columns.start + panel * SIDE;
            let width = SIDE.min(self.columns.end - first);
            let right = self.right[panel * steps * STEP..].as_ptr();
            for top in rows.clone().step_by(SIDE) {
                let left = self.left(top, steps);
                match &tiles {
                    // SAFETY: 32 packed or whole rows, of `steps` blocks each; a panel as long.
                    Some(tiles) => unsafe { tiles.block(left, right, steps, &mut sums) },
                    // SAFETY: as above; `Dots::Pairs` says that the CPU has the instruction.
                    None => unsafe { pairs_block(left, right, steps, &mut sums) },
                }
                let height = SIDE.min(rows.end - top);
                self.finish(&sums, top, height, first, width, y);
            }
        }
    }

    /// The 32 rows from `top` on, some of them beyond the last if packed.
    fn left(&self, top: usize, steps: usize) -> Left {
        let gemm = self.gemm;
        if top < self.packed_from {
            Left {
                start: gemm.a[top * gemm.k + self.terms.start..].as_ptr(),
                down: pairs::SIDE * gemm.k,
                across: TERMS,
                row: gemm.k,
            }
        } else {
            let at = (top - self.packed_from) / pairs::SIDE * steps * BLOCK;
            Left {
                start: self.left[at..].as_ptr(),
                down: steps * BLOCK,
                across: BLOCK,
                row: TERMS,
            }
        }
    }

    fn finish<Y: Real>(
        &self,
        sums: &Sums,
        top: usize,
        height: usize,
        first: usize,
        width: usize,
        y: Shared<Y>,
    ) {
        let gemm = self.gemm;
        let is_first = self.terms.start == 0;
        let bias = gemm.bias.filter(|_| is_first).unwrap_or(&[]);
        let bias = if bias.is_empty() {
            bias
        } else {
            &bias[first..][..width]
        };
        let beta = if is_first { gemm.beta } else { 1.0 };
        for (i, sums) in sums.0.iter().enumerate().take(height) {
            // SAFETY: part of row `top + i` below m, columns below n; `y` is borrowed exclusively by
            // the caller, and `split_tiles` hands every block to one thread only.
            let y = unsafe {
                std::slice::from_raw_parts_mut(y.get().add((top + i) * gemm.n + first), width)
            };
            finish(&sums[..width], gemm.alpha, bias, beta, y);
        }
    }
}
