//! The keys of another program's file, of which none is passed over.

use super::config_json::refuse;
use crate::{Error, Result};
use serde_json::{Map, Value};
use std::collections::HashSet;
use std::path::Path;

/// The keys of a file, and which have been read.
pub(super) struct Keys<'v> {
    object: &'v Map<String, Value>,
    path: &'v Path,
    read: HashSet<&'static str>,
}

impl<'v> Keys<'v> {
    pub(super) fn new(object: &'v Map<String, Value>, path: &'v Path) -> Self {
        let read = HashSet::new();
        Self { object, path, read }
    }

    /// A key's value as it stands.
    pub(super) fn value(&mut self, key: &'static str) -> Option<&'v Value> {
        self.read.insert(key);
        self.object.get(key)
    }

    /// A key's value, or `None` without the key; `kind` says what it must be.
    pub(super) fn get<T>(
        &mut self,
        key: &'static str,
        kind: &str,
        as_kind: impl Fn(&Value) -> Option<T>,
    ) -> Result<Option<T>> {
        match self.value(key) {
            None => Ok(None),
            Some(value) => match as_kind(value) {
                Some(value) => Ok(Some(value)),
                None => Err(self.refuse(key, value, &format!("it must be {kind}"))),
            },
        }
    }

    pub(super) fn size(&mut self, key: &'static str) -> Result<Option<usize>> {
        self.get(key, "a whole number, 0 or more", as_size)
    }

    pub(super) fn flag(&mut self, key: &'static str) -> Result<Option<bool>> {
        self.get(key, "true or false", Value::as_bool)
    }

    /// One of several names.
    pub(super) fn named<T: Copy>(
        &mut self,
        key: &'static str,
        names: &[(&str, T)],
    ) -> Result<Option<T>> {
        let Some(value) = self.value(key) else {
            return Ok(None);
        };
        let found = names
            .iter()
            .find(|(known, _)| value.as_str() == Some(*known));
        let known: Vec<&str> = names.iter().map(|(known, _)| *known).collect();
        match found {
            Some((_, named)) => Ok(Some(*named)),
            None => {
                let reason = format!("it must be one of {}", known.join(", "));
                Err(self.refuse(key, value, &reason))
            }
        }
    }

    /// The refusal of a key's value.
    pub(super) fn refuse(&self, key: &str, value: &Value, reason: &str) -> Error {
        refuse(self.path, key, value, reason)
    }

    /// Refuses the first key that nothing has read.
    pub(super) fn refuse_unknown(&self) -> Result<()> {
        let mut unknown = self.object.iter();
        match unknown.find(|(key, _)| !self.read.contains(key.as_str())) {
            None => Ok(()),
            Some((key, value)) => Err(self.refuse(
                key,
                value,
                "Latimer does not know this key of a GPT-2 model: remove it from the file if it \
                 changes nothing",
            )),
        }
    }
}

/// A whole number that is not negative.
pub(super) fn as_size(value: &Value) -> Option<usize> {
    value.as_u64().and_then(|n| usize::try_from(n).ok())
}
