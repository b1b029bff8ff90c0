//! Softmax over rows, and its gradient.

use super::Spec;
use crate::case::{Case, Source};
use crate::strategies::{columns, drawn, scale, valid};
use latimer_tensor::Shape;
use latimer_tensor::op::Outline;
use proptest::prelude::{BoxedStrategy, Strategy, any};
use proptest::prop_oneof;
use proptest::sample::select;

/// A shape `[…, R, C]`, and whether it is masked causally, which requires `R <= C`.
fn scores() -> BoxedStrategy<(Shape, bool)> {
    let matrix = (select(vec![1, 2, 3, 7, 17, 33]), columns(), any::<bool>()).prop_map(
        |(rows, columns, causal)| {
            let rows = if causal { rows.min(columns) } else { rows };
            (vec![rows, columns], causal)
        },
    );
    prop_oneof![
        3 => matrix.clone().prop_map(|(dims, causal)| (Shape::new(&dims), causal)),
        2 => (select(vec![1, 2, 3]), matrix).prop_map(|(s, (dims, causal))| {
            (Shape::new(&[s, dims[0], dims[1]]), causal)
        }),
        1 => columns().prop_map(|c| (Shape::new(&[c]), false)),
        1 => (columns(), any::<bool>()).prop_map(|(c, causal)| (Shape::new(&[0, c]), causal)),
    ]
    .boxed()
}

fn weights(x: Shape, scale: f32, causal: bool, valid_columns: usize) -> Outline {
    let outline = Outline::of("softmax").shape("x", x).set("scale", scale);
    outline
        .set("causal", causal)
        .set("valid_columns", valid_columns)
}

/// `softmax_backward` of what a softmax computed, masked causally or not.
#[must_use]
pub fn slopes(y: impl Into<Shape>, scale: f32, causal: bool) -> Case {
    let y = y.into();
    let forward = weights(y, scale, causal, y.columns());
    let outline = Outline::of("softmax_backward")
        .shape("y", y)
        .set("scale", scale);
    Case::from(outline).source("y", Source::Forward(Box::new(forward)))
}

pub(super) const fn softmax(spec: Spec) -> Spec {
    spec.draws(|_| {
        drawn(
            (scores(), scale(), any::<u16>()),
            |((x, causal), scale, choice)| {
                weights(x, scale, causal, valid(x.columns(), choice.into()))
            },
        )
    })
    .sums()
}

pub(super) const fn softmax_backward(spec: Spec) -> Spec {
    let spec = spec.draws(|_| {
        drawn((scores(), scale()), |((y, causal), scale)| {
            slopes(y, scale, causal)
        })
    });
    spec.sums()
}
