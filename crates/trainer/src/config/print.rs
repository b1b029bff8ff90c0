//! Writes a configuration down, and what differs between two.

use std::fmt::{self, Write};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::value::Value;
use super::{Config, KEYS, Key, KeyKind};

impl Config {
    /// The whole configuration as TOML with a comment on each key. [`Config::from_toml`] reads
    /// it back to the same value.
    #[must_use]
    pub fn to_commented_toml(&self) -> String {
        let mut out = String::new();
        line(
            &mut out,
            &format!("preset = {}", quoted(&self.preset)),
            "the preset that the keys below override",
        );
        let mut section = "";
        for key in KEYS {
            if key.section != section {
                section = key.section;
                out.push_str(&format!("\n[{section}]\n"));
            }
            let mut help = key.help.to_owned();
            if let KeyKind::Choice(names) = key.value {
                help = format!("{help}: {}", names.join(", "));
            }
            line(
                &mut out,
                &format!("{} = {}", key.name, key.get(self)),
                &help,
            );
        }
        out
    }
}

/// `text  # comment`, the comments in one column unless the text is long.
fn line(out: &mut String, text: &str, comment: &str) {
    // As wide as the longest key with a short value.
    const COLUMN: usize = 28;
    out.push_str(&format!("{text:<COLUMN$}  # {comment}\n"));
}

/// A key whose value differs between two configurations.
#[derive(Debug, Clone)]
pub struct Difference {
    /// The key.
    pub key: &'static Key,
    /// Its value in the first, as TOML.
    pub before: String,
    /// Its value in the second, as TOML.
    pub after: String,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} → {}", self.key.path(), self.before, self.after)
    }
}

/// The keys that differ, in the order of [`KEYS`]. The preset's name is not a key.
#[must_use]
pub fn diff(before: &Config, after: &Config) -> Vec<Difference> {
    KEYS.iter()
        .map(|key| Difference {
            key,
            before: key.get(before).to_string(),
            after: key.get(after).to_string(),
        })
        .filter(|difference| difference.before != difference.after)
        .collect()
}

/// As TOML.
impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Integer(value) => write!(f, "{value}"),
            // Rust writes the shortest digits that read back, as `0.1` or `1e-8`: TOML too.
            Self::Float(value) if value.is_nan() => f.write_str("nan"),
            Self::Float(value) => write!(f, "{value:?}"),
            Self::Bool(value) => write!(f, "{value}"),
            Self::Text(text) => f.write_str(&quoted(text)),
            Self::FloatList(values) => {
                let values: Vec<_> = values.iter().map(|&value| Self::Float(value)).collect();
                let values: Vec<_> = values.iter().map(ToString::to_string).collect();
                write!(f, "[{}]", values.join(", "))
            }
            Self::TextList(values) => match single(values) {
                Some(text) => f.write_str(&quoted(text)),
                None => {
                    let values: Vec<_> = values.iter().map(|text| quoted(text)).collect();
                    write!(f, "[{}]", values.join(", "))
                }
            },
        }
    }
}

/// The one string that stands for a list of one or none, if there is one.
fn single(values: &[String]) -> Option<&str> {
    match values {
        [] => Some(""),
        [text] if !text.is_empty() => Some(text),
        _ => None,
    }
}

/// A TOML basic string.
fn quoted(text: &str) -> String {
    let mut out = String::from('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            c if c.is_control() => {
                // Writing to a string cannot fail.
                let _ = write!(out, "\\u{:04X}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

/// A list that is written as a string where it has one element or none.
pub(super) mod text_list {
    use super::{Deserialize, Deserializer, Serialize, Serializer, single};

    pub(in super::super) fn serialize<S: Serializer>(
        values: &[String],
        to: S,
    ) -> Result<S::Ok, S::Error> {
        match single(values) {
            Some(text) => text.serialize(to),
            None => values.serialize(to),
        }
    }

    pub(in super::super) fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<Vec<String>, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged, expecting = "expected a string or an array of strings")]
        enum OneOrMany {
            One(String),
            Many(Vec<String>),
        }
        Ok(match OneOrMany::deserialize(from)? {
            OneOrMany::One(text) if text.is_empty() => Vec::new(),
            OneOrMany::One(text) => vec![text],
            OneOrMany::Many(values) => values,
        })
    }
}
