//! Root mean square normalisation over rows.

use super::Spec;
use crate::strategies::{columns, drawn, rows_of};
use latimer_tensor::op::Outline;
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
