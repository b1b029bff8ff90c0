//! Text from files: read, joined, cut into a training and a validation part, tokenized once.

use super::fingerprint::fingerprint_of;
use super::sampler::window_start;
use super::source::{RowKey, Source, Split, Windows, check_length, windows};
use super::split::encode_split;
use crate::config::Order;
use crate::{Error, Result};
use latimer_tokenizer::Tokenizer;
use std::borrow::Cow;
use std::path::Path;

/// A text as ids, its last part kept for validation.
#[derive(Debug)]
pub struct TextTokens {
    train: Vec<u32>,
    validation: Vec<u32>,
    block_size: usize,
    order: Order,
}

impl TextTokens {
    /// Tokenizes a text whose last `val_fraction`, in characters, is for validation. The text is
    /// cut where the tokenizer may be, so that the tokens of both parts are those of the whole.
    ///
    /// # Errors
    /// [`Error::Tokenizer`], [`Error::TooShort`].
    pub fn new(
        text: &str,
        tokenizer: &dyn Tokenizer,
        val_fraction: f64,
        block_size: usize,
    ) -> Result<Self> {
        let [train, validation] = encode_split(text, tokenizer, val_fraction)?;
        check_length(train.len(), validation.len(), val_fraction, block_size)?;
        Ok(Self {
            train,
            validation,
            block_size,
            order: Order::Spread,
        })
    }

    /// The same, its windows trained on in another order.
    #[must_use]
    pub fn in_order(self, order: Order) -> Self {
        Self { order, ..self }
    }
}

impl Source for TextTokens {
    fn row(&self, seed: u64, key: RowKey, ids: &mut [u32]) {
        let tokens = match key.split {
            Split::Train => &self.train,
            Split::Validation => &self.validation,
        };
        let first = if key.estimate || key.split == Split::Validation {
            key.place_below(tokens.len() - ids.len() + 1, seed)
        } else {
            window_start(self.order, tokens.len(), ids.len() - 1, seed, key.number())
        };
        ids.copy_from_slice(&tokens[first..][..ids.len()]);
    }

    fn validation(&self) -> Windows<'_> {
        let windows = windows(&self.validation, self.block_size);
        Box::new(windows.into_iter().map(Cow::Borrowed))
    }

    fn validation_tokens(&self) -> usize {
        self.validation.len()
    }

    fn training_tokens(&self) -> Option<usize> {
        Some(self.train.len())
    }

    fn fingerprint(&self) -> u64 {
        fingerprint_of([&self.train[..], &self.validation])
    }
}

/// Joins texts; each begins on a line of its own.
pub(crate) fn join<T: AsRef<str> + Into<String>>(
    texts: impl IntoIterator<Item = Result<T>>,
) -> Result<String> {
    let mut joined = String::new();
    for text in texts {
        let text = text?;
        if joined.is_empty() {
            joined = text.into();
            continue;
        }
        if !joined.ends_with('\n') {
            joined.push('\n');
        }
        joined.push_str(text.as_ref());
    }
    Ok(joined)
}

/// Reads a text file.
///
/// # Errors
/// [`Error::ReadData`], [`Error::EmptyData`], [`Error::Text`].
pub(crate) fn read_text(path: &Path) -> Result<String> {
    let text = latimer_text::read(path).map_err(of_data)?;
    if text.is_empty() {
        return Err(Error::EmptyData {
            path: path.to_owned(),
        });
    }
    Ok(text)
}

/// An error of reading text, where the text is data.
pub(crate) fn of_data(error: latimer_text::Error) -> Error {
    match error {
        latimer_text::Error::Read { path, source } => Error::ReadData { path, source },
        other => other.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use latimer_tokenizer::CharTokenizer;

    fn tokens() -> TextTokens {
        let text: String = (0..1000)
            .map(|i| char::from(b'a' + (i % 26) as u8))
            .collect();
        TextTokens::new(&text, &CharTokenizer::fit(&text).unwrap(), 0.1, 16).unwrap()
    }

    #[test]
    fn rows_are_a_function_of_their_key() {
        let tokens = tokens();
        let row = |step, row, estimate| {
            let mut ids = [0; 17];
            tokens.row(
                7,
                RowKey {
                    split: Split::Train,
                    estimate,
                    step,
                    row,
                    rows: 8,
                },
                &mut ids,
            );
            ids
        };
        assert_eq!(row(3, 5, false), row(3, 5, false));
        // Any row of any step, as `Source` says; this one used to overflow.
        assert_eq!(row(u64::MAX, 7, false), row(u64::MAX, 7, false));
        let starts: std::collections::HashSet<u32> = (0..40).map(|s| row(s, 0, false)[0]).collect();
        assert!(starts.len() > 15, "{starts:?}");
        let differs = (0..40)
            .filter(|&s| row(s, 0, false) != row(s, 0, true))
            .count();
        assert!(differs > 30);
    }

    #[test]
    fn windows_are_taken_in_the_order_asked_for() {
        let starts = |order| {
            let tokens = tokens().in_order(order);
            let row = |number| {
                let mut ids = [0; 17];
                let key = RowKey {
                    split: Split::Train,
                    estimate: false,
                    step: number,
                    row: 0,
                    rows: 1,
                };
                tokens.row(7, key, &mut ids);
                let start = window_start(order, tokens.train.len(), 16, 7, key.number());
                assert_eq!(ids, tokens.train[start..][..17], "{order:?}: {number}");
                start
            };
            (0..50).map(row).collect::<Vec<_>>()
        };
        assert_ne!(starts(Order::Shuffle), starts(Order::Spread));
    }

    #[test]
    fn the_split_is_by_characters_and_what_is_too_short_says_so() {
        let tokens = tokens();
        assert_eq!((tokens.train.len(), tokens.validation.len()), (900, 100));
        let tokenizer = CharTokenizer::fit("abc").unwrap();
        let error = TextTokens::new("abcabc", &tokenizer, 0.0, 16)
            .unwrap_err()
            .to_string();
        assert!(
            error.starts_with("the training split has 6 tokens, but block_size = 16"),
            "{error}"
        );
    }
}
