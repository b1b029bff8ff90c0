//! An exam for translators: the gain of each idea, in numbers.

use crate::{Dictionary, Error, Result, Translator};
use latimer_phrasebook::{self as phrasebook, Unseen, unseen_pairs};

/// The shortest word that gets a typo; shorter ones would be unrecognisable.
const SHORTEST: usize = 4;

/// Three papers on one dictionary: its words, its words with a letter left out, and sentences.
///
/// ```
/// use latimer_lessons::{Exam, ExactTranslator, FuzzyTranslator};
///
/// let exam = Exam::of_phrasebook(20)?;
/// let exact = exam.sit(&ExactTranslator::new(exam.dictionary().clone()))?;
/// assert_eq!((exact.known, exact.typos), (1.0, 0.0));
/// let fuzzy = exam.sit(&FuzzyTranslator::new(exam.dictionary().clone()))?;
/// assert!(fuzzy.typos > 0.5 && fuzzy.sentences == exact.sentences);
/// # Ok::<(), latimer_lessons::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Exam {
    dictionary: Dictionary,
    /// Questions and answers.
    known: Vec<(String, String)>,
    typos: Vec<(String, String)>,
    sentences: Vec<(String, String)>,
}

/// Shares of right answers, from 0 to 1.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Score {
    /// Share of the dictionary's words.
    pub known: f64,
    /// Share of the words with a letter left out.
    pub typos: f64,
    /// Share of the sentences, each correct to the letter.
    pub sentences: f64,
}

impl Exam {
    /// An exam on the phrasebook's words and on `sentences` of its sentences that training never
    /// shows.
    ///
    /// # Errors
    /// Never in practice: the phrasebook's dictionary has no word twice.
    pub fn of_phrasebook(sentences: usize) -> Result<Self> {
        let dictionary = Dictionary::new(phrasebook::dictionary())?;
        let owned = |(french, english): (&str, &str)| (french.to_owned(), english.to_owned());
        let known = dictionary.iter().map(owned).collect();
        let long = dictionary
            .iter()
            .filter(|(french, _)| french.chars().count() >= SHORTEST);
        let typos = long
            .enumerate()
            .map(|(number, (french, english))| {
                // Leave out a different letter in each word, from the second to the last.
                let left_out = 1 + number % (french.chars().count() - 1);
                let letters = french.chars().enumerate();
                let letters = letters
                    .filter(|&(i, _)| i != left_out)
                    .map(|(_, letter)| letter);
                (letters.collect::<String>(), english.to_owned())
            })
            // A typo that gives another word is not a typo.
            .filter(|(typo, _)| dictionary.get(typo).is_none())
            .collect();
        let pairs = unseen_pairs(Unseen::Sentences, sentences).into_iter();
        Ok(Self {
            known,
            typos,
            sentences: pairs.map(|pair| (pair.french, pair.english)).collect(),
            dictionary,
        })
    }

    /// The dictionary that the questions are about.
    #[must_use]
    pub fn dictionary(&self) -> &Dictionary {
        &self.dictionary
    }

    /// The number of questions in each paper: words, typos, sentences.
    #[must_use]
    pub fn questions(&self) -> [usize; 3] {
        [&self.known, &self.typos, &self.sentences].map(Vec::len)
    }

    /// Puts all questions to a translator. A refused question counts as wrong.
    ///
    /// # Errors
    /// The device's failure.
    pub fn sit(&self, translator: &dyn Translator) -> Result<Score> {
        let share = |paper: &[(String, String)]| -> Result<f64> {
            let mut right = 0;
            for (french, english) in paper {
                right += usize::from(is_right(translator, french, english)?);
            }
            Ok(right as f64 / paper.len().max(1) as f64)
        };
        Ok(Score {
            known: share(&self.known)?,
            typos: share(&self.typos)?,
            sentences: share(&self.sentences)?,
        })
    }
}

fn is_right(translator: &dyn Translator, french: &str, english: &str) -> Result<bool> {
    match translator.translate(french) {
        // A word that means nothing in English leaves no gap.
        Ok(answer) => Ok(answer
            .text
            .split_whitespace()
            .eq(english.split_whitespace())),
        Err(
            Error::UnknownWords { .. }
            | Error::OutsideVocabulary { .. }
            | Error::NoAnswer { .. }
            | Error::Tokenizer(_),
        ) => Ok(false),
        Err(Error::Trainer(error)) if matches!(*error, latimer_trainer::Error::Tokenizer(_)) => {
            Ok(false)
        }
        Err(error) => Err(error),
    }
}
