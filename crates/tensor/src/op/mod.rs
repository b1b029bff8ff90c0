//! Operations are values: one struct each, in one file each, holding its meaning.
//!
//! An operation has named operands (views) and plain attributes. Its [`Meaning`] says which shapes
//! fit ([`Meaning::check`]), what it computes, in f64, in the plainest loops
//! ([`Meaning::reference`]), and what that costs ([`Op::cost`]). Everything else (devices,
//! fallback, planning, property tests) is written once, over [`Op`].
//!
//! Conventions: float operands of one op share a dtype; `d…` is a gradient; a backward op
//! overwrites activation gradients (unless it has an `accumulate` switch that is set) and always
//! adds to parameter gradients.
//!
//! In mixed precision activations and the weights that products read are `Bf16`, and what is added
//! up over many of them stays `F32`. These may therefore differ from an op's other floats:
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
mod slice;
mod softmax;

pub use adamw::{AdamW, ClipScale, SumSquares};
pub use add_layer_norm::AddLayerNorm;
pub use attention::{Attention, AttentionBackward, AttentionDecode, AttentionSizes};
pub use concat::Concat;
pub use cross_entropy::CrossEntropy;
pub use custom::{Computed, Custom, CustomOp};
pub use dropout::{Dropout, DropoutMask};
pub use elementwise::{Axpby, Binary, BinaryKind, Cast, Fill, Unary, UnaryBackward, UnaryKind};
pub use embedding::{Embedding, EmbeddingBackward};
pub use layer_norm::{LayerNorm, LayerNormBackward};
pub use matmul::{Matmul, MatmulSizes};
pub use permute::Permute;
pub use reduce::{ArgMax, Over, Reduce, ReduceKind};
pub use slice::{Slice, SliceBlocks};
pub(crate) use slice::{axis_is, with_length};
pub use softmax::{Softmax, SoftmaxBackward};

use crate::{DType, Error, Host, Result, Shape, View, ViewMut};

/// One operand as visited by [`Meaning::operands`].
#[derive(Debug)]
pub enum Operand<'s> {
    /// Read.
    In(View<'s>),
    /// Overwritten without being read.
    Out(ViewMut<'s>),
    /// Read and written.
    InOut(ViewMut<'s>),
}

/// Work an operation needs at the least.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cost {
    /// Floating-point operations; a fused multiply-add counts as two.
    pub flops: u64,
    /// Bytes read and written when every operand is touched once.
    pub bytes: u64,
}

/// What an operation is.
pub trait Meaning {
    /// Its name in messages and tables, as in `layer_norm_backward`.
    const NAME: &'static str;

    /// The same of a value: an operation from outside brings its own.
    fn name(&self) -> &'static str {
        Self::NAME
    }

    /// Whether shapes, dtypes and attributes fit each other.
    ///
    /// # Errors
    /// The first that does not.
    fn check(&self) -> Result<()>;

    /// Its f64 meaning: reads operands from `host`, writes every output to it, each value with the
    /// size of its rounding errors (see [`Host::write`]).
    ///
    /// # Errors
    /// Ids out of range, or a device that cannot be read.
    fn reference(&self, host: &mut Host<'_>) -> Result<()>;

    /// Floating-point operations, not counting bytes.
    fn flops(&self) -> u64;

    /// Visits the operands under their field names, in a fixed order.
    fn operands<'s>(&'s mut self, visit: &mut dyn FnMut(&'static str, Operand<'s>));
}

/// Writes [`Meaning::operands`] for a struct: `operands!(In x, MaybeIn bias, Out y)`. With
/// `InOutIf(|op| condition) y`, `y` is read only if that holds.
macro_rules! operands {
    ($($kind:ident $((|$op:ident| $reads:expr))? $name:ident),* $(,)?) => {
        fn operands<'s>(
            &'s mut self,
            visit: &mut dyn FnMut(&'static str, $crate::op::Operand<'s>),
        ) {
            $( $crate::op::visit_operand!(
                $kind, $({ let $op = &*self; $reads },)? self.$name, stringify!($name), visit
            ); )*
        }
    };
}
pub(crate) use operands;

macro_rules! visit_operand {
    (In, $view:expr, $name:expr, $visit:ident) => {
        $visit($name, $crate::op::Operand::In($view))
    };
    (MaybeIn, $view:expr, $name:expr, $visit:ident) => {
        if let Some(view) = $view {
            $visit($name, $crate::op::Operand::In(view));
        }
    };
    (InOutIf, $reads:expr, $view:expr, $name:expr, $visit:ident) => {
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

    impl Op<'_> {
        /// The names of all operations; those from outside are all `custom`.
        pub const NAMES: &'static [&'static str] = &[$(<$name<'static> as Meaning>::NAME),*];

        /// See [`Meaning::name`].
        #[must_use]
        pub fn name(&self) -> &'static str {
            match self { $(Op::$name(op) => op.name()),* }
        }

        /// See [`Meaning::check`].
        ///
        /// # Errors
        /// The first operand or attribute that does not fit.
        pub fn check(&self) -> Result<()> {
            match self { $(Op::$name(op) => op.check()),* }
        }

        /// See [`Meaning::reference`].
        ///
        /// # Errors
        /// Ids out of range, or a device that cannot be read.
        pub fn reference(&self, host: &mut Host<'_>) -> Result<()> {
            match self { $(Op::$name(op) => op.reference(host)),* }
        }

        /// See [`Meaning::operands`].
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
    Custom,
}

impl Op<'_> {
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

// ---- what the checks are made of

pub(crate) fn shape_is(
    op: &'static str,
    operand: &'static str,
    got: Shape,
    expected: impl Into<Shape>,
) -> Result<()> {
    let expected = expected.into();
    if got == expected {
        return Ok(());
    }
    Err(Error::ShapeMismatch {
        op,
        operand,
        expected,
        got,
    })
}

pub(crate) fn shape_such(
    op: &'static str,
    operand: &'static str,
    got: Shape,
    holds: bool,
    reason: &'static str,
) -> Result<()> {
    if holds {
        Ok(())
    } else {
        Err(Error::InvalidShape {
            op,
            operand,
            got,
            reason,
        })
    }
}

pub(crate) fn dtype_is(
    op: &'static str,
    operand: &'static str,
    got: DType,
    expected: DType,
) -> Result<()> {
    if got == expected {
        Ok(())
    } else {
        Err(Error::DTypeMismatch {
            op,
            operand,
            expected,
            got,
        })
    }
}

/// A float type; integers are answered with "expected f32".
pub(crate) fn is_float(op: &'static str, operand: &'static str, got: DType) -> Result<()> {
    if got.is_float() {
        Ok(())
    } else {
        dtype_is(op, operand, got, DType::F32)
    }
}

/// The type of a sum: that of its terms, or `F32` where they are narrower.
pub(crate) fn sum_is(
    op: &'static str,
    operand: &'static str,
    got: DType,
    terms: DType,
) -> Result<()> {
    if got == DType::F32 && matches!(terms, DType::Bf16 | DType::F16) {
        Ok(())
    } else {
        dtype_is(op, operand, got, terms)
    }
}

pub(crate) fn attribute_such(
    op: &'static str,
    attribute: &'static str,
    got: f64,
    holds: bool,
    reason: &'static str,
) -> Result<()> {
    if holds {
        Ok(())
    } else {
        Err(Error::InvalidAttribute {
            op,
            attribute,
            got,
            reason,
        })
    }
}
