//! An operation as plain data: its sizes, types and attributes, before it has memory.

use super::{Access, Axes, DTypeRule, Lengths, OperandRule, Range, ShapeRule, Table};
use crate::op::{Op, Parts, Value};
use crate::{DType, Shape};
use std::fmt::{self, Write};

/// An operation with sizes and attributes, but without memory. The operation's table gives the
/// shapes and types of all operands.
///
/// ```
/// use latimer_tensor::DType;
/// use latimer_tensor::op::Outline;
/// let rows = Outline::of("layer_norm").shape("x", [2, 3, 8]).set("eps", 1e-5);
/// let all = rows.operands(DType::Bf16).map(|o| (o.name, o.shape.dims().to_vec(), o.dtype));
/// assert_eq!(all.last(), Some(("rstd", vec![6], DType::F32)));
/// ```
///
/// # Panics
/// All methods panic at a name or letter that the table does not have, at a value of the wrong type, at
/// sizes that contradict each other, and where something that they need is missing: an outline is
/// written by hand, in a test or a benchmark.
#[derive(Clone)]
pub struct Outline {
    table: &'static Table,
    lengths: Lengths,
    /// Shapes that do not follow from lengths.
    shapes: Vec<(&'static str, Shape)>,
    /// Types that do not follow from the main type.
    dtypes: Vec<(&'static str, DType)>,
    attributes: Vec<(&'static str, Value)>,
    /// The optional operands that are given.
    given: Vec<&'static str>,
    /// The calls that made it.
    text: String,
}

/// An operand of an [`Outline`].
#[derive(Clone, Copy, Debug)]
pub struct Outlined {
    /// Its name.
    pub name: &'static str,
    /// Its rule.
    pub rule: &'static OperandRule,
    /// How it is used, given the attributes: never [`Access::OutOrInOut`].
    pub access: Access,
    /// Its shape.
    pub shape: Shape,
    /// Its type.
    pub dtype: DType,
}

impl Outline {
    /// An outline of the operation of this name, still without sizes and attributes.
    #[must_use]
    pub fn of(op: &str) -> Self {
        let table = Op::TABLES.iter().find(|table| table.name == op);
        Self::new(table.unwrap_or_else(|| {
            panic!(
                "there is no operation {op}; the operations are {:?}",
                Op::NAMES
            )
        }))
    }

    /// As [`Outline::of`], from a table.
    #[must_use]
    pub fn new(table: &'static Table) -> Self {
        Self {
            table,
            lengths: Lengths::default(),
            shapes: Vec::new(),
            dtypes: Vec::new(),
            attributes: Vec::new(),
            given: Vec::new(),
            text: format!("Outline::of({:?})", table.name),
        }
    }

    /// Sets lengths, by the letters of the table: `sizes("MN", [2, 3])`. A letter that stands for
    /// leading axes stands for a single one here. An attribute that sets a length is set with it.
    #[must_use]
    pub fn sizes(mut self, letters: &str, sizes: impl AsRef<[usize]>) -> Self {
        let (op, sizes) = (self.table.name, sizes.as_ref());
        assert_eq!(letters.len(), sizes.len(), "{op}: {letters} have {sizes:?}");
        for (letter, &len) in letters.chars().zip(sizes) {
            let (mut is_there, mut is_leading) = (false, false);
            for rule in self.table.operands {
                is_there |= rule.shape.letters().any(|its| its == letter);
                is_leading |= rule.shape.axes().is_some_and(|a| a.leading == letter as u8);
            }
            assert!(is_there, "{op} has no length {letter}");
            if is_leading {
                self.lengths.leading = Some([len].into());
            }
            self.lengths.put(letter as u8, len);
            let setters = self.table.attributes.iter();
            let setters = setters.filter(|rule| rule.range == Range::Sets(letter));
            let set = setters.map(|rule| (rule.name, Value::Usize(len)));
            self.attributes.extend(set);
        }
        self.saying(format_args!(".sizes({letters:?}, {sizes:?})"))
    }

    /// Sets the shape of an operand, and with it the lengths that the operand has. An optional operand is
    /// then given.
    #[must_use]
    pub fn shape(mut self, operand: &str, shape: impl Into<Shape>) -> Self {
        let (at, shape) = (self.place(operand), shape.into());
        let rule = &self.table.operands[at];
        match rule.shape {
            ShapeRule::Axes(_) => {
                let fits = self.table.fit(at, &[], shape, &mut self.lengths);
                fits.unwrap_or_else(|error| panic!("{error}"));
            }
            _ => self.shapes.push((rule.name, shape)),
        }
        self.given.push(rule.name);
        self.saying(format_args!(".shape({operand:?}, {shape:?})"))
    }

    /// Sets the type of an operand if it is not `None`. A sum of terms that are not narrower than this keeps
    /// their type.
    #[must_use]
    pub fn dtype(mut self, operand: &str, dtype: impl Into<Option<DType>>) -> Self {
        let rule = &self.table.operands[self.place(operand)];
        let Some(dtype) = dtype.into() else {
            return self;
        };
        self.dtypes.push((rule.name, dtype));
        self.saying(format_args!(".dtype({operand:?}, DType::{dtype:?})"))
    }

    /// Sets an attribute, also one that is set already.
    #[must_use]
    pub fn set(mut self, attribute: &str, value: impl Into<Value>) -> Self {
        let (op, value) = (self.table.name, value.into());
        let rule = self.table.attributes.iter().find(|a| a.name == attribute);
        let rule = rule.unwrap_or_else(|| panic!("{op} has no attribute {attribute}"));
        let narrow = Value::F32(value.number() as f32);
        let value = match value {
            Value::F64(_) if (rule.takes)(narrow) => narrow,
            _ => value,
        };
        assert!((rule.takes)(value), "{op}: {attribute} cannot be {value:?}");
        self.attributes.retain(|(name, _)| *name != attribute);
        self.attributes.push((rule.name, value));
        self.saying(format_args!(".set({attribute:?}, {value:?})"))
    }

    /// Gives an optional operand, or not.
    #[must_use]
    pub fn give(mut self, operand: &str, is_given: bool) -> Self {
        let rule = &self.table.operands[self.place(operand)];
        if !is_given {
            return self;
        }
        self.given.push(rule.name);
        self.saying(format_args!(".give({operand:?}, true)"))
    }

    /// Another operation with the same sizes and attributes.
    #[must_use]
    pub fn renamed(&self, op: &str) -> Self {
        Self {
            table: Self::of(op).table,
            text: format!("{}.renamed({op:?})", self.text),
            ..self.clone()
        }
    }

    fn saying(mut self, call: fmt::Arguments<'_>) -> Self {
        // Text can always be added to text.
        let _ = self.text.write_fmt(call);
        self
    }

    // ---- what follows

    /// The operation's table.
    #[must_use]
    pub fn table(&self) -> &'static Table {
        self.table
    }

    fn place(&self, operand: &str) -> usize {
        let at = self.table.operand(operand);
        at.unwrap_or_else(|| panic!("{} has no operand {operand}", self.table.name))
    }

    /// A length, if it is set.
    #[must_use]
    pub fn length(&self, letter: char) -> Option<usize> {
        self.lengths.get(letter as u8)
    }

    /// An attribute, if it is set.
    #[must_use]
    pub fn attribute(&self, name: &str) -> Option<Value> {
        let found = self.attributes.iter().find(|(given, _)| *given == name);
        found.map(|(_, value)| *value)
    }

    /// Whether an attribute is set, and neither false nor 0.
    fn holds(&self, at: usize) -> bool {
        let value = self.attribute(self.table.attributes[at].name);
        value.is_some_and(|value| value.number() != 0.0)
    }

    /// Whether it drops elements: then it has random words.
    #[must_use]
    pub fn drops(&self) -> bool {
        let rules = self.table.attributes.iter().enumerate();
        let mut shares = rules.filter(|(_, rule)| rule.range == Range::DropoutShare);
        shares.any(|(at, _)| self.holds(at))
    }

    /// The shape of an operand.
    #[must_use]
    pub fn shape_of(&self, operand: &str) -> Shape {
        let rule = &self.table.operands[self.place(operand)];
        let said = self.shapes.iter().find(|(name, _)| *name == rule.name);
        let lengths = Lengths {
            leading: Some(self.lengths.leading.unwrap_or(Shape::new(&[]))),
            ..self.lengths
        };
        let of = |axes: Axes| axes.shape(&lengths, &|_| None);
        let shape = match (said, rule.shape) {
            (Some((_, shape)), _) => Some(*shape),
            (_, ShapeRule::As(other)) => Some(self.shape_of(self.table.operands[other].name)),
            (_, ShapeRule::Turned(axes, by)) if self.holds(by) => of(axes.turned()),
            (_, ShapeRule::Axes(axes) | ShapeRule::Turned(axes, _)) => of(axes),
            _ => None,
        };
        let needed = rule.written[1];
        shape.unwrap_or_else(|| panic!("{self:?} lacks the shape {needed} of {operand}"))
    }

    fn dtype_of(&self, at: usize, main: DType) -> DType {
        let rule = &self.table.operands[at];
        let said = self.dtypes.iter().find(|(name, _)| *name == rule.name);
        let of = |other| self.dtype_of(other, main);
        match (rule.dtype, said) {
            (DTypeRule::SumOf(terms), _) if matches!(of(terms), DType::F32 | DType::F64) => {
                of(terms)
            }
            (_, Some((_, said))) => *said,
            (DTypeRule::Any | DTypeRule::Float, _) => main,
            (DTypeRule::Is(dtype), _) => dtype,
            (DTypeRule::As(other) | DTypeRule::SumOf(other), _) => of(other),
            (DTypeRule::StatisticsOf(other), _) if of(other) == DType::F64 => DType::F64,
            (DTypeRule::StatisticsOf(_), _) => DType::F32,
        }
    }

    /// The operands that are given, in the order of the table, where the main ones have type `main`.
    pub fn operands(&self, main: DType) -> impl Iterator<Item = Outlined> {
        let rules = self.table.operands.iter().enumerate();
        let given = rules.filter(|(_, rule)| {
            let is_random = rule.name == "random" && self.drops();
            !rule.is_optional || is_random || self.given.contains(&rule.name)
        });
        given.map(move |(at, rule)| Outlined {
            name: rule.name,
            rule,
            access: match rule.access {
                Access::OutOrInOut(by) if self.holds(by) => Access::InOut,
                Access::OutOrInOut(_) => Access::Out,
                access => access,
            },
            shape: self.shape_of(rule.name),
            dtype: self.dtype_of(at, main),
        })
    }

    /// The operation over these operands.
    #[must_use]
    pub fn op<'a>(&self, mut parts: Parts<'a>) -> Op<'a> {
        parts.attributes.clone_from(&self.attributes);
        let op = Op::assemble(self.table.name, parts);
        op.unwrap_or_else(|| panic!("{self:?} lacks an operand or one of its attributes"))
    }
}

/// The calls that made it.
impl fmt::Debug for Outline {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}
