//! Checks that an operation reports the right error for an operand or attribute that does not fit.
//!
//! The error must be of the right kind, name the operation, show what was given, and blame what was
//! changed. Shapes and types are checked against each other. If the changed operand is one that
//! others are measured by, the error may blame one of those others instead, but nothing else; the
//! operation's table defines which.

use crate::operands::Operand;
use crate::outsider::Outsider;
use latimer_tensor::op::table::{DTypeRule, Range, ShapeRule};
use latimer_tensor::op::{CustomOp, Table};
use latimer_tensor::{DType, Error, Op, Shape};
use std::fmt;

/// A change to a case that fits.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Change {
    Shape {
        operand: &'static str,
        from: Shape,
        to: Shape,
    },
    DType {
        operand: &'static str,
        from: DType,
        to: DType,
    },
    Memory {
        operand: &'static str,
    },
    Attribute {
        attribute: &'static str,
    },
    Id {
        operand: &'static str,
        id: usize,
        position: usize,
    },
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Shape { operand, from, to } => write!(f, "{operand} of shape {to} for {from}"),
            Self::DType { operand, from, to } => write!(f, "{operand} of type {to} for {from}"),
            Self::Memory { operand } => write!(f, "{operand} in another device's memory"),
            Self::Attribute { attribute } => write!(f, "{attribute} out of its range"),
            Self::Id {
                operand,
                id,
                position,
            } => write!(f, "id {id} at {position} of {operand}"),
        }
    }
}

impl Change {
    /// Whether `error` reports this change; `operands` are the operands after it.
    pub(crate) fn is_told_by(&self, error: &Error, op: &str, operands: &[Operand]) -> bool {
        let given = |name: &str| operands.iter().find(|operand| operand.name == name);
        match (*self, error) {
            (
                Self::Shape { operand, from, .. },
                Error::ShapeMismatch {
                    op: of,
                    operand: blamed,
                    expected,
                    got,
                },
            ) => {
                *of == op
                    && given(blamed).is_some_and(|o| o.shape == *got)
                    && expected != got
                    && is_blamed_for(op, operand, blamed)
                    && (!follows_from_others(op, operand) || *expected == from)
            }
            (
                Self::Shape { operand, .. },
                Error::InvalidShape {
                    op: of,
                    operand: blamed,
                    got,
                    ..
                },
            ) => {
                *of == op
                    && given(blamed).is_some_and(|o| o.shape == *got)
                    && is_blamed_for(op, operand, blamed)
            }
            // The shape may be valid, but not together with the position of the part.
            (
                Self::Shape { .. },
                Error::InvalidAttribute {
                    op: of, attribute, ..
                },
            ) => *of == op && matches!((op, *attribute), ("slice" | "concat", "axis" | "first")),
            (
                Self::DType { operand, from, to },
                Error::DTypeMismatch {
                    op: of,
                    operand: blamed,
                    expected,
                    got,
                },
            ) => {
                let itself = *blamed == operand
                    && (*expected == from || (*expected == DType::F32 && !to.is_float()));
                let other = is_type_blamed_for(op, operand, blamed) && *expected != *got;
                *of == op && given(blamed).is_some_and(|o| o.dtype == *got) && (itself || other)
            }
            (
                Self::Memory { operand },
                Error::ForeignBuffer {
                    op: of,
                    operand: blamed,
                },
            ) => *of == op && *blamed == operand,
            (
                Self::Attribute { attribute },
                Error::InvalidAttribute {
                    op: of,
                    attribute: blamed,
                    ..
                },
            ) => *of == op && *blamed == attribute,
            // For an attribute that sets the shape of an operand, the error's reason names the
            // attribute.
            (
                Self::Attribute { attribute },
                Error::InvalidShape {
                    op: of,
                    operand,
                    got,
                    reason,
                },
            ) => {
                *of == op
                    && given(operand).is_some_and(|o| o.shape == *got)
                    && reason.contains(attribute)
            }
            (
                Self::Id {
                    operand,
                    id,
                    position,
                },
                Error::IdOutOfRange {
                    op: of,
                    operand: blamed,
                    id: got,
                    position: at,
                    last,
                },
            ) => {
                *of == op
                    && *blamed == operand
                    && *got == id as u64
                    && *at == position
                    && last + 1 == id
            }
            _ => false,
        }
    }
}

fn table(op: &str) -> Option<&'static Table> {
    Op::TABLES.iter().copied().find(|table| table.name == op)
}

/// The terms of an operand's shape, as bits: one for each letter, and one for each operand whose
/// shape it has or is computed from.
fn terms(table: &Table, at: usize) -> u64 {
    let own = 1 << (32 + at);
    let rule = &table.operands[at].shape;
    match *rule {
        ShapeRule::As(other) | ShapeRule::LastAxesOf(other) => own | terms(table, other),
        ShapeRule::Computed => (0..at).fold(own, |all, earlier| all | terms(table, earlier)),
        _ => {
            let letters = rule
                .letters()
                .map(|letter| 1 << (letter as u64 - 'A' as u64));
            letters.fold(own, |all, bit| all | bit)
        }
    }
}

/// Those terms that occur in no earlier operand and are set by no attribute; other operands are
/// measured by them.
fn own_terms(table: &Table, at: usize) -> u64 {
    let set = table.attributes.iter().filter_map(|rule| match rule.range {
        Range::Sets(letter) => Some(1 << (letter as u64 - 'A' as u64)),
        _ => None,
    });
    let others = (0..at).map(|earlier| terms(table, earlier)).chain(set);
    others.fold(terms(table, at), |own, other| own & !other)
}

/// Whether the error for an operand of the wrong shape may name `blamed`: the operand itself, or
/// one that is measured by it.
fn is_blamed_for(op: &str, changed: &str, blamed: &str) -> bool {
    if op == Outsider.name() {
        return changed == blamed || changed == "input0";
    }
    changed == blamed
        || places(op, changed, blamed).is_some_and(|(table, changed, blamed)| {
            own_terms(table, changed) & terms(table, blamed) != 0
        })
}

fn places(op: &str, one: &str, other: &str) -> Option<(&'static Table, usize, usize)> {
    let table = table(op)?;
    Some((table, table.operand(one)?, table.operand(other)?))
}

/// Whether an operand's shape follows from the others, so that the error must state the expected
/// one.
fn follows_from_others(op: &str, operand: &str) -> bool {
    if op == Outsider.name() {
        return operand != "input0";
    }
    let Some((table, at, _)) = places(op, operand, operand) else {
        return false;
    };
    let own = own_terms(table, at);
    let has_own_letter = own & u64::from(u32::MAX) != 0;
    let measures = (at + 1..table.operands.len()).any(|other| own & terms(table, other) != 0);
    !has_own_letter && !measures
}

/// Whether the error for an operand of the wrong type may name `blamed`, whose type conflicts with
/// it.
fn is_type_blamed_for(op: &str, changed: &str, blamed: &str) -> bool {
    if op == Outsider.name() {
        return changed == "input0";
    }
    places(op, changed, blamed).is_some_and(|(table, changed, blamed)| {
        match table.operands[blamed].dtype {
            // A sum may have two types; the error gives the type of the terms as the expected one.
            DTypeRule::SumOf(other) => blamed == changed || other == changed,
            DTypeRule::As(other) | DTypeRule::StatisticsOf(other) => other == changed,
            _ => false,
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Case;
    use crate::case::Attributes;
    use latimer_tensor::op::BinaryKind;

    /// `a` and `y` of `[2, 3]`, `b` of `[3]`, one of them changed to `[2, 4]`.
    fn told(changed: &'static str, error: &Error) -> bool {
        let case = Case::new(Attributes::Binary {
            kind: BinaryKind::Add,
            shape: [2, 3].into(),
            b_rank: 1,
        });
        let mut operands = case.operands().unwrap();
        let operand = operands.iter_mut().find(|o| o.name == changed).unwrap();
        let (from, to) = (operand.shape, [2, 4].into());
        operand.shape = to;
        let change = Change::Shape {
            operand: changed,
            from,
            to,
        };
        change.is_told_by(error, "binary", &operands)
    }

    fn mismatch(
        op: &'static str,
        operand: &'static str,
        expected: [usize; 2],
        got: [usize; 2],
    ) -> Error {
        Error::ShapeMismatch {
            op,
            operand,
            expected: expected.into(),
            got: got.into(),
        }
    }

    #[test]
    fn what_follows_from_the_others_is_blamed_itself() {
        assert!(told("y", &mismatch("binary", "y", [2, 3], [2, 4])));
        assert!(
            !told("y", &mismatch("binary", "a", [2, 4], [2, 3])),
            "innocent"
        );
        assert!(
            !told("y", &mismatch("binary", "y", [2, 5], [2, 4])),
            "not expected"
        );
        assert!(
            !told("y", &mismatch("binary", "y", [2, 4], [2, 3])),
            "sides swapped"
        );
        assert!(
            !told("y", &mismatch("axpby", "y", [2, 3], [2, 4])),
            "another operation"
        );
        let kind = Error::DTypeMismatch {
            op: "binary",
            operand: "y",
            expected: DType::F32,
            got: DType::F32,
        };
        assert!(!told("y", &kind), "another kind");
    }

    #[test]
    fn what_others_are_measured_by_may_show_in_them() {
        assert!(told("a", &mismatch("binary", "y", [2, 4], [2, 3])));
        assert!(
            !told("a", &mismatch("binary", "y", [2, 4], [2, 4])),
            "not what was given"
        );
        assert!(
            !told("a", &mismatch("binary", "bias", [2, 4], [2, 3])),
            "no such operand"
        );
    }
}
