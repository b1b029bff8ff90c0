//! What a translator has to say about an answer, besides the answer.

use std::fmt;

/// Something to know about a translation: what was guessed, and how sure the translator is.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Remark {
    /// Punctuation inside a sentence that the translation does not have.
    LeftOut {
        /// The signs, each once.
        signs: Vec<char>,
    },
    /// A word is no key of the dictionary, so the nearest key was taken.
    NearestKey {
        /// The word.
        word: String,
        /// The key.
        key: String,
        /// Edits between them.
        edits: usize,
    },
    /// A word was not among the pairs that a head learned from.
    NeverShown {
        /// The word.
        word: String,
        /// The key that the head looked at most.
        key: String,
        /// The weight that it gave this key, from 0 to 1.
        weight: f64,
    },
    /// A sentence that the phrasebook's grammar never makes, or that is built as training never
    /// shows it.
    Unsure {
        /// The sentence.
        sentence: String,
        /// Why.
        why: Unsure,
        /// The mean of the probabilities that the model gave the tokens of its answer.
        mean: f64,
        /// The token with the smallest probability, and that probability.
        least: (String, f64),
    },
    /// The model's answer did not come to an end.
    Endless {
        /// The tokens after which it was cut off.
        tokens: usize,
    },
}

/// Why a GPT's answer may be wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Unsure {
    /// These words are no French words of the phrasebook.
    Words(Vec<String>),
    /// Its words are known, but no sentence of the grammar is made of them in this way.
    Grammar,
    /// It is a sentence of the grammar, of a structure that is kept from training.
    Structure,
    /// It is a sentence like those of the training, and still the model takes the tokens of its
    /// answer to be more likely wrong than right.
    Doubt,
}

impl fmt::Display for Remark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::LeftOut { signs } => {
                let signs: Vec<String> = signs.iter().map(char::to_string).collect();
                write!(f, "the translation leaves out {}", list(&signs))
            }
            Self::NearestKey { word, key, edits } => {
                let unit = if *edits == 1 { "edit" } else { "edits" };
                write!(
                    f,
                    "`{word}` is not in the dictionary: the nearest key `{key}`, {edits} {unit} \
                     away, was taken"
                )
            }
            Self::NeverShown { word, key, weight } => write!(
                f,
                "the head never saw `{word}`: its answer is a guess, made mostly from `{key}` \
                 with a weight of {}",
                percent(*weight)
            ),
            Self::Unsure {
                sentence,
                why,
                mean,
                least,
            } => {
                match why {
                    Unsure::Words(words) => {
                        let are = match words.len() {
                            1 => "is not a French word",
                            _ => "are not French words",
                        };
                        write!(f, "{} {are} of the phrasebook", list(words))?;
                    }
                    Unsure::Grammar => {
                        write!(
                            f,
                            "`{sentence}` is not a sentence of the phrasebook's grammar"
                        )?;
                    }
                    Unsure::Structure => {
                        write!(
                            f,
                            "training never shows a sentence that is built like `{sentence}`"
                        )?;
                    }
                    Unsure::Doubt => {
                        write!(f, "the model doubts its answer for `{sentence}`")?;
                    }
                }
                write!(
                    f,
                    ": the model gave the tokens of its answer a probability of {} on average, \
                     the smallest to `{}`, {}",
                    percent(*mean),
                    least.0,
                    percent(least.1)
                )
            }
            Self::Endless { tokens } => write!(
                f,
                "the model's answer did not come to an end and was cut off after {tokens} tokens"
            ),
        }
    }
}

/// `` `a` ``, `` `a` and `b` ``, `` `a`, `b` and `c` ``.
pub(crate) fn list(words: &[String]) -> String {
    let quoted: Vec<String> = words.iter().map(|word| format!("`{word}`")).collect();
    match &quoted[..] {
        [] => String::new(),
        [one] => one.clone(),
        [first @ .., last] => format!("{} and {last}", first.join(", ")),
    }
}

fn percent(share: f64) -> String {
    format!("{:.1} %", 100.0 * share)
}
