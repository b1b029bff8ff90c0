//! Attention on `bf16`: a head is widened into scratch memory, goes through the tiles of `f32`
//! there, and what comes out is rounded once.

use super::backward::head_backward;
use super::decode::{FEW, stream};
use super::forward::block_forward;
use super::heads::{Head, HeadBackward};
use super::{Drops, Lines, QUERIES};
use crate::memory::{Shared, read, write};
use crate::parallel::Par;
use crate::real::{narrow, widen};
use crate::scratch::scratch;
use half::bf16;
use latimer_tensor::op::{Attention, AttentionBackward, AttentionDecode};
use latimer_tensor::{Handled, Result};
use std::ops::Range;

/// Rows of one head, in a buffer that also holds other heads.
#[derive(Clone, Copy, Debug)]
struct Narrow {
    buffer: Shared<bf16>,
    /// The element that row 0 begins at.
    first: usize,
    row: usize,
    d: usize,
}

impl Narrow {
    /// Widens rows `0 .. x.len() / d` into `x`, one directly after the other, and returns them.
    ///
    /// # Safety
    /// The rows lie in the buffer, and nobody writes them during the call.
    unsafe fn widened(self, x: &mut [f32]) -> Lines {
        for (i, x) in x.chunks_exact_mut(self.d).enumerate() {
            // SAFETY: the caller's promise.
            widen(unsafe { self.get(i, self.d) }, x);
        }
        flat(x, self.d)
    }

    /// Rounds the adjacent rows of `x` into these rows.
    ///
    /// # Safety
    /// These rows lie in the buffer, which may be written, and nobody else touches them.
    unsafe fn round(self, x: &[f32]) {
        for (i, x) in x.chunks_exact(self.d).enumerate() {
            // SAFETY: the caller's promise.
            narrow(x, unsafe { self.get_mut(i, self.d) });
        }
    }

    /// `len` elements from the beginning of row `i` on.
    ///
    /// # Safety
    /// Same contract as [`Narrow::widened`].
    unsafe fn get<'a>(self, i: usize, len: usize) -> &'a [bf16] {
        let start = self.buffer.get().wrapping_add(self.first + i * self.row);
        // SAFETY: the caller's promise.
        unsafe { std::slice::from_raw_parts(start, len) }
    }

    /// `len` elements from the beginning of row `i` on, to be written.
    ///
    /// # Safety
    /// Same contract as [`Narrow::round`].
    unsafe fn get_mut<'a>(self, i: usize, len: usize) -> &'a mut [bf16] {
        let start = self.buffer.get().wrapping_add(self.first + i * self.row);
        // SAFETY: the caller's promise.
        unsafe { std::slice::from_raw_parts_mut(start, len) }
    }
}

/// The slice `x` as adjacent rows of `d` elements.
fn flat(x: &mut [f32], d: usize) -> Lines {
    Lines {
        start: x.as_mut_ptr(),
        row: d,
    }
}

/// Finds a head's rows in buffers of shape `[B, T, 3C]` and `[B, T, C]`.
#[derive(Clone, Copy, Debug)]
struct Places {
    t: usize,
    n_head: usize,
    d: usize,
}

impl Places {
    /// In `[B, T, 3C]`, the queries, keys or values (`which`: 0, 1, 2) of head `h` of row `b`.
    fn joint(self, buffer: Shared<bf16>, [b, h]: [usize; 2], which: usize) -> Narrow {
        let c = self.n_head * self.d;
        Narrow {
            buffer,
            first: b * self.t * 3 * c + which * c + h * self.d,
            row: 3 * c,
            d: self.d,
        }
    }

    /// In `[B, T, C]` (an output or its gradient), the rows of head `h` of row `b`.
    fn single(self, buffer: Shared<bf16>, [b, h]: [usize; 2]) -> Narrow {
        let c = self.n_head * self.d;
        Narrow {
            buffer,
            first: b * self.t * c + h * self.d,
            row: c,
            d: self.d,
        }
    }
}

pub(crate) fn forward(op: &mut Attention<'_>, par: Par) -> Result<Handled> {
    let sizes = op.sizes();
    let (batch, t, n_head, d) = (sizes.batch, sizes.seq_len, sizes.n_head, sizes.head_dim);
    let qkv = Shared::from_const(read::<bf16>(op.qkv)?.as_ptr());
    let y = Shared::new(write::<bf16>(op.y.reborrow())?);
    let lse = Shared::new(write::<f32>(op.lse.reborrow())?);
    let drops = Drops::new(op.random, op.site, op.rate, n_head, t)?;
    let (scale, causal) = (op.scale, op.causal.then_some(0));
    let places = Places { t, n_head, d };
    let tasks = batch * n_head;
    let ns = tasks * t * t * (1 + usize::from(!op.causal)) * (d + 16) / 64;
    // Empty heads have no rows to cut memory into.
    if t * d == 0 {
        return Ok(Handled::Unsupported);
    }
    par.split(tasks, ns, 0..tasks, &|tasks: Range<usize>| {
        for task in tasks {
            let [b, h] = [task / n_head, task % n_head];
            scratch(4 * t * d, |memory| {
                let mut parts = memory.chunks_exact_mut(t * d);
                let mut next = || parts.next().unwrap_or_default();
                let [q, k, v] = [0, 1, 2].map(|which| {
                    // SAFETY: head `h` of row `b` lies in `qkv` (checked shapes), which is read.
                    unsafe { places.joint(qkv, [b, h], which).widened(next()) }
                });
                let out = next();
                let head = Head {
                    b,
                    h,
                    d,
                    q,
                    k,
                    v,
                    y: flat(out, d),
                    keys: t,
                    causal,
                    scale,
                };
                for top in (0..t).step_by(QUERIES) {
                    let queries = QUERIES.min(t - top);
                    // SAFETY: `lse` is `[B, NH, T]`, borrowed exclusively; this task's part.
                    let lse = unsafe {
                        std::slice::from_raw_parts_mut(lse.get().add(task * t + top), queries)
                    };
                    // SAFETY: the head's rows are in scratch memory of this task's own.
                    unsafe { block_forward(&head, top, queries, drops.as_ref(), lse) };
                }
                // SAFETY: head `h` of row `b` of `y`, borrowed exclusively, is this task's.
                unsafe { places.single(y, [b, h]).round(out) };
            });
        }
    });
    Ok(Handled::Done)
}

pub(crate) fn backward(op: &mut AttentionBackward<'_>, par: Par) -> Result<Handled> {
    let sizes = op.sizes();
    let (batch, t, n_head, d) = (sizes.batch, sizes.seq_len, sizes.n_head, sizes.head_dim);
    let qkv = Shared::from_const(read::<bf16>(op.qkv)?.as_ptr());
    let y = Shared::from_const(read::<bf16>(op.y)?.as_ptr());
    let dy = Shared::from_const(read::<bf16>(op.dy)?.as_ptr());
    let lse = read::<f32>(op.lse)?;
    let dqkv = Shared::new(write::<bf16>(op.dqkv.reborrow())?);
    let drops = Drops::new(op.random, op.site, op.rate, n_head, t)?;
    let (scale, causal) = (op.scale, op.causal);
    let places = Places { t, n_head, d };
    let tasks = batch * n_head;
    let ns = tasks * t * t * (1 + usize::from(!causal)) * (5 * d / 2 + 16) / 64;
    // Empty heads have no rows to cut memory into.
    if t * d == 0 {
        return Ok(Handled::Unsupported);
    }
    par.split(tasks, ns, 0..tasks, &|tasks: Range<usize>| {
        for task in tasks {
            let at = [task / n_head, task % n_head];
            scratch(8 * t * d, |memory| {
                let (ins, gradients) = memory.split_at_mut(5 * t * d);
                let mut parts = ins.chunks_exact_mut(t * d);
                let mut wide = |from: Narrow| {
                    // SAFETY: this head lies in its operand (checked shapes), which is read.
                    unsafe { from.widened(parts.next().unwrap_or_default()) }
                };
                let [q, k, v] = [0, 1, 2].map(|which| wide(places.joint(qkv, at, which)));
                let [y, dy] = [y, dy].map(|buffer| wide(places.single(buffer, at)));
                let start = flat(gradients, d);
                let head = HeadBackward {
                    b: at[0],
                    h: at[1],
                    d,
                    seq_len: t,
                    q,
                    k,
                    v,
                    y,
                    dy,
                    dq: start,
                    dk: start.from(t),
                    dv: start.from(2 * t),
                    lse: &lse[task * t..][..t],
                    scale,
                    causal,
                };
                // SAFETY: the head's rows are in scratch memory of this task's own.
                unsafe { head_backward(&head, drops.as_ref()) };
                for (which, gradient) in gradients.chunks_exact(t * d).enumerate() {
                    // SAFETY: this head of `dqkv`, borrowed exclusively, is this task's.
                    unsafe { places.joint(dqkv, at, which).round(gradient) };
                }
            });
        }
    });
    Ok(Handled::Done)
}

pub(crate) fn decode(op: &mut AttentionDecode<'_>, par: Par) -> Result<Handled> {
    let sizes = op.sizes();
    let (batch, t, n_head, d) = (sizes.batch, sizes.seq_len, sizes.n_head, sizes.head_dim);
    let room = op.k_cache.shape().dims()[2];
    let qkv = Shared::from_const(read::<bf16>(op.qkv)?.as_ptr());
    let k = Shared::new(write::<bf16>(op.k_cache.reborrow())?);
    let v = Shared::new(write::<bf16>(op.v_cache.reborrow())?);
    let y = Shared::new(write::<bf16>(op.y.reborrow())?);
    let (position, scale) = (op.position, op.scale);
    let places = Places { t, n_head, d };
    let (tasks, keys) = (batch * n_head, position + t);
    let ns = tasks * t * keys * (d + 8) / 16;
    // Empty heads have no rows to cut memory into.
    if t * d == 0 {
        return Ok(Handled::Unsupported);
    }
    par.split(tasks, ns, 0..tasks, &|tasks: Range<usize>| {
        for task in tasks {
            let at = [task / n_head, task % n_head];
            let cache = |buffer: Shared<bf16>| Narrow {
                buffer,
                first: task * room * d,
                row: d,
                d,
            };
            let (k, v) = (cache(k), cache(v));
            for i in 0..t {
                for (which, old) in [(1, k), (2, v)] {
                    // SAFETY: a row of this head in `qkv`.
                    let new = unsafe { places.joint(qkv, at, which).get(i, d) };
                    // SAFETY: the cache `[b, h]`, this task's own, has room for `position + t` rows
                    // (checked).
                    unsafe { old.get_mut(position + i, d) }.copy_from_slice(new);
                }
            }
            let wide = if t <= FEW { 0 } else { keys * d };
            scratch(2 * (t * d + wide), |memory| {
                let (q, rest) = memory.split_at_mut(t * d);
                let (out, rest) = rest.split_at_mut(t * d);
                // SAFETY: this head of `qkv`, as above.
                let q_lines = unsafe { places.joint(qkv, at, 0).widened(q) };
                if t <= FEW {
                    let rows = q.chunks_exact(d).zip(out.chunks_exact_mut(d));
                    for (i, (q, y)) in rows.enumerate() {
                        // mutant: decode_sees_ahead_in_bf16
                        let seen = (position + i + 1) * d;
                        // SAFETY: rows of these caches, adjacent, and not written any more.
                        let (k, v) = unsafe { (k.get(0, seen), v.get(0, seen)) };
                        stream(q, k, v, scale, y);
                    }
                } else {
                    let (wide_k, wide_v) = rest.split_at_mut(wide);
                    let head = Head {
                        b: at[0],
                        h: at[1],
                        d,
                        q: q_lines,
                        // SAFETY: as above.
                        k: unsafe { k.widened(wide_k) },
                        // SAFETY: as above.
                        v: unsafe { v.widened(wide_v) },
                        y: flat(out, d),
                        keys,
                        causal: Some(position),
                        scale,
                    };
                    for top in (0..t).step_by(QUERIES) {
                        let queries = QUERIES.min(t - top);
                        let mut lse = [0.0; QUERIES];
                        // SAFETY: scratch memory of this task's own.
                        unsafe { block_forward(&head, top, queries, None, &mut lse[..queries]) };
                    }
                }
                // SAFETY: this head of `y`, borrowed exclusively, is this task's.
                unsafe { places.single(y, at).round(out) };
            });
        }
    });
    Ok(Handled::Done)
}
