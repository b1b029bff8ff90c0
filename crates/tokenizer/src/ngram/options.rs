//! The settings of an `ngram` tokenizer and the sizes that follow from them.

use crate::error::{Error, Result};

/// The required token that ends a line where [`NgramOptions::lines`] asks for it.
pub const LINE: &str = "__line";

/// How [`NgramTokenizer::fit_with`](crate::NgramTokenizer::fit_with) makes a vocabulary. The
/// default is the package's: 8192 ids, a fifth of them for sub-words of one or two characters.
///
/// ```
/// use latimer_tokenizer::NgramOptions;
///
/// let options = NgramOptions { pct_bpe: 0.5, ngram_max: 3, ..NgramOptions::default() };
/// assert_eq!(options.vocab_size, 8192);
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct NgramOptions {
    /// Ids of words and sub-words together; at least 1. Words get
    /// `max(int(vocab_size * (1 - pct_bpe)), required tokens)` of them, computed in `f64` and
    /// truncated, sub-words the rest.
    pub vocab_size: usize,
    /// The share of sub-words, normally from 0 to 1; any finite number is computed with, as in the
    /// package. If it leaves a negative number `-n` of ids (a `vocab_size` below the number of
    /// required tokens, a negative share), the package's slice `[:-n]` drops the `n` rarest
    /// sub-words instead, and so does this crate.
    pub pct_bpe: f64,
    /// The shortest sub-word counted after single characters, in code points. With 1, single
    /// characters count twice.
    pub ngram_min: usize,
    /// The longest sub-word counted, and the longest tried when a word is cut; at least 1. (The
    /// package accepts 0 and then never returns from an unknown word.) Fitting keeps in memory
    /// every n-gram up to this length of at least 10,000 words.
    pub ngram_max: usize,
    /// Words that are in the vocabulary whatever the text. `unk` and `pad` always are, and come
    /// before these. In the package their order changes with Python's hash seed.
    pub required_tokens: Vec<String>,
    /// Whether [`inverse_transform`](crate::NgramTokenizer::inverse_transform) refuses sub-words
    /// outside their marks and marks without a partner.
    pub strict: bool,
    /// Whether text is put in lower case, as the package always does.
    pub lowercase: bool,
    /// Whether the tokenizer is for a language model: [`LINE`] is required, a line end (`\n`)
    /// encodes to it and it decodes to a line end, and no text can name it, `unk` or `pad`.
    pub lines: bool,
    /// The word that stands for a character without a sub-word.
    pub unk: String,
    /// The word that fills rows of a fixed length.
    pub pad: String,
    /// The sub-word before the pieces of a word.
    pub sow: String,
    /// The sub-word after the pieces of a word.
    pub eow: String,
}

impl Default for NgramOptions {
    fn default() -> Self {
        Self {
            vocab_size: 8192,
            pct_bpe: 0.2,
            ngram_min: 2,
            ngram_max: 2,
            required_tokens: Vec::new(),
            strict: false,
            lowercase: true,
            lines: false,
            unk: "__unk".to_owned(),
            pad: "__pad".to_owned(),
            sow: "__sow".to_owned(),
            eow: "__eow".to_owned(),
        }
    }
}

impl NgramOptions {
    /// The settings for a language model of at most `max_vocab_size` ids: the default ones with
    /// [`lines`](Self::lines) on.
    #[must_use]
    pub fn language_model(max_vocab_size: usize) -> Self {
        Self {
            vocab_size: max_vocab_size,
            lines: true,
            ..Self::default()
        }
    }

    /// All required tokens without repeats: `unk`, `pad`, the others as given, [`LINE`]. Their ids
    /// have this order if the text contains none of them.
    pub(super) fn required(&self) -> Vec<&str> {
        let mut all = Vec::new();
        let given = self.required_tokens.iter().map(String::as_str);
        let line = self.lines.then_some(LINE);
        for token in [self.unk.as_str(), &self.pad]
            .into_iter()
            .chain(given)
            .chain(line)
        {
            if !all.contains(&token) {
                all.push(token);
            }
        }
        all
    }

    /// Refuses settings that no tokenizer can be made with.
    pub(super) fn check(&self) -> Result<()> {
        let refuse = |name, expected, found| {
            Err(Error::Setting {
                name,
                expected,
                found,
            })
        };
        if self.vocab_size == 0 {
            return refuse("vocab_size", "at least 1", "0".to_owned());
        }
        if self.ngram_max == 0 {
            return refuse("ngram_max", "at least 1", "0".to_owned());
        }
        if !self.pct_bpe.is_finite() {
            return refuse("pct_bpe", "a finite number", self.pct_bpe.to_string());
        }
        if self.lines && [&self.unk, &self.pad, &self.sow, &self.eow].contains(&&LINE.to_owned()) {
            let expected = "another name, as \"__line\" ends lines";
            return refuse("unk, pad, sow or eow", expected, LINE.to_owned());
        }
        Ok(())
    }

    /// The number of ids for words, and the number left for sub-words, which is negative if words
    /// need more than there are.
    pub(super) fn sizes(&self) -> (i64, i64) {
        // Casts from f64 truncate towards zero, as Python's `int`, and saturate.
        let share = (self.vocab_size as f64 * (1.0 - self.pct_bpe)) as i64;
        let words = share.max(self.required().len() as i64);
        let all = i64::try_from(self.vocab_size).unwrap_or(i64::MAX);
        (words, all.saturating_sub(words))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_the_packages() {
        for (vocab_size, pct_bpe, sizes) in [
            (8192, 0.2, (6553, 1639)),
            (256, 0.2, (204, 52)),
            (10, 0.9, (2, 8)), // 10 * 0.09999999999999998 truncates to 0
            (10, 0.0, (10, 0)),
            (10, 1.0, (2, 8)),
            (10, 2.5, (2, 8)),
            (10, -0.5, (15, -5)),
            (1, 0.2, (2, -1)),
            (100, 0.29, (71, 29)), // 100 * 0.71 = 71.0
            (1000, 0.003, (997, 3)),
        ] {
            let options = NgramOptions {
                vocab_size,
                pct_bpe,
                ..NgramOptions::default()
            };
            assert_eq!(options.sizes(), sizes, "{vocab_size} {pct_bpe}");
        }
    }

    #[test]
    fn required_tokens_come_once_and_in_order() {
        let mut options = NgramOptions {
            required_tokens: ["b", "__pad", "a", "b"].map(str::to_owned).to_vec(),
            lines: true,
            ..NgramOptions::default()
        };
        assert_eq!(options.required(), ["__unk", "__pad", "b", "a", LINE]);
        options.pad = "__unk".to_owned();
        assert_eq!(options.required(), ["__unk", "b", "__pad", "a", LINE]);
        options.vocab_size = 3;
        assert_eq!(options.sizes(), (5, -2));
    }

    #[test]
    fn what_no_tokenizer_can_be_made_with_is_refused() {
        let refused = |change: fn(&mut NgramOptions)| {
            let mut options = NgramOptions::language_model(256);
            change(&mut options);
            options.check().unwrap_err().to_string()
        };
        assert_eq!(
            refused(|o| o.vocab_size = 0),
            "vocab_size is 0: it must be at least 1"
        );
        assert_eq!(
            refused(|o| o.ngram_max = 0),
            "ngram_max is 0: it must be at least 1"
        );
        assert_eq!(
            refused(|o| o.pct_bpe = f64::NAN),
            "pct_bpe is NaN: it must be a finite number"
        );
        assert!(refused(|o| o.eow = LINE.to_owned()).contains("eow"));
        assert!(NgramOptions::default().check().is_ok());
    }
}
