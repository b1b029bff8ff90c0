//! Translation by a head that has learned the dictionary.

use super::{Method, Translation, Translator, all_answered, arrows};
use crate::{LearnedHead, Matrix, Part, Remark, Result, Sharpness};

/// Looks up all words by the learned maps of their spellings.
///
/// ```
/// use latimer_lessons::{Dictionary, HeadTraining, HeadTranslator, LearnedHead, Translator};
/// use latimer_tensor::Device;
///
/// let dictionary = Dictionary::tutorial();
/// let head = LearnedHead::train(&Device::reference(), &dictionary, HeadTraining::default())?;
/// let sharpness = head.sharpness();
/// let english = HeadTranslator::new(&head, sharpness).translate("le chat est sous la table")?;
/// assert_eq!(english.text, "the cat is under the table");
/// # Ok::<(), latimer_lessons::Error>(())
/// ```
#[derive(Debug)]
pub struct HeadTranslator<'a> {
    head: &'a LearnedHead,
    sharpness: Sharpness,
}

impl<'a> HeadTranslator<'a> {
    /// Translates with this head; [`LearnedHead::sharpness`] is the one it was trained with.
    #[must_use]
    pub fn new(head: &'a LearnedHead, sharpness: Sharpness) -> Self {
        Self { head, sharpness }
    }
}

impl Translator for HeadTranslator<'_> {
    fn method(&self) -> Method {
        Method::Head
    }

    /// # Errors
    /// An error of [`Sharpness::factor`], or [`crate::Error::NoAnswer`].
    fn translate_words(&self, words: &[&str]) -> Result<Translation> {
        // lesson: begin learned
        let found = self.head.look_up(words, self.sharpness)?;
        let answers = self.head.answers(&found)?; // [T, V_out]
        let tokens = self.head.output.decode_rows(&answers)?;
        // lesson: end
        let tokens = all_answered(words, tokens)?;
        let keys = self.head.dictionary().keys();
        let weights = Matrix::new("weights", words, keys, &found.weights)?.with_winners();
        let unknown = self.head.dictionary().without_entry(words);
        let remarks: Vec<Remark> = unknown
            .into_iter()
            .filter_map(|word| {
                let row = words.iter().position(|&w| w == word)?;
                let column = weights.winners[row]?;
                Some(Remark::NeverShown {
                    word: word.to_owned(),
                    key: weights.columns[column].clone(),
                    weight: weights.values[row][column],
                })
            })
            .collect();
        let answers = Matrix::new("answers", words, self.head.output.words(), &answers)?
            .with_winners()
            .with_notes(arrows(&tokens));
        let workings = vec![Part::Matrix(weights), Part::Matrix(answers)];
        let translation = Translation::of_words(self.method(), tokens, workings);
        Ok(translation.with_remarks(remarks))
    }
}
