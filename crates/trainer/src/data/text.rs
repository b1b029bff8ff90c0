//! Text from files: read, joined, cut into a training and a validation part, tokenized once.

use super::sampler::window_start;
use super::{RowKey, Source, Split, random_place, windows};
use crate::{Error, Result};
use latimer_tokenizer::Tokenizer;
use std::path::Path;

/// A text as ids, its last part kept for validation.
#[derive(Debug)]
pub struct TextTokens {
    train: Vec<u32>,
    validation: Vec<u32>,
    block_size: usize,
}

impl TextTokens {
    /// Tokenizes a text whose last `val_fraction`, in characters, is for validation.
    ///
    /// # Errors
    /// [`Error::Tokenizer`], [`Error::TooShort`].
    pub fn new(
        text: &str,
        tokenizer: &dyn Tokenizer,
        val_fraction: f64,
        block_size: usize,
    ) -> Result<Self> {
        // As nanoGPT: the first int((1 - fraction) * n) characters are trained on.
        let characters = text.chars().count();
        let kept = (characters as f64 * (1.0 - val_fraction)) as usize;
        let cut = text
            .char_indices()
            .nth(kept)
            .map_or(text.len(), |(at, _)| at);
        let (train, validation) = text.split_at(cut);
        let (train, validation) = (tokenizer.encode(train)?, tokenizer.encode(validation)?);
        for (split, tokens, wanted) in [
            ("training", &train, true),
            ("validation", &validation, val_fraction > 0.0),
        ] {
            if wanted && tokens.len() <= block_size {
                let hint = if split == "validation" {
                    ", or raise --val-fraction"
                } else {
                    ""
                };
                return Err(Error::TooShort {
                    split,
                    tokens: tokens.len(),
                    block_size,
                    hint,
                });
            }
        }
        Ok(Self {
            train,
            validation,
            block_size,
        })
    }
}

impl Source for TextTokens {
    fn row(&self, seed: u64, key: RowKey, ids: &mut [u32]) {
        let tokens = match key.split {
            Split::Train => &self.train,
            Split::Validation => &self.validation,
        };
        let first = if key.estimate || key.split == Split::Validation {
            random_place(tokens.len() - ids.len() + 1, seed, key)
        } else {
            let row = key.step.saturating_sub(1) * u64::from(key.rows) + u64::from(key.row);
            window_start(tokens.len(), ids.len() - 1, seed, row)
        };
        ids.copy_from_slice(&tokens[first..][..ids.len()]);
    }

    fn validation(&self) -> Vec<&[u32]> {
        windows(&self.validation, self.block_size)
    }

    fn validation_tokens(&self) -> usize {
        self.validation.len()
    }

    fn training_tokens(&self) -> Option<usize> {
        Some(self.train.len())
    }
}

/// Reads one text file.
///
/// # Errors
/// [`Error::DataIsFolder`], [`Error::ReadData`], [`Error::EmptyData`], [`Error::NotText`].
pub(crate) fn read_text(path: &Path) -> Result<String> {
    if path.is_dir() {
        return Err(Error::DataIsFolder {
            path: path.to_owned(),
        });
    }
    let bytes = std::fs::read(path).map_err(|source| Error::ReadData {
        path: path.to_owned(),
        source,
    })?;
    if bytes.is_empty() {
        return Err(Error::EmptyData {
            path: path.to_owned(),
        });
    }
    String::from_utf8(bytes).map_err(|error| Error::NotText {
        path: path.to_owned(),
        position: error.utf8_error().valid_up_to(),
    })
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
        let starts: std::collections::HashSet<u32> = (0..40).map(|s| row(s, 0, false)[0]).collect();
        assert!(starts.len() > 15, "{starts:?}");
        let differs = (0..40)
            .filter(|&s| row(s, 0, false) != row(s, 0, true))
            .count();
        assert!(differs > 30);
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
