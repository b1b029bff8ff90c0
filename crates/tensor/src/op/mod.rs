//! Operations are values: one struct each, in one file each, holding its meaning.
//!
//! An operation has named operands (views) and plain attributes. Its [`OpSpec`] says which shapes
//! fit ([`OpSpec::check`]), what it computes, in f64, in the plainest loops
//! ([`OpSpec::reference`]), and what that costs ([`Op::cost`]). Everything else (devices,
//! fallback, planning, property tests) is written once, over [`Op`].
//!
//! Conventions: float operands of one op share a dtype; `d…` is a gradient; a backward op
//! overwrites activation gradients (unless it has an `accumulate` switch that is set) and always
//! adds to parameter gradients.
//!
//! In mixed precision, activations and the weights that products read are `Bf16`, and sums over
//! many of them stay `F32`. These operands may therefore differ in type from an op's other floats:
//!
//! | operand | its type |
//! |---|---|
//! | statistics: `mean`, `rstd`, `lse`, `losses` | `F32` (`F64` for `F64` operands) |
//! | sums: `y` of [`Matmul`] and [`Reduce`] | that of the terms, or `F32` where those are narrower |
//! | gradients of parameters: `dwte`, `dwpe`, `dweight`, `dbias` | any float, alike in one op |
//! | `y` of [`Cast`] | any |
//! | [`AdamW`] | `F32`, but `working`, the copy that forward reads, is `Bf16` |
//!
//! Whatever the operands, no backend accumulates in less than `F32`, and an output is rounded once.

mod adamw;
mod add_layer_norm;
mod attention;
mod concat;
mod cross_entropy;
mod custom;
mod dropout;
mod elementwise;
mod embedding;
mod layer_norm;
mod matmul;
mod permute;
mod reduce;
mod rms_norm;
mod slice;
mod softmax;
pub mod table;

pub use adamw::{AdamW, ClipScale, ScalarBlock, SumSquares};
pub use add_layer_norm::AddLayerNorm;
pub use attention::{Attention, AttentionBackward, AttentionDecode, AttentionSizes};
pub use concat::Concat;
pub use cross_entropy::CrossEntropy;
pub use custom::{Custom, CustomOp};
pub use dropout::{Dropout, DropoutMask};
pub use elementwise::{Axpby, Binary, BinaryKind, Cast, Fill, Unary, UnaryBackward, UnaryKind};
pub use embedding::{Embedding, EmbeddingBackward};
pub use layer_norm::{LayerNorm, LayerNormBackward};
pub use matmul::{Matmul, MatmulSizes};
pub use permute::Permute;
pub use reduce::{ArgMax, Over, Reduce, ReduceKind};
pub use rms_norm::{RmsNorm, RmsNormBackward};
pub use slice::{Slice, SliceBlocks};
pub(crate) use slice::{axis_is, with_length};
pub use softmax::{Softmax, SoftmaxBackward};
pub use table::{Outline, Table, Value};

use crate::{Backend, Bounded, Error, Host, Real, Result, Shape, View, ViewMut, Written};

/// One operand as visited by [`Declared::operands`].
#[derive(Debug)]
pub enum Operand<'s> {
    /// Read.
    In(View<'s>),
    /// Overwritten without being read.
    Out(ViewMut<'s>),
    /// Read and written.
    InOut(ViewMut<'s>),
}

/// The least work that an operation needs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cost {
    /// Floating-point operations; a fused multiply-add counts as two.
    pub flops: u64,
    /// Bytes read and written when every operand is touched once.
    pub bytes: u64,
}

/// The part of an operation that `op!` generates: the rules of its operands and attributes.
pub trait Declared {
    /// The rules for operands and attributes.
    const TABLE: &'static Table;

    /// Visits the operands that are given, in the order of the table.
    fn operands<'s>(&'s mut self, visit: &mut dyn FnMut(&'static str, Operand<'s>));

    /// Checks operands and attributes against the table; `computed` returns the shape of an operand
    /// whose shape the operation computes.
    ///
    /// # Errors
    /// The first operand or attribute that breaks its rule.
    fn check_table(&self, computed: &dyn Fn(&'static str) -> Result<Shape>) -> Result<()>;
}

/// The definition of an operation: its name, check, meaning and cost.
pub trait OpSpec: Declared {
    /// The operation's name in messages and tables, as in `layer_norm_backward`.
    const NAME: &'static str = Self::TABLE.name;

    /// The name of this value: [`OpSpec::NAME`], but for a [`Custom`] operation its own name.
    fn name(&self) -> &'static str {
        Self::NAME
    }

    /// Checks that shapes, types and attributes fit each other.
    ///
    /// # Errors
    /// The first operand or attribute that does not fit.
    fn check(&self) -> Result<()> {
        self.check_table(&|operand| self.computed_shape(operand))
    }

    /// The shape that an operand must have where the table says [`table::ShapeRule::Computed`].
    ///
    /// # Errors
    /// When other operands or attributes leave no such shape.
    fn computed_shape(&self, operand: &'static str) -> Result<Shape> {
        unreachable!("the shape of {operand} is in the table of {}", Self::NAME)
    }

    /// The operation's meaning: reads operands from `host` and writes every output to it. The loops
    /// are the same for every [`Real`]: `f64`, or the number that knows its rounding errors.
    ///
    /// # Errors
    /// Ids out of range, or a device that cannot be read.
    fn reference<R: Real>(&self, host: &mut Host<'_, R>) -> Result<()>;

    /// Floating-point operations, not counting bytes.
    fn flops(&self) -> u64;
}

/// Operands and attributes by name; [`Op::assemble`] makes an operation of them.
#[derive(Debug, Default)]
pub struct Parts<'a> {
    /// The operands that are only read.
    pub inputs: Vec<(&'static str, View<'a>)>,
    /// The operands that are written.
    pub outputs: Vec<(&'static str, ViewMut<'a>)>,
    /// The attributes.
    pub attributes: Vec<(&'static str, Value)>,
}

impl<'a> Parts<'a> {
    fn input(&self, name: &str) -> Option<View<'a>> {
        let found = self.inputs.iter().find(|(given, _)| *given == name);
        found.map(|(_, view)| *view)
    }

    fn output(&mut self, name: &str) -> Option<ViewMut<'a>> {
        let at = self.outputs.iter().position(|(given, _)| *given == name)?;
        Some(self.outputs.swap_remove(at).1)
    }

    fn attribute<T: table::Attribute>(&self, name: &str) -> Option<T> {
        let found = self.attributes.iter().find(|(given, _)| *given == name);
        found.and_then(|(_, value)| T::from_value(*value))
    }
}

/// Declares an operation: the struct with its operands and attributes, their rules (see [`table`]),
/// and the visit of the operands.
///
/// Operands are `In`, `Out` or `InOut`, `Maybe…` if they may be missing. `OutOrInOut(op: op.attribute)`
/// is read only if the attribute is true or, with `!= 0.0`, not 0.
macro_rules! op { (
    $(#[$about:meta])*
    $Op:ident $name:literal {
        $(
            $(#[$operand_about:meta])*
            $operand:ident: $access:ident $(($this:ident: $op:ident.$reads:ident $(!= $zero:literal)?))?
                $dtype:literal, $shape:literal;
        )*
    } {
        $(
            $(#[$attribute_about:meta])*
            $attribute:ident: $ty:ty $(, $range:expr)?;
        )*
    }
) => {
    $(#[$about])*
    #[derive(Debug)]
    pub struct $Op<'a> {
        $(
            $(#[$operand_about])*
            #[doc = concat!("\n\nShape: `", $shape, "`; type: `", $dtype, "`.")]
            pub $operand: $crate::op::operand_of!('a $access),
        )*
        $( $(#[$attribute_about])* pub $attribute: $ty, )*
    }

    impl<'a> $Op<'a> {
        pub(crate) fn assemble(parts: &mut $crate::op::Parts<'a>) -> Option<Self> {
            Some(Self {
                $( $operand: $crate::op::taken!($access, parts, stringify!($operand)), )*
                $( $attribute: parts.attribute(stringify!($attribute))?, )*
            })
        }
    }

    impl $crate::op::Declared for $Op<'_> {
        const TABLE: &'static $crate::op::Table = {
            #[allow(unused_imports, reason = "not every operation has attributes with a range")]
            use $crate::op::table::{Access, AttributeRule, DTypeRule, OperandRule, Range, Range::*, ShapeRule};
            const OPERANDS: &[&str] = &[$(stringify!($operand)),*];
            const ATTRIBUTES: &[&str] = &[$(stringify!($attribute)),*];
            &$crate::op::Table {
                name: $name,
                operands: &[$( OperandRule {
                    name: stringify!($operand),
                    access: $crate::op::access!($access $(, Access::by(stringify!($reads), ATTRIBUTES))?),
                    is_optional: $crate::op::is_optional!($access),
                    dtype: DTypeRule::parse($dtype, OPERANDS),
                    shape: ShapeRule::parse($shape, OPERANDS, ATTRIBUTES),
                    written: [$dtype, $shape],
                    reason: concat!("it must be ", $shape),
                } ),*],
                attributes: &[$( AttributeRule {
                    name: stringify!($attribute),
                    range: $crate::op::first!($($range,)? Range::Any),
                    takes: |value| <$ty as $crate::op::table::Attribute>::from_value(value).is_some(),
                } ),*],
            }
        };

        fn operands<'s>(
            &'s mut self,
            visit: &mut dyn FnMut(&'static str, $crate::op::Operand<'s>),
        ) {
            $( $crate::op::visit_operand!(
                $access, $({ $crate::op::table::Attribute::number(&self.$reads) != 0.0 },)?
                self.$operand, stringify!($operand), visit
            ); )*
        }

        fn check_table(
            &self,
            computed: &dyn Fn(&'static str) -> $crate::Result<$crate::Shape>,
        ) -> $crate::Result<()> {
            Self::TABLE.check(
                &[$( $crate::op::given!($access, self.$operand) ),*],
                &[$( $crate::op::table::Attribute::number(&self.$attribute) ),*],
                computed,
            )
        }
    }
} }
pub(crate) use op;

/// The first of some expressions.
macro_rules! first {
    ($first:expr $(, $other:expr)*) => {
        $first
    };
}
pub(crate) use first;

/// The type of an operand's field.
macro_rules! operand_of {
    ($a:lifetime In) => { $crate::View<$a> };
    ($a:lifetime MaybeIn) => { Option<$crate::View<$a>> };
    ($a:lifetime MaybeOut) => { Option<$crate::ViewMut<$a>> };
    ($a:lifetime MaybeInOut) => { Option<$crate::ViewMut<$a>> };
    ($a:lifetime $other:ident) => { $crate::ViewMut<$a> };
}
pub(crate) use operand_of;

/// An operand's [`Access`].
macro_rules! access {
    (MaybeIn) => {
        Access::In
    };
    (MaybeOut) => {
        Access::Out
    };
    (MaybeInOut) => {
        Access::InOut
    };
    ($access:ident $(, $by:expr)?) => {
        Access::$access $(($by))?
    };
}
pub(crate) use access;

/// Whether an operand may be missing.
macro_rules! is_optional {
    (In) => {
        false
    };
    (Out) => {
        false
    };
    (InOut) => {
        false
    };
    (OutOrInOut) => {
        false
    };
    ($maybe:ident) => {
        true
    };
}
pub(crate) use is_optional;

/// Takes an operand out of [`Parts`].
macro_rules! taken {
    (In, $parts:ident, $name:expr) => {
        $parts.input($name)?
    };
    (MaybeIn, $parts:ident, $name:expr) => {
        $parts.input($name)
    };
    (MaybeOut, $parts:ident, $name:expr) => {
        $parts.output($name)
    };
    (MaybeInOut, $parts:ident, $name:expr) => {
        $parts.output($name)
    };
    ($access:ident, $parts:ident, $name:expr) => {
        $parts.output($name)?
    };
}
pub(crate) use taken;

/// Shape and type of an operand, `None` if it is missing.
macro_rules! given {
    (MaybeIn, $view:expr) => {
        $view.map(|view| $crate::op::table::Given {
            shape: view.shape(),
            dtype: view.dtype(),
        })
    };
    (MaybeOut, $view:expr) => {
        $view.as_ref().map(|view| $crate::op::table::Given {
            shape: view.shape(),
            dtype: view.dtype(),
        })
    };
    (MaybeInOut, $view:expr) => {
        $crate::op::given!(MaybeOut, $view)
    };
    ($access:ident, $view:expr) => {
        Some($crate::op::table::Given {
            shape: $view.shape(),
            dtype: $view.dtype(),
        })
    };
}
pub(crate) use given;

macro_rules! visit_operand {
    (In, $view:expr, $name:expr, $visit:ident) => {
        $visit($name, $crate::op::Operand::In($view))
    };
    (MaybeIn, $view:expr, $name:expr, $visit:ident) => {
        if let Some(view) = $view {
            $visit($name, $crate::op::Operand::In(view));
        }
    };
    (OutOrInOut, $reads:expr, $view:expr, $name:expr, $visit:ident) => {
        if $reads {
            $visit($name, $crate::op::Operand::InOut($view.reborrow()))
        } else {
            $visit($name, $crate::op::Operand::Out($view.reborrow()))
        }
    };
    (MaybeOut, $view:expr, $name:expr, $visit:ident) => {
        if let Some(view) = &mut $view {
            $visit($name, $crate::op::Operand::Out(view.reborrow()));
        }
    };
    (MaybeInOut, $view:expr, $name:expr, $visit:ident) => {
        if let Some(view) = &mut $view {
            $visit($name, $crate::op::Operand::InOut(view.reborrow()));
        }
    };
    ($kind:ident, $view:expr, $name:expr, $visit:ident) => {
        $visit($name, $crate::op::Operand::$kind($view.reborrow()))
    };
}
pub(crate) use visit_operand;

/// Makes [`Op`] and its dispatch from the list of names.
macro_rules! ops { ($($name:ident),* $(,)?) => {
    /// Any operation, by value.
    #[derive(Debug)]
    #[non_exhaustive]
    #[allow(missing_docs, reason = "each variant is documented at its struct")]
    pub enum Op<'a> { $($name($name<'a>)),* }

    $(impl<'a> From<$name<'a>> for Op<'a> {
        fn from(op: $name<'a>) -> Self { Op::$name(op) }
    })*

    impl<'a> Op<'a> {
        /// Makes the operation of this name from operands and attributes, without checking it.
        /// `None` if there is no such operation, or if a part is missing or of another kind.
        #[must_use]
        pub fn assemble(name: &str, mut parts: Parts<'a>) -> Option<Self> {
            $(if name == <$name<'static> as Declared>::TABLE.name {
                return $name::assemble(&mut parts).map(Self::$name);
            })*
            None
        }
    }

    impl Op<'_> {
        /// The names of all operations; all those defined outside of this crate are `custom`.
        pub const NAMES: &'static [&'static str] = &[$(<$name<'static> as OpSpec>::NAME),*];

        /// The rules of each operation, in the order of [`Op::NAMES`].
        pub const TABLES: &'static [&'static Table] = &[$(<$name<'static> as Declared>::TABLE),*];

        /// See [`OpSpec::name`].
        #[must_use]
        pub fn name(&self) -> &'static str {
            match self { $(Op::$name(op) => op.name()),* }
        }

        /// See [`OpSpec::check`].
        ///
        /// # Errors
        /// The first operand or attribute that does not fit.
        pub fn check(&self) -> Result<()> {
            match self { $(Op::$name(op) => op.check()),* }
        }

        /// See [`OpSpec::reference`].
        ///
        /// # Errors
        /// Ids out of range, or a device that cannot be read.
        pub fn reference<R: Real>(&self, host: &mut Host<'_, R>) -> Result<()> {
            match self { $(Op::$name(op) => op.reference(host)),* }
        }

        /// See [`Declared::operands`].
        pub fn operands<'s>(&'s mut self, visit: &mut dyn FnMut(&'static str, Operand<'s>)) {
            match self { $(Op::$name(op) => op.operands(visit)),* }
        }

        fn flops(&self) -> u64 {
            match self { $(Op::$name(op) => op.flops()),* }
        }
    }
} }

ops! {
    Fill, Cast, Permute, Slice, Concat, Unary, UnaryBackward, Binary, Axpby, Matmul, Reduce, ArgMax,
    Embedding, EmbeddingBackward, LayerNorm, AddLayerNorm, LayerNormBackward, Softmax, SoftmaxBackward, Attention,
    AttentionBackward, AttentionDecode, CrossEntropy, Dropout, SumSquares, ClipScale, AdamW,
    Custom, RmsNorm, RmsNormBackward,
}

impl Op<'_> {
    /// The operation's meaning with the rounding errors that an evaluation may have: its outputs,
    /// in the order in which they are written. The operands are read from `backend`.
    ///
    /// # Errors
    /// Those of [`Op::reference`].
    // Inlined so that only who calls it compiles all references again.
    #[inline]
    pub fn bounded(&self, backend: &dyn Backend) -> Result<Vec<Written<Bounded>>> {
        let mut host = Host::new(backend);
        self.reference(&mut host)?;
        Ok(host.into_written())
    }

    /// Floating-point operations, and bytes when each operand is touched once (twice if it is
    /// read and written).
    #[must_use]
    pub fn cost(&mut self) -> Cost {
        let mut bytes = 0;
        self.operands(&mut |_, operand| {
            bytes += match operand {
                Operand::In(view) => view.bytes(),
                Operand::Out(view) => view.bytes(),
                Operand::InOut(view) => 2 * view.bytes(),
            } as u64;
        });
        Cost {
            flops: self.flops(),
            bytes,
        }
    }
}

// ---- helpers for computed shapes

pub(crate) fn shape_such(
    op: &'static str,
    operand: &'static str,
    got: Shape,
    holds: bool,
    reason: &'static str,
) -> Result<()> {
    if holds {
        return Ok(());
    }
    Err(Error::InvalidShape {
        op,
        operand,
        got,
        reason,
    })
}

pub(crate) fn attribute_such(
    op: &'static str,
    attribute: &'static str,
    got: f64,
    holds: bool,
    reason: &'static str,
) -> Result<()> {
    if holds {
        return Ok(());
    }
    Err(Error::InvalidAttribute {
        op,
        attribute,
        got,
        reason,
    })
}
