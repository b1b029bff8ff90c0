//! The added tokens of the file: special tokens, and others that are found in every text.

use std::collections::BTreeMap;

use serde_json::Value;

use super::field::Field;
use crate::bpe::BpeError;
use crate::special::Flags;

/// The added tokens with their ids, and the flags of those that are not special tokens with a plain
/// name.
#[derive(Debug, Default)]
pub(in super::super) struct Added {
    pub(in super::super) tokens: Vec<(String, u32)>,
    pub(in super::super) flags: BTreeMap<u32, Flags>,
    pub(in super::super) nfc: bool,
}

impl Added {
    /// Special tokens with plain names.
    pub(in super::super) fn specials(tokens: Vec<(String, u32)>) -> Self {
        Self {
            tokens,
            ..Self::default()
        }
    }

    /// Reads the list.
    pub(super) fn read(field: Field<'_>, nfc: bool) -> Result<Self, BpeError> {
        let mut added = Self {
            nfc,
            ..Self::default()
        };
        for token in field.list("expected a list")? {
            let entry = field.with(token);
            let map = entry.object("expected an object")?;
            entry.only(&[
                "id",
                "content",
                "single_word",
                "lstrip",
                "rstrip",
                "normalized",
                "special",
            ])?;
            let part = |name| Field::of(map, "added_tokens", name);
            let flag = |name| part(name).flag(false);
            let flags = Flags {
                special: flag("special")?,
                normalized: flag("normalized")?,
                lstrip: flag("lstrip")?,
                rstrip: flag("rstrip")?,
                single_word: flag("single_word")?,
            };
            let id = part("id")
                .value
                .as_u64()
                .and_then(|id| u32::try_from(id).ok());
            match (part("content").value.as_str(), id) {
                (Some(content), Some(id)) => {
                    added.tokens.push((content.to_owned(), id));
                    added.flags.insert(id, flags);
                }
                (None, _) => return part("content").refuse("expected a string"),
                (_, None) => return part("id").refuse("expected an id of 32 bits"),
            }
        }
        added.settle();
        Ok(added)
    }

    /// Clears the flag `normalized` where it has no effect: nothing is normalized, and all tokens
    /// have it, so that no token is looked for before the others.
    fn settle(&mut self) {
        if !self.nfc && self.flags.values().all(|flags| flags.normalized) {
            for flags in self.flags.values_mut() {
                flags.normalized = false;
            }
        }
    }

    /// Refuses ids that `tokenizers` does not give: a token that is not in the vocabulary gets the
    /// next id after the vocabulary and the added tokens before it, whatever the file says.
    pub(super) fn check_ids(&self, vocab: &[(&str, u32)]) -> Result<(), BpeError> {
        let in_vocab: std::collections::HashSet<&str> =
            vocab.iter().map(|(token, _)| *token).collect();
        let mut next = vocab.len() as u64;
        for (name, id) in &self.tokens {
            let id = u64::from(*id);
            if !in_vocab.contains(name.as_str()) && id != next {
                return Err(BpeError::Unsupported {
                    field: "added_tokens.id".to_owned(),
                    found: format!("{id} for {name:?}"),
                    expected: "expected the next free id, which `tokenizers` gives to a token that \
                               is not in the vocabulary, whatever the file says",
                });
            }
            next = next.max(id + 1);
        }
        Ok(())
    }

    /// Whether no text has this token after the added tokens are found, so that merges that make it
    /// are never used.
    pub(super) fn is_always_found(&self, name: &str, id: u32) -> bool {
        let flags = self.flags.get(&id).copied().unwrap_or_default();
        // Normalization makes these characters of ASCII, after the tokens of other names are found.
        let may_appear = self.nfc && !flags.normalized && name.contains(['K', ';', '`']);
        name.is_ascii() && !flags.single_word && !may_appear
    }
}

/// The flags as a file has them, with the order of fields that is part of the fingerprint.
pub(super) fn written(flags: Flags) -> String {
    let Flags {
        special,
        normalized,
        lstrip,
        rstrip,
        single_word,
    } = flags;
    format!(
        "\"single_word\": {single_word}, \"lstrip\": {lstrip}, \"rstrip\": {rstrip}, \
         \"normalized\": {normalized}, \"special\": {special}"
    )
}

/// The refusal of an added token whose name other texts are made of.
pub(super) fn in_use(name: &str) -> BpeError {
    BpeError::Unsupported {
        field: "added_tokens.content".to_owned(),
        found: Value::from(name).to_string(),
        expected: "its spelling in the vocabulary is that of other bytes, which texts need it for",
    }
}
