//! Our own file format of kind `ngram`: the settings, then words and sub-words in the order of
//! their ids.

use std::fmt::Write as _;

use serde_json::Value;

use super::json::as_size;
use super::names::Names;
use super::{NgramOptions, NgramTokenizer};
use crate::error::{Error, Result};
use crate::file::{FORMAT, Fields, VERSION};

/// The kind's own fields, in the order of the file.
const FIELDS: [&str; 15] = [
    "lowercase",
    "lines",
    "strict",
    "vocab_size",
    "pct_bpe",
    "ngram_min",
    "ngram_max",
    "unk",
    "pad",
    "sow",
    "eow",
    "required_tokens",
    "first_subword",
    "words",
    "subwords",
];

impl NgramTokenizer {
    /// The text of the file; the order of fields is part of the fingerprint.
    pub(super) fn to_file(&self) -> String {
        let options = &self.options;
        let required: Vec<Value> = options
            .required_tokens
            .iter()
            .map(|token| Value::from(token.as_str()))
            .collect();
        let mut json = format!(
            "{{\n  \"format\": \"{FORMAT}\",\n  \"version\": {VERSION},\n  \"kind\": \"{}\"",
            Self::KIND
        );
        let mut field = |name: &str, value: String| {
            // Writing to a String cannot fail.
            let _ = write!(json, ",\n  \"{name}\": {value}");
        };
        let string = |token: &String| Value::from(token.as_str()).to_string();
        field("lowercase", options.lowercase.to_string());
        field("lines", options.lines.to_string());
        field("strict", options.strict.to_string());
        field("vocab_size", options.vocab_size.to_string());
        field("pct_bpe", format!("{:?}", options.pct_bpe)); // its shortest exact form
        field("ngram_min", options.ngram_min.to_string());
        field("ngram_max", options.ngram_max.to_string());
        field("unk", string(&options.unk));
        field("pad", string(&options.pad));
        field("sow", string(&options.sow));
        field("eow", string(&options.eow));
        field("required_tokens", Value::from(required).to_string());
        field("first_subword", self.first_subword.to_string());
        field("words", list(&self.words));
        field("subwords", list(&self.subwords));
        json.push_str("\n}\n");
        json
    }

    pub(crate) fn from_fields(fields: &Fields) -> Result<Self> {
        fields.only(&FIELDS)?;
        let size = |name| {
            fields.value(name).and_then(as_size).ok_or(Error::Field {
                name,
                expected: "a whole number, not negative",
            })
        };
        let string = |name| {
            let value = fields.value(name).and_then(Value::as_str);
            value.map(str::to_owned).ok_or(Error::Field {
                name,
                expected: "a string",
            })
        };
        let pct_bpe = fields.value("pct_bpe").and_then(Value::as_f64);
        let required = fields.strings("required_tokens")?;
        let options = NgramOptions {
            vocab_size: size("vocab_size")?,
            pct_bpe: pct_bpe.ok_or(Error::Field {
                name: "pct_bpe",
                expected: "a number",
            })?,
            ngram_min: size("ngram_min")?,
            ngram_max: size("ngram_max")?,
            required_tokens: required.into_iter().map(str::to_owned).collect(),
            strict: fields.flag("strict")?,
            lowercase: fields.flag("lowercase")?,
            lines: fields.flag("lines")?,
            unk: string("unk")?,
            pad: string("pad")?,
            sow: string("sow")?,
            eow: string("eow")?,
        };
        let first = size("first_subword")?;
        let words = distinct(&fields.strings("words")?, 0)?;
        let subwords = distinct(&fields.strings("subwords")?, first)?;
        Self::from_parts(options, words, subwords, first)
    }
}

/// A list of strings, one a line.
fn list(names: &Names) -> String {
    let mut json = String::from("[");
    for (number, name) in names.iter().enumerate() {
        let comma = if number == 0 { "" } else { "," };
        let _ = write!(json, "{comma}\n    {}", Value::from(name));
    }
    json.push_str("\n  ]");
    json
}

/// The list as names; refused if a string repeats. `first` is the id of its first string.
fn distinct(strings: &[&str], first: usize) -> Result<Names> {
    let mut names = Names::new();
    for (number, string) in strings.iter().enumerate() {
        let (known, new) = names.insert(string);
        if !new {
            return Err(Error::DuplicateToken {
                token: (*string).to_owned(),
                first: first.saturating_add(known as usize),
                second: first.saturating_add(number),
            });
        }
    }
    Ok(names)
}
