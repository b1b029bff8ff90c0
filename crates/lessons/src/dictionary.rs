//! A dictionary: pairs in order, looked up by the exact or the nearest key.

use crate::error::{Unknown, UnknownWords};
use crate::{Error, Result};

/// The tutorial's six entries, in its order.
const TUTORIAL: [(&str, &str); 6] = [
    ("le", "the"),
    ("chat", "cat"),
    ("est", "is"),
    ("sous", "under"),
    ("la", "the"),
    ("table", "table"),
];

/// Keys with their values, in the given order.
///
/// The order matters: if several keys are equally near to a word, the first is used.
///
/// ```
/// use latimer_lessons::Dictionary;
///
/// let dictionary = Dictionary::tutorial();
/// assert_eq!(dictionary.get("chat"), Some("cat"));
/// assert_eq!(dictionary.get("tables"), None);
/// let nearest = dictionary.nearest("tables");
/// assert_eq!((nearest.key, nearest.value, nearest.distance), ("table", "table", 1));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dictionary {
    entries: Vec<(String, String)>,
}

/// The entry whose key is nearest to a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Nearest<'a> {
    /// Its place in the dictionary.
    pub index: usize,
    /// Its key.
    pub key: &'a str,
    /// Its value.
    pub value: &'a str,
    /// Insertions, deletions and replacements of a character between the word and the key
    /// (Levenshtein's distance).
    pub distance: usize,
}

impl Dictionary {
    /// The dictionary of these pairs.
    ///
    /// # Errors
    /// [`Error::EmptyDictionary`]; [`Error::DuplicateKey`].
    pub fn new<K: Into<String>, V: Into<String>>(
        pairs: impl IntoIterator<Item = (K, V)>,
    ) -> Result<Self> {
        let mut entries: Vec<(String, String)> = Vec::new();
        for (key, value) in pairs {
            let (key, value) = (key.into(), value.into());
            if let Some((_, first)) = entries.iter().find(|(known, _)| *known == key) {
                let (first, second) = (first.clone(), value);
                return Err(Error::DuplicateKey { key, first, second });
            }
            entries.push((key, value));
        }
        if entries.is_empty() {
            return Err(Error::EmptyDictionary);
        }
        Ok(Self { entries })
    }

    /// The tutorial's dictionary: le, chat, est, sous, la, table.
    #[must_use]
    pub fn tutorial() -> Self {
        let entries = TUTORIAL.map(|(key, value)| (key.to_owned(), value.to_owned()));
        Self {
            entries: entries.into(),
        }
    }

    /// Number of entries, at least one.
    #[must_use]
    #[expect(clippy::len_without_is_empty, reason = "none is ever empty")]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Keys with their values, in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&str, &str)> {
        self.entries.iter().map(|(k, v)| (k.as_str(), v.as_str()))
    }

    /// The keys, in order.
    pub fn keys(&self) -> impl ExactSizeIterator<Item = &str> {
        self.iter().map(|(key, _)| key)
    }

    /// The values, in the order of their keys; a value may occur twice.
    pub fn values(&self) -> impl ExactSizeIterator<Item = &str> {
        self.iter().map(|(_, value)| value)
    }

    /// The value of exactly this word, if it is a key.
    #[must_use]
    pub fn get(&self, word: &str) -> Option<&str> {
        // lesson: begin exact
        self.iter()
            .find(|&(key, _)| key == word)
            .map(|(_, value)| value)
        // lesson: end
    }

    /// [`Nearest::distance`] of every key from `word`, in order.
    #[must_use]
    pub fn distances(&self, word: &str) -> Vec<usize> {
        self.keys()
            .map(|key| strsim::levenshtein(word, key))
            .collect()
    }

    /// The entry with the nearest key, the first if there are several.
    #[must_use]
    pub fn nearest(&self, word: &str) -> Nearest<'_> {
        // lesson: begin nearest
        let (mut index, mut distance) = (0, usize::MAX);
        for (i, key) in self.keys().enumerate() {
            let found = strsim::levenshtein(word, key);
            if found < distance {
                (index, distance) = (i, found);
            }
        }
        // lesson: end
        let (key, value) = &self.entries[index];
        Nearest {
            index,
            key,
            value,
            distance,
        }
    }

    /// The words that have no entry, each once, in order.
    #[must_use]
    pub fn without_entry<'a>(&self, words: &[&'a str]) -> Vec<&'a str> {
        let mut unknown = Vec::new();
        for &word in words {
            if self.get(word).is_none() && !unknown.contains(&word) {
                unknown.push(word);
            }
        }
        unknown
    }

    /// The error for a text with words that have no entry: it names each.
    pub(crate) fn unknown(&self, words: &[&str]) -> Error {
        let unknown = self.without_entry(words).into_iter().map(|word| Unknown {
            word: word.to_owned(),
            position: 1 + words.iter().position(|&w| w == word).unwrap_or_default(),
            nearest: Some(self.nearest(word).key.to_owned()),
        });
        Error::UnknownWords {
            unknown: UnknownWords(unknown.collect()),
            known: self.keys().collect::<Vec<_>>().join(", "),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_of_equally_near_keys_is_taken() {
        let dictionary = Dictionary::tutorial();
        // "lu" is one replacement from both "le" and "la".
        assert_eq!(dictionary.nearest("lu").key, "le");
        assert_eq!(dictionary.distances("tables"), [4, 6, 5, 5, 5, 1]);
    }

    #[test]
    fn letters_are_counted_not_bytes() {
        let dictionary = Dictionary::new([("été", "summer")]).unwrap();
        assert_eq!(dictionary.nearest("ete").distance, 2);
    }

    #[test]
    fn a_key_has_one_value() {
        let twice = Dictionary::new([("le", "the"), ("le", "it")]).unwrap_err();
        assert_eq!(
            twice.to_string(),
            "the key `le` occurs twice in the dictionary: for `the` and for `it`"
        );
        let none = Dictionary::new(Vec::<(&str, &str)>::new());
        assert!(matches!(none, Err(Error::EmptyDictionary)));
    }
}
