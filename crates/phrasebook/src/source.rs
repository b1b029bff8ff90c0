//! The built-in corpus as rows of tokens.

use crate::{Error, Unseen, training_pair, unseen_pairs, words};
use latimer_tokenizer::{Tokenizer, WordTokenizer};
use latimer_trainer::data::{RowKey, Source, Split, Windows, fingerprint_of};
use latimer_trainer::{Result, line_end};
use std::borrow::Cow;
use std::sync::Arc;

/// Unseen sentences whose tokens are the validation split.
const VALIDATION_PAIRS: usize = 1000;

/// The phrasebook under a tokenizer. A row is a newline and then whole lines, cut off where the
/// row ends, so that a sentence to be translated looks like a row's beginning. No line of the
/// corpus is shown twice: every row makes its own.
#[derive(Clone, Debug)]
pub struct Phrases {
    tokenizer: Arc<dyn Tokenizer>,
    newline: u32,
    /// Unseen lines, each ending in a newline.
    unseen: Vec<Vec<u32>>,
    /// The same, packed whole into rows that begin with a newline.
    windows: Vec<Vec<u32>>,
}

impl Phrases {
    /// The corpus under a tokenizer that knows its words.
    ///
    /// # Errors
    /// [`Tokenizer`](latimer_trainer::Error::Tokenizer) when it does not,
    /// [`NoLineEnd`](latimer_trainer::Error::NoLineEnd) when it leaves out ends of lines,
    /// [`Error::LineTooLong`] when a line does not fit into `block_size`.
    pub fn new(tokenizer: Arc<dyn Tokenizer>, block_size: usize) -> Result<Self> {
        let newline = line_end(&*tokenizer)?;
        // Any token a line can hold must be known before training, not in the middle of it.
        tokenizer.encode(&words().join(" "))?;
        let pairs = unseen_pairs(Unseen::Sentences, VALIDATION_PAIRS);
        let unseen: Vec<Vec<u32>> = pairs
            .iter()
            .map(|pair| Ok(tokenizer.encode(&pair.line())?))
            .collect::<Result<_>>()?;
        let longest = unseen.iter().map(Vec::len).max().unwrap_or(0);
        if longest > block_size {
            return Err(Error::LineTooLong {
                longest,
                block_size,
            }
            .into());
        }
        let mut windows = vec![vec![newline]];
        for line in &unseen {
            if windows
                .last()
                .is_some_and(|row| row.len() + line.len() > block_size + 1)
            {
                windows.push(vec![newline]);
            }
            if let Some(row) = windows.last_mut() {
                row.extend(line);
            }
        }
        Ok(Self {
            tokenizer,
            newline,
            unseen,
            windows,
        })
    }

    /// The tokenizer of the corpus's own words.
    ///
    /// # Errors
    /// Never in practice: the words are distinct and not empty.
    pub fn word_tokenizer() -> Result<WordTokenizer> {
        Ok(WordTokenizer::from_words(words())?)
    }

    fn encode_into(&self, line: &str, row: &mut Vec<u32>) {
        if self.tokenizer.encode_into(line, row).is_err() {
            unreachable!("Phrases::new has checked that every word is known");
        }
    }
}

impl Source for Phrases {
    fn row(&self, seed: u64, key: RowKey, ids: &mut [u32]) {
        let mut row = Vec::with_capacity(2 * ids.len());
        row.push(self.newline);
        match key.split {
            Split::Validation => {
                let first = key.place_below(self.unseen.len(), seed);
                let mut lines = self.unseen.iter().cycle().skip(first);
                while row.len() < ids.len() {
                    row.extend(lines.next().into_iter().flatten());
                }
            }
            Split::Train => {
                // Lines are numbered estimate (1 bit), step (31), row (20), line of the row (12).
                let estimate = u64::from(key.estimate) << 63;
                let mut line = estimate | key.step << 32 | u64::from(key.row) << 12;
                while row.len() < ids.len() {
                    self.encode_into(&training_pair(seed, line).line(), &mut row);
                    line += 1;
                }
            }
        }
        ids.copy_from_slice(&row[..ids.len()]);
    }

    fn validation(&self) -> Windows<'_> {
        Box::new(self.windows.iter().map(Cow::from))
    }

    fn validation_tokens(&self) -> usize {
        self.windows.iter().map(Vec::len).sum()
    }

    fn training_tokens(&self) -> Option<usize> {
        None
    }

    /// Of the sentences kept from training: another grammar, or another tokenizer, has others.
    fn fingerprint(&self) -> u64 {
        fingerprint_of(self.unseen.iter().map(Vec::as_slice))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_begin_with_a_line_and_repeat() {
        let tokenizer = Arc::new(Phrases::word_tokenizer().unwrap());
        let phrases = Phrases::new(tokenizer.clone(), 64).unwrap();
        for split in [Split::Train, Split::Validation] {
            let row = |step, row| {
                let mut ids = [0; 65];
                let key = RowKey {
                    split,
                    estimate: false,
                    step,
                    row,
                    rows: 8,
                };
                phrases.row(1, key, &mut ids);
                tokenizer.decode(&ids).unwrap()
            };
            assert_eq!(row(5, 2), row(5, 2));
            assert_ne!(row(5, 2), row(6, 2));
            assert_ne!(row(5, 2), row(5, 3));
            let text = row(5, 2);
            let lines: Vec<&str> = text.strip_prefix('\n').unwrap().lines().collect();
            let whole = &lines[..lines.len() - 1];
            assert!(
                whole.len() >= 2 && whole.iter().all(|l| l.contains(" = ")),
                "{text}"
            );
        }
        assert!(phrases.validation().all(|w| w.len() <= 65 && w.len() > 30));
        let refused = Phrases::new(tokenizer, 8).unwrap_err().to_string();
        let words = "tokens, but block_size = 8: raise --block-size";
        assert!(refused.ends_with(words), "{refused}");
    }
}
