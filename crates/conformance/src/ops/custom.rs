//! A custom operation, which backends must run without knowing it.

use super::Spec;
use crate::outsider::Outsider;
use crate::strategies::{drawn, shape};
use latimer_tensor::op::table::{Access, DTypeRule, OperandRule, ShapeRule};
use latimer_tensor::op::{Custom, Outline, Table};

/// What [`Outsider`]'s check asks, as a table.
static TABLE: Table = Table {
    name: "custom",
    operands: &[
        OperandRule {
            dtype: DTypeRule::Float,
            shape: ShapeRule::Any,
            ..like_the_first("input0", Access::In)
        },
        like_the_first("input1", Access::In),
        like_the_first("output0", Access::Out),
        like_the_first("output1", Access::Out),
    ],
    attributes: &[],
};

const fn like_the_first(name: &'static str, access: Access) -> OperandRule {
    OperandRule {
        name,
        access,
        is_optional: false,
        dtype: DTypeRule::As(0),
        shape: ShapeRule::As(0),
        written: ["as input0"; 2],
        reason: "it must be as input0",
    }
}

pub(super) const fn custom(spec: Spec) -> Spec {
    let spec = spec.draws(|_| drawn(shape(), |x| Outline::new(&TABLE).shape("input0", x)));
    Spec {
        table: Some(&TABLE),
        op: |_, mut parts| {
            parts.inputs.sort_unstable_by_key(|(name, _)| *name);
            parts.outputs.sort_unstable_by_key(|(name, _)| *name);
            Custom {
                kind: &Outsider,
                inputs: parts.inputs.into_iter().map(|(_, view)| view).collect(),
                outputs: parts.outputs.into_iter().map(|(_, view)| view).collect(),
            }
            .into()
        },
        ..spec
    }
}
