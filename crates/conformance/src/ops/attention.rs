//! Causal or full attention, its gradient, and attention to a cache.

use super::Spec;
use super::dropout::random_words;
use crate::case::{Case, Source};
use crate::naive::{Output, dot, exp, probabilities, read, twin};
use crate::strategies::{drawn, or_none, rate, scale};
use latimer_tensor::op::{
    Attention, AttentionBackward, AttentionDecode, AttentionSizes, DropoutMask, Outline,
};
use latimer_tensor::{Host, Result, View};
use proptest::prelude::{BoxedStrategy, any};
use proptest::sample::select;

/// `attention` of sizes `[B, T, H, D]`, with dropout at site 3; `attention_backward` has the same
/// sizes and attributes ([`Outline::renamed`]).
#[must_use]
pub fn attends(sizes: [usize; 4], scale: f32, causal: bool, rate: f32) -> Outline {
    let outline = Outline::of("attention")
        .sizes("BTHD", sizes)
        .set("scale", scale);
    outline
        .set("causal", causal)
        .set("rate", rate)
        .set("site", 3u32)
}

/// `attention_decode` of sizes `[B, T, H, D]` from a position on, in a cache with this many rows
/// beyond those needed.
#[must_use]
pub fn decodes(sizes: [usize; 4], position: usize, spare: usize, scale: f32) -> Outline {
    let outline = Outline::of("attention_decode").sizes("BTHD", sizes);
    let outline = outline.sizes("S", [position + sizes[1] + spare]);
    outline.set("position", position).set("scale", scale)
}

fn draw(op: &'static str) -> BoxedStrategy<Case> {
    let t = select(vec![1, 2, 3, 7, 16, 17, 33, 65, 70, 129]);
    let d = select(vec![1, 2, 3, 8, 16, 17, 32, 64, 128]);
    let sizes = (
        or_none(select(vec![1, 2])),
        or_none(t),
        select(vec![1, 2, 3]),
        d,
    );
    let parts = (sizes, scale(), any::<bool>(), rate(), 0..1000u32);
    drawn(parts, move |((b, t, h, d), scale, causal, rate, site)| {
        // The oracle consists of plain loops: the longest together with the widest would take a
        // second.
        let (b, h) = if t * d > 2048 { (1, 1) } else { (b, h) };
        let d = if t > 100 { d.min(17) } else { d };
        attends([b, t, h, d], scale, causal, rate)
            .set("site", site)
            .renamed(op)
    })
}

pub(super) const fn attention(spec: Spec) -> Spec {
    let spec = spec.draws(draw).source(random_words).large(|_| 8.0);
    spec.naive(twin!(Attention, naive))
}

pub(super) const fn attention_backward(spec: Spec) -> Spec {
    attention(spec)
        .source(|backward, operand| match operand {
            "y" | "lse" => Source::Forward(Box::new(backward.renamed("attention"))),
            _ => random_words(backward, operand),
        })
        .naive(twin!(AttentionBackward, naive_backward))
}

pub(super) const fn attention_decode(spec: Spec) -> Spec {
    let spec = spec.draws(|_| {
        let (b, t) = (
            or_none(select(vec![1, 2, 3])),
            or_none(select(vec![1, 2, 5])),
        );
        let sizes = (b, t, select(vec![1, 2, 3]));
        let d = select(vec![1, 2, 3, 8, 17, 32, 64, 128]);
        let places = (
            select(vec![0, 1, 7, 16, 31, 64, 100]),
            select(vec![0, 1, 5]),
        );
        drawn(
            (sizes, d, places, scale()),
            |((b, t, h), d, (position, spare), scale)| {
                decodes([b, t, h, d], position, spare, scale)
            },
        )
    });
    spec.large(|_| 8.0)
        .naive(twin!(AttentionDecode, naive_decode))
}

// ---- naive evaluation

/// Rows of one head, `[T, D]`, with this many elements from one row to the next (`stride`).
#[derive(Clone, Copy)]
struct Head<'x> {
    x: &'x [f32],
    first: usize,
    stride: usize,
    d: usize,
}

impl<'x> Head<'x> {
    /// Head `h` of one part of a tensor `[B, T, parts·C]`.
    fn packed(x: &'x [f32], s: AttentionSizes, parts: usize, part: usize, at: [usize; 2]) -> Self {
        let ([b, h], c) = (at, s.n_head * s.head_dim);
        Self {
            x,
            first: b * s.seq_len * parts * c + part * c + h * s.head_dim,
            stride: parts * c,
            d: s.head_dim,
        }
    }

    fn at(self, row: usize) -> usize {
        self.first + row * self.stride
    }

    fn row(self, row: usize) -> &'x [f32] {
        &self.x[self.at(row)..][..self.d]
    }
}

/// The dropout factors of the weights.
struct Factors(Option<(DropoutMask, u64)>);

impl Factors {
    fn new(host: &Host<'_>, random: Option<View<'_>>, site: u32, rate: f32) -> Result<Self> {
        let Some(random) = random.filter(|_| rate > 0.0) else {
            return Ok(Self(None));
        };
        let words = host.read_ids(random)?;
        let words = std::array::from_fn(|i| words[i] as u32);
        let first_row = words[3].into();
        Ok(Self(Some((DropoutMask::new(words, site, rate), first_row))))
    }

    fn of(&self, s: AttentionSizes, [b, h, i, j]: [usize; 4]) -> f32 {
        self.0.as_ref().map_or(1.0, |(mask, first_row)| {
            let (heads, t) = (s.n_head as u64, s.seq_len as u64);
            let query = ((first_row + b as u64) * heads + h as u64) * t + i as u64;
            mask.factor(query * t + j as u64)
        })
    }
}

fn heads(s: AttentionSizes) -> impl Iterator<Item = [usize; 2]> {
    (0..s.batch).flat_map(move |b| (0..s.n_head).map(move |h| [b, h]))
}

/// Weights of a query over the first `reach` keys, and `lse`.
fn weights(q: &[f32], k: Head<'_>, reach: usize, scale: f32) -> (Vec<f32>, f32) {
    let scores: Vec<f32> = (0..reach).map(|j| dot(q, k.row(j))).collect();
    probabilities(&scores, scale)
}

fn naive(op: &Attention<'_>, host: &Host<'_>) -> Result<Vec<Output>> {
    let (s, qkv) = (op.sizes(), read(host, op.qkv)?);
    let factors = Factors::new(host, op.random, op.site, op.rate)?;
    let (mut y, mut lse) = (vec![0.0; op.y.numel()], Vec::new());
    for [b, h] in heads(s) {
        let [q, k, v] = [0, 1, 2].map(|part| Head::packed(&qkv, s, 3, part, [b, h]));
        for i in 0..s.seq_len {
            let reach = if op.causal { i + 1 } else { s.seq_len };
            let (p, sum) = weights(q.row(i), k, reach, op.scale);
            lse.push(sum);
            let to = Head::packed(&[], s, 1, 0, [b, h]).at(i);
            for (j, p) in p.into_iter().enumerate() {
                let p = p * factors.of(s, [b, h, i, j]);
                add(&mut y[to..], p, v.row(j));
            }
        }
    }
    Ok(vec![("y", y), ("lse", lse)])
}

/// `y += a·x`.
fn add(y: &mut [f32], a: f32, x: &[f32]) {
    y.iter_mut().zip(x).for_each(|(y, x)| *y += a * x);
}

fn naive_backward(op: &AttentionBackward<'_>, host: &Host<'_>) -> Result<Vec<Output>> {
    let (s, qkv) = (op.sizes(), read(host, op.qkv)?);
    let (y, dy, lse) = (read(host, op.y)?, read(host, op.dy)?, read(host, op.lse)?);
    let factors = Factors::new(host, op.random, op.site, op.rate)?;
    let mut dqkv = vec![0.0; qkv.len()];
    for ([b, h], lse) in heads(s).zip(lse.chunks_exact(s.seq_len.max(1))) {
        let [q, k, v] = [0, 1, 2].map(|part| Head::packed(&qkv, s, 3, part, [b, h]));
        let [y, dy] = [&y, &dy].map(|x| Head::packed(x, s, 1, 0, [b, h]));
        for (i, lse) in lse.iter().enumerate() {
            let delta = dot(dy.row(i), y.row(i));
            let reach = if op.causal { i + 1 } else { s.seq_len };
            for j in 0..reach {
                let p = exp(op.scale * dot(q.row(i), k.row(j)) - lse);
                let m = factors.of(s, [b, h, i, j]);
                let ds = p * (m * dot(dy.row(i), v.row(j)) - delta) * op.scale;
                add(&mut dqkv[q.at(i)..], ds, k.row(j));
                add(&mut dqkv[k.at(j)..], ds, q.row(i));
                add(&mut dqkv[v.at(j)..], p * m, dy.row(i));
            }
        }
    }
    Ok(vec![("dqkv", dqkv)])
}

fn naive_decode(op: &AttentionDecode<'_>, host: &Host<'_>) -> Result<Vec<Output>> {
    let (s, qkv) = (op.sizes(), read(host, op.qkv)?);
    let (room, d) = (op.k_cache.shape().dims()[2], s.head_dim);
    let mut caches = [
        read(host, op.k_cache.as_view())?,
        read(host, op.v_cache.as_view())?,
    ];
    let mut y = vec![0.0; op.y.numel()];
    for [b, h] in heads(s) {
        let first = (b * s.n_head + h) * room * d;
        for (cache, part) in caches.iter_mut().zip([1, 2]) {
            let new = Head::packed(&qkv, s, 3, part, [b, h]);
            for t in 0..s.seq_len {
                cache[first + (op.position + t) * d..][..d].copy_from_slice(new.row(t));
            }
        }
        let [k, v] = [&caches[0], &caches[1]].map(|x| Head {
            x,
            first,
            stride: d,
            d,
        });
        let q = Head::packed(&qkv, s, 3, 0, [b, h]);
        for i in 0..s.seq_len {
            let (p, _) = weights(q.row(i), k, op.position + i + 1, op.scale);
            let to = Head::packed(&[], s, 1, 0, [b, h]).at(i);
            for (j, p) in p.into_iter().enumerate() {
                add(&mut y[to..], p, v.row(j));
            }
        }
    }
    Ok(vec![("y", y)])
}
