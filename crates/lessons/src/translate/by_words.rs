//! Translation word by word, by what stands in the dictionary.

use super::{Method, Translation, Translator};
use crate::{Dictionary, Part, Remark, Result, Table};

/// Looks every word up to the letter.
///
/// ```
/// use latimer_lessons::{Dictionary, ExactTranslator, Translator};
///
/// let exact = ExactTranslator::new(Dictionary::tutorial());
/// let english = exact.translate("le chat est sous la table")?;
/// assert_eq!(english.text, "the cat is under the table");
/// assert!(exact.translate("les tables").is_err());
/// # Ok::<(), latimer_lessons::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct ExactTranslator {
    dictionary: Dictionary,
}

impl ExactTranslator {
    /// Translates by this dictionary.
    #[must_use]
    pub fn new(dictionary: Dictionary) -> Self {
        Self { dictionary }
    }
}

impl Translator for ExactTranslator {
    fn method(&self) -> Method {
        Method::Exact
    }

    /// # Errors
    /// [`crate::Error::UnknownWords`] for words that are no keys.
    fn translate_words(&self, words: &[&str]) -> Result<Translation> {
        // lesson: begin translate
        let mut tokens = Vec::new();
        for word in words {
            let meaning = self.dictionary.get(word);
            let meaning = meaning.ok_or_else(|| self.dictionary.unknown(words))?;
            tokens.push(meaning.to_owned());
        }
        // lesson: end
        let rows = words.iter().zip(&tokens);
        let table = Table {
            name: "lookups".to_owned(),
            header: ["word", "meaning"].map(str::to_owned).into(),
            rows: rows
                .map(|(word, token)| vec![(*word).to_owned(), token.clone()])
                .collect(),
            winning_row: None,
        };
        Ok(Translation::of_words(
            self.method(),
            tokens,
            vec![Part::Table(table)],
        ))
    }
}

/// Looks up the key that is nearest to every word.
///
/// ```
/// use latimer_lessons::{Dictionary, FuzzyTranslator, Translator};
///
/// let fuzzy = FuzzyTranslator::new(Dictionary::tutorial());
/// assert_eq!(fuzzy.translate("tables")?.text, "table");
/// # Ok::<(), latimer_lessons::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct FuzzyTranslator {
    dictionary: Dictionary,
}

impl FuzzyTranslator {
    /// Translates by this dictionary.
    #[must_use]
    pub fn new(dictionary: Dictionary) -> Self {
        Self { dictionary }
    }
}

impl Translator for FuzzyTranslator {
    fn method(&self) -> Method {
        Method::Fuzzy
    }

    fn translate_words(&self, words: &[&str]) -> Result<Translation> {
        let (mut tokens, mut rows) = (Vec::new(), Vec::new());
        for &word in words {
            let nearest = self.dictionary.nearest(word);
            tokens.push(nearest.value.to_owned());
            let distance = nearest.distance.to_string();
            rows.push(
                [word, nearest.key, &distance, nearest.value]
                    .map(str::to_owned)
                    .into(),
            );
        }
        let table = Table {
            name: "lookups".to_owned(),
            header: ["word", "nearest key", "edits", "meaning"]
                .map(str::to_owned)
                .into(),
            rows,
            winning_row: None,
        };
        let translation = Translation::of_words(self.method(), tokens, vec![Part::Table(table)]);
        Ok(translation.with_remarks(taken(&self.dictionary, words)))
    }
}

/// The words that are no keys, with the keys that stand in for them.
pub(super) fn taken(dictionary: &Dictionary, words: &[&str]) -> Vec<Remark> {
    let unknown = dictionary.without_entry(words).into_iter();
    unknown
        .map(|word| {
            let nearest = dictionary.nearest(word);
            Remark::NearestKey {
                word: word.to_owned(),
                key: nearest.key.to_owned(),
                edits: nearest.distance,
            }
        })
        .collect()
}
