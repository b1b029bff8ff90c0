//! Hugging Face's `tokenizer.json`, as far as it is byte-level BPE.
//!
//! A file is read only if every part of it can be reproduced exactly; the error names the first
//! that cannot. Absent fields have the defaults of `tokenizers`, steps that change nothing are
//! accepted, and unknown fields are refused. A written file loads in `tokenizers` and gives the
//! same ids. In it, special tokens stand in the vocabulary too, so that they keep their ids where
//! there are gaps.

mod added;
mod field;
mod steps;
mod write;

pub(super) use added::Added;
pub(super) use write::spelled;
pub(crate) use write::write;

use std::collections::HashMap;

use serde_json::{Map, Value};

use self::added::in_use;
use self::field::Field;
use self::steps::{decoder, normalizer, post_processor, pre_tokenizer};
use super::alphabet::to_bytes;
use crate::bpe::{BpeError, BpeTokenizer, Parts};
use crate::error::{Error, Result};
use crate::tokenizer::Tokenizer as _;

/// Whether a JSON object is a `tokenizer.json` of Hugging Face and not this crate's own file.
pub(crate) fn is_hf(map: &Map<String, Value>) -> bool {
    map.get("format").is_none() && map.get("model").is_some_and(Value::is_object)
}

/// Reads the parsed file. The kind of model is checked first: in a file of another kind, no other
/// complaint would be to the point.
pub(crate) fn read(file: &Value) -> Result<BpeTokenizer> {
    let whole = Field {
        parent: "",
        name: "",
        value: file,
    };
    let map = whole.object("expected an object")?;
    let top = |name| Field::of(map, "", name);
    let model = top("model");
    let fields = model.object("expected an object")?;
    is_bpe(fields)?;
    whole.only(&[
        "version",
        "truncation",
        "padding",
        "added_tokens",
        "normalizer",
        "pre_tokenizer",
        "post_processor",
        "decoder",
        "model",
    ])?;
    top("version").is_off(&[Value::from("1.0")], "only version \"1.0\" can be read")?;
    top("truncation").is_off(&[], "only null can be read")?;
    top("padding").is_off(&[], "only null can be read")?;
    let nfc = normalizer(top("normalizer"))?;
    let pattern = pre_tokenizer(top("pre_tokenizer"))?;
    let template = post_processor(top("post_processor"))?;
    decoder(top("decoder"))?;

    model.only(&[
        "type",
        "dropout",
        "unk_token",
        "continuing_subword_prefix",
        "end_of_word_suffix",
        "fuse_unk",
        "byte_fallback",
        "ignore_merges",
        "vocab",
        "merges",
    ])?;
    let field = |name| Field::of(fields, "model", name);
    field("dropout").is_off(&[Value::from(0.0), Value::from(0)], "only null can be read")?;
    field("unk_token").is_off(&[], "a byte-level model needs none, only null can be read")?;
    let empty = [Value::from("")];
    field("continuing_subword_prefix").is_off(&empty, "only null can be read")?;
    field("end_of_word_suffix").is_off(&empty, "only null can be read")?;
    // Without an unknown token there is nothing to fuse.
    field("fuse_unk").flag(false)?;
    field("byte_fallback").is_off(&[Value::from(false)], "only false can be read")?;
    let ignore_merges = field("ignore_merges").flag(false)?;

    let added = Added::read(top("added_tokens"), nfc)?;
    let vocab = vocab(field("vocab"))?;
    added.check_ids(&vocab)?;
    let merges = field("merges")
        .list("expected a list")?
        .iter()
        .enumerate()
        .map(|(rank, merge)| two_tokens(merge).ok_or(BpeError::MergeLine { rank }))
        .collect::<Result<Vec<_>, _>>()?;
    let tokenizer = BpeTokenizer::from_parts(Parts {
        pattern: Some(pattern),
        ignore_merges,
        may_lack_bytes: true,
        template,
        ..parts(vocab, &merges, added)?
    })?;
    let (before, after) = tokenizer.around();
    let is_unknown = |id: &&u32| tokenizer.token_bytes(**id).is_none();
    match before.iter().chain(after).find(is_unknown) {
        None => Ok(tokenizer),
        Some(id) => Err(BpeError::Unsupported {
            field: "post_processor.special_tokens".to_owned(),
            found: format!("with the id {id}"),
            expected: "expected ids of the vocabulary",
        }
        .into()),
    }
}

/// Refuses models of other kinds and names the kind. Older files do not state it; it is then
/// inferred, as in `tokenizers`, from the fields that only one kind has.
fn is_bpe(model: &Map<String, Value>) -> Result<(), BpeError> {
    const EXPECTED: &str = "only byte-level \"BPE\" can be read";
    let kind = Field::of(model, "model", "type");
    if kind.value == "BPE" || kind.value.is_null() && model.contains_key("merges") {
        return Ok(());
    }
    if !kind.value.is_null() {
        return kind.refuse(EXPECTED);
    }
    let likely = if model.get("vocab").is_some_and(Value::is_array) {
        "Unigram"
    } else if model.contains_key("max_input_chars_per_word") {
        "WordPiece"
    } else if model.contains_key("unk_token") {
        "WordLevel"
    } else {
        return Field::of(model, "model", "merges").refuse(EXPECTED);
    };
    Err(BpeError::Unsupported {
        field: "model.type".to_owned(),
        found: format!("missing, and the fields are those of {likely:?}"),
        expected: EXPECTED,
    })
}

fn two_tokens(merge: &Value) -> Option<(&str, &str)> {
    match merge {
        Value::String(line) => line
            .split_once(' ')
            .filter(|(left, right)| !left.is_empty() && !right.is_empty() && !right.contains(' ')),
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
        .map(|(token, value)| {
            let id = value.as_u64().and_then(|id| u32::try_from(id).ok());
            let entry = Field {
                parent: "vocab",
                name: token,
                value,
            };
            match id {
                Some(id) => Ok((token.as_str(), id)),
                None => entry.refuse("expected an id of 32 bits"),
            }
        })
        .collect()
}

/// The tokens and merges as bytes. An added token may also stand in the vocabulary, with the same
/// id.
///
/// Added tokens are found in a text before anything is merged. Merges that make an added token, or
/// that it is a part of, are therefore never used and are left out. A text that spells the name of a
/// special token is made of other tokens if special tokens are not asked for.
pub(super) fn parts(
    vocab: Vec<(&str, u32)>,
    merges: &[(&str, &str)],
    added: Added,
) -> Result<Parts, BpeError> {
    let named: HashMap<&str, u32> = added
        .tokens
        .iter()
        .map(|(name, id)| (name.as_str(), *id))
        .collect();
    let mut ids = HashMap::with_capacity(vocab.len());
    let mut tokens = Vec::with_capacity(vocab.len());
    for (token, id) in vocab {
        match named.get(token) {
            Some(&special) if special == id => {
                if to_bytes(token).is_ok_and(|bytes| bytes.len() == 1) {
                    return Err(in_use(token));
                }
            }
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
    let mut list = Vec::with_capacity(merges.len());
    for (rank, &(left, right)) in merges.iter().enumerate() {
        joined.clear();
        joined.extend([left, right]);
        if let Some(name) = [left, right, &joined]
            .into_iter()
            .find(|t| named.contains_key(*t))
        {
            // The spelling equals the text only if no character in it stands for another byte.
            if !added.is_always_found(name, named[name]) {
                return Err(in_use(name));
            }
            continue;
        }
        let id = |token: &str| {
            ids.get(token)
                .copied()
                .ok_or_else(|| BpeError::MergeOfUnknown {
                    rank,
                    token: format!("{token:?}"),
                })
        };
        list.push([id(left)?, id(right)?, id(&joined)?]);
    }
    Ok(Parts {
        pattern: None,
        tokens,
        merges: list,
        specials: added.tokens,
        flags: added.flags,
        nfc: added.nfc,
        ..Parts::default()
    })
}

impl BpeTokenizer {
    /// Reads a `tokenizer.json` of Hugging Face: byte-level BPE with one of the patterns of
    /// [`Pattern`](crate::Pattern), the normalizer NFC or none, and added tokens. The ids of
    /// [`encode_with_special`](Self::encode_with_special) with all special tokens allowed are those
    /// of `tokenizers` with `add_special_tokens=False`; those of
    /// [`encode_with_template`](Self::encode_with_template) are those of `add_special_tokens=True`.
    /// [`load`](crate::load) also reads whole folders of models.
    ///
    /// # Errors
    ///
    /// Text that is not JSON, a vocabulary that contradicts itself, and everything that cannot be
    /// reproduced exactly: other models, normalizers, expressions and steps.
    pub fn from_hf(json: &str) -> Result<Self> {
        let value: Value = serde_json::from_str(json).map_err(|source| Error::Json { source })?;
        match &value {
            Value::Object(map) if is_hf(map) => read(&value),
            _ => Err(Error::ForeignFile { found: None }),
        }
    }
}
