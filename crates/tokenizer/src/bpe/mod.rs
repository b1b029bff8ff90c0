//! Byte-pair encoding over bytes: GPT's tokenizer.
//!
//! A text is cut into pieces by a [`Pattern`]. Each piece starts as its single bytes. The two
//! neighbours that were merged earliest in training are merged, again and again, until no two
//! neighbours are a known pair. Every text can be encoded, and nothing is lost.

mod class;
mod encode;
mod error;
mod hash;
mod merge;
pub(crate) mod nfc;
mod pairs;
mod pattern;
mod segments;
mod split;
mod template;
mod tokenizer;
mod train;
mod words;

pub use error::BpeError;
pub use pattern::Pattern;
pub use tokenizer::BpeTokenizer;
pub use train::{BpeTrainer, TieRule, TrainProgress};

pub(crate) use error::shown;
pub(crate) use template::{Named, Part, Template};
pub(crate) use tokenizer::{Parts, ranks_to_merges};
