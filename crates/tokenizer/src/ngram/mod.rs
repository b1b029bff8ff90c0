//! Words, and sub-words for the words that are too rare: the PyPI package `bpe` 1.0, id for id.
//!
//! | file | holds |
//! |---|---|
//! | `options.rs` | the settings and the sizes that follow from them |
//! | `split.rs`, `unicode.rs`, `tables.rs` | lower case and the cutting rule, as in Python |
//! | `fit.rs` | counting words and n-grams |
//! | `encode.rs`, `pieces.rs` | text to ids |
//! | `decode.rs` | ids to text, by rows as in the package and by steps for language models |
//! | `json.rs`, `file.rs` | the package's JSON; our own file |
//! | `names.rs` | lists of distinct strings, for all of them |

mod decode;
mod encode;
mod file;
mod fit;
mod json;
mod names;
mod options;
mod pieces;
mod split;
mod tables;
mod unicode;

use std::fmt;

pub(crate) use json::is_python;
pub use options::{LINE, NgramOptions};

use crate::error::{Error, Result};
use crate::tokenizer::Tokenizer;
use names::{MOST, Names};
use pieces::Pieces;

/// A tokenizer whose tokens are frequent words and, for all other words, short pieces of them: the
/// PyPI package `bpe` 1.0, whose ids it reproduces.
///
/// # The rule
///
/// Text is put in lower case and cut into runs of word characters and runs of other marks (NLTK's
/// `wordpunct`, `\w+|[^\w\s]+`); white space separates and is dropped. A word of the vocabulary is
/// one id. Any other word is the mark `__sow`, its pieces, and the mark `__eow`; pieces are cut
/// from the left, the longest known sub-word first, and a character that starts none is `__unk`. A
/// piece that is also a word has the word's id.
///
/// Fitting keeps the most frequent words (`vocab_size * (1 - pct_bpe)` of them, required tokens
/// first). It then counts the single characters and n-grams of the words left out and keeps the
/// most frequent of these. Equally frequent ones keep their order in the text. Sub-words are
/// numbered from where the words *could* end: a text with few words leaves a gap of unused ids. A
/// language model would have a row of weights for each of them, so with [`NgramOptions::lines`]
/// sub-words follow the last word.
///
/// Word characters, white space and lower case are those of Python 3.11 (Unicode 14.0), whatever
/// compiler built this crate. NLTK up to 3.9 cuts by Python's `re`, as this crate does. NLTK 3.10
/// moved to the package `regex`, whose `\w` matches combining marks too, and cuts such texts
/// differently.
///
/// # Differences for language models
///
/// [`transform`](Self::transform), [`inverse_transform`](Self::inverse_transform) and
/// [`tokenize`](Self::tokenize) are the package's methods and behave like them; sentences lose
/// their white space. As a [`Tokenizer`] it does the same to one text, unless
/// [`NgramOptions::lines`] makes it a tokenizer for language models. Each line end is then the
/// token [`LINE`], and text that spells [`LINE`], `__unk` or `__pad` is cut into pieces instead of
/// encoding to these tokens.
///
/// # What is lost
///
/// With `lines`, `decode(encode(text)) == normalize(text)` exactly if no character became `__unk`
/// (see [`normalize`](Self::normalize)): lower case, and single spaces between all tokens, also
/// before a full stop. Without `lines`, the text must also not spell `__sow` or `__eow`, and both
/// must have ids of their own, which they lack if fewer than 2 ids are left for sub-words.
///
/// An id in the gap has no token; it decodes like `__unk`.
///
/// ```
/// use latimer_tokenizer::{NgramOptions, NgramTokenizer, Tokenizer};
///
/// let lines = ["Speak, speak.", "We hear none but thee speak."];
/// let options = NgramOptions { vocab_size: 40, pct_bpe: 0.8, ..NgramOptions::default() };
/// let tokenizer = NgramTokenizer::fit_with(lines, options)?;
/// assert_eq!(
///     tokenizer.words().collect::<Vec<_>>(),
///     [("__unk", 0), ("__pad", 1), ("speak", 2), (".", 3), (",", 4), ("we", 5), ("hear", 6)]
/// );
/// assert_eq!(tokenizer.subwords().next(), Some(("__sow", 7)));
/// assert_eq!(
///     tokenizer.tokenize("Speak then"),
///     ["speak", "__sow", "th", "e", "n", "__eow"]
/// );
/// let rows = tokenizer.transform(&["Speak then"], false, None);
/// assert_eq!(tokenizer.inverse_transform(&rows)?, ["speak then"]);
///
/// let options = NgramOptions::language_model(40);
/// let model = NgramTokenizer::fit_with(lines, options)?;
/// let ids = model.encode("Speak!\nHear none but thee.\n")?;
/// assert_eq!(model.decode(&ids)?, "speak __unk\nhear none but thee .\n");
/// # Ok::<(), latimer_tokenizer::Error>(())
/// ```
#[derive(Clone)]
pub struct NgramTokenizer {
    options: NgramOptions,
    /// The words, indexed by id.
    words: Names,
    /// The sub-words, indexed by id minus `first_subword`.
    subwords: Names,
    first_subword: u32,
    pieces: Pieces,
    /// The id of each sub-word as a piece, which is the word's id if it is a word too.
    piece_ids: Vec<u32>,
    unk: u32,
    pad: u32,
    /// The ids of the marks in encoded text.
    sow: u32,
    eow: u32,
    line: Option<u32>,
}

impl NgramTokenizer {
    /// The `"kind"` in files.
    pub const KIND: &'static str = "ngram";

    /// Fits a tokenizer to these lines, with the package's settings.
    ///
    /// # Errors
    ///
    /// None for any text; see [`fit_with`](Self::fit_with).
    pub fn fit<S: AsRef<str>>(lines: impl IntoIterator<Item = S>) -> Result<Self> {
        Self::fit_with(lines, NgramOptions::default())
    }

    /// Fits a tokenizer to these lines. An item may hold several lines: a line end is white space.
    ///
    /// # Errors
    ///
    /// [`Setting`](Error::Setting) for settings outside their range;
    /// [`VocabularyTooLarge`](Error::VocabularyTooLarge) if ids would not fit 31 bits or, with
    /// [`lines`](NgramOptions::lines), if there is no room for the required tokens and the marks.
    pub fn fit_with<S: AsRef<str>>(
        lines: impl IntoIterator<Item = S>,
        options: NgramOptions,
    ) -> Result<Self> {
        options.check()?;
        let (word_size, subword_size) = options.sizes();
        // The package accepts vocabularies too small for its own marks; a model needs the marks.
        if options.lines && subword_size < 2 {
            return Err(Error::VocabularyTooLarge {
                found: usize::try_from(word_size).map_or(MOST, |words| words.saturating_add(2)),
                max: options.vocab_size,
                hint: "raise max_vocab_size, so that all required tokens and two marks have ids",
            });
        }
        let first_subword = usize::try_from(word_size).unwrap_or(usize::MAX);
        if first_subword >= MOST {
            return Err(too_many_ids(first_subword));
        }
        let (words, subwords) = fit::fit(lines, &options);
        let first_subword = match options.lines {
            true => words.len(),
            false => first_subword,
        };
        Self::from_parts(options, words, subwords, first_subword)
    }

    /// Makes a tokenizer from its parts. `words` and `subwords` are in the order of their ids.
    fn from_parts(
        options: NgramOptions,
        words: Names,
        subwords: Names,
        first_subword: usize,
    ) -> Result<Self> {
        options.check()?;
        let end = first_subword.saturating_add(subwords.len());
        if end >= MOST {
            return Err(too_many_ids(end));
        }
        if first_subword < words.len() {
            return Err(Error::ScatteredId {
                vocabulary: "sub-words",
                token: subwords.get(0).unwrap_or_default().to_owned(),
                id: first_subword.to_string(),
                expected: words.len(),
            });
        }
        let first_subword = first_subword as u32; // below MOST
        let word = |token: &str| {
            words.find(token).ok_or_else(|| Error::MissingToken {
                token: token.to_owned(),
                kind: Self::KIND,
            })
        };
        let (unk, pad) = (word(&options.unk)?, word(&options.pad)?);
        let line = options.lines.then(|| word(LINE)).transpose()?;
        let subword = |token: &str| subwords.find(token).map(|number| first_subword + number);
        let mark = |token: &str| {
            let word = words.find(token).filter(|_| !options.lines);
            word.or_else(|| subword(token)).unwrap_or(unk)
        };
        let (sow, eow) = (mark(&options.sow), mark(&options.eow));
        let piece_ids = (first_subword..)
            .zip(subwords.iter())
            .map(|(id, subword)| words.find(subword).unwrap_or(id))
            .collect();
        Ok(Self {
            pieces: Pieces::new(&subwords, options.ngram_max),
            options,
            words,
            subwords,
            first_subword,
            piece_ids,
            unk,
            pad,
            sow,
            eow,
            line,
        })
    }

    /// The same vocabulary as a language model's tokenizer, with [`NgramOptions::lines`].
    ///
    /// # Errors
    ///
    /// [`MissingToken`](Error::MissingToken) if [`LINE`] is not among the words: it has to be a
    /// required token when fitting.
    pub fn with_lines(self) -> Result<Self> {
        let options = NgramOptions {
            lines: true,
            ..self.options
        };
        let first = self.first_subword as usize;
        Self::from_parts(options, self.words, self.subwords, first)
    }

    /// The settings it was made with.
    #[must_use]
    pub fn options(&self) -> &NgramOptions {
        &self.options
    }

    /// The words with their ids, in the order of the ids.
    pub fn words(&self) -> impl DoubleEndedIterator<Item = (&str, u32)> + ExactSizeIterator {
        self.words
            .iter()
            .enumerate()
            .map(|(id, word)| (word, id as u32))
    }

    /// The sub-words with their ids, in the order of the ids.
    pub fn subwords(&self) -> impl DoubleEndedIterator<Item = (&str, u32)> + ExactSizeIterator {
        self.subwords
            .iter()
            .enumerate()
            .map(|(number, subword)| (subword, self.first_subword + number as u32))
    }

    /// The id of a word, if it has one.
    #[must_use]
    pub fn word_id(&self, word: &str) -> Option<u32> {
        self.words.find(word)
    }

    /// The id of a sub-word, if it has one. As a piece of a word, a sub-word that is a word too has
    /// the word's id.
    #[must_use]
    pub fn subword_id(&self, subword: &str) -> Option<u32> {
        let number = self.subwords.find(subword)?;
        Some(self.first_subword + number)
    }

    /// The string of an id and whether it is a sub-word; `None` if the id has no token.
    fn token(&self, id: u32) -> Option<(&str, bool)> {
        if let Some(number) = id.checked_sub(self.first_subword) {
            Some((self.subwords.get(number as usize)?, true))
        } else {
            Some((self.words.get(id as usize)?, false))
        }
    }
}

fn too_many_ids(found: usize) -> Error {
    Error::VocabularyTooLarge {
        found,
        max: MOST - 1,
        hint: "ids have 31 bits",
    }
}

impl Tokenizer for NgramTokenizer {
    fn kind(&self) -> &'static str {
        Self::KIND
    }

    /// One more than the largest id, unused ids before the first sub-word included.
    fn vocab_size(&self) -> usize {
        match self.subwords.len() {
            0 => self.words.len(),
            subwords => self.first_subword as usize + subwords,
        }
    }

    fn encode_into(&self, text: &str, ids: &mut Vec<u32>) -> Result<()> {
        self.encode_text(text, ids);
        Ok(())
    }

    fn decode_next(&self, previous: Option<u32>, id: u32, bytes: &mut Vec<u8>) -> Result<()> {
        let step = self.step(previous, id)?;
        if step.spaced {
            bytes.push(b' ');
        }
        bytes.extend_from_slice(step.text.as_bytes());
        Ok(())
    }

    fn remember(&self, previous: Option<u32>, id: u32) -> u32 {
        self.step(previous, id).map_or(id, |step| step.after)
    }

    fn decode_into(&self, ids: &[u32], bytes: &mut Vec<u8>) -> Result<()> {
        self.decode_text(ids, bytes)
    }

    fn cut(&self, text: &str) -> usize {
        // No word contains either character, and the lower case of a letter does not depend on what
        // follows them.
        text.rfind([' ', '\n']).map_or(0, |at| at + 1)
    }

    fn is_lossless(&self) -> bool {
        false
    }

    /// The ids of required tokens and of the marks.
    fn special(&self, name: &str) -> Option<u32> {
        if self.options.required().contains(&name) {
            return self.word_id(name);
        }
        let is_mark = name == self.options.sow || name == self.options.eow;
        self.subword_id(name).filter(|_| is_mark)
    }

    /// The token as the vocabulary spells it, also for [`LINE`].
    fn token_bytes(&self, id: u32) -> Option<&[u8]> {
        self.token(id).map(|(text, _)| text.as_bytes())
    }

    fn to_json(&self) -> String {
        self.to_file()
    }
}

impl fmt::Debug for NgramTokenizer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NgramTokenizer")
            .field("options", &self.options)
            .field("words", &self.words.len())
            .field("first_subword", &self.first_subword)
            .field("subwords", &self.subwords.len())
            .finish_non_exhaustive()
    }
}
