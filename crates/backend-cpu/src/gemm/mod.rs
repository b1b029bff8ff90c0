//! Products of matrices.
//!
//! The output is cut into rows and panels of 32 columns, which go to different threads; sums over
//! `k` are never cut by thread, but in blocks that depend on the shapes only. The right operand is
//! packed into panels once, by all threads, where it is transposed or used often.

#![expect(
    unsafe_code,
    reason = "tiles of one output cannot be split safely along columns"
)]

#[cfg(target_arch = "x86_64")]
mod blocks;
#[cfg(target_arch = "x86_64")]
mod dots;
mod kernel;
mod narrow;
#[cfg(target_arch = "x86_64")]
mod pairs;
mod stretches;
mod transpose;
mod vector;

#[cfg(target_arch = "x86_64")]
pub(crate) use dots::tiles_are_there;
pub(crate) use kernel::{Left, Output, Product, Right, product};
pub(crate) use narrow::narrow_matmul;
pub(crate) use transpose::transpose;

use crate::memory::{Shared, read, write};
use crate::parallel::Par;
use crate::simd::simd;
use kernel::{PANEL, row_unit};
use latimer_tensor::op::Matmul;
use latimer_tensor::{Ran, Result};
use std::ops::Range;

/// Terms of a sum that are added before the output is touched: a panel of them is 32 KiB.
const BLOCK_K: usize = 256;
/// Rows that go over all panels before the next ones: with `BLOCK_K` terms, 144 KiB; a multiple of
/// every [`row_unit`].
const BLOCK_ROWS: usize = 144;
/// Terms packed at a time.
const PACK_K: usize = 1024;
/// Elements packed at a time: 4 MiB.
const PACK: usize = 1 << 20;
/// Up to this many rows, the right operand is streamed rather than tiled.
const FEW_ROWS: usize = 4;
/// From this many rows on, packing a row-major right operand pays.
const MANY_ROWS: usize = 48;

pub(crate) fn matmul(op: &mut Matmul<'_>, par: Par) -> Result<Ran> {
    let sizes = op.sizes();
    let (batch, m, n, k) = (sizes.batch, sizes.m, sizes.n, sizes.k);
    let a = read::<f32>(op.a, "matmul", "a")?;
    let b = read::<f32>(op.b, "matmul", "b")?;
    let bias = op
        .bias
        .map(|bias| read::<f32>(bias, "matmul", "bias"))
        .transpose()?;
    let y = write::<f32>(op.y.reborrow(), "matmul", "y")?;
    if y.is_empty() {
        return Ok(Ran::Done);
    }
    let one = |s: usize, y: &mut [f32], par: Par| {
        let gemm = Gemm {
            m,
            n,
            k,
            a: &a[s * m * k..][..m * k],
            b: &b[s * k * n..][..k * n],
            bias,
            trans_a: op.trans_a,
            trans_b: op.trans_b,
            alpha: op.alpha,
            beta: op.beta,
        };
        gemm.run(y, par);
    };
    if batch == 1 {
        one(0, y, par);
    } else {
        // Products of a batch go to different threads whole.
        let parts = (0..batch, crate::parallel::RowsMut(y, m * n));
        par.split(
            batch,
            batch * nanoseconds(m, n, k),
            parts,
            &|(which, y): (Range<usize>, _)| {
                for (s, y) in which.zip(y.0.chunks_exact_mut(m * n)) {
                    one(s, y, Par::SERIAL);
                }
            },
        );
    }
    Ok(Ran::Done)
}

/// About how long a product takes on one core: 100 GFLOP/s, 10 GB/s.
fn nanoseconds(m: usize, n: usize, k: usize) -> usize {
    m * n * k / 50 + (m * k + k * n + m * n) / 10
}

/// One product: [`Matmul`]'s meaning on slices.
struct Gemm<'a, E = f32> {
    m: usize,
    n: usize,
    k: usize,
    a: &'a [E],
    b: &'a [E],
    bias: Option<&'a [E]>,
    trans_a: bool,
    trans_b: bool,
    alpha: f32,
    beta: f32,
}

impl Gemm<'_> {
    fn run(&self, y: &mut [f32], par: Par) {
        if self.m <= FEW_ROWS && self.k > 0 {
            vector::run(self, y, par);
            return;
        }
        let stretches = self.stretches();
        if stretches > 1 {
            self.run_stretches(stretches, y, par);
            return;
        }
        let y = Shared::new(y);
        let pieces = par.pieces(nanoseconds(self.m, self.n, self.k));
        if !self.trans_b && self.m < MANY_ROWS {
            let b = Right {
                start: self.b.as_ptr(),
                row: self.n,
            };
            self.tiles(0..self.n, 0..self.k, b, PANEL, y, pieces);
            return;
        }
        let depth = self.k.min(PACK_K);
        let columns = (PACK / depth.max(1))
            .next_multiple_of(PANEL)
            .min(self.n.next_multiple_of(PANEL));
        par.lend(depth * columns, |packed| {
            for first in (0..self.n).step_by(columns) {
                let across = first..(first + columns).min(self.n);
                if self.k == 0 {
                    let b = Right {
                        start: self.b.as_ptr(),
                        row: 0,
                    };
                    self.tiles(across, 0..0, b, 0, y, 1);
                    continue;
                }
                for top in (0..self.k).step_by(PACK_K) {
                    let deep = top..(top + PACK_K).min(self.k);
                    self.pack(across.clone(), deep.clone(), packed, par);
                    let b = Right {
                        start: packed.as_ptr(),
                        row: PANEL,
                    };
                    let panel = deep.len() * PANEL;
                    self.tiles(across.clone(), deep, b, panel, y, pieces);
                }
            }
        });
    }

    /// Copies columns `across` of rows `deep` of the right operand into panels: element `(l, j)` of
    /// a panel is at `l·32 + j`; columns beyond the last are zero.
    fn pack(&self, across: Range<usize>, deep: Range<usize>, packed: &mut [f32], par: Par) {
        let panel = deep.len() * PANEL;
        let panels = across.len().div_ceil(PANEL);
        let ns = panels * panel / if self.trans_b { 2 } else { 8 };
        let parts = (
            0..panels,
            crate::parallel::RowsMut(&mut packed[..panels * panel], panel),
        );
        par.split(panels, ns, parts, &|(which, packed): (Range<usize>, _)| {
            for (i, packed) in which.zip(packed.0.chunks_exact_mut(panel)) {
                let first = across.start + i * PANEL;
                let width = PANEL.min(across.end - first);
                if self.trans_b {
                    let b = &self.b[first * self.k + deep.start..];
                    let sizes = [width, deep.len()];
                    // SAFETY: `width` rows of the stored operand from `first` on, `deep` of their
                    // columns; the panel has a row of 32 for each of these.
                    unsafe {
                        transpose(b.as_ptr(), self.k, sizes, 1.0, packed.as_mut_ptr(), PANEL);
                    }
                } else {
                    let b = &self.b[deep.start * self.n + first..];
                    pack_rows(b, self.n, width, packed);
                }
            }
        });
    }

    /// Adds terms `deep` of columns `across`, given a right operand that begins there, whose panels
    /// are `panel` elements apart.
    fn tiles(
        &self,
        across: Range<usize>,
        deep: Range<usize>,
        b: Right,
        panel: usize,
        y: Shared<f32>,
        pieces: usize,
    ) {
        let b_start = Shared::from_const(b.start);
        let work = |rows: Range<usize>, panels: Range<usize>| {
            let b = Right {
                start: b_start.get(),
                row: b.row,
            };
            self.piece(rows, panels, &across, &deep, b, panel, y);
        };
        let panels = across.len().div_ceil(PANEL);
        split_tiles(pieces, row_unit(), 0..self.m, 0..panels, &work);
    }

    /// One thread's share of [`Gemm::tiles`].
    #[expect(
        clippy::too_many_arguments,
        reason = "the loop nest of one function, cut in two"
    )]
    fn piece(
        &self,
        rows: Range<usize>,
        panels: Range<usize>,
        across: &Range<usize>,
        deep: &Range<usize>,
        b: Right,
        panel: usize,
        y: Shared<f32>,
    ) {
        // Blocks of nearly equal depth, by the shape only. At least one, for a product without terms.
        let blocks = deep.len().div_ceil(BLOCK_K).max(1);
        let depth = deep.len().div_ceil(blocks).max(1);
        for block in 0..blocks {
            let start = (block * depth).min(deep.len());
            let terms = depth.min(deep.len() - start);
            let l = deep.start + start;
            let is_first = l == 0;
            for top in rows.clone().step_by(BLOCK_ROWS) {
                let height = BLOCK_ROWS.min(rows.end - top);
                let (row, column) = if self.trans_a {
                    (1, self.m)
                } else {
                    (self.k, 1)
                };
                let a = Left {
                    start: self.a.as_ptr().wrapping_add(top * row + l * column),
                    row,
                    column,
                };
                for i in panels.clone() {
                    let first = across.start + i * PANEL;
                    let bias = match self.bias {
                        Some(bias) if is_first => bias[first..].as_ptr(),
                        _ => std::ptr::null(),
                    };
                    let p = Product {
                        m: height,
                        n: PANEL.min(across.end - first),
                        k: terms,
                        alpha: self.alpha,
                        beta: if is_first { self.beta } else { 1.0 },
                        bias,
                    };
                    let b = Right {
                        start: b.start.wrapping_add(i * panel + start * b.row),
                        row: b.row,
                    };
                    let c = Output {
                        start: y.get().wrapping_add(top * self.n + first),
                        row: self.n,
                    };
                    // SAFETY: rows below m, columns below n, terms below k: all in the slices that
                    // the pointers come from. `y` is borrowed exclusively by the caller, and
                    // `split_tiles` hands every tile to one thread only.
                    unsafe { product(p, a, b, c) };
                }
            }
        }
    }
}

/// Calls `work` with pieces of the output, so many: cut in halves again and again, between rows where
/// there are many, so that panels stay whole, else between panels. Rows are cut at multiples of `unit`.
fn split_tiles(
    pieces: usize,
    unit: usize,
    rows: Range<usize>,
    panels: Range<usize>,
    work: &(impl Fn(Range<usize>, Range<usize>) + Sync),
) {
    if pieces <= 1 {
        work(rows, panels);
        return;
    }
    Par::run(pieces, &|piece| {
        let (rows, panels) = tile_piece(piece, pieces, unit, rows.clone(), panels.clone());
        work(rows, panels);
    });
}

/// Piece `piece` of `pieces`; one that there is nothing left for is empty.
fn tile_piece(
    mut piece: usize,
    mut pieces: usize,
    unit: usize,
    mut rows: Range<usize>,
    mut panels: Range<usize>,
) -> (Range<usize>, Range<usize>) {
    while pieces > 1 {
        let left = pieces / 2;
        let units = rows.len().div_ceil(unit);
        let cut = if units > 1 && (rows.len() >= MANY_ROWS / 2 || panels.len() <= 1) {
            let at = rows.start + (units * left / pieces).max(1) * unit;
            (&mut rows, at)
        } else if panels.len() > 1 {
            let at = panels.start + (panels.len() * left / pieces).max(1);
            (&mut panels, at)
        } else if piece > 0 {
            return (rows.end..rows.end, panels);
        } else {
            return (rows, panels);
        };
        let (range, at) = cut;
        if piece < left {
            range.end = at;
            pieces = left;
        } else {
            range.start = at;
            (piece, pieces) = (piece - left, pieces - left);
        }
    }
    (rows, panels)
}

simd! {
    fn pack_rows(b: &[f32], row: usize, width: usize, packed: &mut [f32]) {
        for (l, packed) in packed.as_chunks_mut::<PANEL>().0.iter_mut().enumerate() {
            let b = &b[l * row..][..width];
            if let Ok(b) = <&[f32; PANEL]>::try_from(b) {
                *packed = *b;
            } else {
                packed[..width].copy_from_slice(b);
                packed[width..].fill(0.0);
            }
        }
    }
}
