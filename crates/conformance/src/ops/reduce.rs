//! Sums, means and greatest elements of rows and columns.

use super::Spec;
use crate::strategies::{columns, drawn, long, or_none, short, valid};
use latimer_tensor::op::{Outline, Over, ReduceKind, Value};
use latimer_tensor::{DType, Shape};
use proptest::prelude::{Strategy, any};
use proptest::prop_oneof;
use proptest::sample::select;

/// `reduce` of `x`, added to `y` or not.
#[must_use]
pub fn reduced(kind: ReduceKind, over: Over, x: impl Into<Shape>, accumulate: bool) -> Outline {
    let x = x.into();
    let kept = match over {
        Over::Rows => x.columns(),
        Over::Columns => x.rows(),
    };
    let outline = Outline::of("reduce").shape("x", x).shape("y", [kept]);
    outline
        .set("kind", kind)
        .set("over", over)
        .set("accumulate", accumulate)
}

pub(super) const fn reduce(spec: Spec) -> Spec {
    spec.draws(|_| {
        let kind = select(vec![ReduceKind::Sum, ReduceKind::Mean, ReduceKind::Max]);
        let over = select(vec![Over::Columns, Over::Rows]);
        let shape = prop_oneof![
            4 => (long(), long()).prop_map(|(n, c)| Shape::new(&[n, c])),
            1 => (short(), short(), columns()).prop_map(|(a, b, c)| Shape::new(&[a, b, c])),
            1 => columns().prop_map(|c| Shape::new(&[c])),
        ];
        let parts = (kind, over, shape, any::<bool>(), any::<bool>());
        drawn(parts, |(kind, over, x, accumulate, f32_sum)| {
            let outline = reduced(kind, over, x, accumulate && kind != ReduceKind::Max);
            outline.dtype("y", f32_sum.then_some(DType::F32))
        })
    })
    .misfits(|reduce| match reduce.attribute("kind") {
        Some(Value::ReduceKind(ReduceKind::Max)) => vec![("accumulate", true.into())],
        _ => Vec::new(),
    })
    .sums()
}

pub(super) const fn arg_max(spec: Spec) -> Spec {
    spec.mixed(9).draws(|op| {
        let parts = (or_none(long()), columns(), any::<u16>());
        drawn(parts, move |(n, c, choice)| {
            let valid = valid(c, choice.into());
            Outline::of(op)
                .sizes("NC", [n, c])
                .set("valid_columns", valid)
        })
    })
}
