//! Training: from a text to its merges.
//!
//! The text is cut into pieces by the pattern and equal pieces are counted ([`count`]), on all
//! threads. Then the most frequent pair of neighbours is merged in all distinct pieces at once,
//! again and again until the vocabulary is full or no pair is left ([`learn`]). The result does not
//! depend on the number of threads or on the order of a hash table.

mod count;
mod learn;
mod map;
mod queue;

use std::path::Path;

use super::error::BpeError;
use super::pattern::Pattern;
use super::tokenizer::{BpeTokenizer, Parts};
use crate::error::Result;
use crate::format::alphabet;

/// The rule that decides which of several equally frequent pairs is merged first, and how ids are
/// numbered.
///
/// Each rule reproduces one tool, whose merges the result then equals exactly.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum TieRule {
    /// The pair with the lowest ids, as in rustbpe. Ids are the bytes, the merges, the special
    /// tokens.
    #[default]
    LowestIds,
    /// The pair with the lowest ids, numbered as in Hugging Face's trainer with the alphabet of
    /// bytes: the special tokens, the bytes in the order of their printable characters, the merges.
    HuggingFace,
    /// The pair that stands first in the text as it is merged so far, as in minbpe. Ids are the
    /// bytes, the merges, the special tokens.
    FirstSeen,
}

impl TieRule {
    /// Every rule.
    pub const ALL: [Self; 3] = [Self::LowestIds, Self::HuggingFace, Self::FirstSeen];

    /// The name: `lowest-ids`, `huggingface`, `first-seen`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::LowestIds => "lowest-ids",
            Self::HuggingFace => "huggingface",
            Self::FirstSeen => "first-seen",
        }
    }

    /// The rule called `name`.
    ///
    /// # Errors
    ///
    /// [`UnknownTieRule`](BpeError::UnknownTieRule).
    pub fn from_name(name: &str) -> Result<Self, BpeError> {
        Self::ALL
            .into_iter()
            .find(|rule| rule.name() == name)
            .ok_or_else(|| BpeError::UnknownTieRule {
                name: name.to_owned(),
            })
    }
}

/// Progress of a training run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum TrainProgress {
    /// Text is being cut and counted.
    Counting {
        /// Bytes done.
        bytes: u64,
        /// Bytes in all.
        total: u64,
    },
    /// Pairs are being merged.
    Merging {
        /// Merges found.
        merges: usize,
        /// Merges that fit the vocabulary; the text may yield fewer.
        total: usize,
    },
}

/// Learns a vocabulary from text.
///
/// ```
/// use latimer_tokenizer::{BpeTrainer, Pattern, Tokenizer};
///
/// let trainer = BpeTrainer::new(256 + 2, Pattern::Gpt2);
/// let tokenizer = trainer.train(&["low lower lowest"], &mut |_| {})?;
/// // "lo" and then "low": " low" would be the third merge.
/// assert_eq!(tokenizer.token_bytes(257), Some(b"low".as_slice()));
/// # Ok::<(), latimer_tokenizer::Error>(())
/// ```
#[derive(Debug, Clone)]
#[must_use]
pub struct BpeTrainer {
    vocab_size: usize,
    pattern: Pattern,
    ties: TieRule,
    min_frequency: u64,
    specials: Vec<String>,
}

impl BpeTrainer {
    /// A trainer of vocabularies of at most `vocab_size` tokens, including the 256 bytes and the
    /// special tokens.
    pub fn new(vocab_size: usize, pattern: Pattern) -> Self {
        Self {
            vocab_size,
            pattern,
            ties: TieRule::default(),
            min_frequency: 1,
            specials: Vec::new(),
        }
    }

    /// Sets which of equally frequent pairs is merged first; [`TieRule::LowestIds`] by default.
    pub fn ties(mut self, ties: TieRule) -> Self {
        self.ties = ties;
        self
    }

    /// Sets how often a pair must occur in the text to be merged; once by default.
    pub fn min_frequency(mut self, min_frequency: u64) -> Self {
        self.min_frequency = min_frequency.max(1);
        self
    }

    /// Sets the special tokens, numbered in this order. Their names in the training text are
    /// ordinary text, with one exception: two tokens that together spell such a name are never
    /// merged.
    pub fn special_tokens<S: AsRef<str>>(mut self, names: &[S]) -> Self {
        self.specials = names.iter().map(|name| name.as_ref().to_owned()).collect();
        self
    }

    /// Learns from texts in memory; no piece crosses from one into the next.
    ///
    /// # Errors
    ///
    /// [`VocabTooSmall`](BpeError::VocabTooSmall); [`TooMuchText`](BpeError::TooMuchText) if the
    /// distinct pieces have more than 2^30 bytes; special tokens that are empty, given twice, or
    /// equal to another token.
    pub fn train<T: AsRef<[u8]>>(
        &self,
        texts: &[T],
        progress: &mut (dyn FnMut(TrainProgress) + Send),
    ) -> Result<BpeTokenizer> {
        let texts: Vec<&[u8]> = texts.iter().map(AsRef::as_ref).collect();
        self.check()?;
        let pieces = count::count(self.pattern, &texts, progress);
        self.learn(&pieces, progress)
    }

    /// Learns from files. They are mapped rather than read into memory (pipes are read), and must
    /// not change meanwhile. Each file is one text; a byte-order mark is not part of it.
    ///
    /// # Errors
    ///
    /// As [`train`](Self::train), [`Io`](crate::Error::Io) for a file that cannot be read, and
    /// [`Text`](crate::Error::Text) for one that is not UTF-8 text.
    pub fn train_files<P: AsRef<Path>>(
        &self,
        paths: &[P],
        progress: &mut (dyn FnMut(TrainProgress) + Send),
    ) -> Result<BpeTokenizer> {
        self.check()?;
        let files = paths
            .iter()
            .map(|path| map::Text::open(path.as_ref()))
            .collect::<Result<Vec<_>>>()?;
        let texts: Vec<&[u8]> = files.iter().map(map::Text::bytes).collect();
        let pieces = count::count(self.pattern, &texts, progress);
        drop(texts);
        drop(files);
        self.learn(&pieces, progress)
    }

    /// Checks the options before the work starts.
    fn check(&self) -> Result<()> {
        let least = 256 + self.specials.len();
        if self.vocab_size < least {
            return Err(BpeError::VocabTooSmall {
                asked: self.vocab_size,
                specials: self.specials.len(),
                least,
            }
            .into());
        }
        self.tokenizer(&[]).map(drop)
    }

    fn learn(
        &self,
        pieces: &count::Pieces,
        progress: &mut (dyn FnMut(TrainProgress) + Send),
    ) -> Result<BpeTokenizer> {
        let merges = learn::learn(
            pieces,
            &learn::Goal {
                bytes: self.byte_ids(),
                first: self.first_merge(),
                merges: self.vocab_size - 256 - self.specials.len(),
                min_frequency: self.min_frequency,
                first_seen: self.ties == TieRule::FirstSeen,
                never: self
                    .specials
                    .iter()
                    .filter_map(|name| alphabet::to_bytes(name).ok())
                    .collect(),
            },
            progress,
        )?;
        self.tokenizer(&merges)
    }

    /// The id of each byte.
    fn byte_ids(&self) -> [u32; 256] {
        let mut ids = [0; 256];
        match self.ties {
            TieRule::HuggingFace => {
                for (id, byte) in (self.specials.len() as u32..).zip(alphabet::ordered()) {
                    ids[usize::from(byte)] = id;
                }
            }
            TieRule::LowestIds | TieRule::FirstSeen => {
                ids = std::array::from_fn(|byte| byte as u32);
            }
        }
        ids
    }

    /// The id that the first merge makes.
    fn first_merge(&self) -> u32 {
        match self.ties {
            TieRule::HuggingFace => 256 + self.specials.len() as u32,
            TieRule::LowestIds | TieRule::FirstSeen => 256,
        }
    }

    fn tokenizer(&self, merges: &[(u32, u32)]) -> Result<BpeTokenizer> {
        let first = self.first_merge();
        let mut tokens = vec![Vec::new(); first as usize];
        for (byte, id) in (0..=255u8).zip(self.byte_ids()) {
            tokens[id as usize] = vec![byte];
        }
        for &(left, right) in merges {
            let token = [&tokens[left as usize][..], &tokens[right as usize]].concat();
            tokens.push(token);
        }
        let first_special = match self.ties {
            TieRule::HuggingFace => 0,
            TieRule::LowestIds | TieRule::FirstSeen => tokens.len() as u32,
        };
        BpeTokenizer::from_parts(Parts {
            pattern: Some(self.pattern),
            tokens: (0..)
                .zip(tokens)
                .filter(|(_, token)| !token.is_empty())
                .collect(),
            merges: (first..)
                .zip(merges)
                .map(|(made, &(left, right))| [left, right, made])
                .collect(),
            specials: (first_special..)
                .zip(&self.specials)
                .map(|(id, name)| (name.clone(), id))
                .collect(),
            is_made_by_merges: true,
            ..Parts::default()
        })
    }
}
