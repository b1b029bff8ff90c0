//! One token a character: the smallest vocabulary that loses nothing.

use std::collections::HashSet;
use std::fmt;

use crate::error::{Error, Place, Result};
use crate::file::{Fields, write_json};
use crate::tokenizer::Tokenizer;

/// A tokenizer whose tokens are single characters (Unicode scalar values, not bytes, not
/// graphemes).
///
/// Fitting numbers the distinct characters of a text in the order of their code points, as
/// nanoGPT's `data/shakespeare_char/prepare.py` does; tiny Shakespeare has 65. Decoding gives back
/// exactly what was encoded. A character that the text did not have is an error: the model has no
/// row for it.
///
/// ```
/// use latimer_tokenizer::{CharTokenizer, Tokenizer};
///
/// let tokenizer = CharTokenizer::fit("First Citizen:\n")?;
/// assert_eq!(tokenizer.decode(&tokenizer.encode("tiniest\n")?)?, "tiniest\n");
///
/// let error = tokenizer.encode("iris née").unwrap_err();
/// assert_eq!(
///     error.to_string(),
///     "unknown character 'é' (U+00E9) at line 1, column 7: \
///      this vocabulary has 12 characters, learnt from the training text"
/// );
/// # Ok::<(), latimer_tokenizer::Error>(())
/// ```
#[derive(Clone)]
pub struct CharTokenizer {
    /// The tokens, indexed by id.
    tokens: Vec<Token>,
    /// The id of each character below [`TABLE`], or [`NONE`]; most texts need no other characters.
    table: [u32; TABLE],
    /// The other characters with their ids, sorted.
    rest: Vec<(char, u32)>,
}

/// Size of the table: Latin-1, the letters of western European text. Results do not depend on it.
const TABLE: usize = 256;
/// Marks a character without an id; a vocabulary of characters is far smaller.
const NONE: u32 = u32::MAX;

/// A character in UTF-8.
#[derive(Clone, Copy)]
struct Token {
    utf8: [u8; 4],
    len: u8,
    character: char,
}

impl Token {
    fn bytes(&self) -> &[u8] {
        &self.utf8[..usize::from(self.len)]
    }
}

impl CharTokenizer {
    /// The `"kind"` in files.
    pub const KIND: &'static str = "char";

    /// The tokenizer of the characters of `text`.
    ///
    /// # Errors
    ///
    /// [`EmptyVocabulary`](Error::EmptyVocabulary) for an empty text.
    pub fn fit(text: &str) -> Result<Self> {
        Self::fit_iter([text])
    }

    /// The tokenizer of the characters of several texts; their order does not matter.
    ///
    /// # Errors
    ///
    /// [`EmptyVocabulary`](Error::EmptyVocabulary) if all are empty.
    pub fn fit_iter<S: AsRef<str>>(texts: impl IntoIterator<Item = S>) -> Result<Self> {
        Self::fit_at_most(texts, usize::MAX)
    }

    /// As [`fit_iter`](Self::fit_iter), refusing a vocabulary of more than `max_vocab_size`
    /// characters.
    ///
    /// # Errors
    ///
    /// [`EmptyVocabulary`](Error::EmptyVocabulary),
    /// [`VocabularyTooLarge`](Error::VocabularyTooLarge).
    pub fn fit_at_most<S: AsRef<str>>(
        texts: impl IntoIterator<Item = S>,
        max_vocab_size: usize,
    ) -> Result<Self> {
        let mut table = [false; TABLE];
        let mut rest = HashSet::new();
        for text in texts {
            for c in text.as_ref().chars() {
                match table.get_mut(c as usize) {
                    Some(seen) => *seen = true,
                    None => {
                        rest.insert(c);
                    }
                }
            }
        }
        let low = ('\0'..)
            .zip(table)
            .filter_map(|(c, seen)| seen.then_some(c));
        let mut chars: Vec<char> = low.chain(rest).collect();
        chars.sort_unstable();
        if chars.len() > max_vocab_size {
            return Err(Error::VocabularyTooLarge {
                found: chars.len(),
                max: max_vocab_size,
                hint: "raise max_vocab_size, or clean the text of its rare characters",
            });
        }
        Self::from_chars(chars)
    }

    /// The tokenizer of these characters, numbered in the order given.
    ///
    /// # Errors
    ///
    /// [`EmptyVocabulary`](Error::EmptyVocabulary), [`DuplicateToken`](Error::DuplicateToken).
    pub fn from_chars(chars: impl IntoIterator<Item = char>) -> Result<Self> {
        let mut tokens = Vec::new();
        let mut table = [NONE; TABLE];
        let mut rest = Vec::new();
        for (id, c) in (0u32..).zip(chars) {
            let mut utf8 = [0; 4];
            let len = c.encode_utf8(&mut utf8).len() as u8; // at most 4
            tokens.push(Token {
                utf8,
                len,
                character: c,
            });
            match table.get_mut(c as usize) {
                Some(slot) if *slot != NONE => return Err(duplicate(c, *slot, id)),
                Some(slot) => *slot = id,
                None => rest.push((c, id)),
            }
        }
        rest.sort_unstable();
        if let Some(pair) = rest.windows(2).find(|pair| pair[0].0 == pair[1].0) {
            return Err(duplicate(pair[0].0, pair[0].1, pair[1].1));
        }
        if tokens.is_empty() {
            return Err(Error::EmptyVocabulary { kind: Self::KIND });
        }
        Ok(Self {
            tokens,
            table,
            rest,
        })
    }

    /// The characters in the order of their ids.
    pub fn chars(&self) -> impl Iterator<Item = char> + '_ {
        self.tokens.iter().map(|token| token.character)
    }

    /// The id of a character, if it has one.
    #[must_use]
    pub fn id(&self, c: char) -> Option<u32> {
        match self.table.get(c as usize) {
            Some(&id) => (id != NONE).then_some(id),
            None => {
                let at = self
                    .rest
                    .binary_search_by_key(&c, |(known, _)| *known)
                    .ok()?;
                Some(self.rest[at].1)
            }
        }
    }

    pub(crate) fn from_fields(fields: &Fields) -> Result<Self> {
        fields.only(&["vocab"])?;
        let one = |token: &str| {
            let mut chars = token.chars();
            match (chars.next(), chars.next()) {
                (Some(c), None) => Ok(c),
                _ => Err(Error::NotAToken {
                    token: token.to_owned(),
                    kind: Self::KIND,
                    expected: "one character",
                }),
            }
        };
        let chars: Result<Vec<char>> = fields.strings("vocab")?.into_iter().map(one).collect();
        Self::from_chars(chars?)
    }

    fn token(&self, id: u32) -> Result<&Token> {
        self.tokens.get(id as usize).ok_or(Error::UnknownId {
            id,
            vocab_size: self.tokens.len(),
        })
    }
}

fn duplicate(c: char, first: u32, second: u32) -> Error {
    Error::DuplicateToken {
        token: c.into(),
        first: first as usize,
        second: second as usize,
    }
}

impl Tokenizer for CharTokenizer {
    fn kind(&self) -> &'static str {
        Self::KIND
    }

    fn vocab_size(&self) -> usize {
        self.tokens.len()
    }

    fn encode_into(&self, text: &str, ids: &mut Vec<u32>) -> Result<()> {
        let kept = ids.len();
        ids.reserve(text.len()); // exact for ASCII
        for (byte, c) in text.char_indices() {
            let Some(id) = self.id(c) else {
                ids.truncate(kept);
                return Err(Error::UnknownCharacter {
                    character: c,
                    place: Place::new(text, byte),
                    vocab_size: self.tokens.len(),
                });
            };
            ids.push(id);
        }
        Ok(())
    }

    fn decode_next(&self, previous: Option<u32>, id: u32, bytes: &mut Vec<u8>) -> Result<()> {
        if let Some(previous) = previous {
            self.token(previous)?;
        }
        bytes.extend_from_slice(self.token(id)?.bytes());
        Ok(())
    }

    fn cut(&self, text: &str) -> usize {
        text.len()
    }

    fn is_lossless(&self) -> bool {
        true
    }

    fn special(&self, _name: &str) -> Option<u32> {
        None
    }

    fn token_bytes(&self, id: u32) -> Option<&[u8]> {
        self.tokens.get(id as usize).map(Token::bytes)
    }

    fn to_json(&self) -> String {
        let vocab: Vec<String> = self.chars().map(String::from).collect();
        write_json(Self::KIND, &[], vocab.iter().map(String::as_str))
    }
}

impl fmt::Debug for CharTokenizer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let chars: String = self.chars().collect();
        f.debug_struct("CharTokenizer")
            .field("chars", &chars)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_follow_code_points() {
        let t = CharTokenizer::fit("ba\né€ab").unwrap();
        assert_eq!(t.chars().collect::<String>(), "\nabé€");
        assert_eq!(t.encode("€a\n").unwrap(), [4, 1, 0]);
        assert_eq!(t.token_bytes(3), Some("é".as_bytes()));
        assert_eq!(t.token_bytes(5), None);
        assert_eq!(t.special("__unk"), None);
        assert!(t.is_lossless());
    }

    #[test]
    fn several_texts_are_one_vocabulary() {
        let one = CharTokenizer::fit_iter(["ab", "", "ca"]).unwrap();
        assert_eq!(one.to_json(), CharTokenizer::fit("abca").unwrap().to_json());
        assert!(matches!(
            CharTokenizer::fit_iter(["", ""]),
            Err(Error::EmptyVocabulary { kind: "char" })
        ));
        assert!(matches!(
            CharTokenizer::fit_at_most(["abc"], 2),
            Err(Error::VocabularyTooLarge {
                found: 3,
                max: 2,
                ..
            })
        ));
        assert_eq!(
            CharTokenizer::fit_at_most(["abc"], 3).unwrap().vocab_size(),
            3
        );
    }

    #[test]
    fn repeats_are_refused_below_and_above_the_table() {
        for (text, first, second) in [("aba", 0, 2), ("x→y→", 1, 3)] {
            match CharTokenizer::from_chars(text.chars()) {
                Err(Error::DuplicateToken {
                    first: f,
                    second: s,
                    ..
                }) => {
                    assert_eq!((f, s), (first, second));
                }
                other => panic!("{text}: {other:?}"),
            }
        }
    }

    #[test]
    fn an_error_leaves_the_output_as_it_was() {
        let t = CharTokenizer::fit("ab").unwrap();
        let mut ids = vec![7];
        assert!(t.encode_into("abc", &mut ids).is_err());
        assert_eq!(ids, [7]);
        let mut bytes = b"x".to_vec();
        let error = t.decode_into(&[0, 1, 2], &mut bytes).unwrap_err();
        assert_eq!(bytes, b"x");
        assert_eq!(
            error.to_string(),
            "unknown token id 2: this vocabulary has 2 tokens, numbered from 0"
        );
    }
}
