//! Backward: one task per head, weights computed again from `lse`, block by block.

#[cfg(target_arch = "x86_64")]
use super::avx512;
use super::heads::HeadBackward;
use super::{
    Drops, Lines, QUERIES, Tile, VECTOR, are_finite, gather, gathers, lanes, pack, plain, scatter,
};
use crate::gemm::{Left, Output, Product, Right, product};
use crate::math::exp;
use crate::memory::{Shared, read, write};
use crate::parallel::Par;
use crate::scratch::scratch;
use crate::simd::{Level, fma, level, simd};
use latimer_tensor::op::AttentionBackward;
use latimer_tensor::{Handled, Result};
use std::ops::Range;

/// Keys of a tile, as many as queries: a block of keys is then first met by one block of queries.
const KEYS: usize = QUERIES;

pub(crate) fn backward(op: &mut AttentionBackward<'_>, par: Par) -> Result<Handled> {
    let sizes = op.sizes();
    let (batch, t, n_head, d) = (sizes.batch, sizes.seq_len, sizes.n_head, sizes.head_dim);
    let c = n_head * d;
    let qkv = read::<f32>(op.qkv)?;
    let y = read::<f32>(op.y)?;
    let dy = read::<f32>(op.dy)?;
    let lse = read::<f32>(op.lse)?;
    let dqkv = Shared::new(write::<f32>(op.dqkv.reborrow())?);
    let drops = Drops::new(op.random, op.site, op.rate, n_head, t)?;
    let (scale, causal) = (op.scale, op.causal);
    let tasks = batch * n_head;
    let cost = 1 + usize::from(!causal);
    let ns = tasks * t * t * cost * (5 * d / 2 + 16) / 64;
    par.split(tasks, ns, 0..tasks, &|tasks: Range<usize>| {
        for task in tasks {
            let (b, h) = (task / n_head, task % n_head);
            let place = |which: usize| b * t * 3 * c + which * c + h * d;
            let of = |which| Lines::of(qkv, place(which), 3 * c);
            let gradient = |which| Lines {
                start: dqkv.get().wrapping_add(place(which)),
                row: 3 * c,
            };
            let mut head = HeadBackward {
                b,
                h,
                d,
                seq_len: t,
                q: of(0),
                k: of(1),
                v: of(2),
                y: Lines::of(y, b * t * c + h * d, c),
                dy: Lines::of(dy, b * t * c + h * d, c),
                dq: gradient(0),
                // mutant: backward_swaps_dk_and_dv
                dk: gradient(1),
                dv: gradient(2),
                lse: &lse[task * t..][..t],
                scale,
                causal,
            };
            if !gathers(t, d) {
                // SAFETY: head `h` of row `b` lies in all operands (checked shapes); `dqkv` is
                // borrowed exclusively, and this head's part of it is this task's.
                unsafe { head_backward(&head, drops.as_ref()) };
                continue;
            }
            scratch(4 * t * d, |memory| {
                let (ins, outs) = memory.split_at_mut(2 * t * d);
                let (k, v) = ins.split_at_mut(t * d);
                let to = [head.dk, head.dv];
                // SAFETY: keys of this head, as above.
                head.k = unsafe { gather(head.k, d, k) };
                // SAFETY: values of this head.
                head.v = unsafe { gather(head.v, d, v) };
                head.dk = Lines {
                    start: outs.as_mut_ptr(),
                    row: d,
                };
                head.dv = head.dk.from(t);
                // SAFETY: as above; the rest is scratch memory of this task's own.
                unsafe { head_backward(&head, drops.as_ref()) };
                for (from, to) in outs.chunks_exact(t * d).zip(to) {
                    // SAFETY: rows of this head in `dqkv`.
                    unsafe { scatter(from, d, to) };
                }
            });
        }
    });
    Ok(Handled::Done)
}

/// Computes a head's gradients: in tiles, and by plain loops if something is not finite.
///
/// # Safety
/// The head's rows lie in their buffers; nobody writes the operands, and nobody else touches this
/// head's gradients.
pub(super) unsafe fn head_backward(head: &HeadBackward<'_>, drops: Option<&Drops>) {
    let finite = match level() {
        #[cfg(target_arch = "x86_64")]
        // SAFETY: the CPU has the features; the rest is the caller's promise.
        Level::Avx512 => unsafe { avx512::head_backward(head, drops) },
        // SAFETY: the caller's promise.
        _ => unsafe { tiles_backward(head, drops) },
    };
    if !finite {
        // SAFETY: the caller's promise.
        unsafe { plain::backward(head, drops) };
    }
}

/// Computes the head's gradients in tiles; returns whether all of them are finite.
///
/// # Safety
/// Same contract as [`head_backward`].
unsafe fn tiles_backward(head: &HeadBackward<'_>, drops: Option<&Drops>) -> bool {
    let (t, d) = (head.seq_len, head.d);
    let wide = QUERIES * KEYS;
    scratch(3 * d * QUERIES + 3 * wide + KEYS, |memory| {
        let (packed, rest) = memory.split_at_mut(3 * d * QUERIES);
        let (weights, rest) = rest.split_at_mut(wide);
        let (scores, rest) = rest.split_at_mut(wide);
        let (mask, line) = rest.split_at_mut(wide);
        for top in (0..t).step_by(QUERIES) {
            let queries = QUERIES.min(t - top);
            let lanes = lanes(queries);
            let (packed_q, rest) = packed.split_at_mut(d * lanes);
            let (packed_dy, packed_y) = rest.split_at_mut(d * lanes);
            let packed_y = &mut packed_y[..d * lanes];
            let (q, dy, y, dq) = (
                head.q.from(top),
                head.dy.from(top),
                head.y.from(top),
                head.dq.from(top),
            );
            // SAFETY: these rows of q and dy.
            unsafe { pack(q, queries, d, lanes, head.scale, packed_q) };
            // SAFETY: as above.
            unsafe { pack(dy, queries, d, lanes, 1.0, packed_dy) };
            // SAFETY: these rows of y.
            unsafe { pack(y, queries, d, lanes, 1.0, packed_y) };
            let delta = column_products(packed_dy, packed_y, lanes);
            let mut lse = [0.0; QUERIES];
            lse[..queries].copy_from_slice(&head.lse[top..][..queries]);
            let seen = if head.causal { top + queries } else { t };
            for first in (0..seen).step_by(KEYS) {
                let keys = KEYS.min(seen - first);
                let weights = &mut weights[..keys * lanes];
                let scores = &mut scores[..keys * lanes];
                let [k, v] = [head.k, head.v].map(|x| x.from(first));
                let [dk, dv] = [head.dk, head.dv].map(|x| x.from(first));
                let tile = Product::plain(keys, lanes, d, false);
                let left = |x: Lines| Left {
                    start: x.start,
                    row: x.row,
                    column: 1,
                };
                let right = |x: Lines| Right {
                    start: x.start,
                    row: x.row,
                };
                let onto = |x: Lines| Output {
                    start: x.start,
                    row: x.row,
                };
                let flat = |x: &mut [f32]| Output {
                    start: x.as_mut_ptr(),
                    row: lanes,
                };
                let across = |x: &[f32]| Right {
                    start: x.as_ptr(),
                    row: lanes,
                };
                // SAFETY: keys first .. first + keys against this block's queries, into a tile.
                unsafe { product(tile, left(k), across(packed_q), flat(weights)) };
                // SAFETY: values first .. first + keys against this block's dy, into a tile.
                unsafe { product(tile, left(v), across(packed_dy), flat(scores)) };
                let hidden =
                    (head.causal && first + keys > top + 1).then(|| first as isize - top as isize);
                let mask = drops.map(|drops| {
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
                    &*mask
                });
                gradients(
                    weights, scores, lanes, hidden, mask, &lse, &delta, head.scale,
                );
                // The block of queries that meets these keys first overwrites their gradients.
                // mutant: backward_adds_to_old_gradients
                let adds = if head.causal { first < top } else { top > 0 };
                let per_key = Product::plain(keys, d, queries, adds);
                let down = |x: &[f32]| Left {
                    start: x.as_ptr(),
                    row: lanes,
                    column: 1,
                };
                // SAFETY: the tile against these rows of dy, into dv of these keys.
                unsafe { product(per_key, down(weights), right(dy), onto(dv)) };
                // SAFETY: the tile against these rows of q, into dk of these keys.
                unsafe { product(per_key, down(scores), right(q), onto(dk)) };
                let per_query = Product::plain(queries, d, keys, first > 0);
                let turned = Left {
                    start: scores.as_ptr(),
                    row: 1,
                    column: lanes,
                };
                // SAFETY: the tile, transposed, against these keys, into dq of these queries.
                unsafe { product(per_query, turned, right(k), onto(dq)) };
            }
        }
    });
    [head.dq, head.dk, head.dv].into_iter().all(|lines| {
        // SAFETY: this head's gradients, which are the caller's own.
        unsafe { are_finite(lines, t, d) }
    })
}

simd! {
    /// `Σ_x a[x, i]·b[x, i]` for every lane `i`.
    fn column_products(a: &[f32], b: &[f32], lanes: usize) -> [f32; QUERIES] {
        let mut sums = [0.0; QUERIES];
        for (a, b) in a.chunks_exact(lanes).zip(b.chunks_exact(lanes)) {
            for ((sum, &a), &b) in sums.iter_mut().zip(a).zip(b) {
                *sum = fma::<FMA>(a, b, *sum);
            }
        }
        sums
    }
}

simd! {
    /// Turns scores into weights `p` (with dropout), and gradients of weights into those of scores,
    /// `p·(m·dp - delta)·scale`.
    fn gradients(
        weights: &mut [f32],
        scores: &mut [f32],
        lanes: usize,
        hidden: Option<isize>,
        mask: Option<&[f32]>,
        lse: &[f32; QUERIES],
        delta: &[f32; QUERIES],
        scale: f32,
    ) {
        for from in (0..lanes).step_by(VECTOR) {
            let (mut lse_here, mut delta_here) = ([0.0; VECTOR], [0.0; VECTOR]);
            lse_here.copy_from_slice(&lse[from..from + VECTOR]);
            delta_here.copy_from_slice(&delta[from..from + VECTOR]);
            let rows = weights.chunks_exact_mut(lanes).zip(scores.chunks_exact_mut(lanes));
            for (j, (weights, scores)) in rows.enumerate() {
                let weights = &mut weights[from..from + VECTOR];
                let scores = &mut scores[from..from + VECTOR];
                let sees = hidden.map_or(0, |h| (h + j as isize - from as isize).clamp(0, 64)) as i32;
                if let Some(mask) = mask {
                    let mask = &mask[j * lanes + from..][..VECTOR];
                    for i in 0..VECTOR {
                        let p = exp::<FMA>(weights[i] - lse_here[i]);
                        let p = if (i as i32) < sees { 0.0 } else { p };
                        weights[i] = p * mask[i];
                        scores[i] = p * fma::<FMA>(mask[i], scores[i], -delta_here[i]) * scale;
                    }
                } else {
                    for i in 0..VECTOR {
                        let p = exp::<FMA>(weights[i] - lse_here[i]);
                        let p = if (i as i32) < sees { 0.0 } else { p };
                        weights[i] = p;
                        // mutant: backward_without_delta
                        scores[i] = p * (scores[i] - delta_here[i]) * scale;
                    }
                }
            }
        }
    }
}
