//! The notation for the shapes and types of a table, and its parser, which runs at compile time.
//!
//! # Shapes
//! A shape is written as its axes, outermost first. A letter is a length: the first operand that has
//! it sets it, and the others must agree.
//!
//! | written | stands for |
//! |---|---|
//! | `[B, T, C]` | three axes |
//! | `[N.., C]` | any number of leading axes; `N` alone elsewhere is their product |
//! | `[S?, M, K]` | at most one leading axis |
//! | `3C`, `3HD` | a multiple of a length, or of a product of two |
//! | `C>0`, `P>=T` | at least 1, at least another length |
//! | `[M, K], turned if t` | the last two the other way round if the attribute `t` is set |
//! | `[4]` | a fixed length |
//! | `any` | any shape |
//! | `as x` | the shape of `x` |
//! | `last axes of x` | the shape of `x` without some leading axes |
//! | anything else | what [`crate::op::OpSpec::computed_shape`] gives; the words are for the reader |
//!
//! # Types
//! `any`, `float`, `u32`, `f32`, `bf16`, `as x`, `sum of x` (the type of `x`, or `f32` where that is
//! narrower), `statistics of x` (`f32`, or `f64` where `x` is).

use super::{Access, Axes, DTypeRule, Length, ShapeRule};
use crate::{DType, Shape};

/// Whether `text` begins with `with`, or equals it.
const fn begins_with(text: &str, with: &str) -> bool {
    let (text, with) = (text.as_bytes(), with.as_bytes());
    if text.len() < with.len() {
        return false;
    }
    let mut i = 0;
    while i < with.len() {
        if text[i] != with[i] {
            return false;
        }
        i += 1;
    }
    true
}

const fn is(text: &str, other: &str) -> bool {
    text.len() == other.len() && begins_with(text, other)
}

/// The place of the operand that `text` names after `words`.
const fn place(text: &str, words: &str, names: &[&str]) -> Option<usize> {
    if !begins_with(text, words) {
        return None;
    }
    let (_, name) = text.split_at(words.len());
    let mut i = 0;
    while i < names.len() {
        if is(name, names[i]) {
            return Some(i);
        }
        i += 1;
    }
    panic!("a rule names an operand or attribute that there is not")
}

/// One past the bracket that closes the axes at the beginning of `text`.
const fn end_of_axes(text: &str) -> usize {
    let mut at = 0;
    while text.as_bytes()[at] != b']' {
        at += 1;
    }
    at + 1
}

impl Access {
    /// The place of the attribute that decides about [`Access::OutOrInOut`].
    pub(crate) const fn by(attribute: &str, attributes: &[&str]) -> usize {
        match place(attribute, "", attributes) {
            Some(at) => at,
            None => unreachable!(),
        }
    }
}

impl DTypeRule {
    /// Parses a rule as it is written in a table whose operands have these names.
    pub(crate) const fn parse(text: &str, names: &[&str]) -> Self {
        if let Some(other) = place(text, "as ", names) {
            Self::As(other)
        } else if let Some(other) = place(text, "sum of ", names) {
            Self::SumOf(other)
        } else if let Some(other) = place(text, "statistics of ", names) {
            Self::StatisticsOf(other)
        } else if is(text, "any") {
            Self::Any
        } else if is(text, "float") {
            Self::Float
        } else if is(text, "f32") {
            Self::Is(DType::F32)
        } else if is(text, "bf16") {
            Self::Is(DType::Bf16)
        } else if is(text, "u32") {
            Self::Is(DType::U32)
        } else {
            panic!("an operand's type is written in a way that is not known")
        }
    }
}

impl ShapeRule {
    /// Parses a rule as it is written in a table whose operands have these names.
    pub(crate) const fn parse(text: &str, names: &[&str], attributes: &[&str]) -> Self {
        if let Some(other) = place(text, "as ", names) {
            Self::As(other)
        } else if let Some(other) = place(text, "last axes of ", names) {
            Self::LastAxesOf(other)
        } else if is(text, "any") {
            Self::Any
        } else if begins_with(text, "[") {
            let axes = Axes::parse(text);
            let (_, rest) = text.split_at(end_of_axes(text));
            match place(rest, ", turned if ", attributes) {
                Some(attribute) => Self::Turned(axes, attribute),
                None => Self::Axes(axes),
            }
        } else {
            Self::Computed
        }
    }
}

impl Axes {
    /// Parses axes from a notation such as `[N.., 3C]`.
    const fn parse(text: &str) -> Self {
        let none = Length {
            factor: 0,
            letters: [0; 2],
            is_positive: false,
            at_least: 0,
        };
        let mut axes = Self {
            leading: 0,
            most_leading: 0,
            tail: [none; Shape::MAX_RANK],
            len: 0,
        };
        let (text, mut at) = (text.as_bytes(), 1);
        let mut length = none;
        while at < text.len() {
            match text[at] {
                b'0'..=b'9' => length.factor = 10 * length.factor + (text[at] - b'0') as usize,
                letter @ b'A'..=b'Z' => {
                    let free = if length.letters[0] == 0 { 0 } else { 1 };
                    length.letters[free] = letter;
                }
                b'>' if text[at + 1] == b'=' => {
                    length.at_least = text[at + 2];
                    at += 2;
                }
                b'>' => {
                    length.is_positive = true;
                    at += 1; // the 0
                }
                sign @ (b'.' | b'?') => {
                    axes.leading = length.letters[0];
                    axes.most_leading = if sign == b'?' { 1 } else { Shape::MAX_RANK };
                    at += if sign == b'.' { 2 } else { 1 }; // the comma
                    length = none;
                }
                b',' | b']' => {
                    if length.factor == 0 {
                        length.factor = 1;
                    }
                    axes.tail[axes.len] = length;
                    axes.len += 1;
                    length = none;
                    if text[at] == b']' {
                        break;
                    }
                }
                b' ' => {}
                _ => panic!("a shape is written in a way that is not known"),
            }
            at += 1;
        }
        axes
    }
}
