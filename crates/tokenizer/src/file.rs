//! The file: JSON that says whose it is, which version, which kind, and then the kind's own fields.
//!
//! ```json
//! {
//!   "format": "latimer-tokenizer",
//!   "version": 1,
//!   "kind": "char",
//!   "vocab": [
//!     "\n",
//!     " "
//!   ]
//! }
//! ```
//!
//! Fields stand in this order, one token a line, the position in `vocab` is the id. To add a kind,
//! implement [`Tokenizer`], give it a `from_fields`, and name it in [`KINDS`]. A kind whose file has
//! another program's format is told apart in [`from_json`], before that line is asked for.

use std::ffi::OsString;
use std::fmt::Write as _;
use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::{Map, Value};

use crate::error::{Error, Result, nearest};
use crate::format::hf;
use crate::ngram::is_python;
use crate::{
    BpeTokenizer, CharTokenizer, Encoding, NgramTokenizer, Pattern, Tokenizer, WordTokenizer,
};

/// The `"format"` of every tokenizer file of this crate.
pub const FORMAT: &str = "latimer-tokenizer";

/// The `"version"` that this crate reads and writes.
pub const VERSION: u64 = 1;

type Read = fn(&Fields) -> Result<Arc<dyn Tokenizer>>;

/// Every kind and what reads its fields.
const KINDS: &[(&str, Read)] = &[
    (CharTokenizer::KIND, |fields| {
        Ok(Arc::new(CharTokenizer::from_fields(fields)?))
    }),
    (WordTokenizer::KIND, |fields| {
        Ok(Arc::new(WordTokenizer::from_fields(fields)?))
    }),
    (NgramTokenizer::KIND, |fields| {
        Ok(Arc::new(NgramTokenizer::from_fields(fields)?))
    }),
];

/// The names of the kinds that [`load`] knows.
pub fn kinds() -> impl Iterator<Item = &'static str> {
    KINDS
        .iter()
        .map(|(kind, _)| *kind)
        .chain([BpeTokenizer::KIND])
}

/// Reads a tokenizer of any kind: a file that [`from_json`] reads; a folder with a `tokenizer.json`,
/// or with GPT-2's `vocab.json` and `merges.txt`; a rank file of tiktoken's under the name of its
/// encoding, `cl100k_base.tiktoken` say.
///
/// # Errors
///
/// [`Io`](Error::Io) if it cannot be read, [`File`](Error::File) around the error of the format
/// if it is not a tokenizer; both name the path.
pub fn load(path: &Path) -> Result<Arc<dyn Tokenizer>> {
    if path.is_dir() {
        let whole = path.join("tokenizer.json");
        let (vocab, merges) = (path.join("vocab.json"), path.join("merges.txt"));
        if whole.exists() || !(vocab.exists() && merges.exists()) {
            return load(&whole);
        }
        let (vocab, merges) = (read_text(&vocab)?, read_text(&merges)?);
        let read = BpeTokenizer::from_vocab_and_merges(&vocab, &merges, Pattern::Gpt2);
        return Ok(Arc::new(read.map_err(|source| in_file(path, source))?));
    }
    if path.extension().is_some_and(|e| e == "tiktoken") {
        let stem = path.file_stem().unwrap_or_default().to_string_lossy();
        let read = Encoding::from_name(&stem)
            .map_err(Error::from)
            .and_then(|encoding| {
                let (pattern, specials) = (encoding.pattern(), encoding.special_tokens());
                BpeTokenizer::from_tiktoken(read_text(path)?.as_bytes(), pattern, specials)
            });
        return match read {
            Ok(tokenizer) => Ok(Arc::new(tokenizer)),
            Err(error @ (Error::Io { .. } | Error::Text(_))) => Err(error),
            Err(source) => Err(in_file(path, source)),
        };
    }
    from_json(&read_text(path)?).map_err(|source| in_file(path, source))
}

fn read_text(path: &Path) -> Result<String> {
    Ok(latimer_text::read(path)?)
}

fn in_file(path: &Path, source: Error) -> Error {
    Error::File {
        path: path.to_owned(),
        source: Box::new(source),
    }
}

/// Makes the tokenizer that [`Tokenizer::to_json`] wrote, or the one in the JSON of the Python
/// package `bpe` (see [`NgramTokenizer::from_python_json`]).
///
/// ```
/// use latimer_tokenizer::{Tokenizer, WordTokenizer, from_json};
///
/// let words = WordTokenizer::fit("le chat = the cat\n")?;
/// let same = from_json(&words.to_json())?;
/// assert_eq!(same.kind(), "word");
/// assert_eq!(same.fingerprint(), words.fingerprint());
/// # Ok::<(), latimer_tokenizer::Error>(())
/// ```
///
/// # Errors
///
/// For text that is not JSON, another program's JSON, an unknown version, kind or field, and a
/// vocabulary that is empty, repeats itself or has entries that are no tokens of its kind.
pub fn from_json(json: &str) -> Result<Arc<dyn Tokenizer>> {
    let value: Value = serde_json::from_str(json).map_err(|source| Error::Json { source })?;
    // Byte-pair encoding is kept in Hugging Face's format.
    if value.as_object().is_some_and(hf::is_hf) {
        return Ok(Arc::new(hf::read(&value)?));
    }
    let Value::Object(map) = value else {
        return Err(Error::ForeignFile { found: None });
    };
    if is_python(&map) {
        return Ok(Arc::new(NgramTokenizer::from_python(&map)?));
    }
    match map.get("format") {
        Some(Value::String(format)) if format == FORMAT => {}
        Some(Value::String(other)) => {
            return Err(Error::ForeignFile {
                found: Some(other.clone()),
            });
        }
        Some(other) => {
            return Err(Error::ForeignFile {
                found: Some(other.to_string()),
            });
        }
        None => return Err(Error::ForeignFile { found: None }),
    }
    match map.get("version") {
        Some(version) if version.as_u64() == Some(VERSION) => {}
        Some(other) => {
            return Err(Error::UnsupportedVersion {
                found: other.to_string(),
                supported: VERSION,
            });
        }
        None => {
            return Err(Error::Field {
                name: "version",
                expected: "a number",
            });
        }
    }
    let Some(kind) = map.get("kind").and_then(Value::as_str) else {
        return Err(Error::Field {
            name: "kind",
            expected: "a string",
        });
    };
    let Some((kind, read)) = KINDS.iter().find(|(known, _)| *known == kind) else {
        return Err(Error::UnknownKind {
            kind: kind.to_owned(),
            nearest: nearest(kind, KINDS.iter().map(|(kind, _)| *kind)),
        });
    };
    read(&Fields { kind, map })
}

/// A kind's own fields, as read.
pub(crate) struct Fields {
    kind: &'static str,
    map: Map<String, Value>,
}

impl Fields {
    /// Refuses fields other than the common ones and `names`.
    pub(crate) fn only(&self, names: &[&str]) -> Result<()> {
        let known =
            |name: &str| ["format", "version", "kind"].contains(&name) || names.contains(&name);
        match self.map.keys().find(|name| !known(name)) {
            Some(name) => Err(Error::UnknownField {
                name: name.clone(),
                kind: self.kind,
            }),
            None => Ok(()),
        }
    }

    pub(crate) fn value(&self, name: &str) -> Option<&Value> {
        self.map.get(name)
    }

    pub(crate) fn strings(&self, name: &'static str) -> Result<Vec<&str>> {
        self.map
            .get(name)
            .and_then(Value::as_array)
            .and_then(|list| list.iter().map(Value::as_str).collect())
            .ok_or(Error::Field {
                name,
                expected: "a list of strings",
            })
    }

    pub(crate) fn flag(&self, name: &'static str) -> Result<bool> {
        self.map
            .get(name)
            .and_then(Value::as_bool)
            .ok_or(Error::Field {
                name,
                expected: "true or false",
            })
    }
}

/// The text of a file. Written by hand, not from a map: the order of fields is part of the
/// fingerprint and must not hang on a feature that another crate switches on in `serde_json`.
pub(crate) fn write_json<'v>(
    kind: &str,
    flags: &[(&str, bool)],
    vocab: impl Iterator<Item = &'v str>,
) -> String {
    let mut json = format!(
        "{{\n  \"format\": \"{FORMAT}\",\n  \"version\": {VERSION},\n  \"kind\": \"{kind}\",\n"
    );
    for (name, value) in flags {
        // Writing to a String cannot fail.
        let _ = writeln!(json, "  \"{name}\": {value},");
    }
    json.push_str("  \"vocab\": [");
    for (id, token) in vocab.enumerate() {
        let comma = if id == 0 { "" } else { "," };
        let _ = write!(json, "{comma}\n    {}", Value::from(token));
    }
    json.push_str("\n  ]\n}\n");
    json
}

/// Writes a file so that `path` holds all of `bytes` or what it held before.
pub(crate) fn write_whole(path: &Path, bytes: &[u8]) -> Result<()> {
    let temporary = beside(path);
    let written = fs::File::create_new(&temporary).and_then(|mut file| {
        let all = file.write_all(bytes).and_then(|()| file.sync_all());
        drop(file);
        let placed = all.and_then(|()| fs::rename(&temporary, path));
        if placed.is_err() {
            // The first error is the one to report.
            let _: io::Result<()> = fs::remove_file(&temporary);
        }
        placed
    });
    written.map_err(|source| Error::Io {
        action: "write",
        path: path.to_owned(),
        source,
    })
}

/// A name in the folder of `path` that no other thread or process is using.
fn beside(path: &Path) -> PathBuf {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let mut name = OsString::from(".");
    name.push(path.file_name().unwrap_or_default());
    name.push(format!(".{}-{number}.tmp", std::process::id()));
    path.with_file_name(name)
}

/// FNV-1a, 64 bits (Fowler, Noll and Vo; <https://datatracker.ietf.org/doc/html/rfc9923>).
pub(crate) fn fnv1a(bytes: &[u8]) -> u64 {
    const OFFSET_BASIS: u64 = 0xcbf2_9ce4_8422_2325;
    const PRIME: u64 = 0x0000_0100_0000_01b3;
    bytes.iter().fold(OFFSET_BASIS, |hash, &byte| {
        (hash ^ u64::from(byte)).wrapping_mul(PRIME)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fnv1a_gives_the_published_values() {
        assert_eq!(fnv1a(b""), 0xcbf2_9ce4_8422_2325);
        assert_eq!(fnv1a(b"a"), 0xaf63_dc4c_8601_ec8c);
        assert_eq!(fnv1a(b"foobar"), 0x8594_4171_f739_67e8);
    }

    #[test]
    fn temporary_names_are_beside_and_distinct() {
        let path = Path::new("runs/a/tokenizer.json");
        let (one, two) = (beside(path), beside(path));
        assert_eq!(one.parent(), path.parent());
        assert_ne!(one, two);
    }
}
