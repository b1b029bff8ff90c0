//! Tokenizers: characters, words, n-grams, byte-pair encoding, and one way to load them all.
//!
//! A language model reads and writes numbers. A *tokenizer* is a list of pieces of text that have a
//! number (the *vocabulary*) and the rule that cuts a text into them and joins them again. Every
//! kind here is a [`Tokenizer`], so a trainer or a sampler holds an `Arc<dyn Tokenizer>` and need
//! not know the kind.
//!
//! ```
//! use latimer_tokenizer::{CharTokenizer, Tokenizer};
//!
//! let tokenizer = CharTokenizer::fit("le chat")?; // ' ', 'a', 'c', 'e', 'h', 'l', 't'
//! let ids = tokenizer.encode("chat")?;
//! assert_eq!(ids, [2, 4, 1, 6]);
//! assert_eq!(tokenizer.decode(&ids)?, "chat");
//! # Ok::<(), latimer_tokenizer::Error>(())
//! ```
//!
//! | look in | for |
//! |---|---|
//! | [`Tokenizer`] | what every kind can do |
//! | [`CharTokenizer`] | one token a character: nothing to choose, nothing lost |
//! | [`WordTokenizer`] | one token a word, mark or line end: short sequences, small languages |
//! | [`NgramTokenizer`] | frequent words, pieces for others; the ids of the Python package `bpe` |
//! | [`BpeTokenizer`], [`BpeTrainer`], [`Pattern`] | byte-pair encoding: any text, others' files |
//! | [`StreamDecoder`] | text from ids as they are made, never half a character |
//! | [`load`], [`load_with`], [`from_json`], [`Tokenizer::save`] | files |
//! | [`differences`] | what is lost in the file of another program |
//! | [`Error`] | everything that can go wrong, with what to do |
//!
//! The crate knows nothing of tensors or models and can be used alone.

mod bpe;
mod char;
mod error;
mod file;
mod format;
mod ngram;
mod special;
mod split;
mod stream;
mod tokenizer;
mod word;

pub use crate::bpe::{BpeError, BpeTokenizer, BpeTrainer, Pattern, TieRule, TrainProgress};
pub use crate::char::CharTokenizer;
pub use crate::error::{Error, Place, Result};
pub use crate::file::{FORMAT, VERSION, from_json, is_in_folder, kinds, load, load_with};
pub use crate::format::{Encoding, differences};
pub use crate::ngram::{LINE, NgramOptions, NgramTokenizer};
pub use crate::special::AllowedSpecial;
pub use crate::stream::StreamDecoder;
pub use crate::tokenizer::Tokenizer;
pub use crate::word::{UNKNOWN, WordOptions, WordTokenizer};

/// Runs the README's examples as tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
#[derive(Debug)]
pub struct Readme;
