//! A value of the file with its place, and checks on it.

use serde_json::{Map, Value};

use crate::bpe::BpeError;

/// A value with its place in the file.
#[derive(Clone, Copy)]
pub(super) struct Field<'a> {
    pub(super) parent: &'a str,
    pub(super) name: &'a str,
    pub(super) value: &'a Value,
}

impl<'a> Field<'a> {
    pub(super) fn of(map: &'a Map<String, Value>, parent: &'a str, name: &'a str) -> Self {
        Self {
            parent,
            name,
            value: map.get(name).unwrap_or(&Value::Null),
        }
    }

    pub(super) fn refuse<T>(self, expected: &'static str) -> Result<T, BpeError> {
        const SHOWN: usize = 60;
        let mut found = self.value.to_string();
        if let Some((end, _)) = found.char_indices().nth(SHOWN) {
            found.truncate(end);
            found.push('…');
        }
        let dot = if self.parent.is_empty() { "" } else { "." };
        Err(BpeError::Unsupported {
            field: format!("{}{dot}{}", self.parent, self.name),
            found,
            expected,
        })
    }

    /// Accepts a value that is absent, `null` or one of `also`, all of which change nothing.
    pub(super) fn is_off(self, also: &[Value], expected: &'static str) -> Result<(), BpeError> {
        if self.value.is_null() || also.contains(self.value) {
            Ok(())
        } else {
            self.refuse(expected)
        }
    }

    pub(super) fn object(self, expected: &'static str) -> Result<&'a Map<String, Value>, BpeError> {
        self.value
            .as_object()
            .map_or_else(|| self.refuse(expected), Ok)
    }

    pub(super) fn list(self, expected: &'static str) -> Result<&'a [Value], BpeError> {
        match self.value {
            Value::Null => Ok(&[]),
            Value::Array(list) => Ok(list),
            _ => self.refuse(expected),
        }
    }

    pub(super) fn flag(self, absent: bool) -> Result<bool, BpeError> {
        match self.value {
            Value::Null => Ok(absent),
            Value::Bool(flag) => Ok(*flag),
            _ => self.refuse("expected true or false"),
        }
    }

    /// A field at the same place in the file with another value, such as an entry of a list.
    pub(super) fn with(self, value: &'a Value) -> Self {
        Self { value, ..self }
    }

    /// The `"type"` of an object; empty if it has no such field.
    pub(super) fn kind(self) -> &'a str {
        self.value.get("type").and_then(Value::as_str).unwrap_or("")
    }

    /// Refuses an object that has a field with a value whose name is not in `known`, since its
    /// effect is unknown.
    pub(super) fn only(self, known: &[&str]) -> Result<(), BpeError> {
        let unknown = self.value.as_object().and_then(|map| {
            map.iter()
                .find(|(name, value)| !value.is_null() && !known.contains(&name.as_str()))
        });
        let Some((name, value)) = unknown else {
            return Ok(());
        };
        let parent = match self.name {
            "" => "",
            _ if self.parent.is_empty() => self.name,
            _ => self.parent,
        };
        Field {
            parent,
            name,
            value,
        }
        .refuse("this program does not know this field, so it cannot tell what it changes")
    }

    /// The steps in order. A `Sequence`, also one inside another, is replaced by its entries; any
    /// other step is the only entry; `null` gives an empty list.
    pub(super) fn flat(self, list: &str) -> Result<Vec<Field<'a>>, BpeError> {
        let mut steps = Vec::new();
        let mut left = vec![self];
        while let Some(step) = left.pop() {
            if step.value.is_null() {
                continue;
            }
            if step.kind() != "Sequence" {
                steps.push(step);
                continue;
            }
            step.only(&["type", list])?;
            let Some(Value::Array(inner)) = step.value.get(list) else {
                return step.refuse("expected the steps of the sequence in a list");
            };
            left.extend(inner.iter().rev().map(|value| step.with(value)));
        }
        Ok(steps)
    }
}
