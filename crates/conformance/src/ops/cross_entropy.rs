//! Cross-entropy of targets under softmax.

use super::Spec;
use crate::case::Source;
use crate::naive::{Output, probabilities, read, twin};
use crate::strategies::{columns, drawn, or_none, short, valid};
use latimer_tensor::op::{CrossEntropy, Outline};
use latimer_tensor::{Host, Result};
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
    .naive(twin!(CrossEntropy, naive))
}

fn naive(op: &CrossEntropy<'_>, host: &Host<'_>) -> Result<Vec<Output>> {
    let mut logits = read(host, op.logits.as_view())?;
    let targets = host.read_ids(op.targets)?;
    let mut losses = Vec::new();
    for (row, target) in logits.chunks_mut(op.logits.shape().columns()).zip(targets) {
        let (p, lse) = probabilities(&row[..op.valid_columns], 1.0);
        losses.push(lse - row[target]);
        let Some(factor) = op.gradient else { continue };
        row.fill(0.0);
        for (j, (x, p)) in row.iter_mut().zip(p).enumerate() {
            *x = factor * (p - f32::from(u8::from(j == target)));
        }
    }
    Ok(vec![("logits", logits), ("losses", losses)])
}
