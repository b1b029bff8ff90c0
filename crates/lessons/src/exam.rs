//! An exam for translators: what each idea buys, in numbers.

use crate::{Dictionary, Error, Result, Translator};
use latimer_phrasebook::{self as phrasebook, Unseen, unseen_pairs};

/// Shortest word that is given a typo: below, too little is left to recognise.
const SHORTEST: usize = 4;

/// Three papers over one dictionary: its words, its words with a letter left out, and sentences.
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
    /// A question and its answer.
    known: Vec<(String, String)>,
    typos: Vec<(String, String)>,
    sentences: Vec<(String, String)>,
}

/// Shares of right answers, from 0 to 1.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Score {
    /// Of the dictionary's words.
    pub known: f64,
    /// Of those with a letter left out.
    pub typos: f64,
    /// Of sentences, each to the letter.
    pub sentences: f64,
}

impl Exam {
    /// The phrasebook's words, and `sentences` of its sentences that training never shows.
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
                // Another letter for each word, from its second to its last.
                let left_out = 1 + number % (french.chars().count() - 1);
                let letters = french.chars().enumerate();
                let letters = letters
                    .filter(|&(i, _)| i != left_out)
                    .map(|(_, letter)| letter);
                (letters.collect::<String>(), english.to_owned())
            })
            // What is a word again is no typo.
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

    /// The words it is about.
    #[must_use]
    pub fn dictionary(&self) -> &Dictionary {
        &self.dictionary
    }

    /// Questions of the three papers: words, typos, sentences.
    #[must_use]
    pub fn questions(&self) -> [usize; 3] {
        [&self.known, &self.typos, &self.sentences].map(Vec::len)
    }

    /// Puts all questions to a translator. To refuse one is to have it wrong.
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
        // Words that mean nothing in English leave no gap.
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
