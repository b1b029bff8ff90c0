//! One token a word: a small language in short sequences.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use crate::error::{Error, Place, Result, nearest};
use crate::file::{Fields, write_json};
use crate::split::{is_token, join, spaced, split};
use crate::tokenizer::Tokenizer;

/// The name of the token that stands for every unknown word, if the tokenizer has one.
pub const UNKNOWN: &str = "__unk";

/// A tokenizer whose tokens are words, punctuation marks and line ends.
///
/// # The rule
///
/// White space separates tokens; a line end (`\n`) is itself a token. The marks `. , ; : ! ?` at
/// the end of a word are tokens; a word is cut after each apostrophe (`'` or `’`), so French
/// elision makes two tokens, `l'` and `eau`. Everything else stays whole: `=`, `est-il`, `3.14`,
/// `(or`. Case is kept.
///
/// Decoding puts one space between two tokens, except around a line end, after a token that ends in
/// an apostrophe, and before one of the six marks.
///
/// # What is lost
///
/// `decode(encode(text)) == WordTokenizer::normalize(text)` for every text of known words. That is
/// `text` itself exactly when it is in *normal form*: the only white space is single spaces within
/// lines and `\n`; no line starts or ends with a space; no space follows an apostrophe (`the dogs'
/// bones` loses one); no space stands before a run made only of the six marks (`Quoi ?` becomes
/// `Quoi?`).
///
/// # Unknown words
///
/// An unknown word is an error that names the nearest known one, unless [`WordOptions::unknown`]
/// asked for the token [`UNKNOWN`]; that token is then the last id and decodes as `__unk`.
///
/// ```
/// use latimer_tokenizer::{Tokenizer, WordTokenizer};
///
/// let tokenizer = WordTokenizer::fit("le chat est sous la table = the cat is under the table\n")?;
/// let ids = tokenizer.encode("la table est sous le chat\n")?;
/// assert_eq!(ids.len(), 7);
/// assert_eq!(tokenizer.decode(&ids)?, "la table est sous le chat\n");
/// assert_eq!(
///     tokenizer.encode("le chat est sous les tables").unwrap_err().to_string(),
///     "unknown word \"les\" at line 1, column 18: the nearest known one is \"le\""
/// );
/// # Ok::<(), latimer_tokenizer::Error>(())
/// ```
#[derive(Clone)]
pub struct WordTokenizer {
    /// The words, indexed by id; `UNKNOWN`, if present, comes last.
    words: Vec<Arc<str>>,
    /// The id of each word except `UNKNOWN`, which no text may name.
    ids: HashMap<Arc<str>, u32>,
    unknown: Option<u32>,
}

/// How [`WordTokenizer::fit_with`] makes a vocabulary. The default: every word, no unknown token.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct WordOptions {
    /// The most ids, `UNKNOWN` included. With `unknown`, the rarest words beyond it are left out
    /// (of equally frequent ones the last in the alphabet); without `unknown`, having more words is
    /// an error.
    pub max_vocab_size: Option<usize>,
    /// Whether words without an id encode as [`UNKNOWN`].
    pub unknown: bool,
}

impl WordTokenizer {
    /// The `"kind"` in files.
    pub const KIND: &'static str = "word";

    /// Fits a tokenizer to the words of `text`, numbered in the order of their code points.
    ///
    /// # Errors
    ///
    /// [`EmptyVocabulary`](Error::EmptyVocabulary) if the text has no word.
    pub fn fit(text: &str) -> Result<Self> {
        Self::fit_iter([text])
    }

    /// Fits a tokenizer to the words of several texts; their order does not matter.
    ///
    /// # Errors
    ///
    /// As [`fit`](Self::fit).
    pub fn fit_iter<S: AsRef<str>>(texts: impl IntoIterator<Item = S>) -> Result<Self> {
        Self::fit_with(texts, WordOptions::default())
    }

    /// As [`fit_iter`](Self::fit_iter), with a limit or an unknown token.
    ///
    /// # Errors
    ///
    /// [`EmptyVocabulary`](Error::EmptyVocabulary) if no word is found or left;
    /// [`VocabularyTooLarge`](Error::VocabularyTooLarge) if there are too many and no unknown
    /// token.
    pub fn fit_with<S: AsRef<str>>(
        texts: impl IntoIterator<Item = S>,
        options: WordOptions,
    ) -> Result<Self> {
        let mut counts: HashMap<Box<str>, u64> = HashMap::new();
        for text in texts {
            for (_, word) in split(text.as_ref()) {
                match counts.get_mut(word) {
                    Some(count) => *count += 1,
                    None => {
                        counts.insert(word.into(), 1);
                    }
                }
            }
        }
        if options.unknown {
            counts.remove(UNKNOWN);
        }
        let mut counts: Vec<(Box<str>, u64)> = counts.into_iter().collect();
        let max = options.max_vocab_size.unwrap_or(usize::MAX);
        if options.unknown {
            counts.sort_unstable_by(|(a, n), (b, m)| m.cmp(n).then_with(|| a.cmp(b)));
            counts.truncate(max.saturating_sub(1));
        } else if counts.len() > max {
            return Err(Error::VocabularyTooLarge {
                found: counts.len(),
                max,
                hint: "raise max_vocab_size, or add an unknown token",
            });
        }
        let mut words: Vec<Box<str>> = counts.into_iter().map(|(word, _)| word).collect();
        words.sort_unstable();
        Self::from_vocab(words, options.unknown)
    }

    /// Makes the tokenizer of these words, sorted and without repeats, as in the tutorial's
    /// dictionary.
    ///
    /// ```
    /// use latimer_tokenizer::{Tokenizer, WordTokenizer};
    ///
    /// let french = WordTokenizer::from_words(["le", "chat", "est", "sous", "la", "table"])?;
    /// let words: Vec<&str> = french.words().collect();
    /// assert_eq!(words, ["chat", "est", "la", "le", "sous", "table"]);
    /// # Ok::<(), latimer_tokenizer::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`EmptyVocabulary`](Error::EmptyVocabulary); [`NotAToken`](Error::NotAToken) for an entry
    /// that the rule would cut further, such as `l'eau`.
    pub fn from_words<S: AsRef<str>>(words: impl IntoIterator<Item = S>) -> Result<Self> {
        let mut words: Vec<Box<str>> = words.into_iter().map(|word| word.as_ref().into()).collect();
        words.sort_unstable();
        words.dedup();
        Self::from_vocab(words, false)
    }

    /// Numbers `vocab` in the order given, then `UNKNOWN`.
    fn from_vocab<S: AsRef<str>>(vocab: Vec<S>, unknown: bool) -> Result<Self> {
        if vocab.is_empty() {
            return Err(Error::EmptyVocabulary { kind: Self::KIND });
        }
        if vocab.len() >= u32::MAX as usize {
            return Err(Error::VocabularyTooLarge {
                found: vocab.len(),
                max: u32::MAX as usize - 1,
                hint: "ids have 32 bits",
            });
        }
        let mut words: Vec<Arc<str>> = Vec::with_capacity(vocab.len() + 1);
        let mut ids = HashMap::with_capacity(vocab.len());
        for (id, word) in (0u32..).zip(&vocab) {
            let word: Arc<str> = word.as_ref().into();
            let not_a_token = |expected| Error::NotAToken {
                token: word.to_string(),
                kind: Self::KIND,
                expected,
            };
            if !is_token(&word) {
                return Err(not_a_token("one word, mark or line end"));
            }
            if unknown && *word == *UNKNOWN {
                return Err(not_a_token("distinct from the unknown token"));
            }
            if let Some(first) = ids.insert(Arc::clone(&word), id) {
                return Err(Error::DuplicateToken {
                    token: word.to_string(),
                    first: first as usize,
                    second: id as usize,
                });
            }
            words.push(word);
        }
        let unknown = unknown.then_some(words.len() as u32);
        if unknown.is_some() {
            words.push(UNKNOWN.into());
        }
        Ok(Self {
            words,
            ids,
            unknown,
        })
    }

    pub(crate) fn from_fields(fields: &Fields) -> Result<Self> {
        fields.only(&["unknown", "vocab"])?;
        Self::from_vocab(fields.strings("vocab")?, fields.flag("unknown")?)
    }

    /// The tokens that the rule cuts from `text`, known or not.
    pub fn split(text: &str) -> impl Iterator<Item = &str> {
        split(text).map(|(_, word)| word)
    }

    /// `text` in normal form: cut by the rule and joined again.
    #[must_use]
    pub fn normalize(text: &str) -> String {
        join(Self::split(text))
    }

    /// The tokens in the order of their ids.
    pub fn words(&self) -> impl Iterator<Item = &str> {
        self.words.iter().map(|word| &**word)
    }

    /// The id of a token. `None` if it is unknown, even if [`UNKNOWN`] stands for it.
    #[must_use]
    pub fn id(&self, word: &str) -> Option<u32> {
        self.ids.get(word).copied()
    }

    /// The token of an id; `None` if the id does not exist.
    #[must_use]
    pub fn word(&self, id: u32) -> Option<&str> {
        self.words.get(id as usize).map(|word| &**word)
    }

    fn known(&self, id: u32) -> Result<&str> {
        self.word(id).ok_or(Error::UnknownId {
            id,
            vocab_size: self.words.len(),
        })
    }
}

impl Tokenizer for WordTokenizer {
    fn kind(&self) -> &'static str {
        Self::KIND
    }

    fn vocab_size(&self) -> usize {
        self.words.len()
    }

    fn encode_into(&self, text: &str, ids: &mut Vec<u32>) -> Result<()> {
        let kept = ids.len();
        for (byte, word) in split(text) {
            let Some(id) = self.id(word).or(self.unknown) else {
                ids.truncate(kept);
                return Err(Error::UnknownWord {
                    word: word.to_owned(),
                    place: Place::new(text, byte),
                    nearest: nearest(word, self.words()).map(str::to_owned),
                    vocab_size: self.words.len(),
                });
            };
            ids.push(id);
        }
        Ok(())
    }

    fn decode_next(&self, previous: Option<u32>, id: u32, bytes: &mut Vec<u8>) -> Result<()> {
        let word = self.known(id)?;
        if let Some(previous) = previous
            && spaced(self.known(previous)?, word)
        {
            bytes.push(b' ');
        }
        bytes.extend_from_slice(word.as_bytes());
        Ok(())
    }

    fn cut(&self, text: &str) -> usize {
        // No token contains white space, except the line end, which is a token itself.
        text.char_indices()
            .rev()
            .find(|(_, c)| c.is_whitespace())
            .map_or(0, |(at, c)| at + c.len_utf8())
    }

    fn is_lossless(&self) -> bool {
        false
    }

    fn special(&self, name: &str) -> Option<u32> {
        self.unknown.filter(|_| name == UNKNOWN)
    }

    fn token_bytes(&self, id: u32) -> Option<&[u8]> {
        self.word(id).map(str::as_bytes)
    }

    fn to_json(&self) -> String {
        let unknown = self.unknown.is_some();
        write_json(
            Self::KIND,
            &[("unknown", unknown)],
            self.words().take(self.ids.len()),
        )
    }
}

impl fmt::Debug for WordTokenizer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WordTokenizer")
            .field("vocab_size", &self.words.len())
            .field("unknown", &self.unknown)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINES: &str = "le chat est sous la table = the cat is under the table\n\
                         l'eau n'est pas froide = the water is not cold\n";

    #[test]
    fn ids_are_sorted_and_line_ends_come_first() {
        let t = WordTokenizer::fit(LINES).unwrap();
        let words: Vec<&str> = t.words().collect();
        assert!(words.is_sorted());
        assert_eq!(&words[..3], ["\n", "=", "cat"]);
        assert_eq!(t.id("\n"), Some(0));
        assert_eq!(
            t.id("l'"),
            Some(words.iter().position(|w| *w == "l'").unwrap() as u32)
        );
        assert_eq!(t.decode(&t.encode(LINES).unwrap()).unwrap(), LINES);
        assert_eq!(t.special(UNKNOWN), None);
        assert!(!t.is_lossless());
    }

    #[test]
    fn the_limit_needs_an_unknown_token() {
        let text = "b b b a a c d";
        let fit = |max, unknown| {
            WordTokenizer::fit_with(
                [text],
                WordOptions {
                    max_vocab_size: Some(max),
                    unknown,
                },
            )
        };
        assert!(matches!(
            fit(3, false),
            Err(Error::VocabularyTooLarge {
                found: 4,
                max: 3,
                ..
            })
        ));
        assert_eq!(fit(4, false).unwrap().vocab_size(), 4);
        // The most frequent words stay, `c` before `d`, and the ids are still sorted.
        let t = fit(4, true).unwrap();
        assert_eq!(t.words().collect::<Vec<_>>(), ["a", "b", "c", UNKNOWN]);
        assert_eq!(t.encode("a d e b").unwrap(), [0, 3, 3, 1]);
        assert_eq!(t.decode(&[0, 3]).unwrap(), "a __unk");
        assert_eq!(t.special(UNKNOWN), Some(3));
        for none_left in [0, 1] {
            assert!(matches!(
                fit(none_left, true),
                Err(Error::EmptyVocabulary { kind: "word" })
            ));
        }
        assert_eq!(fit(99, true).unwrap().vocab_size(), 5);
    }

    #[test]
    fn text_cannot_name_the_unknown_token() {
        let asked = WordOptions {
            max_vocab_size: None,
            unknown: true,
        };
        let t = WordTokenizer::fit_with(["a __unk b"], asked).unwrap();
        assert_eq!(t.words().collect::<Vec<_>>(), ["a", "b", UNKNOWN]);
        assert_eq!(t.id(UNKNOWN), None);
        // Without the special token, `__unk` is a word like any other.
        let t = WordTokenizer::fit("a __unk b").unwrap();
        assert_eq!((t.id(UNKNOWN), t.special(UNKNOWN)), (Some(0), None));
    }

    #[test]
    fn only_tokens_are_words() {
        let error = WordTokenizer::from_words(["chat", "l'eau"]).unwrap_err();
        assert_eq!(
            error.to_string(),
            "\"l'eau\" cannot be in the vocabulary of a word tokenizer: \
             it is not one word, mark or line end"
        );
        assert!(matches!(
            WordTokenizer::from_words([] as [&str; 0]),
            Err(Error::EmptyVocabulary { .. })
        ));
        assert!(matches!(
            WordTokenizer::fit(" \t"),
            Err(Error::EmptyVocabulary { .. })
        ));
    }

    #[test]
    fn unknown_words_are_named() {
        let t = WordTokenizer::fit(LINES).unwrap();
        let mut ids = vec![7];
        let error = t
            .encode_into("le chat\nest sous Tables", &mut ids)
            .unwrap_err();
        assert_eq!(ids, [7]);
        assert_eq!(
            error.to_string(),
            "unknown word \"Tables\" at line 2, column 10: the nearest known one is \"table\""
        );
        assert_eq!(
            t.encode("éléphant").unwrap_err().to_string(),
            format!(
                "unknown word \"éléphant\" at line 1, column 1: this vocabulary has {} words, \
                 learnt from the training text",
                t.vocab_size()
            )
        );
        assert!(matches!(
            t.decode(&[0, 99]),
            Err(Error::UnknownId { id: 99, .. })
        ));
    }
}
