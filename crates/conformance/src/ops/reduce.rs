//! Sums, means and greatest elements of rows and columns.

use super::Spec;
use crate::naive::{Output, read, sum, twin};
use crate::strategies::{columns, drawn, long, or_none, short, valid};
use latimer_tensor::op::{Outline, Over, Reduce, ReduceKind, Value};
use latimer_tensor::{DType, Host, Result, Shape};
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
    .naive(twin!(Reduce, naive))
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

fn naive(op: &Reduce<'_>, host: &Host<'_>) -> Result<Vec<Output>> {
    let (rows, columns) = (op.x.shape().rows(), op.x.shape().columns());
    let x = read(host, op.x)?;
    let (lines, terms, along, across) = match op.over {
        Over::Rows => (columns, rows, columns, 1),
        Over::Columns => (rows, columns, 1, columns),
    };
    let mut y: Vec<f32> = (0..lines)
        .map(|at| {
            let line = (0..terms).map(|i| x[at * across + i * along]);
            match op.kind {
                ReduceKind::Mean => sum(line) / terms as f32,
                ReduceKind::Max => line.fold(f32::NEG_INFINITY, f32::max),
                _ => sum(line),
            }
        })
        .collect();
    if op.accumulate {
        let old = read(host, op.y.as_view())?;
        y.iter_mut().zip(old).for_each(|(y, old)| *y += old);
    }
    Ok(vec![("y", y)])
}
