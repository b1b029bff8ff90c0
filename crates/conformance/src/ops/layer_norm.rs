//! Layer normalisation over rows, of a sum too, and its gradient.

use super::Spec;
use crate::case::{Case, Source};
use crate::strategies::{columns, drawn, rows_of};
use latimer_tensor::DType;
use latimer_tensor::op::Outline;
use proptest::prelude::{BoxedStrategy, any};
use proptest::sample::select;

fn draw(op: &'static str) -> BoxedStrategy<Case> {
    let parts = (rows_of(columns()), any::<bool>(), select(vec![1e-5, 1e-3]));
    drawn(parts, move |(x, bias, eps)| {
        Outline::of(op)
            .shape("x", x)
            .give("bias", bias)
            .set("eps", eps)
    })
}

pub(super) const fn layer_norm(spec: Spec) -> Spec {
    spec.draws(draw).sums()
}

pub(super) const fn add_layer_norm(spec: Spec) -> Spec {
    layer_norm(spec)
}

pub(super) const fn layer_norm_backward(spec: Spec) -> Spec {
    spec.draws(|op| {
        let flags = (any::<bool>(), any::<bool>(), any::<bool>());
        drawn(
            (rows_of(columns()), flags),
            move |(x, (bias, accumulate, f32_gradients))| {
                let outline = Outline::of(op).shape("x", x).give("dbias", bias);
                let outline = outline.dtype("dweight", f32_gradients.then_some(DType::F32));
                outline.set("accumulate", accumulate)
            },
        )
    })
    .source(|backward, operand| match operand {
        "mean" | "rstd" => {
            let forward = Outline::of("layer_norm").shape("x", backward.shape_of("x"));
            Source::Forward(Box::new(forward.set("eps", 1e-5)))
        }
        _ => Source::Anything,
    })
    .sums()
}
