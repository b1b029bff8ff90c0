//! Operations on single elements.

use super::Spec;
use crate::case::Source;
use crate::strategies::{drawn, factor, shape};
use latimer_tensor::op::{BinaryKind, Outline, UnaryKind, Value};
use latimer_tensor::{DType, Shape};
use proptest::sample::select;

pub(super) const fn fill(spec: Spec) -> Spec {
    spec.draws(|op| {
        let values = select(vec![0.0, 1.0, 7.0, 0.1]);
        drawn((shape(), values), move |(y, value)| {
            Outline::of(op).shape("y", y).set("value", value)
        })
    })
}

pub(super) const fn cast(spec: Spec) -> Spec {
    spec.draws(|op| {
        let to = select(DType::ALL.to_vec());
        drawn((shape(), to), move |(x, to)| {
            Outline::of(op).shape("x", x).dtype("y", to)
        })
    })
    // Floats are cast to integers only if they are whole numbers.
    .source(|cast, _| match cast.operands(DType::F32).last() {
        Some(y) if !y.dtype.is_float() => Source::Ids(200),
        _ => Source::Anything,
    })
}

pub(super) const fn unary(spec: Spec) -> Spec {
    spec.draws(|op| {
        let kinds = select(UnaryKind::ALL.to_vec());
        drawn((kinds, shape()), move |(kind, x)| {
            Outline::of(op).shape("x", x).set("kind", kind)
        })
    })
    .large(|unary| match unary.attribute("kind") {
        Some(Value::UnaryKind(UnaryKind::Exp)) => 8.0,
        _ => 1000.0,
    })
    .mixed(9)
    .sums()
}

pub(super) const fn unary_backward(spec: Spec) -> Spec {
    unary(spec)
}

pub(super) const fn binary(spec: Spec) -> Spec {
    spec.draws(|op| {
        let kinds = select(BinaryKind::ALL.to_vec());
        drawn((kinds, shape(), 0..5usize), move |(kind, a, fewer)| {
            let b = Shape::new(&a.dims()[fewer.min(a.rank())..]);
            Outline::of(op)
                .shape("a", a)
                .shape("b", b)
                .set("kind", kind)
        })
    })
    .source(
        |binary, operand| match (operand, binary.attribute("kind")) {
            ("b", Some(Value::BinaryKind(BinaryKind::Div))) => Source::AwayFromZero,
            _ => Source::Anything,
        },
    )
}

pub(super) const fn axpby(spec: Spec) -> Spec {
    spec.draws(|op| {
        drawn((shape(), factor(), factor()), move |(x, alpha, beta)| {
            Outline::of(op)
                .shape("x", x)
                .set("alpha", alpha)
                .set("beta", beta)
        })
    })
}
