//! Rows of tables by ids, and the gradient of the tables.

use super::Spec;
use crate::case::Source;
use crate::strategies::{drawn, long, or_none};
use latimer_tensor::DType;
use latimer_tensor::op::Outline;
use proptest::option;
use proptest::prelude::{BoxedStrategy, Strategy, any};
use proptest::sample::select;

/// `embedding` of sizes `[B, T, V, C]`, with positions from a first one on and this many rows of
/// `wpe` beyond those needed, or without `wpe`.
#[must_use]
pub fn gathers(sizes: [usize; 4], spare: Option<usize>, first: usize) -> Outline {
    let outline = Outline::of("embedding").sizes("BTVC", sizes);
    let outline = outline.set("first_position", first);
    match spare {
        Some(spare) => outline.shape("wpe", [first + sizes[1] + spare, sizes[3]]),
        None => outline,
    }
}

/// `embedding_backward`, as [`gathers`].
#[must_use]
pub fn scatters(sizes: [usize; 4], spare: Option<usize>, f32_gradients: bool) -> Outline {
    let outline = Outline::of("embedding_backward").sizes("BTVC", sizes);
    let outline = outline.dtype("dwte", f32_gradients.then_some(DType::F32));
    match spare {
        Some(spare) => outline.shape("dwpe", [sizes[1] + spare, sizes[3]]),
        None => outline,
    }
}

/// Sizes of tables both smaller and larger than the text.
fn sizes() -> BoxedStrategy<[usize; 4]> {
    let v = select(vec![1, 2, 3, 29, 65, 257]);
    let c = select(vec![1, 2, 3, 16, 17, 33, 65]);
    let all = (or_none(select(vec![1, 2, 3])), or_none(long()), v, c);
    all.prop_map(|(b, t, v, c)| [b, t, v, c]).boxed()
}

fn ids(outline: &Outline, operand: &str) -> Source {
    match (operand, outline.length('V')) {
        ("ids", Some(rows)) => Source::Ids(rows),
        _ => Source::Anything,
    }
}

pub(super) const fn embedding(spec: Spec) -> Spec {
    spec.source(ids).draws(|_| {
        let spare = option::of(select(vec![0, 3]));
        drawn(
            (sizes(), spare, select(vec![0, 4])),
            |(sizes, spare, first)| gathers(sizes, spare, first),
        )
    })
}

pub(super) const fn embedding_backward(spec: Spec) -> Spec {
    let spec = spec.source(ids).draws(|_| {
        let spare = option::of(select(vec![0, 3]));
        drawn(
            (sizes(), spare, any::<bool>()),
            |(sizes, spare, f32_gradients)| scatters(sizes, spare, f32_gradients),
        )
    });
    spec.sums()
}
