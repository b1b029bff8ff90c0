//! JSON files in which no byte is passed over: a byte-order mark, another encoding, a key that
//! occurs twice.

use crate::{Error, Result};
use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};
use std::fmt;
use std::path::Path;

/// Reads a file that holds one object.
///
/// # Errors
/// [`Error::Io`]; [`Error::Text`]; [`Error::Malformed`], which calls the file a `what`.
pub(super) fn read_object(path: &Path, what: &'static str) -> Result<Map<String, Value>> {
    let bytes = std::fs::read(path).map_err(|source| Error::Io {
        action: "read",
        path: path.to_owned(),
        source,
    })?;
    object(&bytes, path, what)
}

/// The object that a file's bytes hold; `path` goes into messages.
///
/// # Errors
/// [`Error::Text`]; [`Error::Malformed`], which calls the file a `what`.
pub(super) fn object(bytes: &[u8], path: &Path, what: &'static str) -> Result<Map<String, Value>> {
    let malformed = |reason: String| Error::Malformed {
        path: path.to_owned(),
        what,
        reason,
    };
    let text = latimer_text::check(bytes, path)?;
    if text.trim().is_empty() {
        return Err(malformed("it is empty".to_owned()));
    }
    let Unique(value) = serde_json::from_str(text).map_err(|error| malformed(error.to_string()))?;
    match value {
        Value::Object(object) => Ok(object),
        _ => Err(malformed("it holds no object".to_owned())),
    }
}

/// A JSON value no object of which has a key twice.
struct Unique(Value);

impl<'de> Deserialize<'de> for Unique {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Values).map(Self)
    }
}

struct Values;

impl<'de> Visitor<'de> for Values {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
        let mut values = Vec::new();
        while let Some(Unique(value)) = seq.next_element()? {
            values.push(value);
        }
        Ok(Value::Array(values))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let mut values = Map::new();
        while let Some(key) = map.next_key::<String>()? {
            if values.contains_key(&key) {
                return Err(A::Error::custom(format_args!("{key} occurs twice")));
            }
            let Unique(value) = map.next_value()?;
            values.insert(key, value);
        }
        Ok(Value::Object(values))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(bytes: &[u8]) -> String {
        let read = object(bytes, Path::new("m/x.json"), "list");
        read.unwrap_err().to_string()
    }

    #[test]
    fn a_mark_is_left_out_and_other_encodings_are_named() {
        let marked = object(
            b"\xEF\xBB\xBF{\"a\": [1, -2, 0.5, null]}",
            Path::new("x"),
            "list",
        );
        assert_eq!(
            Value::from(marked.unwrap()),
            serde_json::json!({"a": [1, -2, 0.5, null]})
        );
        let utf_16 = |mark: &[u8], bytes: fn(u16) -> [u8; 2]| {
            let text = "{\"a\": 1}".encode_utf16().flat_map(bytes);
            [mark, &text.collect::<Vec<_>>()].concat()
        };
        for bytes in [
            utf_16(b"\xFF\xFE", u16::to_le_bytes),
            utf_16(b"\xFE\xFF", u16::to_be_bytes),
            utf_16(b"", u16::to_le_bytes),
            utf_16(b"", u16::to_be_bytes),
        ] {
            assert!(said(&bytes).contains("UTF-16"), "{}", said(&bytes));
        }
        assert!(said(b"{\"a\": \"\xFF\"}").starts_with("m/x.json is not UTF-8 text: byte 7 "));
    }

    #[test]
    fn a_key_that_stands_twice_is_named_at_any_depth() {
        assert!(said(br#"{"n": 1, "n": 2}"#).contains("n occurs twice"));
        assert!(said(br#"{"a": [{"b": 1, "b": 1}]}"#).contains("b occurs twice"));
        assert!(said(b" \n").ends_with("it is empty"));
        assert!(said(b"[1]").ends_with("it holds no object"));
    }
}
