//! Hugging Face's `tokenizer.json`, as far as it is byte-level BPE.
//!
//! A file is read only if every part of it can be done exactly; the error names the first that
//! cannot. What is written loads in `tokenizers` and gives the same ids. In the file special tokens
//! stand in the vocabulary too, so that they keep their ids where there are gaps.

use std::fmt::Write as _;

use serde_json::{Map, Value};

use super::alphabet::{to_bytes, to_text};
use crate::bpe::{BpeError, BpeTokenizer, Parts, Pattern};
use crate::error::{Error, Result};
use crate::tokenizer::Tokenizer;

/// Whether a JSON object is such a file and not one of this crate.
pub(crate) fn is_hf(map: &Map<String, Value>) -> bool {
    map.get("format").is_none() && map.get("model").is_some_and(Value::is_object)
}

/// A value with its place in the file.
#[derive(Clone, Copy)]
struct Field<'a> {
    parent: &'a str,
    name: &'a str,
    value: &'a Value,
}

impl<'a> Field<'a> {
    fn of(map: &'a Map<String, Value>, parent: &'a str, name: &'a str) -> Self {
        Self {
            parent,
            name,
            value: map.get(name).unwrap_or(&Value::Null),
        }
    }

    fn refuse<T>(self, expected: &'static str) -> Result<T, BpeError> {
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

    /// Absent, `null` or one of the values that change nothing.
    fn is_off(self, also: &[Value], expected: &'static str) -> Result<(), BpeError> {
        if self.value.is_null() || also.contains(self.value) {
            Ok(())
        } else {
            self.refuse(expected)
        }
    }

    fn object(self, expected: &'static str) -> Result<&'a Map<String, Value>, BpeError> {
        self.value
            .as_object()
            .map_or_else(|| self.refuse(expected), Ok)
    }

    fn list(self, expected: &'static str) -> Result<&'a [Value], BpeError> {
        match self.value {
            Value::Null => Ok(&[]),
            Value::Array(list) => Ok(list),
            _ => self.refuse(expected),
        }
    }

    fn flag(self, absent: bool) -> Result<bool, BpeError> {
        match self.value {
            Value::Null => Ok(absent),
            Value::Bool(flag) => Ok(*flag),
            _ => self.refuse("expected true or false"),
        }
    }
}

/// Reads the parsed file.
pub(crate) fn read(map: &Map<String, Value>) -> Result<BpeTokenizer> {
    let top = |name| Field::of(map, "", name);
    top("truncation").is_off(&[], "only null can be read")?;
    top("padding").is_off(&[], "only null can be read")?;
    top("normalizer").is_off(&[], "text is taken as it comes, only null can be read")?;
    let pattern = pre_tokenizer(top("pre_tokenizer"))?;
    byte_level_or_null(top("post_processor"))?;
    byte_level_or_null(top("decoder"))?;

    let model = top("model").object("expected an object")?;
    let field = |name| Field::of(model, "model", name);
    if field("type").value != "BPE" {
        return Ok(field("type").refuse("only \"BPE\" can be read")?);
    }
    field("dropout").is_off(&[Value::from(0.0), Value::from(0)], "only null can be read")?;
    field("unk_token").is_off(&[], "a byte-level model needs none, only null can be read")?;
    let empty = [Value::from("")];
    field("continuing_subword_prefix").is_off(&empty, "only null can be read")?;
    field("end_of_word_suffix").is_off(&empty, "only null can be read")?;
    field("byte_fallback").is_off(&[Value::from(false)], "only false can be read")?;
    let ignore_merges = field("ignore_merges").flag(false)?;

    let specials = added_tokens(top("added_tokens"))?;
    let vocab = vocab(field("vocab"))?;
    let merges = field("merges")
        .list("expected a list")?
        .iter()
        .enumerate()
        .map(|(rank, merge)| two_tokens(merge).ok_or(BpeError::MergeLine { rank }))
        .collect::<Result<Vec<_>, _>>()?;
    BpeTokenizer::from_parts(Parts {
        pattern: Some(pattern),
        ignore_merges,
        ..parts(vocab, &merges, specials)?
    })
}

fn two_tokens(merge: &Value) -> Option<(&str, &str)> {
    match merge {
        Value::String(line) => line.split_once(' '),
        Value::Array(two) => match two.as_slice() {
            [left, right] => Some((left.as_str()?, right.as_str()?)),
            _ => None,
        },
        _ => None,
    }
}

fn vocab(field: Field<'_>) -> Result<Vec<(&str, u32)>, BpeError> {
    field
        .object("expected an object of tokens and ids")?
        .iter()
        .map(|(token, id)| {
            let id = id.as_u64().and_then(|id| u32::try_from(id).ok());
            match id {
                Some(id) => Ok((token.as_str(), id)),
                None => Field::of(
                    field.value.as_object().unwrap_or(&Map::new()),
                    "vocab",
                    token,
                )
                .refuse("expected an id of 32 bits"),
            }
        })
        .collect()
}

/// Tokens and merges by their bytes. Specials may stand in the vocabulary too, then with their id.
pub(super) fn parts(
    vocab: Vec<(&str, u32)>,
    merges: &[(&str, &str)],
    specials: Vec<(String, u32)>,
) -> Result<Parts, BpeError> {
    let named: std::collections::HashMap<&str, u32> = specials
        .iter()
        .map(|(name, id)| (name.as_str(), *id))
        .collect();
    let mut ids = std::collections::HashMap::with_capacity(vocab.len());
    let mut tokens = Vec::with_capacity(vocab.len());
    for (token, id) in vocab {
        match named.get(token) {
            Some(&special) if special == id => {}
            Some(&special) => {
                return Err(BpeError::DuplicateBytes {
                    token: format!("{token:?}"),
                    first: special.min(id),
                    second: special.max(id),
                });
            }
            None => {
                ids.insert(token, id);
                tokens.push((id, to_bytes(token)?));
            }
        }
    }
    tokens.sort_unstable_by_key(|(id, _)| *id);
    let mut joined = String::new();
    let merges = merges
        .iter()
        .enumerate()
        .map(|(rank, &(left, right))| {
            joined.clear();
            joined.extend([left, right]);
            let id = |token: &str| {
                ids.get(token)
                    .copied()
                    .ok_or_else(|| BpeError::MergeOfUnknown {
                        rank,
                        token: format!("{token:?}"),
                    })
            };
            Ok([id(left)?, id(right)?, id(&joined)?])
        })
        .collect::<Result<_, BpeError>>()?;
    Ok(Parts {
        pattern: None,
        tokens,
        merges,
        specials,
        ignore_merges: false,
        is_made_by_merges: false,
    })
}

fn added_tokens(field: Field<'_>) -> Result<Vec<(String, u32)>, BpeError> {
    let mut specials = Vec::new();
    for token in field.list("expected a list")? {
        let entry = Field {
            value: token,
            ..field
        };
        let map = entry.object("expected an object")?;
        let part = |name| Field::of(map, "added_tokens", name);
        for flag in ["single_word", "lstrip", "rstrip"] {
            part(flag).is_off(&[Value::from(false)], "only false can be read")?;
        }
        if !part("special").flag(false)? {
            return part("special").refuse(
                "a token that every text may contain is not possible here, only true can be read",
            );
        }
        let id = part("id")
            .value
            .as_u64()
            .and_then(|id| u32::try_from(id).ok());
        match (part("content").value.as_str(), id) {
            (Some(content), Some(id)) => specials.push((content.to_owned(), id)),
            (None, _) => return part("content").refuse("expected a string"),
            (_, None) => return part("id").refuse("expected an id of 32 bits"),
        }
    }
    Ok(specials)
}

const BYTE_LEVEL: &str = "only \"ByteLevel\" can be read";

fn byte_level_or_null(field: Field<'_>) -> Result<(), BpeError> {
    match field.value.get("type") {
        Some(kind) if kind == "ByteLevel" => Ok(()),
        _ => field.is_off(&[], BYTE_LEVEL),
    }
}

fn pre_tokenizer(field: Field<'_>) -> Result<Pattern, BpeError> {
    const SHAPES: &str =
        "only \"ByteLevel\", or a \"Sequence\" of a \"Split\" and a \"ByteLevel\", can be read";
    let map = field.object(SHAPES)?;
    match map.get("type").and_then(Value::as_str) {
        Some("ByteLevel") => Ok(if byte_level(map)? {
            Pattern::Gpt2
        } else {
            Pattern::None
        }),
        Some("Sequence") => {
            let steps = map.get("pretokenizers").and_then(Value::as_array);
            let Some([Value::Object(split), Value::Object(bytes)]) = steps.map(Vec::as_slice)
            else {
                return field.refuse(SHAPES);
            };
            if split.get("type") != Some(&Value::from("Split"))
                || bytes.get("type") != Some(&Value::from("ByteLevel"))
            {
                return field.refuse(SHAPES);
            }
            if byte_level(bytes)? {
                return Field::of(bytes, "pre_tokenizer", "use_regex")
                    .refuse("text is split before, only false can be read here");
            }
            let part = |name| Field::of(split, "pre_tokenizer", name);
            if part("behavior").value != "Isolated" {
                return part("behavior").refuse("only \"Isolated\" can be read");
            }
            part("invert").is_off(&[Value::from(false)], "only false can be read")?;
            let regex = part("pattern").value.get("Regex").and_then(Value::as_str);
            match regex.and_then(Pattern::from_regex) {
                Some(pattern) => Ok(pattern),
                None => part("pattern").refuse(
                    "only the expressions of GPT-2, GPT-4, cl100k, o200k and nanochat can be read",
                ),
            }
        }
        _ => field.refuse(SHAPES),
    }
}

/// Whether it cuts text by its own expression.
fn byte_level(map: &Map<String, Value>) -> Result<bool, BpeError> {
    let part = |name| Field::of(map, "pre_tokenizer", name);
    // Its default, when the field is absent, is true.
    if part("add_prefix_space").flag(true)? {
        return Field {
            value: &Value::from(true),
            ..part("add_prefix_space")
        }
        .refuse("text is taken as it comes, only false can be read");
    }
    part("use_regex").flag(true)
}

/// The whole file. The order of fields and of tokens is fixed: it is part of the fingerprint.
pub(crate) fn write(tokenizer: &BpeTokenizer) -> String {
    let quote = |text: &str| Value::from(text).to_string();
    let mut json = String::from("{\n  \"version\": \"1.0\",\n  \"truncation\": null,\n");
    json += "  \"padding\": null,\n  \"added_tokens\": [";
    let mut comma = "";
    // Writing to a String cannot fail, so the results are dropped below.
    for (name, id) in tokenizer.special_tokens() {
        let _ = write!(
            json,
            "{comma}\n    {{\"id\": {id}, \"content\": {}, \"single_word\": false, \
             \"lstrip\": false, \"rstrip\": false, \"normalized\": false, \"special\": true}}",
            quote(name)
        );
        comma = ",";
    }
    json += if comma.is_empty() { "],\n" } else { "\n  ],\n" };
    json += "  \"normalizer\": null,\n  \"pre_tokenizer\": ";
    let byte_level = |prefix: bool, regex: bool| {
        format!(
            "{{\"type\": \"ByteLevel\", \"add_prefix_space\": {prefix}, \
             \"trim_offsets\": true, \"use_regex\": {regex}}}"
        )
    };
    match (tokenizer.pattern(), tokenizer.pattern().regex()) {
        (Pattern::Gpt2, _) => json += &byte_level(false, true),
        (_, None) => json += &byte_level(false, false),
        (_, Some(regex)) => {
            let _ = write!(
                json,
                "{{\"type\": \"Sequence\", \"pretokenizers\": [\n    {{\"type\": \"Split\", \
                 \"pattern\": {{\"Regex\": {}}}, \"behavior\": \"Isolated\", \"invert\": false}},\
                 \n    {}\n  ]}}",
                quote(regex),
                byte_level(false, false)
            );
        }
    }
    let _ = write!(
        json,
        ",\n  \"post_processor\": null,\n  \"decoder\": {},\n  \"model\": {{\n    \
         \"type\": \"BPE\",\n    \"dropout\": null,\n    \"unk_token\": null,\n    \
         \"continuing_subword_prefix\": null,\n    \"end_of_word_suffix\": null,\n    \
         \"fuse_unk\": false,\n    \"byte_fallback\": false,\n    \"ignore_merges\": {},\n    \
         \"vocab\": {{",
        byte_level(true, true),
        tokenizer.ignore_merges()
    );
    let names: Vec<Option<String>> = spelled(tokenizer);
    let mut comma = "";
    for (id, name) in names.iter().enumerate() {
        if let Some(name) = name {
            let _ = write!(json, "{comma}\n      {}: {id}", quote(name));
            comma = ",";
        }
    }
    json += "\n    },\n    \"merges\": [";
    let mut comma = "";
    let name = |id: u32| names[id as usize].as_deref().unwrap_or_default();
    for (left, right, _) in tokenizer.merges() {
        let line = quote(&format!("{} {}", name(left), name(right)));
        let _ = write!(json, "{comma}\n      {line}");
        comma = ",";
    }
    json += if comma.is_empty() {
        "]\n  }\n}\n"
    } else {
        "\n    ]\n  }\n}\n"
    };
    json
}

/// Every token in printable characters, special ones as they are; `None` for an id without token.
pub(super) fn spelled(tokenizer: &BpeTokenizer) -> Vec<Option<String>> {
    let mut names: Vec<Option<String>> = (0..tokenizer.vocab_size() as u32)
        .map(|id| tokenizer.token_bytes(id).map(to_text))
        .collect();
    for (name, id) in tokenizer.special_tokens() {
        names[id as usize] = Some(name.to_owned());
    }
    names
}

impl BpeTokenizer {
    /// Reads a `tokenizer.json` of Hugging Face: byte-level BPE with one of the patterns of
    /// [`Pattern`] and special tokens. Its ids are those of `tokenizers` with
    /// `add_special_tokens=False`, for text without the names of special tokens. Whole folders of
    /// models are read by [`load`](crate::load) as well.
    ///
    /// # Errors
    ///
    /// Not JSON, a vocabulary that contradicts itself, and everything that could not be done
    /// exactly: other models, normalizers, templates, expressions, tokens that are not special.
    pub fn from_hf(json: &str) -> Result<Self> {
        let value: Value = serde_json::from_str(json).map_err(|source| Error::Json { source })?;
        match &value {
            Value::Object(map) if is_hf(map) => read(map),
            _ => Err(Error::ForeignFile { found: None }),
        }
    }
}
