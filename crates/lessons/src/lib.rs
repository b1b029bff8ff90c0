//! From a dictionary to a GPT, step by step.
//!
//! One sentence, `le chat est sous la table`, is translated in seven ways: by a dictionary, by the
//! nearest key, by a product of matrices, by a softmax, by attention, by a head that learns, and by
//! a GPT. Each is a [`Translator`] that can be used alone, on any device. They compute with the
//! same tensors, passes, tokenizers and models as the crates that train GPTs.
//!
//! ```
//! use latimer_lessons::{Dictionary, Sharpness, attention, keys_and_values};
//! use latimer_tensor::Device;
//!
//! let m = keys_and_values(&Device::reference(), &Dictionary::tutorial())?;
//! let q = m.near_queries(&["le", "chat"])?; // [2, 6]
//! let found = attention(&q, &m.k, &m.v, Sharpness::default())?;
//! assert_eq!(m.output.decode_rows(&found.output)?, [Some("the"), Some("cat")]);
//! # Ok::<(), latimer_lessons::Error>(())
//! ```
//!
//! | if you want to | read |
//! |---|---|
//! | look words up | [`Dictionary`] |
//! | turn words into vectors and back | [`Vocabulary`], [`KeysAndValues`], [`spelling`] |
//! | see attention as three products | [`fn@attention`] |
//! | see attention learn | [`Head`], [`LearnedHead`] |
//! | translate | [`Translator`] and its seven kinds |
//! | follow or extend the lessons | [`course`] |
//! | show them | [`render`] |

mod attention;
pub mod course;
mod dictionary;
mod error;
mod exam;
mod figure;
mod head;
mod keys_and_values;
mod latex;
mod learned;
pub mod render;
mod snippet;
mod translate;
mod vocabulary;

pub use attention::{Attention, Sharpness, attention, attention_over_queries, lookup};
pub use course::{Lesson, Setting};
pub use dictionary::{Dictionary, Nearest};
pub use error::{Error, Result, Unknown, UnknownWords};
pub use exam::{Exam, Score};
pub use figure::{Bars, Curve, Matrix, Part, Table, Widget};
pub use head::{Found, Head};
pub use keys_and_values::{KeysAndValues, STRENGTH_PER_EDIT, keys_and_values};
pub use latex::latex_matrix;
pub use learned::{HeadTraining, LearnedHead, Snapshot, spelling};
pub use translate::{
    AttentionTranslator, ExactTranslator, FuzzyTranslator, GptTranslator, HeadTranslator,
    MatrixTranslator, Method, Remark, Sentence, SoftmaxTranslator, Translation, Translator, Unsure,
};
pub use vocabulary::Vocabulary;

/// Runs the README's examples as tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
#[derive(Debug)]
pub struct Readme;
