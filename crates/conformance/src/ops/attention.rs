//! Causal or full attention, its gradient, and attention to a cache.

use super::Spec;
use super::dropout::random_words;
use crate::case::{Case, Source};
use crate::strategies::{drawn, or_none, rate, scale};
use latimer_tensor::op::Outline;
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
    let spec = spec.draws(draw).source(random_words);
    spec.large(|_| 8.0).sums()
}

pub(super) const fn attention_backward(spec: Spec) -> Spec {
    attention(spec).source(|backward, operand| match operand {
        "y" | "lse" => Source::Forward(Box::new(backward.renamed("attention"))),
        _ => random_words(backward, operand),
    })
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
    spec.large(|_| 8.0).sums()
}
