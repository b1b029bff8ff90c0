//! The package's JSON: what `Encoder.save` writes and `Encoder.load` reads.

use std::fmt::Write as _;

use serde_json::{Map, Value};

use super::names::Names;
use super::{NgramOptions, NgramTokenizer};
use crate::error::{Error, Result};

/// Whether JSON looks like the package's.
pub(crate) fn is_python(map: &Map<String, Value>) -> bool {
    ["byte_pairs", "words", "kwargs"]
        .iter()
        .all(|name| map.contains_key(*name))
}

impl NgramTokenizer {
    /// The tokenizer as the package's `Encoder.save` writes it, to the byte (with required tokens
    /// and marks in this crate's order); `Encoder.load` gives the same ids.
    ///
    /// The file does not record [`lines`](NgramOptions::lines); `__line` is a required token in it.
    ///
    /// # Errors
    ///
    /// [`NotInFormat`](Error::NotInFormat) if the tokenizer keeps case, which the package never
    /// does.
    pub fn to_python_json(&self) -> Result<String> {
        let options = &self.options;
        if !options.lowercase {
            return Err(Error::NotInFormat {
                format: "the Python package bpe",
                what: "a tokenizer that keeps upper case",
            });
        }
        let mut json = String::from("{\"byte_pairs\": ");
        write_ids(&mut json, self.subwords());
        json.push_str(", \"words\": ");
        write_ids(&mut json, self.words());
        // Writing to a String cannot fail. `{:?}` of a float is its shortest exact form.
        let _ = write!(
            json,
            ", \"kwargs\": {{\"vocab_size\": {}, \"pct_bpe\": {:?}, \"silent\": true, \
             \"ngram_min\": {}, \"ngram_max\": {}, \"required_tokens\": [",
            options.vocab_size, options.pct_bpe, options.ngram_min, options.ngram_max
        );
        for (number, token) in options.required().into_iter().enumerate() {
            if number > 0 {
                json.push_str(", ");
            }
            write_string(&mut json, token);
        }
        let _ = write!(json, "], \"strict\": {}", options.strict);
        for (name, token) in [
            ("EOW", &options.eow),
            ("SOW", &options.sow),
            ("UNK", &options.unk),
            ("PAD", &options.pad),
        ] {
            let _ = write!(json, ", \"{name}\": ");
            write_string(&mut json, token);
        }
        json.push_str("}}");
        Ok(json)
    }

    /// Reads the tokenizer that the package's `Encoder.save` wrote.
    ///
    /// For a language model, call [`with_lines`](Self::with_lines) on the result.
    ///
    /// # Errors
    ///
    /// Text that is not JSON, fields that are missing, unknown or of another type, settings outside
    /// their range, a vocabulary without `__unk` or `__pad` (an encoder that was saved before it
    /// was fitted), and ids numbered differently from fitting: words must count up from 0, and
    /// sub-words without a gap from some later id.
    pub fn from_python_json(json: &str) -> Result<Self> {
        let value: Value = serde_json::from_str(json).map_err(|source| Error::Json { source })?;
        match value {
            Value::Object(map) => Self::from_python(&map),
            _ => Err(Error::Field {
                name: "words",
                expected: "in an object, beside \"byte_pairs\" and \"kwargs\"",
            }),
        }
    }

    pub(crate) fn from_python(map: &Map<String, Value>) -> Result<Self> {
        let known = ["byte_pairs", "words", "kwargs"];
        only(map, &known)?;
        let object = |name| {
            map.get(name)
                .and_then(Value::as_object)
                .ok_or(Error::Field {
                    name,
                    expected: "an object",
                })
        };
        let options = read_kwargs(object("kwargs")?)?;
        let (_, words) = read_ids(object("words")?, "words", Some(0))?;
        let (first, subwords) = read_ids(object("byte_pairs")?, "byte_pairs", None)?;
        // Without sub-words the file does not say where their ids would begin.
        let first = first.unwrap_or(words.len());
        Self::from_parts(options, words, subwords, first)
    }
}

fn only(map: &Map<String, Value>, known: &[&str]) -> Result<()> {
    match map.keys().find(|name| !known.contains(&name.as_str())) {
        Some(name) => Err(Error::UnknownField {
            name: name.clone(),
            kind: NgramTokenizer::KIND,
        }),
        None => Ok(()),
    }
}

/// Reads the arguments of `Encoder(...)`; a missing one has its default.
fn read_kwargs(kwargs: &Map<String, Value>) -> Result<NgramOptions> {
    only(
        kwargs,
        &[
            "vocab_size",
            "pct_bpe",
            "silent",
            "ngram_min",
            "ngram_max",
            "required_tokens",
            "strict",
            "EOW",
            "SOW",
            "UNK",
            "PAD",
        ],
    )?;
    let mut options = NgramOptions::default();
    for (name, size) in [
        ("vocab_size", &mut options.vocab_size),
        ("ngram_min", &mut options.ngram_min),
        ("ngram_max", &mut options.ngram_max),
    ] {
        if let Some(value) = kwargs.get(name) {
            *size = as_size(value).ok_or(Error::Field {
                name,
                expected: "a whole number, not negative",
            })?;
        }
    }
    if let Some(value) = kwargs.get("pct_bpe") {
        options.pct_bpe = value.as_f64().ok_or(Error::Field {
            name: "pct_bpe",
            expected: "a number",
        })?;
    }
    let flag = |name| match kwargs.get(name) {
        None => Ok(false),
        Some(value) => value.as_bool().ok_or(Error::Field {
            name,
            expected: "true or false",
        }),
    };
    flag("silent")?;
    options.strict = flag("strict")?;
    for (name, token) in [
        ("EOW", &mut options.eow),
        ("SOW", &mut options.sow),
        ("UNK", &mut options.unk),
        ("PAD", &mut options.pad),
    ] {
        if let Some(value) = kwargs.get(name) {
            let string = value.as_str().ok_or(Error::Field {
                name,
                expected: "a string",
            })?;
            *token = string.to_owned();
        }
    }
    let required = kwargs.get("required_tokens").filter(|list| !list.is_null());
    if let Some(value) = required {
        let strings = value
            .as_array()
            .and_then(|list| list.iter().map(Value::as_str).collect::<Option<Vec<_>>>())
            .ok_or(Error::Field {
                name: "required_tokens",
                expected: "a list of strings",
            })?;
        // The package lists these two as well.
        let (unk, pad) = (&options.unk, &options.pad);
        let given = strings
            .into_iter()
            .filter(|token| token != unk && token != pad);
        options.required_tokens = given.map(str::to_owned).collect();
    }
    Ok(options)
}

pub(super) fn as_size(value: &Value) -> Option<usize> {
    usize::try_from(value.as_u64()?).ok()
}

/// The strings of `{token: id}` in the order of the ids, and the first id if there is one. The ids
/// must count up without a gap from `first`, or from the smallest if `first` is `None`.
fn read_ids(
    map: &Map<String, Value>,
    name: &'static str,
    first: Option<usize>,
) -> Result<(Option<usize>, Names)> {
    let mut ids = Vec::with_capacity(map.len());
    for (token, id) in map {
        let id = as_size(id).ok_or(Error::Field {
            name,
            expected: "an object of strings with whole numbers",
        })?;
        ids.push((id, token.as_str()));
    }
    ids.sort_unstable();
    let first = first.or(ids.first().map(|(id, _)| *id));
    for (number, &(id, token)) in ids.iter().enumerate() {
        let expected = first.unwrap_or(0).saturating_add(number);
        if id != expected {
            return Err(Error::ScatteredId {
                vocabulary: name,
                token: token.to_owned(),
                id: id.to_string(),
                expected,
            });
        }
    }
    Ok((first, ids.into_iter().map(|(_, token)| token).collect()))
}

fn write_ids<'n>(json: &mut String, tokens: impl Iterator<Item = (&'n str, u32)>) {
    json.push('{');
    for (number, (token, id)) in tokens.enumerate() {
        if number > 0 {
            json.push_str(", ");
        }
        write_string(json, token);
        let _ = write!(json, ": {id}");
    }
    json.push('}');
}

/// A string as Python's `json.dumps` writes it: ASCII only, in UTF-16 escapes.
fn write_string(json: &mut String, text: &str) {
    json.push('"');
    for c in text.chars() {
        match c {
            '"' => json.push_str("\\\""),
            '\\' => json.push_str("\\\\"),
            '\n' => json.push_str("\\n"),
            '\r' => json.push_str("\\r"),
            '\t' => json.push_str("\\t"),
            '\u{8}' => json.push_str("\\b"),
            '\u{c}' => json.push_str("\\f"),
            ' '..='~' => json.push(c),
            _ => {
                for unit in c.encode_utf16(&mut [0; 2]) {
                    let _ = write!(json, "\\u{unit:04x}");
                }
            }
        }
    }
    json.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_are_escaped_as_python_does() {
        let mut json = String::new();
        write_string(&mut json, "a\"\\/\n\r\t\u{8}\u{c}\0\u{1f}\u{7f}é€😀");
        let expected =
            "\"a\\\"\\\\/\\n\\r\\t\\b\\f\\u0000\\u001f\\u007f\\u00e9\\u20ac\\ud83d\\ude00\"";
        assert_eq!(json, expected);
    }

    #[test]
    fn each_fault_has_its_sentence() {
        let file = |words: &str, pairs: &str, kwargs: &str| {
            format!(r#"{{"words":{words},"byte_pairs":{pairs},"kwargs":{kwargs}}}"#)
        };
        let (words, pairs) = (r#"{"__pad":1,"__unk":0}"#, r#"{"__eow":8,"__sow":7}"#);
        let good = NgramTokenizer::from_python_json(&file(words, pairs, "{}")).unwrap();
        assert_eq!(good.subword_id("__sow"), Some(7));
        for (json, message) in [
            (
                "3".to_owned(),
                "the field \"words\" must be in an object, beside",
            ),
            (
                r#"{"words":{}}"#.to_owned(),
                "the field \"kwargs\" must be an object",
            ),
            (
                file("[]", pairs, "{}"),
                "the field \"words\" must be an object",
            ),
            (file("{}", pairs, "{}"), "the vocabulary has no \"__unk\""),
            (
                file(r#"{"__unk":0}"#, pairs, "{}"),
                "the vocabulary has no \"__pad\"",
            ),
            (
                file(r#"{"__unk":0,"__pad":2}"#, pairs, "{}"),
                "ids of \"words\" must count up without a gap: \"__pad\" has 2, not 1",
            ),
            (
                file(r#"{"__unk":0,"__pad":0}"#, pairs, "{}"),
                "ids of \"words\" must count up without a gap: \"__unk\" has 0, not 1",
            ),
            (
                file(words, r#"{"a":1}"#, "{}"),
                "ids of \"sub-words\" must count up without a gap: \"a\" has 1, not 2",
            ),
            (
                file(words, r#"{"a":5,"b":9}"#, "{}"),
                "ids of \"byte_pairs\" must count up without a gap: \"b\" has 9, not 6",
            ),
            (
                file(words, r#"{"a":-1}"#, "{}"),
                "the field \"byte_pairs\" must be an object of",
            ),
            (
                file(words, r#"{"a":2.0}"#, "{}"),
                "the field \"byte_pairs\" must be an object of",
            ),
            (
                file(words, r#"{"a":true}"#, "{}"),
                "the field \"byte_pairs\" must be an object of",
            ),
            (
                file(words, r#"{"a":4294967295}"#, "{}"),
                "the vocabulary has 4294967296 tokens",
            ),
            (
                file(words, r#"{"a":18446744073709551615}"#, "{}"),
                "the vocabulary has 18446744073709551615 tokens",
            ),
            (
                file(words, pairs, r#"{"vocab":3}"#),
                "unknown field \"vocab\"",
            ),
            (
                file(words, pairs, r#"{"vocab_size":0}"#),
                "vocab_size is 0: it must be at least 1",
            ),
            (
                file(words, pairs, r#"{"ngram_max":-1}"#),
                "the field \"ngram_max\" must be a whole",
            ),
            (
                file(words, pairs, r#"{"pct_bpe":"x"}"#),
                "the field \"pct_bpe\" must be a number",
            ),
            (
                file(words, pairs, r#"{"strict":1}"#),
                "the field \"strict\" must be true or false",
            ),
            (
                file(words, pairs, r#"{"UNK":1}"#),
                "the field \"UNK\" must be a string",
            ),
            (
                file(words, pairs, r#"{"UNK":"a"}"#),
                "the vocabulary has no \"a\"",
            ),
            (
                file(words, pairs, r#"{"required_tokens":[1]}"#),
                "the field \"required_tokens\" must be a list of strings",
            ),
        ] {
            let error = NgramTokenizer::from_python_json(&json)
                .unwrap_err()
                .to_string();
            assert!(error.contains(message), "{json}\n{error}\n{message}");
        }
        assert!(matches!(
            NgramTokenizer::from_python_json("{"),
            Err(Error::Json { .. })
        ));
    }
}
