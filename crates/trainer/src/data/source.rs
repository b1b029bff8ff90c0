//! Where rows of tokens come from: the trait that every corpus implements, and what its
//! implementors need.

use latimer_tensor::philox::Stream;
use std::borrow::Cow;
use std::fmt::Debug;

/// Which part of a corpus.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Split {
    /// What is trained on.
    Train,
    /// What is never trained on.
    Validation,
}

/// A row of a batch: where in a run it is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RowKey {
    /// Which part of the corpus.
    pub split: Split,
    /// Whether it is drawn to estimate a loss; such rows repeat in every evaluation and are not
    /// those of any training step.
    pub estimate: bool,
    /// The optimizer step, or the batch of an estimate.
    pub step: u64,
    /// The row within the global batch.
    pub row: u32,
    /// Rows of the global batch.
    pub rows: u32,
}

impl RowKey {
    /// A place below `n`, uniform over seeds, steps and rows; the same for the same key.
    #[must_use]
    pub fn place_below(self, n: usize, seed: u64) -> usize {
        // Estimates take the upper half of the steps, which no run reaches.
        let estimate = match (self.estimate, self.split) {
            (false, _) => 0,
            (true, Split::Train) => 0x8000_0000,
            (true, Split::Validation) => 0xC000_0000,
        };
        let step = (self.step as u32 & 0x3FFF_FFFF) | estimate;
        let mut stream = Stream::new(seed, ROW_SITE.wrapping_add(self.row), step);
        stream.below(n as u64) as usize
    }

    /// The row's number over the whole run, from 0. It wraps: steps that no run reaches are rows
    /// like any other.
    pub(crate) fn number(self) -> u64 {
        let before = self.step.saturating_sub(1).wrapping_mul(self.rows.into());
        before.wrapping_add(self.row.into())
    }
}

/// Tokens to train on. There is no reader that moves: any row of any step can be asked for, in any
/// order, by any rank.
pub trait Source: Debug + Send + Sync {
    /// Fills `ids` with consecutive tokens: one row's inputs and, one further, its targets.
    fn row(&self, seed: u64, key: RowKey, ids: &mut [u32]);

    /// The whole validation split as windows of at most `block_size + 1` tokens: all but the first
    /// of a window are to be predicted.
    fn validation(&self) -> Windows<'_>;

    /// Tokens of the validation split.
    fn validation_tokens(&self) -> usize;

    /// Tokens of the training split, where it has an end.
    fn training_tokens(&self) -> Option<usize>;

    /// A number that another corpus has not: a run is not resumed on other data. 0 where nothing
    /// can be said.
    fn fingerprint(&self) -> u64 {
        0
    }

    /// The sources that this one takes its rows from in given shares, to be told apart; none where
    /// it is one by itself.
    fn parts(&self) -> Vec<Part<'_>> {
        Vec::new()
    }
}

/// One of several sources.
#[derive(Clone, Copy, Debug)]
pub struct Part<'a> {
    /// What `--data` calls it.
    pub name: &'a str,
    /// The part of all rows that is its.
    pub share: f64,
    /// Its own rows and validation split.
    pub source: &'a dyn Source,
}

/// Windows of tokens, one after the other; they need not all be in memory.
pub type Windows<'a> = Box<dyn Iterator<Item = Cow<'a, [u32]>> + 'a>;

/// Use of randomness: rows of batches; the row is added.
const ROW_SITE: u32 = 0xDA7A_0000;

/// Checks that each split that is wanted has a row.
pub(super) fn check_length(
    train: usize,
    validation: usize,
    val_fraction: f64,
    block_size: usize,
) -> crate::Result<()> {
    for (split, tokens, wanted) in [
        ("training", train, true),
        ("validation", validation, val_fraction > 0.0),
    ] {
        if wanted && tokens <= block_size {
            let hint = if split == "validation" {
                ", or raise --val-fraction"
            } else {
                ""
            };
            return Err(crate::Error::TooShort {
                split,
                tokens,
                block_size,
                hint,
            });
        }
    }
    Ok(())
}

/// A text as windows of `block_size` predictions side by side, the last one shorter: every token
/// but the first is predicted once.
#[must_use]
pub fn windows(tokens: &[u32], block_size: usize) -> Vec<&[u32]> {
    (0..tokens.len().saturating_sub(1))
        .step_by(block_size)
        .map(|first| &tokens[first..tokens.len().min(first + block_size + 1)])
        .collect()
}
