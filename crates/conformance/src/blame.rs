//! Checks that an operation reports the right error for an operand or attribute that does not fit.
//!
//! The error must be of the right kind, name the operation, show what was given, and blame what was
//! changed. Shapes and types are checked against each other. If the changed operand is one that
//! others are measured by, the error may blame one of those others instead, but nothing else; the
//! operation's table defines which.

use crate::case::Case;
use crate::operands::Operand;
use latimer_tensor::op::Table;
use latimer_tensor::op::table::{DTypeRule, Range, ShapeRule};
use latimer_tensor::{DType, Error, Shape};
use std::fmt;

/// A change to a case that fits, beginning with the name of the operand or attribute.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Change {
    /// From one shape to another.
    Shape(&'static str, Shape, Shape),
    /// From one type to another.
    DType(&'static str, DType, DType),
    /// To another device's memory.
    Memory(&'static str),
    /// Out of its range.
    Attribute(&'static str),
    /// An id, at a position.
    Id(&'static str, usize, usize),
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Shape(name, from, to) => write!(f, "{name} of shape {to} for {from}"),
            Self::DType(name, from, to) => write!(f, "{name} of type {to} for {from}"),
            Self::Memory(name) => write!(f, "{name} in another device's memory"),
            Self::Attribute(name) => write!(f, "{name} out of its range"),
            Self::Id(name, id, position) => write!(f, "id {id} at {position} of {name}"),
        }
    }
}

impl Change {
    /// Whether `error` of the operation named `op` reports this change to the case; `operands` are
    /// the operands after it.
    pub(crate) fn is_told_by(
        &self,
        error: &Error,
        op: &str,
        case: &Case,
        operands: &[Operand],
    ) -> bool {
        let table = case.outline.table();
        let given = |name: &str| operands.iter().find(|operand| operand.name == name);
        let has_shape = |name: &str, got| given(name).is_some_and(|o| o.shape == got);
        let (of, holds) = match (*self, error) {
            (
                Self::Shape(name, from, _),
                &Error::ShapeMismatch {
                    op,
                    operand,
                    expected,
                    got,
                },
            ) => {
                let is_right = !follows_from_others(table, name) || expected == from;
                let is_blamed = is_blamed_for(table, name, operand);
                (
                    op,
                    has_shape(operand, got) && expected != got && is_blamed && is_right,
                )
            }
            (
                Self::Shape(name, ..),
                &Error::InvalidShape {
                    op, operand, got, ..
                },
            ) => (
                op,
                has_shape(operand, got) && is_blamed_for(table, name, operand),
            ),
            // The shape may be valid, but not together with the position of the part.
            (Self::Shape(..), &Error::InvalidAttribute { op, attribute, .. }) => {
                (op, case.spec().measured.contains(&attribute))
            }
            (
                Self::DType(name, from, to),
                &Error::DTypeMismatch {
                    op,
                    operand,
                    expected,
                    got,
                },
            ) => {
                let is_right = expected == from || (expected == DType::F32 && !to.is_float());
                let itself = operand == name && is_right;
                let other = is_type_blamed_for(table, name, operand) && expected != got;
                let has_type = given(operand).is_some_and(|o| o.dtype == got);
                (op, has_type && (itself || other))
            }
            (Self::Memory(name), &Error::ForeignBuffer { op, operand }) => (op, operand == name),
            (Self::Attribute(name), &Error::InvalidAttribute { op, attribute, .. }) => {
                (op, attribute == name)
            }
            // For an attribute that sets the shape of an operand, the error's reason names the
            // attribute.
            (
                Self::Attribute(name),
                &Error::InvalidShape {
                    op,
                    operand,
                    got,
                    reason,
                },
            ) => (op, has_shape(operand, got) && reason.contains(name)),
            (
                Self::Id(name, wrong, at),
                &Error::IdOutOfRange {
                    op,
                    operand,
                    id,
                    position,
                    last,
                },
            ) => {
                let is_it = id == wrong as u64 && position == at && last + 1 == wrong;
                (op, operand == name && is_it)
            }
            _ => return false,
        };
        of == op && holds
    }
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

/// The places of two operands; `None` if the table does not have both.
fn places(table: &Table, one: &str, other: &str) -> Option<(usize, usize)> {
    Some((table.operand(one)?, table.operand(other)?))
}

/// Whether the error for an operand of the wrong shape may name `blamed`: the operand itself, or
/// one that is measured by it.
fn is_blamed_for(table: &Table, changed: &str, blamed: &str) -> bool {
    places(table, changed, blamed).is_some_and(|(changed, blamed)| {
        changed == blamed || own_terms(table, changed) & terms(table, blamed) != 0
    })
}

/// Whether an operand's shape follows from the others, so that the error must state the expected
/// one.
fn follows_from_others(table: &Table, operand: &str) -> bool {
    table.operand(operand).is_some_and(|at| {
        let own = own_terms(table, at);
        let has_own_letter = own & u64::from(u32::MAX) != 0;
        let measures = (at + 1..table.operands.len()).any(|other| own & terms(table, other) != 0);
        !has_own_letter && !measures
    })
}

/// Whether the error for an operand of the wrong type may name `blamed`, whose type conflicts with
/// it.
fn is_type_blamed_for(table: &Table, changed: &str, blamed: &str) -> bool {
    places(table, changed, blamed).is_some_and(|(changed, blamed)| {
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
    use latimer_tensor::op::{BinaryKind, Outline};

    /// `a` and `y` of `[2, 3]`, `b` of `[3]`, one of them changed to `[2, 4]`.
    fn told(changed: &'static str, error: &Error) -> bool {
        let outline = Outline::of("binary").shape("a", [2, 3]).shape("b", [3]);
        let case = Case::from(outline.set("kind", BinaryKind::Add));
        let mut operands = case.operands().unwrap();
        let operand = operands.iter_mut().find(|o| o.name == changed).unwrap();
        let (from, to) = (operand.shape, [2, 4].into());
        operand.shape = to;
        let change = Change::Shape(changed, from, to);
        change.is_told_by(error, "binary", &case, &operands)
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
