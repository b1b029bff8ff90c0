//! The values of attributes, by type.

use crate::op::{BinaryKind, Over, ReduceKind, UnaryKind};
use std::fmt;

/// The value of an attribute. It is shown as code that makes it.
#[derive(Clone, Copy, PartialEq)]
#[allow(missing_docs, reason = "each is named as its type")]
pub enum Value {
    F32(f32),
    F64(f64),
    Usize(usize),
    U32(u32),
    Bool(bool),
    /// A factor that may be missing.
    MaybeF32(Option<f32>),
    Axes([usize; 4]),
    UnaryKind(UnaryKind),
    BinaryKind(BinaryKind),
    ReduceKind(ReduceKind),
    Over(Over),
}

/// A type that attributes may have.
pub(crate) trait Attribute: Sized {
    /// The value as a number, to compare with its [`Range`]; 0 if it is not a number.
    fn number(&self) -> f64;

    /// The value, if it is of this type.
    fn from_value(value: Value) -> Option<Self>;
}

macro_rules! attributes {
    ($($variant:ident($ty:ty) $code:literal, $value:ident => $number:expr;)*) => { $(
        impl Attribute for $ty {
            fn number(&self) -> f64 {
                let $value = *self;
                $number
            }

            fn from_value(value: Value) -> Option<Self> {
                match value {
                    Value::$variant(value) => Some(value),
                    _ => None,
                }
            }
        }

        impl From<$ty> for Value {
            fn from(value: $ty) -> Self {
                Self::$variant(value)
            }
        }
    )*

        impl fmt::Debug for Value {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                match self {
                    $( Self::$variant(value) => write!(f, $code, value), )*
                }
            }
        }

        impl Value {
            /// The value as a number, with 1 for `true`; 0 if it is not a number.
            #[must_use]
            pub fn number(self) -> f64 {
                match self {
                    $( Self::$variant(value) => value.number(), )*
                }
            }
        }
    };
}

attributes! {
    F32(f32) "{:?}", value => value.into();
    F64(f64) "{:?}", value => value;
    Usize(usize) "{:?}_usize", value => value as f64;
    U32(u32) "{:?}_u32", value => value.into();
    Bool(bool) "{:?}", value => u8::from(value).into();
    MaybeF32(Option<f32>) "{:?}", value => value.unwrap_or(0.0).into();
    Axes([usize; 4]) "{:?}", _value => 0.0;
    UnaryKind(UnaryKind) "UnaryKind::{:?}", _value => 0.0;
    BinaryKind(BinaryKind) "BinaryKind::{:?}", _value => 0.0;
    ReduceKind(ReduceKind) "ReduceKind::{:?}", _value => 0.0;
    Over(Over) "Over::{:?}", _value => 0.0;
}
