//! Scaled dot-product attention over packed queries, keys and values, `T × T` never stored.
//!
//! Sources: Vaswani et al. 2017, arXiv 1706.03762; tiled with a running softmax as in Dao et al.
//! 2022, arXiv 2205.14135.

use super::dropout::{kept_factor, read_words};
use super::softmax::softmax;
use super::{DropoutMask, OpSpec, op};
use crate::{Host, Real, Result, Shape, View};

op! {
    /// `y = dropout(softmax(scale · q·kᵀ)) · v` for each head, queries, keys and values side by side in
    /// `qkv`, heads side by side within each. `lse = log Σ exp` of the scaled scores is kept.
    ///
    /// Weight `(b, h, i, j)` is element `((b·NH + h)·T + i)·T + j` of the dropout mask.
    ///
    /// For `Bf16` and `F16` a weight may be rounded to that type before it multiplies a value,
    /// since tensor cores take such operands; in backward, so may the gradient of a score. A weight
    /// below the smallest normal number may become 0.
    Attention "attention" {
        /// Queries, keys and values.
        qkv: In "float", "[B, T, 3HD]";
        /// The values, averaged with the weights.
        y: Out "as qkv", "[B, T, HD]";
        /// `log Σ exp` of the scaled scores.
        lse: Out "statistics of qkv", "[B, H, T]";
        /// The random words, see [`DropoutMask`](super::DropoutMask); needed when `rate` is not 0.
        random: MaybeIn "u32", "[4]";
    } {
        /// Heads.
        n_head: usize, Sets('H');
        /// Factor of the scores, usually `1/√D`.
        scale: f32, Finite;
        /// Whether position `i` sees positions `j <= i` only.
        causal: bool;
        /// Share of the weights that is dropped; 0 for none.
        rate: f32, DropoutShare;
        /// The number of this dropout in the model.
        site: u32;
    }
}

/// Sizes of an attention.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AttentionSizes {
    /// Rows of the batch, `B`.
    pub batch: usize,
    /// Positions, `T`.
    pub seq_len: usize,
    /// Heads, `NH`.
    pub n_head: usize,
    /// Width of a head, `D`.
    pub head_dim: usize,
}

fn sizes(qkv: Shape, n_head: usize) -> AttentionSizes {
    let [batch, seq_len, width] = [0, 1, 2].map(|i| qkv.dims()[i]);
    AttentionSizes {
        batch,
        seq_len,
        n_head,
        head_dim: width / 3 / n_head.max(1),
    }
}

/// Queries, keys and values of one head, each `[T, D]`.
struct HeadParts<R> {
    q: Vec<R>,
    k: Vec<R>,
    v: Vec<R>,
}

impl AttentionSizes {
    fn width(&self) -> usize {
        self.n_head * self.head_dim
    }

    fn head<R: Real>(&self, qkv: &[R], b: usize, h: usize) -> HeadParts<R> {
        let c = self.width();
        let part = |which: usize| {
            (0..self.seq_len)
                .flat_map(|t| {
                    let from = (b * self.seq_len + t) * 3 * c + which * c + h * self.head_dim;
                    qkv[from..][..self.head_dim].iter().copied()
                })
                .collect()
        };
        HeadParts {
            q: part(0),
            k: part(1),
            v: part(2),
        }
    }

    fn reach(&self, i: usize, causal: bool) -> usize {
        if causal { i + 1 } else { self.seq_len }
    }

    fn flops(&self, causal: bool) -> u64 {
        let pairs = self.seq_len
            * if causal {
                self.seq_len + 1
            } else {
                2 * self.seq_len
            }
            / 2;
        4 * (self.batch * self.n_head * self.head_dim * pairs) as u64
    }
}

fn dot<R: Real>(a: &[R], b: &[R]) -> R {
    R::sum(a.iter().zip(b).map(|(&a, &b)| a * b))
}

/// Weights of one query over its first `reach` keys, and `lse`.
fn weights<R: Real>(q: &[R], k: &[R], reach: usize, scale: R) -> (Vec<R>, R) {
    let key = |j: usize| &k[j * q.len()..][..q.len()];
    let scores: Vec<R> = (0..reach).map(|j| dot(q, key(j))).collect();
    softmax(&scores, scale)
}

impl Attention<'_> {
    /// The sizes of a checked attention.
    #[must_use]
    pub fn sizes(&self) -> AttentionSizes {
        sizes(self.qkv.shape(), self.n_head)
    }
}

/// The dropout of the weights, if there is one.
struct WeightDropout<R> {
    mask: DropoutMask,
    first_row: usize,
    kept: R,
}

impl<R: Real> WeightDropout<R> {
    fn read(
        host: &Host<'_, R>,
        random: Option<View<'_>>,
        site: u32,
        rate: f32,
    ) -> Result<Option<Self>> {
        let Some(random) = random.filter(|_| rate > 0.0) else {
            return Ok(None);
        };
        let words = read_words(host, random)?;
        Ok(Some(Self {
            mask: DropoutMask::new(words, site, rate),
            first_row: words[3] as usize,
            kept: kept_factor(rate),
        }))
    }

    /// Factor of weight `(b, h, i, j)`: 0 or `1/(1 - rate)`.
    fn factor(&self, s: &AttentionSizes, [b, h, i, j]: [usize; 4]) -> R {
        let row = ((self.first_row + b) * s.n_head + h) * s.seq_len + i;
        if self.mask.factor((row * s.seq_len + j) as u64) == 0.0 {
            R::from(0.0)
        } else {
            self.kept
        }
    }
}

impl OpSpec for Attention<'_> {
    fn reference<R: Real>(&self, host: &mut Host<'_, R>) -> Result<()> {
        let (s, scale) = (self.sizes(), R::from(self.scale));
        let (t, d, c) = (s.seq_len, s.head_dim, s.width());
        let qkv = host.read(self.qkv)?;
        let dropout = WeightDropout::read(host, self.random, self.site, self.rate)?;
        let dtype = self.qkv.dtype();
        let mut y = vec![R::from(0.0); s.batch * t * c];
        let mut lse = Vec::new();
        for (b, h) in (0..s.batch).flat_map(|b| (0..s.n_head).map(move |h| (b, h))) {
            let HeadParts { q, k, v } = s.head(&qkv, b, h);
            for i in 0..t {
                let reach = s.reach(i, self.causal);
                let (p, sum) = weights(&q[i * d..][..d], &k, reach, scale);
                lse.push(sum);
                let y = &mut y[(b * t + i) * c + h * d..][..d];
                for (j, p) in p.into_iter().enumerate() {
                    let p = p.flushed(dtype).rounded_to(dtype);
                    let m = dropout
                        .as_ref()
                        .map_or(R::from(1.0), |dropout| dropout.factor(&s, [b, h, i, j]));
                    for x in 0..d {
                        y[x].accumulate(p * (m * v[j * d + x]));
                    }
                }
            }
        }
        host.write("y", y);
        host.write("lse", lse);
        Ok(())
    }

    fn flops(&self) -> u64 {
        self.sizes().flops(self.causal)
    }
}

op! {
    /// With weights `p`, mask `m` and `δ = Σ dy·y`: `dv = (p·m)ᵀ·dy`, `ds = p·(m·(dy·vᵀ) - δ)·scale`,
    /// `dq = ds·k`, `dk = dsᵀ·q`. Weights are computed again from `lse`.
    AttentionBackward "attention_backward" {
        /// As in forward.
        qkv: In "float", "[B, T, 3HD]";
        /// The forward result.
        y: In "as qkv", "[B, T, HD]";
        /// As forward returned it.
        lse: In "statistics of qkv", "[B, H, T]";
        /// The gradient of `y`.
        dy: In "as qkv", "as y";
        /// The gradient of `qkv`.
        dqkv: Out "as qkv", "as qkv";
        /// As in forward.
        random: MaybeIn "u32", "[4]";
    } {
        /// As in forward.
        n_head: usize, Sets('H');
        /// As in forward.
        scale: f32, Finite;
        /// As in forward.
        causal: bool;
        /// As in forward.
        rate: f32, DropoutShare;
        /// As in forward.
        site: u32;
    }
}

impl AttentionBackward<'_> {
    /// The sizes of a checked attention.
    #[must_use]
    pub fn sizes(&self) -> AttentionSizes {
        sizes(self.qkv.shape(), self.n_head)
    }
}

impl OpSpec for AttentionBackward<'_> {
    fn reference<R: Real>(&self, host: &mut Host<'_, R>) -> Result<()> {
        let (s, scale) = (self.sizes(), R::from(self.scale));
        let (t, d, c) = (s.seq_len, s.head_dim, s.width());
        let (qkv, y, dy) = (
            host.read(self.qkv)?,
            host.read(self.y)?,
            host.read(self.dy)?,
        );
        let lse = host.read(self.lse)?;
        let dropout = WeightDropout::read(host, self.random, self.site, self.rate)?;
        let dtype = self.qkv.dtype();
        let mut dqkv = vec![R::from(0.0); qkv.len()];
        for (b, h) in (0..s.batch).flat_map(|b| (0..s.n_head).map(move |h| (b, h))) {
            let HeadParts { q, k, v } = s.head(&qkv, b, h);
            let at = |which: usize, i: usize, x: usize| (b * t + i) * 3 * c + which * c + h * d + x;
            for i in 0..t {
                let row = (b * t + i) * c + h * d;
                let (dy, y) = (&dy[row..][..d], &y[row..][..d]);
                let delta = dot(dy, y);
                let q = &q[i * d..][..d];
                let lse = lse[(b * s.n_head + h) * t + i];
                for j in 0..s.reach(i, self.causal) {
                    let (k, v) = (&k[j * d..][..d], &v[j * d..][..d]);
                    let p = (scale * dot(q, k) - lse).exp().flushed(dtype);
                    let m = dropout
                        .as_ref()
                        .map_or(R::from(1.0), |dropout| dropout.factor(&s, [b, h, i, j]));
                    let ds = (p * (m * dot(dy, v) - delta) * scale).rounded_to(dtype);
                    let weight = (p * m).rounded_to(dtype);
                    for x in 0..d {
                        dqkv[at(0, i, x)].accumulate(ds * k[x]);
                        dqkv[at(1, j, x)].accumulate(ds * q[x]);
                        dqkv[at(2, j, x)].accumulate(weight * dy[x]);
                    }
                }
            }
        }
        host.write("dqkv", dqkv);
        Ok(())
    }

    fn flops(&self) -> u64 {
        self.sizes().flops(self.causal) * 5 / 2
    }
}

op! {
    /// Attention of new positions over a cache: writes their keys and values into it at `position`,
    /// then `y = softmax(scale · q·kᵀ)·v` over the cached positions up to each query's own.
    AttentionDecode "attention_decode" {
        /// Queries, keys and values of the new positions: all of a prompt's, then one at a time
        /// (`T` = 1).
        qkv: In "float", "[B, T, 3HD]";
        /// The keys; rows `position .. position + T` are written.
        k_cache: InOut "as qkv", "[B, H, S, D]";
        /// The values; the same rows are written as in `k_cache`.
        v_cache: InOut "as qkv", "as k_cache";
        /// The values, averaged with the weights.
        y: Out "as qkv", "[B, T, HD]";
    } {
        /// The position of the first new row in the cache.
        position: usize, OffsetOf('T', 'S', "position + T <= S must hold");
        /// Factor of the scores, usually `1/√D`.
        scale: f32, Finite;
    }
}

impl AttentionDecode<'_> {
    /// The sizes of a checked attention.
    #[must_use]
    pub fn sizes(&self) -> AttentionSizes {
        sizes(self.qkv.shape(), self.k_cache.shape().dims()[1])
    }
}

impl OpSpec for AttentionDecode<'_> {
    fn reference<R: Real>(&self, host: &mut Host<'_, R>) -> Result<()> {
        let (s, scale) = (self.sizes(), R::from(self.scale));
        let (t, d, c) = (s.seq_len, s.head_dim, s.width());
        let room = self.k_cache.shape().dims()[2];
        let qkv = host.read(self.qkv)?;
        let mut k_cache = host.read(self.k_cache.as_view())?;
        let mut v_cache = host.read(self.v_cache.as_view())?;
        let mut y = vec![R::from(0.0); s.batch * t * c];
        for (b, h) in (0..s.batch).flat_map(|b| (0..s.n_head).map(move |h| (b, h))) {
            let HeadParts { q, k, v } = s.head(&qkv, b, h);
            let from = (b * s.n_head + h) * room * d;
            k_cache[from + self.position * d..][..t * d].copy_from_slice(&k);
            v_cache[from + self.position * d..][..t * d].copy_from_slice(&v);
            let (k, v) = (&k_cache[from..][..room * d], &v_cache[from..][..room * d]);
            for i in 0..t {
                let reach = self.position + i + 1;
                let (p, _) = weights(&q[i * d..][..d], k, reach, scale);
                for x in 0..d {
                    y[(b * t + i) * c + h * d + x] =
                        R::sum((0..reach).map(|j| p[j] * v[j * d + x]));
                }
            }
        }
        host.write("k_cache", k_cache);
        host.write("v_cache", v_cache);
        host.write("y", y);
        Ok(())
    }

    fn flops(&self) -> u64 {
        let s = self.sizes();
        4 * (s.batch * s.seq_len * (self.position + s.seq_len) * s.width()) as u64
    }
}
