//! Errors of lessons, with both sides as data.

use crate::translate::list;
use latimer_tensor::Shape;
use std::fmt;

/// The result of anything in this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// An error of a dictionary, a translator or a lesson.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// An operation did not fit its operands, or the device failed.
    #[error(transparent)]
    Tensor(#[from] latimer_tensor::Error),
    /// A pass or the parameters of a head failed.
    #[error(transparent)]
    Autograd(#[from] latimer_autograd::Error),
    /// A model failed.
    #[error(transparent)]
    Model(#[from] latimer_nn::Error),
    /// A tokenizer refused a text.
    #[error(transparent)]
    Tokenizer(#[from] latimer_tokenizer::Error),
    /// A GPT's run or its configuration failed.
    #[error(transparent)]
    Trainer(Box<latimer_trainer::Error>),

    // ---- dictionaries and vocabularies
    /// A dictionary without entries has no nearest key.
    #[error("a dictionary needs at least one entry")]
    EmptyDictionary,
    /// Two entries of one dictionary have the same key.
    #[error("the key `{key}` occurs twice in the dictionary: for `{first}` and for `{second}`")]
    DuplicateKey {
        /// The key.
        key: String,
        /// Its first value.
        first: String,
        /// Its second value.
        second: String,
    },
    /// Some words have no entry and no vector.
    #[error(
        "{unknown}: the dictionary knows {known}; the nearest {}, which the method `fuzzy` takes",
        unknown.nearest()
    )]
    UnknownWords {
        /// The words.
        unknown: UnknownWords,
        /// All keys, in order.
        known: String,
    },
    /// The tokenizer of a GPT has no token for some words.
    #[error(
        "{unknown:#}: the model knows the {vocab_size} words of its training text; use these, or \
         train on a text that contains yours"
    )]
    OutsideVocabulary {
        /// The words.
        unknown: UnknownWords,
        /// Tokens of the vocabulary.
        vocab_size: usize,
    },
    /// A vector is not as long as the vocabulary that decodes it.
    #[error("a vector of shape {got} cannot be decoded by a vocabulary of {expected} words")]
    WrongWidth {
        /// Words of the vocabulary.
        expected: usize,
        /// The shape given.
        got: Shape,
    },
    /// There are more words than a head has columns.
    #[error("a head of width {n_embd} cannot tell {words} words apart: give it a larger n_embd")]
    TooManyWords {
        /// Words of the output vocabulary.
        words: usize,
        /// The head's width.
        n_embd: usize,
    },

    // ---- translating
    /// There is nothing to translate.
    #[error("there is nothing to translate: give a sentence, such as `le chat est sous la table`")]
    EmptyText,
    /// No word of an answer is above 0.
    #[error("the answer for `{word}` has no number above 0, so it is not a word")]
    NoAnswer {
        /// The word that was looked up.
        word: String,
    },
    /// The temperature cannot be a divisor.
    #[error("the temperature is {got}: it must be a number above 0")]
    BadTemperature {
        /// The temperature.
        got: f32,
    },
    /// The scale cannot turn scores into weights.
    #[error("the scale is {got}: it must be a number of 0 or more")]
    BadScale {
        /// The scale.
        got: f32,
    },
    /// The factor of the scores is larger than their type can hold.
    #[error(
        "a scale of {scale} over a temperature of {temperature} makes scores too large to \
             compute with"
    )]
    TooSharp {
        /// The scale.
        scale: f32,
        /// The temperature.
        temperature: f32,
    },

    // ---- showing
    /// LaTeX has no notation for a tensor with more than two axes.
    #[error("a tensor of shape {shape} is not a matrix: LaTeX shows at most two dimensions")]
    TooManyAxes {
        /// Its shape.
        shape: Shape,
    },
    /// No lesson has this name.
    #[error("there is no lesson `{id}`: there are {known}")]
    UnknownLesson {
        /// The name given.
        id: String,
        /// All lessons' names.
        known: String,
    },
}

/// Words that are not known, at least one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownWords(pub Vec<Unknown>);

/// A word that is not known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unknown {
    /// The word.
    pub word: String,
    /// Its place in the text, from 1.
    pub position: usize,
    /// The nearest word that is known, if one is near.
    pub nearest: Option<String>,
}

impl UnknownWords {
    /// The end of a sentence: `is` and the nearest word if there is one, or `are` and all of them.
    fn nearest(&self) -> String {
        let nearest = self.0.iter().filter_map(|unknown| unknown.nearest.clone());
        let nearest: Vec<String> = nearest.collect();
        let verb = if nearest.len() == 1 { "is" } else { "are" };
        format!("{verb} {}", list(&nearest))
    }
}

/// Each word with its place; with `#` also the nearest word.
impl fmt::Display for UnknownWords {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let last = self.0.len().saturating_sub(1);
        for (number, unknown) in self.0.iter().enumerate() {
            f.write_str(match number {
                0 => "unknown word ",
                _ if number == last => ", and ",
                _ => ", ",
            })?;
            write!(f, "`{}`, word {}", unknown.word, unknown.position)?;
            if number == 0 {
                f.write_str(" of the text")?;
            }
            if let Some(nearest) = unknown.nearest.as_ref().filter(|_| f.alternate()) {
                write!(f, " (the nearest is `{nearest}`)")?;
            }
        }
        Ok(())
    }
}

impl Error {
    /// Moves an error's places by the number of words of the text before the sentence.
    pub(crate) fn after(mut self, words: usize) -> Self {
        if let Self::UnknownWords { unknown, .. } | Self::OutsideVocabulary { unknown, .. } =
            &mut self
        {
            unknown.0.iter_mut().for_each(|word| word.position += words);
        }
        self
    }
}

impl From<latimer_trainer::Error> for Error {
    fn from(error: latimer_trainer::Error) -> Self {
        Self::Trainer(Box::new(error))
    }
}
