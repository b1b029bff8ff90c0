//! The tutorial's translators, one behind the other: each answers what the one before could not.
//!
//! | method | a word is found by | a word it does not know |
//! |---|---|---|
//! | [`ExactTranslator`] | its letters | an error |
//! | [`FuzzyTranslator`] | the fewest edits | becomes the nearest key |
//! | [`MatrixTranslator`] | `q·Kᵀ·V` | an error: it has no one-hot vector |
//! | [`SoftmaxTranslator`] | `softmax(q·Kᵀ)·V`, word by word | asks for the nearest key, more weakly |
//! | [`AttentionTranslator`] | `softmax(Q·Kᵀ)·V`, all at once | the same |
//! | [`HeadTranslator`] | learned maps of its spelling | whatever the maps make of it |
//! | [`GptTranslator`] | everything before it | an error, or pieces that the tokenizer knows |

mod by_head;
mod by_matrices;
mod by_words;
mod gpt;

pub use by_head::HeadTranslator;
pub use by_matrices::{AttentionTranslator, MatrixTranslator, SoftmaxTranslator};
pub use by_words::{ExactTranslator, FuzzyTranslator};
pub use gpt::GptTranslator;

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
    /// All, in the tutorial's order.
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

    /// The method called so.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|method| method.name() == name)
    }

    /// Whether scores are scaled and divided by a temperature on the way.
    #[must_use]
    pub fn has_sharpness(self) -> bool {
        matches!(self, Self::Softmax | Self::Attention | Self::Head)
    }
}

/// A sentence in English, and how it came about.
#[derive(Clone, Debug)]
pub struct Translation {
    /// Which translator.
    pub method: Method,
    /// The answer, token by token.
    pub tokens: Vec<String>,
    /// The answer as text.
    pub text: String,
    /// What was computed on the way.
    pub workings: Vec<Part>,
}

impl Translation {
    /// An answer of words.
    pub(crate) fn of_words(method: Method, tokens: Vec<String>, workings: Vec<Part>) -> Self {
        Self {
            method,
            text: tokens.join(" "),
            tokens,
            workings,
        }
    }
}

/// Whatever translates a French sentence.
///
/// ```
/// use latimer_lessons::{Dictionary, ExactTranslator, FuzzyTranslator, Translator};
///
/// let dictionary = Dictionary::tutorial();
/// let exact = ExactTranslator::new(dictionary.clone());
/// let fuzzy = FuzzyTranslator::new(dictionary);
/// let all: [&dyn Translator; 2] = [&exact, &fuzzy];
/// let texts = all.map(|t| t.translate("la tables").map(|english| english.text).ok());
/// assert_eq!(texts, [None, Some("the table".to_owned())]);
/// ```
pub trait Translator {
    /// Its name.
    fn method(&self) -> Method;

    /// Translates words separated by white space.
    ///
    /// # Errors
    /// [`Error::EmptyText`], and each translator's own.
    fn translate(&self, text: &str) -> Result<Translation>;
}

/// The words of a text, one at least.
pub(crate) fn words(text: &str) -> Result<Vec<&str>> {
    let words: Vec<&str> = text.split_whitespace().collect();
    if words.is_empty() {
        return Err(Error::EmptyText);
    }
    Ok(words)
}

/// The words of answers, each of which must be one.
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

/// `→ cat` for each row.
pub(crate) fn arrows(tokens: &[String]) -> impl Iterator<Item = String> {
    tokens.iter().map(|token| format!("→ {token}"))
}
