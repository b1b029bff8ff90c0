//! The tutorial's translators, in order: each can answer what the one before could not.
//!
//! A text is first converted to the dictionaries' spelling, and the answer back to the text's style
//! ([`Sentence`]). This is the same for all translators.
//!
//! | method | a word is found by | a word it does not know |
//! |---|---|---|
//! | [`ExactTranslator`] | its letters | an error |
//! | [`FuzzyTranslator`] | the fewest edits | becomes the nearest key |
//! | [`MatrixTranslator`] | `q·Kᵀ·V` | an error: it has no one-hot vector |
//! | [`SoftmaxTranslator`] | `softmax(q·Kᵀ)·V`, word by word | the nearest key, more weakly |
//! | [`AttentionTranslator`] | `softmax(Q·Kᵀ)·V`, all at once | the same |
//! | [`HeadTranslator`] | learned maps of its spelling | whatever the maps make of it |
//! | [`GptTranslator`] | everything before it | an error, or pieces that the tokenizer knows |

mod by_head;
mod by_matrices;
mod by_words;
mod gpt;
mod remark;
mod sentence;

pub use by_head::HeadTranslator;
pub use by_matrices::{AttentionTranslator, MatrixTranslator, SoftmaxTranslator};
pub use by_words::{ExactTranslator, FuzzyTranslator};
pub use gpt::GptTranslator;
pub use remark::{Remark, Unsure};
pub use sentence::Sentence;

pub(crate) use remark::list;
pub(crate) use sentence::joined;

use crate::{Error, Part, Result};

/// The name of a translator.
///
/// ```
/// use latimer_lessons::Method;
///
/// let names: Vec<&str> = Method::ALL.into_iter().map(Method::name).collect();
/// assert_eq!(names.join(" "), "exact fuzzy matrix softmax attention head gpt");
/// assert_eq!(Method::from_name("head"), Some(Method::Head));
/// assert!(Method::Head.has_sharpness() && !Method::Gpt.has_sharpness());
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Method {
    /// [`ExactTranslator`].
    Exact,
    /// [`FuzzyTranslator`].
    Fuzzy,
    /// [`MatrixTranslator`].
    Matrix,
    /// [`SoftmaxTranslator`].
    Softmax,
    /// [`AttentionTranslator`].
    Attention,
    /// [`HeadTranslator`].
    Head,
    /// [`GptTranslator`].
    Gpt,
}

impl Method {
    /// All methods, in the tutorial's order.
    pub const ALL: [Self; 7] = [
        Self::Exact,
        Self::Fuzzy,
        Self::Matrix,
        Self::Softmax,
        Self::Attention,
        Self::Head,
        Self::Gpt,
    ];

    /// The name, as in [`Method::from_name`].
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Exact => "exact",
            Self::Fuzzy => "fuzzy",
            Self::Matrix => "matrix",
            Self::Softmax => "softmax",
            Self::Attention => "attention",
            Self::Head => "head",
            Self::Gpt => "gpt",
        }
    }

    /// The method of this name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|method| method.name() == name)
    }

    /// Whether the method scales scores and divides them by a temperature.
    #[must_use]
    pub fn has_sharpness(self) -> bool {
        matches!(self, Self::Softmax | Self::Attention | Self::Head)
    }
}

/// An English translation, and how it was found.
#[derive(Clone, Debug)]
pub struct Translation {
    /// The method of the translator.
    pub method: Method,
    /// The answer, token by token, as the translator gave it.
    pub tokens: Vec<String>,
    /// The answer as text, with the capitals and final signs of the French text.
    pub text: String,
    /// Intermediate results.
    pub workings: Vec<Part>,
    /// Guesses and omissions, and how sure the translator is.
    pub remarks: Vec<Remark>,
}

impl Translation {
    /// A translation that consists of words.
    pub(crate) fn of_words(method: Method, tokens: Vec<String>, workings: Vec<Part>) -> Self {
        Self {
            method,
            text: tokens.join(" "),
            tokens,
            workings,
            remarks: Vec::new(),
        }
    }

    /// The translation with remarks added.
    pub(crate) fn with_remarks(self, remarks: impl IntoIterator<Item = Remark>) -> Self {
        let remarks = remarks.into_iter().collect();
        Self { remarks, ..self }
    }

    /// Appends the next sentence of a text. Its intermediate results get its number, so that their
    /// names stay different.
    fn push(&mut self, number: usize, next: Self) {
        self.text = format!("{} {}", self.text, next.text);
        self.tokens.extend(next.tokens);
        let numbered = next.workings.into_iter().map(|mut part| {
            if let Part::Matrix(crate::Matrix { name, .. })
            | Part::Table(crate::Table { name, .. }) = &mut part
            {
                *name = format!("{name} of sentence {number}");
            }
            part
        });
        self.workings.extend(numbered);
        self.remarks.extend(next.remarks);
    }
}

/// A translator of French sentences.
///
/// ```
/// use latimer_lessons::{Dictionary, ExactTranslator, FuzzyTranslator, Translator};
///
/// let dictionary = Dictionary::tutorial();
/// let exact = ExactTranslator::new(dictionary.clone());
/// let fuzzy = FuzzyTranslator::new(dictionary);
/// let all: [&dyn Translator; 2] = [&exact, &fuzzy];
/// let texts = all.map(|t| t.translate("La tables.").map(|english| english.text).ok());
/// assert_eq!(texts, [None, Some("The table.".to_owned())]);
/// ```
pub trait Translator {
    /// The method of this translator.
    fn method(&self) -> Method;

    /// Translates the words of one sentence, which are in the dictionaries' spelling.
    ///
    /// # Errors
    /// Depends on the translator.
    fn translate_words(&self, words: &[&str]) -> Result<Translation>;

    /// Translates a text in ordinary writing, sentence by sentence; see [`Sentence`].
    ///
    /// # Errors
    /// [`Error::EmptyText`], and the errors of the translator.
    fn translate(&self, text: &str) -> Result<Translation> {
        let mut all: Option<Translation> = None;
        let mut before = 0;
        for (number, sentence) in (1..).zip(Sentence::all(text)?) {
            let words = sentence.words();
            let translated = self.translate_words(&words);
            let mut translated = translated.map_err(|error| error.after(before))?;
            before += words.len();
            translated.text = sentence.restored(&translated.text);
            translated.remarks.extend(sentence.remark());
            match &mut all {
                None => all = Some(translated),
                Some(all) => all.push(number, translated),
            }
        }
        all.ok_or(Error::EmptyText)
    }
}

/// The words of a text in the dictionaries' spelling, at least one.
pub(crate) fn words(text: &str) -> Result<Vec<String>> {
    let sentences = Sentence::all(text)?;
    let words = sentences.iter().flat_map(Sentence::words);
    Ok(words.map(str::to_owned).collect())
}

/// The words of all answers; an error if an answer has no word.
pub(crate) fn all_answered(words: &[&str], answers: Vec<Option<&str>>) -> Result<Vec<String>> {
    let pairs = words.iter().zip(answers);
    pairs
        .map(|(word, answer)| {
            let answer = answer.map(str::to_owned);
            answer.ok_or_else(|| Error::NoAnswer {
                word: (*word).to_owned(),
            })
        })
        .collect()
}

/// An arrow and the word for each row, such as `→ cat`.
pub(crate) fn arrows(tokens: &[String]) -> impl Iterator<Item = String> {
    tokens.iter().map(|token| format!("→ {token}"))
}
