//! Products of matrices.
//!
//! The output is cut into rows and panels of columns, which go to different threads; sums over
//! `k` are never cut by thread, but in blocks that depend on the shapes only. The right operand is
//! packed into panels once, by all threads together, if it is transposed or used often. The left
//! operand is packed into tiles, each thread packing its own rows, if many panels use it. On
//! processors without tile kernels of ours, [`whole`] computes products.

#![expect(
    unsafe_code,
    reason = "tiles of one output cannot be split safely along columns"
)]

#[cfg(target_arch = "x86_64")]
mod blocks;
#[cfg(target_arch = "x86_64")]
mod dots;
mod finish;
mod kernel;
mod left;
mod narrow;
#[cfg(target_arch = "x86_64")]
mod pairs;
mod right;
mod stretches;
mod transpose;
mod vector;
mod whole;

#[cfg(target_arch = "x86_64")]
pub(crate) use kernel::{Left, Output, Product, Right, product};
pub(crate) use narrow::narrow_matmul;
pub(crate) use transpose::transpose;

use crate::memory::{Shared, read, write};
use crate::parallel::Par;
use crate::scratch::scratch;
use kernel::{ROW_UNIT, has_tiles, packed_product, panel, tile_rows};
use latimer_tensor::op::Matmul;
use latimer_tensor::{Handled, Result};
use std::ops::Range;

/// At most this many terms are summed before the output is touched: a panel of them is 32 KiB at
/// most.
const BLOCK_K: usize = 256;
/// Elements of the right operand packed at a time: 1 MiB, half of a second-level cache.
const PACK: usize = 1 << 18;
/// If the left operand is packed, this many tiles of it are multiplied with all panels before the
/// next tiles are packed: with `BLOCK_K` terms, 344 KiB if tiles have 14 rows, 147 KiB if they have
/// 6.
const BLOCK_TILES: usize = 24;
/// If the left operand is not packed, this many rows of it are multiplied with all panels before
/// the next rows; a multiple of [`ROW_UNIT`].
const BLOCK_ROWS: usize = 144;
/// A thread packs the left operand only if it takes at least this many columns, and the operand's
/// stored rows are longer than [`LONG_ROW`].
const MANY_COLUMNS: usize = 128;
/// Rows of the left operand, as stored (`k` elements, or `m` if transposed), are long enough to be
/// packed if they are longer than this; see [`MANY_COLUMNS`].
const LONG_ROW: usize = 64;
/// Up to this many rows, the right operand is streamed rather than tiled.
const FEW_ROWS: usize = 4;
/// About the number of columns in one piece, where each thread packs its own columns.
const OWN_COLUMNS: usize = 1024;
/// From this many output rows on, packing a row-major right operand pays.
const MANY_ROWS: usize = 48;

pub(crate) fn matmul(op: &mut Matmul<'_>, par: Par) -> Result<Handled> {
    let sizes = op.sizes();
    let (batch, m, n, k) = (sizes.batch, sizes.m, sizes.n, sizes.k);
    let a = read::<f32>(op.a)?;
    let b = read::<f32>(op.b)?;
    let bias = op.bias.map(|bias| read::<f32>(bias)).transpose()?;
    let y = write::<f32>(op.y.reborrow())?;
    if y.is_empty() {
        return Ok(Handled::Done);
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
    Ok(Handled::Done)
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
        if !has_tiles() {
            self.run_whole(y, par);
            return;
        }
        let y = Shared::new(y);
        let pieces = par.pieces(nanoseconds(self.m, self.n, self.k));
        // Rows of an output that is wider than high are too few to share a packed right operand: half of
        // it would come from another core's cache. So each thread packs the columns that it takes.
        let wide = panel();
        let across = self.n / wide / par.threads() * wide;
        if pieces > 1 && self.n > self.m && across >= MANY_COLUMNS {
            let panels = self.n.div_ceil(wide);
            let pieces = par.threads() * (across / OWN_COLUMNS).clamp(1, 4);
            Par::run(pieces, &|i| {
                let [first, end] = [i, i + 1].map(|i| (panels * i / pieces * wide).min(self.n));
                self.columns(first..end, y, Par::SERIAL, 1);
            });
        } else {
            self.columns(0..self.n, y, par, pieces);
        }
    }

    /// Computes columns `all` of the output, in `pieces` pieces.
    fn columns(&self, all: Range<usize>, y: Shared<f32>, par: Par, pieces: usize) {
        let wide = panel();
        // Blocks of nearly equal depth that depend on the shape only; one block if there are no
        // terms.
        let blocks = self.k.div_ceil(BLOCK_K).max(1);
        let depth = self.k.div_ceil(blocks);
        let deep = |block: usize| (block * depth).min(self.k)..((block + 1) * depth).min(self.k);
        if !self.trans_b && self.m < MANY_ROWS {
            for deep in (0..blocks).map(deep) {
                let b = Right {
                    start: self.b[deep.start * self.n + all.start..].as_ptr(),
                    row: self.n,
                };
                self.tiles(all.clone(), deep, b, wide, y, pieces);
            }
            return;
        }
        let columns = (PACK / depth.max(1))
            .next_multiple_of(wide)
            .min(all.len().next_multiple_of(wide));
        par.lend(depth * columns, |packed| {
            for first in all.clone().step_by(columns) {
                let across = first..(first + columns).min(all.end);
                for deep in (0..blocks).map(deep) {
                    let panel = deep.len() * wide;
                    if panel > 0 {
                        self.pack(&across, &deep, packed, par);
                    }
                    let b = Right {
                        start: packed.as_ptr(),
                        row: wide,
                    };
                    self.tiles(across.clone(), deep, b, panel, y, pieces);
                }
            }
        });
    }

    /// Adds terms `deep` to columns `across` of the output. The right operand `b` begins at these
    /// terms and columns, and its panels are `panel` elements apart.
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
        let panels = across.len().div_ceil(kernel::panel());
        split_tiles(pieces, ROW_UNIT, 0..self.m, 0..panels, &work);
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
        let wide = kernel::panel();
        let packs = panels.len() * wide >= MANY_COLUMNS && !deep.is_empty();
        let packs = packs && if self.trans_a { self.m } else { self.k } > LONG_ROW;
        // Tiles of nearly equal height.
        let tiles = rows.len().div_ceil(tile_rows());
        let height = rows.len().div_ceil(tiles);
        let (block, len) = if packs {
            let tiles = tiles.min(BLOCK_TILES);
            (tiles * height, tiles * height * deep.len() + left::SLACK)
        } else {
            (BLOCK_ROWS, 0)
        };
        scratch(len, |packed| {
            for top in rows.clone().step_by(block) {
                let rows = top..(top + block).min(rows.end);
                let (row, column) = if self.trans_a {
                    (1, self.m)
                } else {
                    (self.k, 1)
                };
                let a = Left {
                    start: self
                        .a
                        .as_ptr()
                        .wrapping_add(top * row + deep.start * column),
                    row,
                    column,
                };
                if packs {
                    // SAFETY: rows below m, terms below k; room for as many tiles.
                    unsafe { left::pack(a, rows.len(), deep.len(), height, packed.as_mut_ptr()) };
                }
                for i in panels.clone() {
                    let first = across.start + i * wide;
                    let is_first = deep.start == 0;
                    let bias = match self.bias {
                        // mutant: matmul_bias_with_every_block
                        Some(bias) if is_first => bias[first..].as_ptr(),
                        _ => std::ptr::null(),
                    };
                    let p = Product {
                        m: rows.len(),
                        n: wide.min(across.end - first),
                        k: deep.len(),
                        alpha: self.alpha,
                        // mutant: matmul_beta_with_every_block
                        beta: if is_first { self.beta } else { 1.0 },
                        bias,
                    };
                    let b = Right {
                        start: b.start.wrapping_add(i * panel),
                        row: b.row,
                    };
                    let c = Output {
                        start: y.get().wrapping_add(top * self.n + first),
                        row: self.n,
                    };
                    // SAFETY: rows below m, columns below n, terms below k: all in the slices that
                    // the pointers come from, or packed. `y` is borrowed exclusively by the caller,
                    // and `split_tiles` hands every tile to one thread only.
                    unsafe {
                        if packs {
                            packed_product(p, height, packed.as_ptr(), b, c);
                        } else {
                            product(p, a, b, c);
                        }
                    }
                }
            }
        });
    }
}

/// Splits the output into `pieces` pieces and calls `work` with each. Splits in half repeatedly:
/// between rows if there are enough of them, so that panels stay whole, otherwise between panels.
/// Rows are cut at multiples of `unit`.
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
        if !rows.is_empty() {
            work(rows, panels);
        }
    });
}

/// The rows and panels of piece `piece` of `pieces`; empty if there are more pieces than can be
/// cut.
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::team::Team;

    #[test]
    fn wide_outputs_do_not_depend_on_who_takes_which_columns() {
        let k = if cfg!(miri) { 3 } else { 300 };
        let number = |i: usize| ((i * 7919) % 2003) as f32 / 1001.5 - 1.0;
        // Below and from `MANY_ROWS` on, where the right operand is packed; a ragged last panel.
        for (m, trans_b) in [(20, false), (20, true), (50, false), (50, true)] {
            let n = 3 * MANY_COLUMNS + 9;
            let a: Vec<f32> = (0..m * k).map(number).collect();
            let b: Vec<f32> = (0..k * n).map(|i| number(i + 17)).collect();
            let bias: Vec<f32> = (0..n).map(|i| number(i + 5)).collect();
            let gemm = Gemm {
                m,
                n,
                k,
                a: &a,
                b: &b,
                bias: Some(&bias),
                trans_a: false,
                trans_b,
                alpha: 0.5,
                beta: 0.0,
            };
            let run = |threads: usize| {
                let mut y = vec![f32::NAN; m * n];
                let team = Team::new(threads).unwrap();
                team.enter(|| gemm.run(&mut y, Par::new(threads)));
                y
            };
            let y = run(1);
            for threads in [2, 3] {
                assert_eq!(run(threads), y, "{threads} threads");
            }
            for (at, &y) in y.iter().enumerate() {
                let (i, j) = (at / n, at % n);
                let b = |l: usize| b[if trans_b { j * k + l } else { l * n + j }];
                let term = |l: usize| f64::from(a[i * k + l]) * f64::from(b(l));
                let shift = f64::from(bias[j]);
                let want = 0.5 * (0..k).map(term).sum::<f64>() + shift;
                let magnitude = 0.5 * (0..k).map(|l| term(l).abs()).sum::<f64>() + shift.abs();
                // A term is rounded with its product and at most once for each later one.
                let bound = (k + 3) as f64 * f64::from(f32::EPSILON) / 2.0 * magnitude;
                let off = (f64::from(y) - want).abs();
                assert!(off <= bound, "[{i}, {j}]: {y}, want {want}");
            }
        }
    }
}
