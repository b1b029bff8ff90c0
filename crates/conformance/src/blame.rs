//! Which error is the right one for an operand or an attribute that does not fit.
//!
//! It is of the right kind, names the operation, shows what was given, and blames what was changed.
//! Shapes and types are checked against each other, so where the operand that others are measured
//! by was changed, one of those may be blamed instead, and only those: [`measured_by`].

use crate::operands::Operand;
use latimer_tensor::{DType, Error, Shape};
use std::fmt;

/// What was changed in a case that fits.
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
    /// Whether an error says so; `operands` are the changed ones.
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
                    && (!measured_by(op, operand).is_empty() || *expected == from)
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
            // The shape may be sound, but not for where the part lies.
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
                let other = types_measured_by(op, operand)
                    .is_some_and(|others| others.is_empty() || others.contains(blamed))
                    && *expected != *got;
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
            // An attribute that speaks of an operand's shape is named in the reason.
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

fn is_blamed_for(op: &str, changed: &str, blamed: &str) -> bool {
    blamed == changed || measured_by(op, changed).contains(&blamed)
}

/// The operands whose shapes are measured by this one's. Where there are none, its own shape
/// follows from the others, and the error must say which was expected.
fn measured_by(op: &str, operand: &str) -> &'static [&'static str] {
    match (op, operand) {
        ("concat" | "binary" | "matmul", "a") => &["b", "y"],
        ("concat", "b") => &["b", "y"],
        ("matmul", "b") => &["b", "bias", "y"],
        // What is asked of these is more than one shape.
        ("binary", "b") => &["b"],
        ("unary_backward", "x") => &["dy", "dx"],
        ("embedding", "ids" | "wte") => &["wpe", "y"],
        ("embedding_backward", "ids" | "dwte") => &["dwpe", "dy"],
        ("layer_norm" | "add_layer_norm", "x") => {
            &["r", "s", "weight", "bias", "y", "mean", "rstd"]
        }
        ("layer_norm_backward", "x") => &["weight", "mean", "rstd", "dy", "dx", "dweight", "dbias"],
        ("softmax_backward", "y") => &["dy", "dx"],
        ("attention", "qkv") => &["y", "lse"],
        ("attention_backward", "qkv") => &["y", "lse", "dy", "dqkv"],
        ("attention_decode", "qkv" | "k_cache") => &["qkv", "k_cache", "v_cache", "y"],
        ("cross_entropy", "logits") => &["targets", "losses"],
        ("adamw", "param") => &["grad", "m", "v", "working"],
        ("outsider", "input0") => &["input1", "output0", "output1"],
        // What most operations are: a function of x.
        (_, "x") => &["y"],
        _ => &[],
    }
}

/// The operands whose types are measured by this one's, all of them if the list is empty.
fn types_measured_by(op: &str, operand: &str) -> Option<&'static [&'static str]> {
    match (op, operand) {
        ("embedding_backward", "dwte") => Some(&["dwpe"]),
        ("layer_norm_backward", "dweight") => Some(&["dbias"]),
        ("embedding_backward" | "adamw" | "clip_scale" | "sum_squares", _) => None,
        // A sum has two types that fit; the terms' is the one expected.
        ("matmul" | "reduce", "y") => Some(&["y"]),
        ("softmax_backward", "y") | ("embedding", "wte") => Some(&[]),
        (_, "x" | "a" | "qkv" | "logits" | "input0") => Some(&[]),
        _ => None,
    }
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
