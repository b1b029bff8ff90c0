//! Scaled dot-product attention over packed queries, keys and values, `T × T` never stored.
//!
//! Sources: Vaswani et al. 2017, arXiv 1706.03762; tiled with a running softmax as in Dao et al.
//! 2022, arXiv 2205.14135.

use super::dropout::read_words;
use super::softmax::softmax;
use super::{DropoutMask, OpSpec, op};
use crate::{DType, Host, Result, Shape, View};

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

/// Queries, keys and values of one head, each `[T, D]`, widened to f64.
struct HeadParts {
    q: Vec<f64>,
    k: Vec<f64>,
    v: Vec<f64>,
}

impl AttentionSizes {
    fn width(&self) -> usize {
        self.n_head * self.head_dim
    }

    fn head(&self, qkv: &[f64], b: usize, h: usize) -> HeadParts {
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

/// The errors that a weight may have besides its score's, in units of roundoff of the type of sums:
/// relative to the weight, from rounding it to the operands' type; and absolute, if it is flushed
/// to 0.
struct WeightLoss {
    rounding: f64,
    flush: f64,
}

fn weight_loss(dtype: DType) -> WeightLoss {
    let unit = DType::F32.unit_roundoff();
    let flush = f64::from(f32::MIN_POSITIVE) / unit;
    match dtype {
        DType::F64 => WeightLoss {
            rounding: 0.0,
            flush: 0.0,
        },
        DType::F32 => WeightLoss {
            rounding: 0.0,
            flush,
        },
        narrow => WeightLoss {
            rounding: narrow.unit_roundoff() / unit,
            flush,
        },
    }
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

fn dot_size(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| (a * b).abs()).sum()
}

/// Weights of one query over its keys, their scores' error in units of roundoff, and `lse`.
fn weights(q: &[f64], k: &[f64], reach: usize, scale: f64) -> (Vec<f64>, f64, f64) {
    let d = q.len();
    let scores: Vec<f64> = (0..reach).map(|j| dot(q, &k[j * d..][..d])).collect();
    let error = (0..reach)
        .map(|j| dot_size(q, &k[j * d..][..d]))
        .fold(0.0, f64::max)
        * (d as f64 + 4.0)
        * scale.abs();
    let (p, lse) = softmax(&scores, scale);
    (p, error, lse)
}

impl Attention<'_> {
    /// The sizes of a checked attention.
    #[must_use]
    pub fn sizes(&self) -> AttentionSizes {
        sizes(self.qkv.shape(), self.n_head)
    }
}

fn mask_of(
    host: &Host<'_>,
    random: Option<View<'_>>,
    site: u32,
    rate: f32,
) -> Result<Option<(DropoutMask, u64)>> {
    let Some(random) = random.filter(|_| rate > 0.0) else {
        return Ok(None);
    };
    let words = read_words(host, random)?;
    Ok(Some((DropoutMask::new(words, site, rate), words[3].into())))
}

/// Factor of weight `(b, h, i, j)`: 0 or `1/(1 - rate)`.
fn factor(mask: &Option<(DropoutMask, u64)>, s: &AttentionSizes, at: [usize; 4], rate: f32) -> f64 {
    let Some((mask, first_row)) = mask else {
        return 1.0;
    };
    let [b, h, i, j] = at.map(|x| x as u64);
    let t = s.seq_len as u64;
    let element = (((first_row + b) * s.n_head as u64 + h) * t + i) * t + j;
    if mask.factor(element) == 0.0 {
        0.0
    } else {
        1.0 / (1.0 - f64::from(rate))
    }
}

impl OpSpec for Attention<'_> {
    fn reference(&self, host: &mut Host<'_>) -> Result<()> {
        let (s, scale) = (self.sizes(), f64::from(self.scale));
        let (t, d, c) = (s.seq_len, s.head_dim, s.width());
        let qkv = host.read(self.qkv)?;
        let mask = mask_of(host, self.random, self.site, self.rate)?;
        let loss = weight_loss(self.qkv.dtype());
        let (mut y, mut y_sizes) = (vec![0.0; s.batch * t * c], vec![0.0; s.batch * t * c]);
        let (mut lse, mut lse_sizes) = (Vec::new(), Vec::new());
        for (b, h) in (0..s.batch).flat_map(|b| (0..s.n_head).map(move |h| (b, h))) {
            let HeadParts { q, k, v } = s.head(&qkv, b, h);
            for i in 0..t {
                let reach = s.reach(i, self.causal);
                let (p, error, sum) = weights(&q[i * d..][..d], &k, reach, scale);
                lse.push(sum);
                lse_sizes.push(error + reach as f64 + 4.0 + 2.0 * sum.abs());
                for x in 0..d {
                    let at = (b * t + i) * c + h * d + x;
                    for j in 0..reach {
                        let value = factor(&mask, &s, [b, h, i, j], self.rate) * v[j * d + x];
                        let term = p[j] * value;
                        y[at] += term;
                        // A weight errs by its own score's error and by the average one's.
                        let errors = 2.0 * error + 2.0 * reach as f64 + 12.0 + loss.rounding;
                        y_sizes[at] += term.abs() * errors + value.abs() * loss.flush;
                    }
                }
            }
        }
        host.write("y", y, y_sizes);
        host.write("lse", lse, lse_sizes);
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
    fn reference(&self, host: &mut Host<'_>) -> Result<()> {
        let (s, scale) = (self.sizes(), f64::from(self.scale));
        let (t, d, c) = (s.seq_len, s.head_dim, s.width());
        let (qkv, y, dy) = (
            host.read(self.qkv)?,
            host.read(self.y)?,
            host.read(self.dy)?,
        );
        let lse = host.read(self.lse)?;
        let mask = mask_of(host, self.random, self.site, self.rate)?;
        let loss = weight_loss(self.qkv.dtype());
        let (mut dqkv, mut sizes) = (vec![0.0; qkv.len()], vec![0.0; qkv.len()]);
        for (b, h) in (0..s.batch).flat_map(|b| (0..s.n_head).map(move |h| (b, h))) {
            let HeadParts { q, k, v } = s.head(&qkv, b, h);
            let at = |which: usize, i: usize, x: usize| (b * t + i) * 3 * c + which * c + h * d + x;
            for i in 0..t {
                let row = (b * t + i) * c + h * d;
                let (dy, y) = (&dy[row..][..d], &y[row..][..d]);
                let (delta, delta_size) = (dot(dy, y), dot_size(dy, y));
                let q_row = &q[i * d..][..d];
                let reach = s.reach(i, self.causal);
                let (_, error, _) = weights(q_row, &k, reach, scale);
                let error = error + lse[(b * s.n_head + h) * t + i].abs() + 4.0;
                for j in 0..reach {
                    let (k_row, v_row) = (&k[j * d..][..d], &v[j * d..][..d]);
                    let p = (scale * dot(q_row, k_row) - lse[(b * s.n_head + h) * t + i]).exp();
                    let m = factor(&mask, &s, [b, h, i, j], self.rate);
                    let ds = p * (m * dot(dy, v_row) - delta) * scale;
                    let parts = m * dot_size(dy, v_row) + delta_size;
                    let ds_size = p * scale.abs() * parts * (d as f64 + 6.0 + error);
                    let ds_size = ds_size + loss.flush * scale.abs() * parts;
                    let terms = t as f64 + 4.0 + loss.rounding;
                    for x in 0..d {
                        dqkv[at(0, i, x)] += ds * k_row[x];
                        sizes[at(0, i, x)] += (ds_size + terms * ds.abs()) * k_row[x].abs();
                        dqkv[at(1, j, x)] += ds * q_row[x];
                        sizes[at(1, j, x)] += (ds_size + terms * ds.abs()) * q_row[x].abs();
                        dqkv[at(2, j, x)] += p * m * dy[x];
                        let flushed = loss.flush * (m * dy[x]).abs();
                        sizes[at(2, j, x)] += (p * m * dy[x]).abs() * (error + terms) + flushed;
                    }
                }
            }
        }
        host.write("dqkv", dqkv, sizes);
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
    fn reference(&self, host: &mut Host<'_>) -> Result<()> {
        let (s, scale) = (self.sizes(), f64::from(self.scale));
        let (t, d, c) = (s.seq_len, s.head_dim, s.width());
        let room = self.k_cache.shape().dims()[2];
        let qkv = host.read(self.qkv)?;
        let mut caches = [
            host.read(self.k_cache.as_view())?,
            host.read(self.v_cache.as_view())?,
        ];
        let (mut y, mut y_sizes) = (vec![0.0; s.batch * t * c], vec![0.0; s.batch * t * c]);
        for (b, h) in (0..s.batch).flat_map(|b| (0..s.n_head).map(move |h| (b, h))) {
            let HeadParts { q, k, v } = s.head(&qkv, b, h);
            let from = (b * s.n_head + h) * room * d;
            for (cache, new) in caches.iter_mut().zip([k, v]) {
                cache[from + self.position * d..][..t * d].copy_from_slice(&new);
            }
            let [k, v] = [0, 1].map(|i| &caches[i][from..][..room * d]);
            for i in 0..t {
                let reach = self.position + i + 1;
                let (p, error, _) = weights(&q[i * d..][..d], k, reach, scale);
                for x in 0..d {
                    let at = (b * t + i) * c + h * d + x;
                    y[at] = (0..reach).map(|j| p[j] * v[j * d + x]).sum();
                    let size: f64 = (0..reach).map(|j| (p[j] * v[j * d + x]).abs()).sum();
                    y_sizes[at] = size * (2.0 * error + 2.0 * reach as f64 + 12.0);
                }
            }
        }
        let [k, v] = caches;
        host.write_exact("k_cache", k);
        host.write_exact("v_cache", v);
        host.write("y", y, y_sizes);
        Ok(())
    }

    fn flops(&self) -> u64 {
        let s = self.sizes();
        4 * (s.batch * s.seq_len * (self.position + s.seq_len) * s.width()) as u64
    }
}
