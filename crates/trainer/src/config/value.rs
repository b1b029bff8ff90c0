//! Values of keys, apart from the fields that hold them.

use super::{Dtype, Order, Schedule};
use latimer_nn::{Activation, MlpKind, NormKind, PositionKind, WeightInit};

/// A key's value, independent of the type of its field.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Value {
    Integer(u64),
    Float(f64),
    Bool(bool),
    Text(String),
    TextList(Vec<String>),
    FloatList(Vec<f64>),
}

impl Value {
    /// Puts the elements of another list before those of this one. Values that are not lists stay
    /// as they are.
    pub(super) fn prepend(&mut self, before: Self) {
        match (self, before) {
            (Self::TextList(values), Self::TextList(before)) => drop(values.splice(0..0, before)),
            (Self::FloatList(values), Self::FloatList(before)) => drop(values.splice(0..0, before)),
            _ => {}
        }
    }
}

/// A type that a field may have.
pub(super) trait Setting: Sized {
    fn to_value(&self) -> Value;
    fn from_value(value: Value) -> Option<Self>;
}

impl Setting for usize {
    fn to_value(&self) -> Value {
        Value::Integer(*self as u64)
    }

    fn from_value(value: Value) -> Option<Self> {
        u64::from_value(value)?.try_into().ok()
    }
}

impl Setting for u64 {
    fn to_value(&self) -> Value {
        Value::Integer(*self)
    }

    fn from_value(value: Value) -> Option<Self> {
        match value {
            Value::Integer(value) => Some(value),
            _ => None,
        }
    }
}

impl Setting for f64 {
    fn to_value(&self) -> Value {
        Value::Float(*self)
    }

    fn from_value(value: Value) -> Option<Self> {
        match value {
            Value::Float(value) => Some(value),
            Value::Integer(value) => Some(value as f64),
            _ => None,
        }
    }
}

impl Setting for f32 {
    fn to_value(&self) -> Value {
        Value::Float(latimer_nn::shortest(*self))
    }

    fn from_value(value: Value) -> Option<Self> {
        f64::from_value(value).map(|value| value as f32)
    }
}

impl Setting for bool {
    fn to_value(&self) -> Value {
        Value::Bool(*self)
    }

    fn from_value(value: Value) -> Option<Self> {
        match value {
            Value::Bool(value) => Some(value),
            _ => None,
        }
    }
}

impl Setting for String {
    fn to_value(&self) -> Value {
        Value::Text(self.clone())
    }

    fn from_value(value: Value) -> Option<Self> {
        match value {
            Value::Text(value) => Some(value),
            _ => None,
        }
    }
}

impl Setting for Vec<String> {
    fn to_value(&self) -> Value {
        Value::TextList(self.clone())
    }

    fn from_value(value: Value) -> Option<Self> {
        match value {
            Value::TextList(values) => Some(values),
            Value::Text(value) if value.is_empty() => Some(Vec::new()),
            Value::Text(value) => Some(vec![value]),
            _ => None,
        }
    }
}

impl Setting for Vec<f64> {
    fn to_value(&self) -> Value {
        Value::FloatList(self.clone())
    }

    fn from_value(value: Value) -> Option<Self> {
        match value {
            Value::FloatList(values) => Some(values),
            _ => None,
        }
    }
}

macro_rules! choice_settings {
    ($($name:ident),*) => {
        $(impl Setting for $name {
            fn to_value(&self) -> Value {
                Value::Text(self.name().to_owned())
            }

            fn from_value(value: Value) -> Option<Self> {
                match value {
                    Value::Text(name) => Self::from_name(&name),
                    _ => None,
                }
            }
        })*
    };
}

choice_settings!(
    NormKind,
    PositionKind,
    MlpKind,
    WeightInit,
    Activation,
    Schedule,
    Order,
    Dtype
);
