//! Forward: for each block of queries, one pass over the keys with a running softmax.

#[cfg(target_arch = "x86_64")]
use super::avx512;
use super::heads::Head;
use super::{
    Drops, Lines, QUERIES, Tile, gather, gathers, lanes, multiply, pack, plain, scale_rows,
};
use crate::gemm::{Left, Output, Product, Right, product};
use crate::math::{exp, ln};
use crate::memory::{Shared, read, write};
use crate::parallel::Par;
use crate::scratch::scratch;
use crate::simd::{Level, level, simd};
use latimer_tensor::op::Attention;
use latimer_tensor::{Handled, Result};
use std::ops::Range;

/// Keys of a tile: with 32 queries, 8 KiB of scores.
const KEYS: usize = 64;

pub(crate) fn forward(op: &mut Attention<'_>, par: Par) -> Result<Handled> {
    let sizes = op.sizes();
    let (batch, t, n_head, d) = (sizes.batch, sizes.seq_len, sizes.n_head, sizes.head_dim);
    let c = n_head * d;
    let qkv = read::<f32>(op.qkv)?;
    let y = write::<f32>(op.y.reborrow())?;
    let lse = write::<f32>(op.lse.reborrow())?;
    let drops = Drops::new(op.random, op.site, op.rate, n_head, t)?;
    let (scale, causal) = (op.scale, op.causal.then_some(0));
    let (y, lse) = (Shared::new(y), Shared::new(lse));
    let blocks = t.div_ceil(QUERIES);
    let tasks = batch * n_head * blocks;
    let cost = 1 + usize::from(!op.causal);
    let ns = batch * n_head * t * t * cost * (d + 16) / 64;
    // Long sequences first: blocks of one head lie side by side, so threads share its keys.
    par.split(tasks, ns, 0..tasks, &|tasks: Range<usize>| {
        let room = if gathers(t, d) { 2 * t * d } else { 0 };
        scratch(room, |memory| {
            let mut gathered = None;
            for task in tasks {
                let (which, block) = (task / blocks, task % blocks);
                let (b, h) = (which / n_head, which % n_head);
                let at = |which: usize| Lines::of(qkv, b * t * 3 * c + which * c + h * d, 3 * c);
                let mut head = Head {
                    b,
                    h,
                    d,
                    q: at(0),
                    k: at(1),
                    v: at(2),
                    y: Lines {
                        start: y.get().wrapping_add(b * t * c + h * d),
                        row: c,
                    },
                    keys: t,
                    causal,
                    scale,
                };
                if room > 0 {
                    let (k, v) = memory.split_at_mut(room / 2);
                    if gathered != Some(which) {
                        gathered = Some(which);
                        // SAFETY: keys of this head.
                        unsafe { gather(head.k, d, k) };
                        // SAFETY: values of this head.
                        unsafe { gather(head.v, d, v) };
                    }
                    (head.k, head.v) = (Lines::of(k, 0, d), Lines::of(v, 0, d));
                }
                let top = block * QUERIES;
                let queries = QUERIES.min(t - top);
                let first = (b * n_head + h) * t + top;
                // SAFETY: `lse` is `[B, NH, T]`, borrowed exclusively; these entries are this task's.
                let lse = unsafe { std::slice::from_raw_parts_mut(lse.get().add(first), queries) };
                // SAFETY: head `h` of row `b` lies in `qkv`, `[B, T, 3C]`, and in `y`, `[B, T, C]`,
                // which is borrowed exclusively; these rows of this head are this task's.
                unsafe { block_forward(&head, top, queries, drops.as_ref(), lse) };
            }
        });
    });
    Ok(Handled::Done)
}

/// Computes `y` and `lse` for queries `top .. top + queries` of a head.
///
/// # Safety
/// The head's rows lie in their buffers; nobody writes `q`, `k`, `v`, and nobody else touches these
/// rows of `y`.
pub(super) unsafe fn block_forward(
    head: &Head,
    top: usize,
    queries: usize,
    drops: Option<&Drops>,
    lse: &mut [f32],
) {
    let finite = match level() {
        #[cfg(target_arch = "x86_64")]
        // SAFETY: the CPU has the features; the rest is the caller's promise.
        Level::Avx512 => unsafe { avx512::block_forward(head, top, drops, lse) },
        // SAFETY: the caller's promise.
        _ => unsafe { tiles_forward(head, top, queries, drops, lse) },
    };
    if !(finite && lse.iter().all(|x| x.is_finite())) {
        for (i, lse) in lse.iter_mut().enumerate() {
            // SAFETY: the caller's promise.
            unsafe { plain::forward(head, top + i, drops, lse) };
        }
    }
}

/// Computes a block of queries in tiles; returns whether all of its `y` is finite.
///
/// # Safety
/// Same contract as [`block_forward`].
unsafe fn tiles_forward(
    head: &Head,
    top: usize,
    queries: usize,
    drops: Option<&Drops>,
    lse: &mut [f32],
) -> bool {
    let d = head.d;
    let lanes = lanes(queries);
    let (q, y) = (head.q.from(top), head.y.from(top));
    let seen = head.reach(top + queries - 1);
    let (mut most, mut total) = ([f32::NEG_INFINITY; QUERIES], [0.0; QUERIES]);
    scratch(d * lanes + 2 * KEYS * lanes + KEYS, |memory| {
        let (packed, rest) = memory.split_at_mut(d * lanes);
        let (tile, rest) = rest.split_at_mut(KEYS * lanes);
        let (mask, line) = rest.split_at_mut(KEYS * lanes);
        // SAFETY: these rows of q, by the caller's promise.
        // mutant: attention_scale_missing
        unsafe { pack(q, queries, d, lanes, head.scale, packed) };
        for first in (0..seen).step_by(KEYS) {
            let keys = KEYS.min(seen - first);
            let tile = &mut tile[..keys * lanes];
            let k = head.k.from(first);
            // SAFETY: keys first .. first + keys against the packed queries, into the tile.
            unsafe {
                product(
                    Product::plain(keys, lanes, d, false),
                    Left {
                        start: k.start,
                        row: k.row,
                        column: 1,
                    },
                    Right {
                        start: packed.as_ptr(),
                        row: lanes,
                    },
                    Output {
                        start: tile.as_mut_ptr(),
                        row: lanes,
                    },
                );
            }
            // Key `first + j` is hidden from query lane `i` where `first + j > top + i + offset`.
            let hidden = match head.causal {
                Some(offset) if first + keys > top + offset + 1 => {
                    Some(first as isize - (top + offset) as isize)
                }
                _ => None,
            };
            let shrink = running_softmax(tile, lanes, hidden, &mut most, &mut total);
            if let Some(drops) = drops {
                let mask = &mut mask[..keys * lanes];
                let at = Tile {
                    b: head.b,
                    h: head.h,
                    top,
                    queries,
                    lanes,
                    first,
                };
                drops.tile(at, mask, &mut line[..keys]);
                multiply(mask, tile);
            }
            // mutant: attention_never_shrinks
            if first > 0 {
                // SAFETY: these rows of y are the caller's own.
                unsafe { scale_rows(y, d, &shrink[..queries]) };
            }
            let v = head.v.from(first);
            // SAFETY: the tile, transposed, against values first .. first + keys, into y.
            unsafe {
                product(
                    // mutant: attention_adds_to_old_output
                    Product::plain(queries, d, keys, first > 0),
                    Left {
                        start: tile.as_ptr(),
                        row: 1,
                        column: lanes,
                    },
                    Right {
                        start: v.start,
                        row: v.row,
                    },
                    Output {
                        start: y.start,
                        row: y.row,
                    },
                );
            }
        }
    });
    let (factors, logs) = finish(&total, &most);
    lse.copy_from_slice(&logs[..queries]);
    // SAFETY: as above.
    unsafe { scale_rows(y, d, &factors[..queries]) }
}

simd! {
    /// Writes one over each sum, and the logarithm of each sum of exponentials.
    fn finish(
        total: &[f32; QUERIES],
        most: &[f32; QUERIES],
    ) -> ([f32; QUERIES], [f32; QUERIES]) {
        let (mut factors, mut logs) = ([0.0; QUERIES], [0.0; QUERIES]);
        for i in 0..QUERIES {
            factors[i] = 1.0 / total[i];
            logs[i] = most[i] + ln::<FMA>(total[i]);
        }
        (factors, logs)
    }
}

/// Turns scores into weights: updates the greatest score so far, subtracts it, exponentiates, and
/// updates the sum so far. Returns the factors by which earlier sums must shrink.
fn running_softmax(
    tile: &mut [f32],
    lanes: usize,
    hidden: Option<isize>,
    most: &mut [f32; QUERIES],
    total: &mut [f32; QUERIES],
) -> [f32; QUERIES] {
    if let Some(hidden) = hidden {
        hide(tile, lanes, hidden);
    }
    let before = *most;
    raise_to_max(tile, lanes, most);
    exponentials(tile, lanes, most);
    let shrink = shrinkage(&before, most);
    for (total, &shrink) in total.iter_mut().zip(&shrink) {
        *total *= shrink;
    }
    add_sums(tile, lanes, total);
    shrink
}

simd! {
    /// Lane `i` does not see key `j` where `i < hidden + j`.
    fn hide(tile: &mut [f32], lanes: usize, hidden: isize) {
        for (j, row) in tile.chunks_exact_mut(lanes).enumerate() {
            // mutant: attention_sees_one_key_ahead
            let sees = (hidden + j as isize) as i32;
            for row in row.as_chunks_mut::<16>().0.iter_mut().enumerate() {
                let (sees, row) = (sees - 16 * row.0 as i32, row.1);
                for (i, x) in row.iter_mut().enumerate() {
                    *x = if (i as i32) < sees { f32::NEG_INFINITY } else { *x };
                }
            }
        }
    }
}

simd! {
    fn exponentials(tile: &mut [f32], lanes: usize, most: &[f32; QUERIES]) {
        // Known lengths make straight vector code.
        if lanes == QUERIES {
            for row in tile.as_chunks_mut::<QUERIES>().0 {
                for i in 0..QUERIES {
                    row[i] = exp::<FMA>(row[i] - most[i]);
                }
            }
        } else {
            for row in tile.as_chunks_mut::<{ QUERIES / 2 }>().0 {
                for i in 0..QUERIES / 2 {
                    row[i] = exp::<FMA>(row[i] - most[i]);
                }
            }
        }
    }
}

simd! {
    fn shrinkage(before: &[f32; QUERIES], now: &[f32; QUERIES]) -> [f32; QUERIES] {
        let mut shrink = [0.0; QUERIES];
        for i in 0..QUERIES {
            // Lanes without a query stay at minus infinity.
            let change = if now[i] == f32::NEG_INFINITY { 0.0 } else { before[i] - now[i] };
            shrink[i] = exp::<FMA>(change);
        }
        shrink
    }
}

/// Raises `most[i]` to the greatest value of column `i`; NaNs are ignored.
fn raise_to_max(tile: &[f32], lanes: usize, most: &mut [f32; QUERIES]) {
    for row in tile.chunks_exact(lanes) {
        for (most, &x) in most.iter_mut().zip(row) {
            *most = if x > *most { x } else { *most };
        }
    }
}

/// Adds column `i` to `total[i]`, from the top down.
fn add_sums(tile: &[f32], lanes: usize, total: &mut [f32; QUERIES]) {
    // mutant: attention_sum_skips_a_key
    for row in tile.chunks_exact(lanes) {
        for (total, &x) in total.iter_mut().zip(row) {
            *total += x;
        }
    }
}
