//! The rules for an operation's operands and attributes, as data.
//!
//! Each operation is declared by `op!` with one line for each operand and attribute. The
//! struct, its documentation, the check and its errors, the visit of its operands, and the operands
//! that tests draw and benchmarks time ([`Outline`]) all come from that line.
//!
//! [`notation`] explains how shapes and types are written.

pub mod notation;
mod outline;
mod value;

pub use outline::{Outline, Outlined};
pub(crate) use value::Attribute;
pub use value::Value;

use crate::{DType, Error, Result, Shape};

/// The rules for an operation's operands and attributes.
#[derive(Debug)]
pub struct Table {
    /// The operation's name, as in `layer_norm_backward`.
    pub name: &'static str,
    /// The rules of its operands, in the order of the struct's fields.
    pub operands: &'static [OperandRule],
    /// The rules of its attributes, in the order of the struct's fields.
    pub attributes: &'static [AttributeRule],
}

/// The rule for an operand.
#[derive(Clone, Copy, Debug)]
pub struct OperandRule {
    /// The field's name.
    pub name: &'static str,
    /// Whether it is read, written or both.
    pub access: Access,
    /// Whether it may be missing.
    pub is_optional: bool,
    /// Its element type.
    pub dtype: DTypeRule,
    /// Its shape.
    pub shape: ShapeRule,
    /// Type and shape as they were written.
    pub written: [&'static str; 2],
    /// "it must be", followed by the shape as it was written.
    pub reason: &'static str,
}

/// How an operation uses an operand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Read.
    In,
    /// Overwritten without being read.
    Out,
    /// Read and written.
    InOut,
    /// `InOut` if the attribute at this place is true or not 0, otherwise `Out`.
    OutOrInOut(usize),
}

/// The element types that an operand may have. Numbers are the places of other operands in the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DTypeRule {
    /// Any.
    Any,
    /// A float.
    Float,
    /// This one.
    Is(DType),
    /// The same as that of another operand.
    As(usize),
    /// The type of the terms of a sum, or `F32` if they are narrower.
    SumOf(usize),
    /// `F32`, or `F64` if the other operand is `F64`.
    StatisticsOf(usize),
}

/// The shapes that an operand may have. Numbers are the places of other operands in the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ShapeRule {
    /// Any.
    Any,
    /// The same as that of another operand.
    As(usize),
    /// The shape of another operand, with any number of leading axes left out.
    LastAxesOf(usize),
    /// These axes.
    Axes(Axes),
    /// These axes, with the last two exchanged if the attribute at this place is set.
    Turned(Axes, usize),
    /// The shape that the operation computes from its other operands and attributes.
    Computed,
}

/// The rule for an attribute.
#[derive(Clone, Copy, Debug)]
pub struct AttributeRule {
    /// The field's name.
    pub name: &'static str,
    /// Its range.
    pub range: Range,
    /// Whether a value is of its type.
    pub takes: fn(Value) -> bool,
}

/// The range of an attribute. Letters are lengths of the operands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Range {
    /// Every value of its type.
    Any,
    /// All but NaN.
    NotNan,
    /// Neither NaN nor infinite.
    Finite,
    /// Above 0, infinity included.
    Positive,
    /// 0 or more.
    NotNegative,
    /// At least 0 and below 1.
    Share,
    /// A [`Range::Share`] of elements to drop; unless it is 0, the operand `random` must be given.
    DropoutShare,
    /// Sets a length, which must be at least 1.
    Sets(char),
    /// From 1 to this length.
    UpTo(char, &'static str),
    /// At most the second length when added to the first, if an operand has the second.
    OffsetOf(char, char, &'static str),
    /// If true, the first operand needs at least as many columns as rows.
    Causal,
}

/// Axes, parsed from their notation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Axes {
    /// The letter of the leading axes, 0 without them.
    leading: u8,
    /// The largest number of leading axes.
    most_leading: usize,
    /// The others, as many as `len`.
    tail: [Length; Shape::MAX_RANK],
    len: usize,
}

/// The length of an axis: a number times up to two letters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Length {
    factor: usize,
    /// The letters; 0 stands for no letter.
    letters: [u8; 2],
    is_positive: bool,
    /// The letter of a length that this one must not be below; 0 for none.
    at_least: u8,
}

/// The index of a letter; unspecified for 0, which stands for no letter.
const fn index(letter: u8) -> usize {
    (letter.wrapping_sub(b'A') & 31) as usize
}

impl DTypeRule {
    /// The type that the rule expects, given the types of all operands; `None` if it takes several
    /// and this is one of them.
    fn expected(self, got: DType, given: &[Option<Given>]) -> Option<DType> {
        // An operand that another one's type refers to is always given.
        let of = |other: usize| given[other].map_or(DType::F32, |given| given.dtype);
        let expected = match self {
            Self::Any => got,
            Self::Float if got.is_float() => got,
            Self::Float => DType::F32,
            Self::Is(dtype) => dtype,
            Self::As(other) => of(other),
            Self::SumOf(other) => match of(other) {
                DType::Bf16 | DType::F16 if got == DType::F32 => got,
                terms => terms,
            },
            Self::StatisticsOf(other) if of(other) == DType::F64 => DType::F64,
            Self::StatisticsOf(_) => DType::F32,
        };
        (expected != got).then_some(expected)
    }
}

impl ShapeRule {
    fn axes(&self) -> Option<&Axes> {
        match self {
            Self::Axes(axes) | Self::Turned(axes, _) => Some(axes),
            _ => None,
        }
    }

    /// The letters of its lengths.
    pub fn letters(&self) -> impl Iterator<Item = char> {
        let all = self.axes().into_iter().flat_map(|axes| {
            let tail = axes.tail().iter().flat_map(|length| length.letters);
            tail.chain([axes.leading])
        });
        all.filter(|letter| *letter != 0).map(char::from)
    }
}

impl Axes {
    fn tail(&self) -> &[Length] {
        &self.tail[..self.len]
    }

    /// The shape with these lengths. `own` gives the length of an axis, counted from the last, that
    /// they do not contain.
    fn shape(&self, lengths: &Lengths, own: &dyn Fn(usize) -> Option<usize>) -> Option<Shape> {
        let leading = match self.leading {
            0 => Shape::new(&[]),
            _ => lengths.leading?,
        };
        let (mut dims, mut rank) = ([1; Shape::MAX_RANK], leading.rank());
        dims[..rank].copy_from_slice(leading.dims());
        for (from_end, length) in (0..self.len).rev().zip(self.tail()) {
            *dims.get_mut(rank)? = length.value(lengths).or_else(|| own(from_end))?;
            rank += 1;
        }
        Some(Shape::new(&dims[..rank]))
    }

    /// These axes with the last two exchanged.
    fn turned(mut self) -> Self {
        self.tail.swap(self.len - 2, self.len - 1);
        self
    }

    /// The number of leading axes of a shape of this rank; `None` if the rank is wrong.
    fn leading_of(&self, rank: usize) -> Option<usize> {
        let leading = rank.checked_sub(self.len)?;
        (leading <= self.most_leading).then_some(leading)
    }
}

/// An operand's shape and type.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Given {
    pub(crate) shape: Shape,
    pub(crate) dtype: DType,
}

/// The lengths that the operands have set so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Lengths {
    of: [usize; 32],
    /// A bit for each letter that is set.
    set: u32,
    /// The leading axes, if an operand has them.
    leading: Option<Shape>,
}

impl Lengths {
    #[inline]
    fn get(&self, letter: u8) -> Option<usize> {
        let at = index(letter);
        (self.set >> at & 1 == 1).then(|| self.of[at])
    }

    #[inline]
    fn put(&mut self, letter: u8, len: usize) {
        let at = index(letter);
        self.of[at] = len;
        self.set |= 1 << at;
    }
}

impl Length {
    /// The length that the axis must have; `None` while a letter is not set.
    fn value(self, lengths: &Lengths) -> Option<usize> {
        let mut value = self.factor;
        for letter in self.letters {
            if letter != 0 {
                value = value.saturating_mul(lengths.get(letter)?);
            }
        }
        Some(value)
    }

    /// Compares the length of an axis with this one, and sets the letter that is not set yet.
    /// `None` if two letters are not set: then neither is set now.
    #[inline]
    fn fits(self, len: usize, lengths: &mut Lengths) -> Option<bool> {
        if let (1, [letter, 0]) = (self.factor, self.letters)
            && letter != 0
        {
            let is_set = lengths.get(letter);
            if is_set.is_none() {
                lengths.put(letter, len);
            }
            return Some(is_set.is_none_or(|set| set == len));
        }
        let (mut known, mut unset) = (self.factor, None);
        for letter in self.letters {
            match lengths.get(letter) {
                _ if letter == 0 => {}
                Some(value) => known = known.saturating_mul(value),
                None if unset.is_some() => return None,
                None => unset = Some(letter),
            }
        }
        let Some(letter) = unset else {
            return Some(known == len);
        };
        let is_multiple = known > 0 && len.is_multiple_of(known);
        if is_multiple {
            lengths.put(letter, len / known);
        }
        Some(is_multiple)
    }
}

impl Table {
    /// The rule for the type that a caller chooses; `None` if all types are fixed.
    #[must_use]
    pub fn free_type(&self) -> Option<DTypeRule> {
        let mut rules = self.operands.iter().map(|rule| rule.dtype);
        rules.find(|rule| matches!(rule, DTypeRule::Any | DTypeRule::Float))
    }

    /// The place of the operand of this name.
    #[must_use]
    pub fn operand(&self, name: &str) -> Option<usize> {
        self.operands.iter().position(|rule| rule.name == name)
    }

    /// Checks that operands and attributes fit each other. `computed` returns the shapes that the
    /// operation computes itself.
    ///
    /// # Errors
    /// The first operand or attribute that does not fit.
    pub(crate) fn check(
        &self,
        given: &[Option<Given>],
        attributes: &[f64],
        computed: &dyn Fn(&'static str) -> Result<Shape>,
    ) -> Result<()> {
        let op = self.name;
        let given_rules = || {
            let both = self.operands.iter().zip(given).enumerate();
            both.filter_map(|(at, (rule, given))| Some((at, rule, (*given)?)))
        };
        for (_, rule, Given { dtype: got, .. }) in given_rules() {
            if let Some(expected) = rule.dtype.expected(got, given) {
                let operand = rule.name;
                return Err(Error::DTypeMismatch {
                    op,
                    operand,
                    expected,
                    got,
                });
            }
        }
        let mut lengths = Lengths::default();
        for (rule, &value) in self.attributes.iter().zip(attributes) {
            if let Range::Sets(letter) = rule.range {
                if value < 1.0 {
                    return Err(self.attribute(rule, value, "it must be at least 1"));
                }
                lengths.put(letter as u8, value as usize);
            }
        }
        let mut is_open = false;
        for (at, rule, Given { shape, .. }) in given_rules() {
            let expected = match &rule.shape {
                ShapeRule::Any => continue,
                ShapeRule::As(other) => given[*other].map_or(shape, |given| given.shape),
                ShapeRule::LastAxesOf(other) => {
                    let of = given[*other].map_or(shape, |given| given.shape);
                    if of.dims().ends_with(shape.dims()) {
                        continue;
                    }
                    return Err(self.shape(rule, shape));
                }
                ShapeRule::Axes(_) | ShapeRule::Turned(..) => {
                    is_open |= self.fit(at, attributes, shape, &mut lengths)?;
                    continue;
                }
                ShapeRule::Computed => computed(rule.name)?,
            };
            if shape != expected {
                return Err(self.mismatch(rule, expected, shape));
            }
        }
        if is_open {
            // Some lengths follow only from two operands together.
            for (at, rule, Given { shape, .. }) in given_rules() {
                if self.fit(at, attributes, shape, &mut lengths)? {
                    return Err(self.shape(rule, shape));
                }
            }
        }
        self.check_attributes(given, attributes, &lengths)
    }

    /// Compares a shape with its axes, and sets the lengths that no operand before has had. Returns
    /// whether some could not be set yet.
    fn fit(
        &self,
        at: usize,
        attributes: &[f64],
        got: Shape,
        lengths: &mut Lengths,
    ) -> Result<bool> {
        let (rule, dims) = (&self.operands[at], got.dims());
        let turned;
        let axes = match &rule.shape {
            ShapeRule::Turned(axes, by) if attributes[*by] != 0.0 => {
                turned = axes.turned();
                &turned
            }
            ShapeRule::Axes(axes) | ShapeRule::Turned(axes, _) => axes,
            _ => return Ok(false),
        };
        let Some(leading) = axes.leading_of(dims.len()) else {
            return Err(self.unlike(rule, axes, got, lengths));
        };
        if axes.leading != 0 {
            let ours = &dims[..leading];
            match lengths.leading {
                Some(theirs) if theirs.dims() != ours => {
                    return Err(self.unlike(rule, axes, got, lengths));
                }
                Some(_) => {}
                None => {
                    lengths.leading = Some(Shape::new(ours));
                    lengths.put(axes.leading, ours.iter().product());
                }
            }
        }
        let mut is_open = false;
        for (length, &len) in axes.tail().iter().zip(&dims[leading..]) {
            let fits = length.fits(len, lengths);
            let least = match length.at_least {
                0 => usize::from(length.is_positive),
                letter => lengths.get(letter).unwrap_or(0),
            };
            if fits == Some(false) || len < least {
                return Err(self.unlike(rule, axes, got, lengths));
            }
            is_open |= fits.is_none();
        }
        Ok(is_open)
    }

    /// The error for a shape that does not fit its axes. It names the shape that the operand must
    /// have, if that is known; lengths that only this operand has are taken from its own shape.
    fn unlike(&self, rule: &OperandRule, axes: &Axes, got: Shape, lengths: &Lengths) -> Error {
        let own = |from_end| got.dims().iter().rev().nth(from_end).copied();
        match axes.shape(lengths, &own) {
            Some(expected) if expected != got => self.mismatch(rule, expected, got),
            _ => self.shape(rule, got),
        }
    }

    fn check_attributes(
        &self,
        given: &[Option<Given>],
        attributes: &[f64],
        lengths: &Lengths,
    ) -> Result<()> {
        let length = |letter: char| lengths.get(letter as u8);
        // A rule about a length is broken together with the operand that has this length: name it.
        let owned = |letter: char, reason| {
            let mut given_rules = self.operands.iter().zip(given);
            let has_it = |(rule, given): (&OperandRule, &Option<Given>)| {
                given.is_some() && rule.shape.letters().any(|its| its == letter)
            };
            let at = given_rules.position(has_it).unwrap_or(0);
            let got = given[at].map_or(Shape::new(&[]), |given| given.shape);
            Error::InvalidShape {
                op: self.name,
                operand: self.operands[at].name,
                got,
                reason,
            }
        };
        for (rule, &value) in self.attributes.iter().zip(attributes) {
            let (holds, reason) = match rule.range {
                Range::Any | Range::Sets(_) => continue,
                Range::NotNan => (!value.is_nan(), "it is not a number"),
                Range::Finite => (value.is_finite(), "it must be finite"),
                Range::Positive => (value > 0.0, "it must be positive"),
                Range::NotNegative => (value >= 0.0, "it must not be negative"),
                Range::Share => ((0.0..1.0).contains(&value), "it must be in 0..1"),
                Range::DropoutShare => {
                    let is_share = (0.0..1.0).contains(&value);
                    let random = self.operand("random");
                    if is_share && value != 0.0 && random.is_some_and(|at| given[at].is_none()) {
                        return Err(Error::InvalidShape {
                            op: self.name,
                            operand: "random",
                            got: Shape::new(&[0]),
                            reason: "dropout needs the random words",
                        });
                    }
                    (is_share, "it must be in 0..1")
                }
                Range::UpTo(letter, reason) => {
                    let most = length(letter).unwrap_or(0);
                    if value < 1.0 || value > most as f64 {
                        return Err(owned(letter, reason));
                    }
                    continue;
                }
                Range::OffsetOf(part, whole, reason) => {
                    let whole_len = length(whole);
                    if let (Some(part), Some(len)) = (length(part), whole_len)
                        && value + part as f64 > len as f64
                    {
                        return Err(owned(whole, reason));
                    }
                    continue;
                }
                Range::Causal => {
                    let Some(Given { shape, .. }) = given[0].filter(|_| value != 0.0) else {
                        continue;
                    };
                    let dims = shape.dims();
                    if dims.len() >= 2 && dims[dims.len() - 2] <= shape.columns() {
                        continue;
                    }
                    return Err(Error::InvalidShape {
                        op: self.name,
                        operand: self.operands[0].name,
                        got: shape,
                        reason: "a causal mask needs at least as many columns as rows",
                    });
                }
            };
            if !holds {
                return Err(self.attribute(rule, value, reason));
            }
        }
        Ok(())
    }

    fn attribute(&self, rule: &AttributeRule, got: f64, reason: &'static str) -> Error {
        Error::InvalidAttribute {
            op: self.name,
            attribute: rule.name,
            got,
            reason,
        }
    }

    fn mismatch(&self, rule: &OperandRule, expected: Shape, got: Shape) -> Error {
        Error::ShapeMismatch {
            op: self.name,
            operand: rule.name,
            expected,
            got,
        }
    }

    fn shape(&self, rule: &OperandRule, got: Shape) -> Error {
        Error::InvalidShape {
            op: self.name,
            operand: rule.name,
            got,
            reason: rule.reason,
        }
    }
}

#[cfg(test)]
mod tests;
