//! Attention in plain loops, a query at a time: the fallback where something is not finite, and the
//! easiest version to read.

use super::heads::{Head, HeadBackward};
use super::{Drops, dot};
use crate::math::exp;
use crate::scratch::scratch;

/// Computes row `i` of `y` and the `lse` of query `i`.
///
/// # Safety
/// Same contract as [`super::forward::block_forward`], for this query alone.
pub(super) unsafe fn forward(head: &Head, i: usize, drops: Option<&Drops>, lse: &mut f32) {
    let (d, keys) = (head.d, head.reach(i));
    // SAFETY: rows of this head, by the caller's promise; row i of y is its own.
    let (q, y) = unsafe { (head.q.get(i, d), head.y.get_mut(i, d)) };
    scratch(2 * keys, |memory| {
        let (p, mask) = memory.split_at_mut(keys);
        for (j, p) in p.iter_mut().enumerate() {
            // SAFETY: as above.
            *p = head.scale * dot(q, unsafe { head.k.get(j, d) });
        }
        let most = p.iter().fold(
            f32::NEG_INFINITY,
            |m, &x| if x.is_nan() || x > m { x } else { m },
        );
        for p in p.iter_mut() {
            *p = exp::<false>(*p - most);
        }
        let total: f32 = p.iter().sum();
        match drops {
            Some(drops) => drops.row(head.b, head.h, i, 0, mask),
            None => mask.fill(1.0),
        }
        y.fill(0.0);
        for (j, (&p, &mask)) in p.iter().zip(&*mask).enumerate() {
            // SAFETY: as above.
            for (y, &v) in y.iter_mut().zip(unsafe { head.v.get(j, d) }) {
                *y += p / total * mask * v;
            }
        }
        *lse = most + total.ln();
    });
}

/// Computes `dq`, `dk` and `dv` of the whole head.
///
/// # Safety
/// Same contract as [`super::backward::head_backward`].
pub(super) unsafe fn backward(head: &HeadBackward, drops: Option<&Drops>) {
    let (d, t) = (head.d, head.seq_len);
    for i in 0..t {
        for lines in [head.dq, head.dk, head.dv] {
            // SAFETY: rows of this head, by the caller's promise; its gradients are its own.
            unsafe { lines.get_mut(i, d) }.fill(0.0);
        }
    }
    scratch(t, |mask| {
        for i in 0..t {
            // SAFETY: as above.
            let (q, y, dy) = unsafe { (head.q.get(i, d), head.y.get(i, d), head.dy.get(i, d)) };
            // SAFETY: as above.
            let dq = unsafe { head.dq.get_mut(i, d) };
            let delta = dot(dy, y);
            let reach = if head.causal { i + 1 } else { t };
            match drops {
                Some(drops) => drops.row(head.b, head.h, i, 0, &mut mask[..reach]),
                None => mask.fill(1.0),
            }
            for (j, &mask) in mask[..reach].iter().enumerate() {
                // SAFETY: as above.
                let (k, v) = unsafe { (head.k.get(j, d), head.v.get(j, d)) };
                // SAFETY: as above.
                let (dk, dv) = unsafe { (head.dk.get_mut(j, d), head.dv.get_mut(j, d)) };
                let p = exp::<false>(head.scale * dot(q, k) - head.lse[i]);
                let ds = p * (mask * dot(dy, v) - delta) * head.scale;
                for x in 0..d {
                    dq[x] += ds * k[x];
                    dk[x] += ds * q[x];
                    dv[x] += p * mask * dy[x];
                }
            }
        }
    });
}
