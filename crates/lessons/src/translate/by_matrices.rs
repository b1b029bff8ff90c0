//! Translation by products of matrices.

use super::by_words::taken;
use super::{Method, Translation, Translator, all_answered, arrows};
use crate::attention::{Attention, Sharpness, attention, lookup};
use crate::{KeysAndValues, Matrix, Part, Result};
use latimer_tensor::Tensor;

/// Looks up every word by `q·Kᵀ·V`, with `q` its one-hot vector.
///
/// ```
/// use latimer_lessons::{Dictionary, MatrixTranslator, Translator, keys_and_values};
/// use latimer_tensor::Device;
///
/// let m = keys_and_values(&Device::reference(), &Dictionary::tutorial())?;
/// let english = MatrixTranslator::new(m).translate("le chat est sous la table")?;
/// assert_eq!(english.text, "the cat is under the table");
/// # Ok::<(), latimer_lessons::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct MatrixTranslator {
    matrices: KeysAndValues,
}

impl MatrixTranslator {
    /// Translates with these matrices.
    #[must_use]
    pub fn new(matrices: KeysAndValues) -> Self {
        Self { matrices }
    }
}

impl Translator for MatrixTranslator {
    fn method(&self) -> Method {
        Method::Matrix
    }

    /// # Errors
    /// [`crate::Error::UnknownWords`] for words without a one-hot vector.
    fn translate_words(&self, words: &[&str]) -> Result<Translation> {
        let m = &self.matrices;
        if !m.dictionary().without_entry(words).is_empty() {
            return Err(m.dictionary().unknown(words));
        }
        word_by_word(self.method(), m, words, |word, m| {
            // lesson: begin translate
            let q = m.query(word)?; // [1, V_in]
            lookup(&q, &m.k, &m.v)
            // lesson: end
        })
    }
}

/// Looks up one word at a time by `softmax(q·Kᵀ)·V`.
///
/// ```
/// use latimer_lessons::{Dictionary, Sharpness, SoftmaxTranslator, Translator, keys_and_values};
/// use latimer_tensor::Device;
///
/// let m = keys_and_values(&Device::reference(), &Dictionary::tutorial())?;
/// let plain = SoftmaxTranslator::new(m.clone(), Sharpness::default());
/// assert_eq!(plain.translate("le chat dort sous les tables")?.tokens[5], "table");
/// // The formula's scale is for long vectors; here it leaves no word but the one that comes twice.
/// let scaled = SoftmaxTranslator::new(m, Sharpness::formula(6));
/// assert_eq!(scaled.translate("le chat est sous la table")?.text, "the the the the the the");
/// # Ok::<(), latimer_lessons::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct SoftmaxTranslator {
    matrices: KeysAndValues,
    sharpness: Sharpness,
}

impl SoftmaxTranslator {
    /// Translates by these matrices.
    #[must_use]
    pub fn new(matrices: KeysAndValues, sharpness: Sharpness) -> Self {
        Self {
            matrices,
            sharpness,
        }
    }
}

impl Translator for SoftmaxTranslator {
    fn method(&self) -> Method {
        Method::Softmax
    }

    /// # Errors
    /// An error of [`Sharpness::factor`], or [`crate::Error::NoAnswer`].
    fn translate_words(&self, words: &[&str]) -> Result<Translation> {
        let m = &self.matrices;
        let translation = word_by_word(self.method(), m, words, |word, m| {
            // lesson: begin softmax
            let q = m.near_query(word)?; // [1, V_in]
            attention(&q, &m.k, &m.v, self.sharpness)
            // lesson: end
        })?;
        Ok(translation.with_remarks(taken(m.dictionary(), words)))
    }
}

/// Looks up all words at once by `softmax(Q·Kᵀ)·V`.
///
/// ```
/// use latimer_lessons::{AttentionTranslator, Dictionary, Sharpness, Translator, keys_and_values};
/// use latimer_tensor::Device;
///
/// let m = keys_and_values(&Device::reference(), &Dictionary::tutorial())?;
/// let translator = AttentionTranslator::new(m, Sharpness::default());
/// let english = translator.translate("le chat est sous la table")?;
/// assert_eq!(english.text, "the cat is under the table");
/// # Ok::<(), latimer_lessons::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct AttentionTranslator {
    matrices: KeysAndValues,
    sharpness: Sharpness,
}

impl AttentionTranslator {
    /// Translates by these matrices.
    #[must_use]
    pub fn new(matrices: KeysAndValues, sharpness: Sharpness) -> Self {
        Self {
            matrices,
            sharpness,
        }
    }
}

impl Translator for AttentionTranslator {
    fn method(&self) -> Method {
        Method::Attention
    }

    /// # Errors
    /// As [`SoftmaxTranslator`].
    fn translate_words(&self, words: &[&str]) -> Result<Translation> {
        let m = &self.matrices;
        // lesson: begin all_at_once
        let q = m.near_queries(words)?; // [T, V_in]
        let found = attention(&q, &m.k, &m.v, self.sharpness)?; // output: [T, V_out]
        let answers = m.output.decode_rows(&found.output)?;
        // lesson: end
        let tokens = all_answered(words, answers)?;
        let mut workings = vec![Part::Matrix(Matrix::new("Q", words, m.input.words(), &q)?)];
        workings.extend(shown(m, words, &tokens, &found, true)?);
        let translation = Translation::of_words(self.method(), tokens, workings);
        Ok(translation.with_remarks(taken(m.dictionary(), words)))
    }
}

/// Translates one word after the other, and puts what was found for each together to be shown.
fn word_by_word(
    method: Method,
    m: &KeysAndValues,
    words: &[&str],
    find: impl Fn(&str, &KeysAndValues) -> Result<Attention>,
) -> Result<Translation> {
    let found = words
        .iter()
        .map(|word| find(word, m))
        .collect::<Result<Vec<_>>>()?;
    let rows =
        |of: fn(&Attention) -> &Tensor| Tensor::cat(&found.iter().map(of).collect::<Vec<_>>(), 0);
    let all = Attention {
        scores: rows(|a| &a.scores)?,
        weights: rows(|a| &a.weights)?,
        output: rows(|a| &a.output)?,
    };
    let tokens = all_answered(words, m.output.decode_rows(&all.output)?)?;
    let workings = shown(m, words, &tokens, &all, method != Method::Matrix)?;
    Ok(Translation::of_words(method, tokens, workings))
}

/// Scores, weights if they are something else, and answers.
fn shown(
    m: &KeysAndValues,
    words: &[&str],
    tokens: &[String],
    found: &Attention,
    weighted: bool,
) -> Result<Vec<Part>> {
    let keys = || m.dictionary().keys();
    let mut parts = vec![Part::Matrix(
        Matrix::new("scores", words, keys(), &found.scores)?.with_winners(),
    )];
    if weighted {
        parts.push(Part::Matrix(
            Matrix::new("weights", words, keys(), &found.weights)?.with_winners(),
        ));
    }
    parts.push(Part::Matrix(
        Matrix::new("answers", words, m.output.words(), &found.output)?
            .with_winners()
            .with_notes(arrows(tokens)),
    ));
    Ok(parts)
}
