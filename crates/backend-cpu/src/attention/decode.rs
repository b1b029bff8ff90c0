//! Attention of new positions over a cache.
//!
//! A single position streams the cached keys and values once, at the speed of memory. Several (a
//! prompt) go through the tiles of forward.

use super::forward::block_forward;
use super::heads::Head;
use super::{Lines, QUERIES};
use crate::memory::{Shared, read, write};
use crate::parallel::Par;
use crate::real::Real;
use crate::scratch::scratch;
use crate::simd::{fma, simd};
use crate::softmax::exponentials;
use latimer_tensor::op::AttentionDecode;
use latimer_tensor::{Handled, Result};
use std::ops::Range;

/// Up to this many new positions are streamed.
pub(super) const FEW: usize = 3;

pub(crate) fn decode(op: &mut AttentionDecode<'_>, par: Par) -> Result<Handled> {
    let sizes = op.sizes();
    let (batch, t, n_head, d) = (sizes.batch, sizes.seq_len, sizes.n_head, sizes.head_dim);
    let c = n_head * d;
    let room = op.k_cache.shape().dims()[2];
    let qkv = read::<f32>(op.qkv)?;
    let k = Shared::new(write::<f32>(op.k_cache.reborrow())?);
    let v = Shared::new(write::<f32>(op.v_cache.reborrow())?);
    let y = Shared::new(write::<f32>(op.y.reborrow())?);
    if t == 0 {
        return Ok(Handled::Done);
    }
    let (position, scale) = (op.position, op.scale);
    let tasks = batch * n_head;
    // Streamed positions are limited by memory, positions in tiles by arithmetic.
    let ns = tasks * t * (position + t) * if t <= FEW { d / 3 + 1 } else { d / 16 + 1 };
    par.split(tasks, ns, 0..tasks, &|tasks: Range<usize>| {
        for task in tasks {
            let (b, h) = (task / n_head, task % n_head);
            let from = |which: usize| Lines::of(qkv, b * t * 3 * c + which * c + h * d, 3 * c);
            let cache = |start: Shared<f32>| Lines {
                start: start.get().wrapping_add(task * room * d),
                row: d,
            };
            let head = Head {
                b,
                h,
                d,
                q: from(0),
                k: cache(k),
                v: cache(v),
                y: Lines {
                    start: y.get().wrapping_add(b * t * c + h * d),
                    row: c,
                },
                keys: position + t,
                causal: Some(position),
                scale,
            };
            for i in 0..t {
                for (new, old) in [(from(1), head.k), (from(2), head.v)] {
                    // SAFETY: two rows, of head `h` in `qkv`, and of cache `[b, h]`, whose room
                    // holds `position + t` rows (checked) and which is this task's own.
                    // mutant: decode_forgets_the_position
                    let (new, old) = unsafe { (new.get(i, d), old.get_mut(position + i, d)) };
                    old.copy_from_slice(new);
                }
            }
            if t <= FEW {
                for i in 0..t {
                    let seen = head.reach(i) * d;
                    // SAFETY: as above; rows of the caches are adjacent and not written any more.
                    let (k, v) = unsafe { (head.k.get(0, seen), head.v.get(0, seen)) };
                    // SAFETY: as above; row i of this head of y is this task's.
                    let (q, y) = unsafe { (head.q.get(i, d), head.y.get_mut(i, d)) };
                    stream(q, k, v, scale, y);
                }
                continue;
            }
            for top in (0..t).step_by(QUERIES) {
                let queries = QUERIES.min(t - top);
                let mut lse = [0.0; QUERIES];
                // SAFETY: as above.
                unsafe { block_forward(&head, top, queries, None, &mut lse[..queries]) };
            }
        }
    });
    Ok(Handled::Done)
}

/// Attention of one query over adjacent keys and values.
pub(super) fn stream<E: Real>(q: &[f32], k: &[E], v: &[E], scale: f32, y: &mut [f32]) {
    if q.is_empty() {
        return;
    }
    let keys = k.len() / q.len();
    scratch(2 * keys, |memory| {
        let (scores, p) = memory.split_at_mut(keys);
        all_scores(q, k, scores);
        let (total, _) = exponentials(scores, scale, p);
        weighted_sum(p, 1.0 / total, v, y);
    });
}

simd! {
    fn all_scores<E: Real>(q: &[f32], k: &[E], scores: &mut [f32]) {
        for (score, k) in scores.iter_mut().zip(k.chunks_exact(q.len())) {
            *score = crate::math::dot::<FMA, _, _>(q, k);
        }
    }
}

simd! {
    /// `y = factor · Σ_j p[j]·v[j]`.
    fn weighted_sum<E: Real>(p: &[f32], factor: f32, v: &[E], y: &mut [f32]) {
        let d = y.len();
        y.fill(0.0);
        let (fours, tail) = p.as_chunks::<4>();
        let mut rows = v.chunks_exact(4 * d);
        for (p, v) in fours.iter().zip(&mut rows) {
            let (ab, cd) = v.split_at(2 * d);
            let ((a, b), (c, e)) = (ab.split_at(d), cd.split_at(d));
            for x in 0..d {
                let near = fma::<FMA>(p[1], b[x].load(), fma::<FMA>(p[0], a[x].load(), y[x]));
                y[x] = fma::<FMA>(p[3], e[x].load(), fma::<FMA>(p[2], c[x].load(), near));
            }
        }
        for (&p, v) in tail.iter().zip(rows.remainder().chunks_exact(d)) {
            for (y, &v) in y.iter_mut().zip(v) {
                *y = fma::<FMA>(p, v.load(), *y);
            }
        }
        for y in y {
            *y *= factor;
        }
    }
}
