//! Cross-entropy of targets under softmax.

use super::Spec;
use crate::case::Source;
use crate::strategies::{columns, drawn, or_none, short, valid};
use latimer_tensor::op::Outline;
use proptest::option;
use proptest::prelude::any;
use proptest::sample::select;

pub(super) const fn cross_entropy(spec: Spec) -> Spec {
    spec.draws(|op| {
        let gradient = option::of(select(vec![1.0f32, 0.125, -0.3]));
        let parts = (or_none(short()), columns(), any::<u16>(), gradient);
        drawn(parts, move |(n, c, choice, gradient)| {
            let outline = Outline::of(op)
                .sizes("NC", [n, c])
                .set("gradient", gradient);
            outline.set("valid_columns", valid(c, choice.into()))
        })
    })
    .source(
        |loss, operand| match (operand, loss.attribute("valid_columns")) {
            ("targets", Some(columns)) => Source::Ids(columns.number() as usize),
            _ => Source::Anything,
        },
    )
    .sums()
}
