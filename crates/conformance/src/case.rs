//! One case: an operation with its attributes and shapes, and where its operands' values come from.
//!
//! A case is a few numbers; its operands are drawn from its seed. A failing test prints everything
//! needed to run the case again.

use crate::ops::Spec;
use latimer_tensor::op::{Outline, Parts};
use latimer_tensor::{DType, Op};

/// One use of one operation.
#[derive(Clone, Debug)]
pub struct Case {
    /// The operation, its sizes and attributes.
    pub outline: Outline,
    /// Element type of its main operands.
    pub dtype: DType,
    /// The distribution of its floats.
    pub values: Values,
    /// Where its operands are placed in memory.
    pub layout: Layout,
    /// Key of the random stream that its operands are drawn from.
    pub seed: u64,
    /// A NaN or infinity in one of the inputs, if any.
    pub special: Option<Special>,
    /// Operands whose values have another source than usual.
    pub sources: Vec<(&'static str, Source)>,
}

/// A case of normally distributed `F32` operands, each in memory of its own.
impl From<Outline> for Case {
    fn from(outline: Outline) -> Self {
        Self {
            outline,
            dtype: DType::F32,
            values: Values::Normal,
            layout: Layout::Apart { lead: 64 },
            seed: 0,
            special: None,
            sources: Vec::new(),
        }
    }
}

impl Case {
    /// The case with another source of an operand's values.
    #[must_use]
    pub fn source(mut self, operand: &'static str, source: Source) -> Self {
        self.sources.push((operand, source));
        self
    }

    /// The operation's name.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.outline.table().name
    }

    pub(crate) fn spec(&self) -> &'static Spec {
        Spec::find(self.name())
    }

    /// Whether a caller can choose the case's type. If the table fixes all types, cases have `F32`.
    pub(crate) fn takes_type(&self) -> bool {
        self.dtype == DType::F32 || self.outline.table().free_type().is_some()
    }

    pub(crate) fn source_of(&self, operand: &str) -> Source {
        let own = self.sources.iter().find(|(name, _)| *name == operand);
        own.map_or_else(
            || (self.spec().source)(&self.outline, operand),
            |(_, own)| own.clone(),
        )
    }

    /// The operation over these operands.
    pub(crate) fn op<'a>(&self, parts: Parts<'a>) -> Op<'a> {
        (self.spec().op)(&self.outline, parts)
    }
}

/// The distribution of drawn floats.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Values {
    /// Standard normal.
    Normal,
    /// Normal, times a thousand; times eight if the operation takes exponentials of products.
    Large,
    /// Normal, divided by a thousand.
    Small,
    /// So small that products of two are below the smallest `F32`.
    Tiny,
    /// Mostly below the smallest normal `F32`.
    Denormal,
    /// All zero.
    Zeros,
    /// All elements of an operand are equal.
    Equal,
    /// Zeros, small, normal and large ones together.
    Mixed,
}

/// How the operands of a case are placed in memory. Each is surrounded by guards: elements that
/// must be neither read (they are NaN) nor written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// Each operand in memory of its own, `lead` elements from its start.
    Apart {
        /// Guards before and after.
        lead: usize,
    },
    /// All operands of one element type in one memory, as parameters and gradients are.
    Slab {
        /// Guards before, between and after.
        lead: usize,
    },
}

impl Layout {
    pub(crate) fn lead(self) -> usize {
        match self {
            Self::Apart { lead } | Self::Slab { lead } => lead,
        }
    }
}

/// A NaN or infinity that is put into a drawn float operand.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Special {
    /// Selects the operand, modulo how many there are.
    pub operand: usize,
    /// Selects the element, modulo how many there are.
    pub element: usize,
    /// NaN or an infinity.
    pub value: f64,
}

/// The source of the values of an operand that is read. Floats have the distribution of the case unless
/// the source says otherwise.
#[derive(Clone, Debug)]
pub enum Source {
    /// Floats, or small integers if the type holds only integers.
    Anything,
    /// Whole numbers below this.
    Ids(usize),
    /// The random words of a step.
    RandomWords,
    /// Floats, squared.
    Squares,
    /// Floats of magnitude 1 or more, so that quotients stay within the type's range.
    AwayFromZero,
    /// A scalar block with any numbers.
    Scalars,
    /// The scalar block that an optimizer reads, also after gradients that were not finite.
    Update {
        /// Whether the gradients were not finite.
        is_broken: bool,
    },
    /// The output of the same name of this operation on the other operands.
    Forward(Box<Outline>),
}
