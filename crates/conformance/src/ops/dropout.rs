//! Dropout.

use super::Spec;
use crate::case::Source;
use crate::strategies::{drawn, long, rate, rows_of};
use latimer_tensor::op::Outline;

pub(super) const fn dropout(spec: Spec) -> Spec {
    spec.draws(|op| {
        drawn(
            (rows_of(long()), rate(), 0..1000u32),
            move |(x, rate, site)| {
                Outline::of(op)
                    .shape("x", x)
                    .set("rate", rate)
                    .set("site", site)
            },
        )
    })
    .source(random_words)
}

/// The random words have a source of their own.
pub(super) fn random_words(_: &Outline, operand: &str) -> Source {
    match operand {
        "random" => Source::RandomWords,
        _ => Source::Anything,
    }
}
