//! GPT-2's pair of files: `vocab.json`, a map from tokens to ids, and `merges.txt`, two tokens a
//! line.

use std::collections::HashSet;
use std::fmt::Write as _;
use std::path::Path;

use serde_json::{Map, Value};

use super::alphabet::to_bytes;
use super::hf::{Added, parts, spelled};
use crate::bpe::{BpeError, BpeTokenizer, Parts, Pattern};
use crate::error::{Error, Result};

/// Reads the pair of files in a folder, and the files that other programs put beside them:
/// `added_tokens.json`, a map of special tokens after the vocabulary, and `tokenizer_config.json`,
/// which is only used to check that text is cut as GPT-2 cuts it.
pub(crate) fn read_pair(
    folder: &Path,
    vocab: &str,
    merges: &str,
    pattern: Option<Pattern>,
) -> Result<BpeTokenizer> {
    let object = |name: &str| -> Result<Option<Map<String, Value>>> {
        let path = folder.join(name);
        if !path.exists() {
            return Ok(None);
        }
        match serde_json::from_str(&latimer_text::read(&path)?) {
            Ok(Value::Object(map)) => Ok(Some(map)),
            Ok(other) => Err(unsupported(name, &other, "expected an object").into()),
            Err(source) => Err(Error::Json { source }),
        }
    };
    if let Some(config) = object("tokenizer_config.json")? {
        check_config(&config, pattern)?;
    }
    let mut added = Vec::new();
    for (token, id) in object("added_tokens.json")?.unwrap_or_default() {
        let number = id.as_u64().and_then(|id| u32::try_from(id).ok());
        let number = number.ok_or_else(|| {
            let field = format!("added_tokens.json, {token:?}");
            unsupported(&field, &id, "expected an id of 32 bits")
        })?;
        added.push((token, number));
    }
    BpeTokenizer::from_pair(vocab, merges, pattern.unwrap_or(Pattern::Gpt2), added)
}

/// Classes of `transformers` that cut text as GPT-2 does and read this pair of files.
const CLASSES: [&str; 6] = ["GPT2", "CodeGen", "Roberta", "Bart", "Longformer", "LED"];

fn check_config(config: &Map<String, Value>, pattern: Option<Pattern>) -> Result<(), BpeError> {
    let class = config
        .get("tokenizer_class")
        .filter(|class| !class.is_null());
    if let Some(class) = class
        && pattern.is_none()
    {
        let name = class.as_str().unwrap_or_default();
        let name = name.trim_end_matches("Fast").trim_end_matches("Tokenizer");
        if !CLASSES.contains(&name) {
            return Err(unsupported(
                "tokenizer_class of tokenizer_config.json",
                class,
                "only classes that cut text as GPT-2 does can be read from vocab.json and merges.txt",
            ));
        }
    }
    match config.get("add_prefix_space") {
        None | Some(Value::Null | Value::Bool(false)) => Ok(()),
        Some(other) => Err(unsupported(
            "add_prefix_space of tokenizer_config.json",
            other,
            "nothing is added before a text, only false can be read",
        )),
    }
}

fn unsupported(field: &str, found: &Value, expected: &'static str) -> BpeError {
    BpeError::Unsupported {
        field: field.to_owned(),
        found: found.to_string(),
        expected,
    }
}

impl BpeTokenizer {
    /// Reads `vocab.json` and `merges.txt`. Neither states the pattern ([`Pattern::Gpt2`] is usual)
    /// or which tokens are special: entries that are neither a byte nor made by a merge are taken
    /// as special tokens, such as `<|endoftext|>` in GPT-2's own file.
    ///
    /// # Errors
    ///
    /// Text that is not JSON, a line that is not two tokens, a merge of tokens that the vocabulary
    /// lacks, and a vocabulary that contradicts itself or lacks a byte.
    pub fn from_vocab_and_merges(vocab: &str, merges: &str, pattern: Pattern) -> Result<Self> {
        Self::from_pair(vocab, merges, pattern, Vec::new())
    }

    /// As `from_vocab_and_merges`, with special tokens that are not in the vocabulary or are there
    /// with the same ids.
    fn from_pair(
        vocab: &str,
        merges: &str,
        pattern: Pattern,
        added: Vec<(String, u32)>,
    ) -> Result<Self> {
        let value: Value = serde_json::from_str(vocab).map_err(|source| Error::Json { source })?;
        let expected = Error::Field {
            name: "vocab",
            expected: "an object of tokens and ids of 32 bits",
        };
        let Value::Object(map) = &value else {
            return Err(expected);
        };
        let vocab: Option<Vec<(&str, u32)>> = map
            .iter()
            .map(|(token, id)| Some((token.as_str(), u32::try_from(id.as_u64()?).ok()?)))
            .collect();
        let Some(vocab) = vocab else {
            return Err(expected);
        };
        let merges = merges
            .lines()
            .enumerate()
            .filter(|(number, line)| !(*number == 0 && line.starts_with("#version")))
            .map(|(_, line)| line)
            .filter(|line| !line.is_empty())
            .enumerate()
            .map(|(rank, line)| {
                line.split_once(' ')
                    .filter(|(left, right)| !left.is_empty() && !right.contains(' '))
                    .ok_or(BpeError::MergeLine { rank })
            })
            .collect::<Result<Vec<_>, _>>()?;
        let made: HashSet<String> = merges
            .iter()
            .map(|(left, right)| format!("{left}{right}"))
            .collect();
        // A token such as "a" at the end of a word: CLIP's files have these, but this pattern has
        // no word ends.
        if let Some((token, _)) = vocab
            .iter()
            .find(|(token, _)| *token == "a</w>" && !made.contains(*token))
        {
            return Err(BpeError::Unsupported {
                field: "vocab".to_owned(),
                found: format!("one with {token:?}"),
                expected: "only vocabularies without marks at the ends of words can be read",
            }
            .into());
        }
        let is_byte = |token: &str| to_bytes(token).is_ok_and(|bytes| bytes.len() == 1);
        let is_added = |token: &str| added.iter().any(|(name, _)| name == token);
        let mut specials: Vec<(String, u32)> = vocab
            .iter()
            .filter(|(token, _)| !is_byte(token) && !made.contains(*token) && !is_added(token))
            .map(|(token, id)| ((*token).to_owned(), *id))
            .collect();
        specials.extend(added);
        Self::from_parts(Parts {
            pattern: Some(pattern),
            ..parts(vocab, &merges, Added::specials(specials))?
        })
    }

    /// Writes `vocab.json` and `merges.txt`, in this order. They do not state the pattern, and a
    /// token is recognised as special only because no merge makes it.
    #[must_use]
    pub fn to_vocab_and_merges(&self) -> (String, String) {
        let names = spelled(self);
        let mut vocab = String::from("{");
        let mut comma = "";
        for (id, name) in names.iter().enumerate() {
            if let Some(name) = name {
                // Writing to a String cannot fail.
                let _ = write!(vocab, "{comma}{}:{id}", Value::from(name.as_str()));
                comma = ",";
            }
        }
        vocab += "}\n";
        let mut merges = String::from("#version: 0.2\n");
        let name = |id: u32| names[id as usize].as_deref().unwrap_or_default();
        for (left, right, _) in self.merges() {
            let _ = writeln!(merges, "{} {}", name(left), name(right));
        }
        (vocab, merges)
    }
}
