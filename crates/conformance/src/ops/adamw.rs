//! The optimizer's step, and the norm that clips gradients.

use super::Spec;
use crate::case::{Case, Source};
use crate::strategies::{drawn, shape};
use latimer_tensor::op::Outline;
use proptest::prelude::{Just, any};
use proptest::prop_oneof;
use proptest::sample::select;

/// `adamw` on `n` parameters with `beta1`, `beta2`, `eps` and `weight_decay`; with a `Bf16` copy of the
/// parameters or without; after gradients that were finite or not.
#[must_use]
pub fn update(n: usize, attributes: [f32; 4], working: bool, is_broken: bool) -> Case {
    let mut outline = Outline::of("adamw")
        .sizes("N", [n])
        .give("working", working);
    for (name, value) in ["beta1", "beta2", "eps", "weight_decay"]
        .into_iter()
        .zip(attributes)
    {
        outline = outline.set(name, value);
    }
    Case::from(outline).source("scalars", Source::Update { is_broken })
}

pub(super) const fn sum_squares(spec: Spec) -> Spec {
    spec.draws(|op| {
        drawn((shape(), any::<bool>()), move |(x, accumulate)| {
            Outline::of(op).shape("x", x).set("accumulate", accumulate)
        })
    })
    .source(|_, operand| match operand {
        "y" => Source::Squares,
        _ => Source::Anything,
    })
}

pub(super) const fn clip_scale(spec: Spec) -> Spec {
    spec.draws(|op| {
        let max_norm = select(vec![1.0, 1e-3, 1e3, f32::INFINITY]);
        drawn(max_norm, move |max_norm| {
            Outline::of(op).set("max_norm", max_norm)
        })
    })
    .source(|_, operand| match operand {
        "sum_squares" => Source::Squares,
        _ => Source::Scalars,
    })
}

pub(super) const fn adamw(spec: Spec) -> Spec {
    let spec = spec.draws(|_| {
        let n = select(vec![1, 2, 3, 17, 257, 1025, 5003, 0, 50_021]);
        let beta1 = select(vec![0.9, 0.0, 0.5]);
        let beta2 = select(vec![0.999, 0.95, 0.0]);
        let (eps, weight_decay) = (select(vec![1e-8, 1e-5]), select(vec![0.0, 0.1]));
        let is_broken = prop_oneof![7 => Just(false), 1 => Just(true)];
        let parts = (n, beta1, beta2, eps, weight_decay, any::<bool>(), is_broken);
        drawn(
            parts,
            |(n, beta1, beta2, eps, weight_decay, working, is_broken)| {
                update(n, [beta1, beta2, eps, weight_decay], working, is_broken)
            },
        )
    });
    let spec = spec.source(|_, operand| match operand {
        "v" => Source::Squares,
        "scalars" => Source::Update { is_broken: false },
        _ => Source::Anything,
    });
    Spec {
        copy: Some(("param", "working")),
        ..spec
    }
}
