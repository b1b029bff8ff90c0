//! GPT-2's pair of files: `vocab.json`, a map from tokens to ids, and `merges.txt`, two tokens a
//! line.

use std::collections::HashSet;
use std::fmt::Write as _;

use serde_json::Value;

use super::alphabet::to_bytes;
use super::hf::{parts, spelled};
use crate::bpe::{BpeError, BpeTokenizer, Parts, Pattern};
use crate::error::{Error, Result};

impl BpeTokenizer {
    /// Reads `vocab.json` and `merges.txt`. Neither says how text is cut ([`Pattern::Gpt2`] is
    /// usual) nor what is special: entries that are neither a byte nor made by a merge are taken as
    /// special tokens, as `<|endoftext|>` in GPT-2's own file.
    ///
    /// # Errors
    ///
    /// Not JSON, a line that is not two tokens, a merge of tokens that the vocabulary lacks, and a
    /// vocabulary that contradicts itself or lacks a byte.
    pub fn from_vocab_and_merges(vocab: &str, merges: &str, pattern: Pattern) -> Result<Self> {
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
        // "a" at the end of a word: CLIP's files have it, and this pattern has no word ends.
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
        let specials = vocab
            .iter()
            .filter(|(token, _)| !is_byte(token) && !made.contains(*token))
            .map(|(token, id)| ((*token).to_owned(), *id))
            .collect();
        Self::from_parts(Parts {
            pattern: Some(pattern),
            ..parts(vocab, &merges, specials)?
        })
    }

    /// Writes `vocab.json` and `merges.txt`, in this order. The pattern is not in them, and that a
    /// token is special only by having no merge.
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
