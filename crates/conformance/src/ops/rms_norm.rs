//! Root mean square normalisation over rows, and its gradient.

use super::Spec;
use crate::case::Source;
use crate::strategies::{columns, drawn, rows_of};
use latimer_tensor::DType;
use latimer_tensor::op::Outline;
use proptest::prelude::any;
use proptest::sample::select;

pub(super) const fn rms_norm(spec: Spec) -> Spec {
    spec.draws(|op| {
        let parts = (rows_of(columns()), select(vec![1e-5, 1e-6]));
        drawn(parts, move |(x, eps)| {
            Outline::of(op).shape("x", x).set("eps", eps)
        })
    })
    .sums()
}

pub(super) const fn rms_norm_backward(spec: Spec) -> Spec {
    spec.draws(|op| {
        let parts = (rows_of(columns()), any::<bool>(), any::<bool>());
        drawn(parts, move |(x, accumulate, f32_gradients)| {
            let outline = Outline::of(op).shape("x", x).set("accumulate", accumulate);
            outline.dtype("dweight", f32_gradients.then_some(DType::F32))
        })
    })
    .source(|backward, operand| match operand {
        "rstd" => {
            let forward = Outline::of("rms_norm").shape("x", backward.shape_of("x"));
            Source::Forward(Box::new(forward.set("eps", 1e-5)))
        }
        _ => Source::Anything,
    })
    .sums()
}
