//! A text in memory, and batches for a loop of one's own.

use super::source::{RowKey, Source, Split};
use super::text::{TextTokens, read_text};
use crate::Result;
use latimer_tokenizer::Tokenizer;
use std::path::Path;

/// A text to train on, in memory.
///
/// ```
/// use latimer_tokenizer::CharTokenizer;
/// use latimer_trainer::Text;
///
/// let text = Text::from("to be or not to be, that is the question");
/// let tokenizer = CharTokenizer::fit(text.as_str())?;
/// let mut batches = text.batches(&tokenizer, 8, 4, 1337)?; // 4 rows of 8 positions
/// let batch = batches.next().expect("the batches are endless");
/// assert_eq!((batch.ids().len(), batch.seq_len()), (4 * 8, 8));
/// assert_eq!(batch.ids()[1..8], batch.targets()[..7]);
/// # Ok::<(), latimer_trainer::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Text(String);

impl Text {
    /// Reads a file of UTF-8 text, without its byte-order mark.
    ///
    /// # Errors
    /// [`Error::ReadData`](crate::Error::ReadData), [`Error::EmptyData`](crate::Error::EmptyData),
    /// [`Error::Text`](crate::Error::Text).
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        Ok(Self(read_text(path.as_ref())?))
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Batches of `rows` windows of `seq_len` positions each, without end. Windows begin at places
    /// spread evenly over the text, in an order that depends on `seed` alone: every token is met
    /// once before any is met again.
    ///
    /// # Errors
    /// [`Error::Tokenizer`](crate::Error::Tokenizer), or
    /// [`Error::TooShort`](crate::Error::TooShort) for a text of fewer than `seq_len + 1` tokens.
    pub fn batches(
        &self,
        tokenizer: &dyn Tokenizer,
        seq_len: usize,
        rows: usize,
        seed: u64,
    ) -> Result<Batches> {
        Ok(Batches {
            tokens: TextTokens::new(&self.0, tokenizer, 0.0, seq_len)?,
            seq_len,
            rows,
            seed,
            step: 0,
        })
    }
}

impl<T: Into<String>> From<T> for Text {
    fn from(text: T) -> Self {
        Self(text.into())
    }
}

/// Batches of a [`Text`], without end.
#[derive(Debug)]
pub struct Batches {
    tokens: TextTokens,
    seq_len: usize,
    rows: usize,
    seed: u64,
    step: u64,
}

impl Iterator for Batches {
    type Item = Batch;

    fn next(&mut self) -> Option<Batch> {
        self.step += 1;
        let mut batch = Batch::with_capacity(self.rows, self.seq_len);
        let mut window = vec![0; self.seq_len + 1];
        for row in 0..self.rows as u32 {
            let key = RowKey {
                split: Split::Train,
                estimate: false,
                step: self.step,
                row,
                rows: self.rows as u32,
            };
            self.tokens.row(self.seed, key, &mut window);
            batch.push(&window);
        }
        Some(batch)
    }
}

/// Rows of ids, and the id that follows each.
///
/// ```
/// use latimer_trainer::Batch;
///
/// let batch = Batch::of_windows(&[[1, 2, 3], [7, 8, 9]])?; // two windows of three tokens
/// assert_eq!((batch.ids(), batch.targets()), (&[1, 2, 7, 8][..], &[2, 3, 8, 9][..]));
/// # Ok::<(), latimer_trainer::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Batch {
    /// `[B, T]`.
    ids: Vec<u32>,
    /// `[B, T]`.
    targets: Vec<u32>,
    seq_len: usize,
}

impl Batch {
    /// Ids and targets, each `[B, T]`, with `T = seq_len`.
    ///
    /// # Errors
    /// [`Error::BadBatch`](crate::Error::BadBatch) when they are not rows of `seq_len`, or when
    /// there are not as many of one as of the other.
    pub fn new(ids: Vec<u32>, targets: Vec<u32>, seq_len: usize) -> Result<Self> {
        let bad = |reason| Err(crate::Error::BadBatch { reason });
        if ids.is_empty() || seq_len == 0 || !ids.len().is_multiple_of(seq_len) {
            let n = ids.len();
            return bad(format!("{n} ids are not rows of {seq_len}"));
        }
        if ids.len() != targets.len() {
            let (n, m) = (ids.len(), targets.len());
            return bad(format!("there are {n} ids and {m} targets"));
        }
        Ok(Self {
            ids,
            targets,
            seq_len,
        })
    }

    /// Windows of `T + 1` tokens each: all but the last are a row's ids, all but the first its
    /// targets.
    ///
    /// # Errors
    /// [`Error::BadBatch`](crate::Error::BadBatch) for windows of different lengths or of fewer
    /// than two tokens.
    pub fn of_windows(windows: &[impl AsRef<[u32]>]) -> Result<Self> {
        let length = windows.first().map_or(0, |window| window.as_ref().len());
        let mut batch = Self::with_capacity(windows.len(), length.saturating_sub(1));
        for (row, window) in windows.iter().enumerate() {
            let window = window.as_ref();
            if window.len() != length || length < 2 {
                let n = window.len();
                return Err(crate::Error::BadBatch {
                    reason: format!(
                        "window {row} has {n} tokens, but the first has {length}: give windows of \
                         one length, of at least 2"
                    ),
                });
            }
            batch.push(window);
        }
        Self::new(batch.ids, batch.targets, batch.seq_len)
    }

    fn with_capacity(rows: usize, seq_len: usize) -> Self {
        let empty = || Vec::with_capacity(rows * seq_len);
        Self {
            ids: empty(),
            targets: empty(),
            seq_len,
        }
    }

    fn push(&mut self, window: &[u32]) {
        self.ids.extend_from_slice(&window[..self.seq_len]);
        self.targets.extend_from_slice(&window[1..]);
    }

    /// The ids, `[B, T]`.
    #[must_use]
    pub fn ids(&self) -> &[u32] {
        &self.ids
    }

    /// The id that follows each, `[B, T]`.
    #[must_use]
    pub fn targets(&self) -> &[u32] {
        &self.targets
    }

    /// Positions of a row, `T`.
    #[must_use]
    pub fn seq_len(&self) -> usize {
        self.seq_len
    }

    /// Rows, `B`.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.ids.len() / self.seq_len
    }
}
