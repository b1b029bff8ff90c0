//! What the suite knows about each operation: a file for each family in
//! `latimer_tensor::op`.
//!
//! The functions give outlines of operations with sizes that their tables leave open, or with many
//! attributes; for the others, [`Outline::of`] is as short.

use crate::case::{Case, Source};
use latimer_tensor::Op;
use latimer_tensor::op::{Outline, Parts, Table, Value};
use proptest::strategy::BoxedStrategy;

mod adamw;
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
pub use {
    adamw::update,
    attention::{attends, decodes},
    concat::joined,
    embedding::{gathers, scatters},
    permute::permuted,
    reduce::reduced,
    slice::sliced,
    softmax::slopes,
};
use {
    adamw::*, attention::*, concat::*, cross_entropy::*, custom::*, dropout::*, elementwise::*,
    embedding::*, layer_norm::*, matmul::*, permute::*, reduce::*, rms_norm::*, slice::*,
    softmax::*,
};

/// Passes the names of all operations, in the order of [`Op::NAMES`], to a macro. Each is a function
/// in one of the modules.
#[doc(hidden)]
#[macro_export]
macro_rules! operations {
    ($($then:tt)*) => {
        $($then)* {
            fill cast permute slice concat unary unary_backward binary axpby matmul reduce arg_max
            embedding embedding_backward layer_norm add_layer_norm layer_norm_backward softmax
            softmax_backward attention attention_backward attention_decode cross_entropy dropout
            sum_squares clip_scale adamw custom rms_norm rms_norm_backward
        }
    };
}

macro_rules! specs {
    ($($op:ident)*) => {
        static SPECS: &[Spec] = &[$($op(Spec::of(stringify!($op)))),*];
    };
}
operations! { specs! }

/// What the suite knows about an operation beside its table.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Spec {
    pub(crate) name: &'static str,
    /// Its table, if that is not of `Op::TABLES`.
    table: Option<&'static Table>,
    /// Draws sizes and attributes, given the name.
    pub(crate) draw: fn(&'static str) -> BoxedStrategy<Case>,
    /// Whether it has a sum or an exponential, and so loses some precision: see [`crate::naive`].
    pub(crate) sums: bool,
    /// The sources of operands' values.
    pub(crate) source: fn(&Outline, &str) -> Source,
    /// Invalid attributes that follow neither from their ranges nor, by themselves, from lengths.
    pub(crate) misfits: fn(&Outline) -> Vec<(&'static str, Value)>,
    /// Attributes that an error may name because the shape of an operand changed.
    pub(crate) measured: &'static [&'static str],
    /// An output that is another one rounded, to the bit: both names.
    pub(crate) copy: Option<(&'static str, &'static str)>,
    /// The factor of [`crate::Values::Large`]. An exponential turns the absolute rounding error of its
    /// argument into a relative one. If the argument is a product of operands, it must therefore
    /// stay small enough for the first-order bound of [`crate::tolerance`] to hold.
    pub(crate) large: fn(&Outline) -> f64,
    /// The weight of [`crate::Values::Mixed`] among eight others. Functions have corners at 0, and
    /// rows have ties: a mixture with zeros tests both.
    pub(crate) mixed: u32,
    /// Makes the operation of its operands.
    pub(crate) op: for<'a> fn(&Outline, Parts<'a>) -> Op<'a>,
}

impl Spec {
    const fn of(name: &'static str) -> Self {
        Self {
            name,
            table: None,
            draw: |name| panic!("the suite draws no case of {name}"),
            sums: false,
            source: |_, _| Source::Anything,
            misfits: |_| Vec::new(),
            measured: &[],
            copy: None,
            large: |_| 1000.0,
            mixed: 2,
            op: |outline, parts| outline.op(parts),
        }
    }

    const fn draws(self, draw: fn(&'static str) -> BoxedStrategy<Case>) -> Self {
        Self { draw, ..self }
    }

    const fn sums(self) -> Self {
        Self { sums: true, ..self }
    }

    const fn source(self, source: fn(&Outline, &str) -> Source) -> Self {
        Self { source, ..self }
    }

    const fn misfits(self, misfits: fn(&Outline) -> Vec<(&'static str, Value)>) -> Self {
        Self { misfits, ..self }
    }

    const fn large(self, large: fn(&Outline) -> f64) -> Self {
        Self { large, ..self }
    }

    const fn mixed(self, mixed: u32) -> Self {
        Self { mixed, ..self }
    }

    pub(crate) fn named(op: &str) -> Option<&'static Self> {
        SPECS.iter().find(|spec| spec.name == op)
    }

    /// # Panics
    /// If no operation has this name.
    pub(crate) fn find(op: &str) -> &'static Self {
        Self::named(op).unwrap_or_else(|| {
            panic!(
                "the suite has no cases for {op}; the operations are {:?}",
                Op::NAMES
            )
        })
    }

    pub(crate) fn table(&self) -> &'static Table {
        self.table.unwrap_or_else(|| Outline::of(self.name).table())
    }
}
