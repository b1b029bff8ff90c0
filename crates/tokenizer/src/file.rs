//! The file format: JSON that states the format, its version and the kind, then the kind's own
//! fields.
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
//! The fields stand in this order, one token a line; the position in `vocab` is the id. To add a
//! kind, implement [`Tokenizer`], give it a `from_fields`, and list it in [`KINDS`]. [`from_json`]
//! recognises a kind whose file has another program's format before it looks for `"format"`.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::{Map, Value};

use crate::error::{Error, Result, nearest};
use crate::format::{gpt2, hf, tiktoken};
use crate::ngram::is_python;
use crate::{
    BpeTokenizer, CharTokenizer, Encoding, NgramTokenizer, Pattern, Tokenizer, WordTokenizer,
};

/// The `"format"` of every tokenizer file of this crate.
pub const FORMAT: &str = "latimer-tokenizer";

/// The `"version"` that this crate reads and writes.
pub const VERSION: u64 = 1;

type Read = fn(&Fields) -> Result<Arc<dyn Tokenizer>>;

/// Every kind with the function that reads its fields.
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

/// Reads a tokenizer of any kind: a file that [`from_json`] reads; a folder with a
/// `tokenizer.json`, or with GPT-2's `vocab.json` and `merges.txt`; a rank file of tiktoken's.
///
/// A rank file does not state its pattern. If its name is that of an encoding, such as
/// `cl100k_base.tiktoken`, the encoding's pattern is used, and its special tokens too if the file
/// has as many ranks as the encoding. Other names need [`load_with`].
///
/// # Errors
///
/// [`Io`](Error::Io) if it cannot be read, [`Text`](Error::Text) if it is not text,
/// [`NoTokenizerInFolder`](Error::NoTokenizerInFolder), [`File`](Error::File) around the error of
/// the format if it is not a tokenizer; all name the path.
pub fn load(path: &Path) -> Result<Arc<dyn Tokenizer>> {
    load_with(path, None)
}

/// As [`load`], with the pattern for a rank file or for `vocab.json` and `merges.txt`, which do not
/// state it.
///
/// # Errors
///
/// As [`load`]; [`Setting`](Error::Setting) if a pattern is given for a file that states its own.
pub fn load_with(path: &Path, pattern: Option<Pattern>) -> Result<Arc<dyn Tokenizer>> {
    if path.is_dir() {
        return match Found::in_folder(path) {
            Some(Found::Whole(file)) => load_with(&file, pattern),
            Some(Found::Pair { vocab, merges }) => {
                let (vocab, merges) = (read_text(&vocab)?, read_text(&merges)?);
                gpt2::read_pair(path, &vocab, &merges, pattern)
                    .map(|read| Arc::new(read) as _)
                    .map_err(|source| in_file(path, source))
            }
            None => Err(nothing_in(path)),
        };
    }
    let text = read_text(path)?;
    let read = if is_ranks(path, &text) {
        let stem = path.file_stem().unwrap_or_default().to_string_lossy();
        let named = Encoding::from_name(&stem).ok();
        BpeTokenizer::from_ranks(text.as_bytes(), named, pattern).map(|read| Arc::new(read) as _)
    } else {
        match pattern {
            None => from_json(&text),
            Some(pattern) => Err(Error::Setting {
                name: "pattern",
                expected: "left out for a file that contains its pattern",
                found: pattern.name().to_owned(),
            }),
        }
    };
    read.map_err(|source| match source {
        already @ (Error::Io { .. } | Error::Text(_)) => already,
        source => in_file(path, source),
    })
}

/// Whether [`load`] finds a tokenizer in this folder.
#[must_use]
pub fn is_in_folder(folder: &Path) -> bool {
    Found::in_folder(folder).is_some()
}

/// The files in a folder that hold its tokenizer.
enum Found {
    Whole(PathBuf),
    Pair { vocab: PathBuf, merges: PathBuf },
}

impl Found {
    fn in_folder(folder: &Path) -> Option<Self> {
        let file = |name| Some(folder.join(name)).filter(|path| path.exists());
        if let Some(whole) = file("tokenizer.json") {
            return Some(Self::Whole(whole));
        }
        Some(Self::Pair {
            vocab: file("vocab.json")?,
            merges: file("merges.txt")?,
        })
    }
}

/// The error that says what a folder has in place of a tokenizer.
fn nothing_in(folder: &Path) -> Error {
    let has = |name: &str| folder.join(name).exists();
    let instead = if has("vocab.json") {
        "it has vocab.json, but not merges.txt"
    } else if has("merges.txt") {
        "it has merges.txt, but not vocab.json"
    } else if has("tokenizer.model") {
        "it has tokenizer.model, a SentencePiece file, which cannot be read"
    } else {
        "it has neither tokenizer.json nor vocab.json with merges.txt"
    };
    Error::NoTokenizerInFolder {
        path: folder.to_owned(),
        instead,
    }
}

/// Whether a file is a rank file, by its name or else by its first line.
fn is_ranks(path: &Path, text: &str) -> bool {
    path.extension().is_some_and(|e| e == "tiktoken")
        || text
            .lines()
            .next()
            .is_some_and(|line| tiktoken::is_rank_line(line.as_bytes()))
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
    // Byte-pair encoding is stored in Hugging Face's format.
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

/// The text of a file. It is written by hand instead of from a map, because the order of fields is
/// part of the fingerprint and must not depend on a `serde_json` feature that another crate turns
/// on.
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

/// Writes a file atomically: `path` holds either all of `bytes` or its previous content.
pub(crate) fn write_whole(path: &Path, bytes: &[u8]) -> Result<()> {
    latimer_files::replace(path, bytes).map_err(|source| Error::Io {
        action: "write",
        path: path.to_owned(),
        source,
    })
}
