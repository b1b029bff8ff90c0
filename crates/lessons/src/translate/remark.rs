//! Remarks of a translator on its answer.

use std::fmt;

/// A remark on a translation: what was guessed, or how sure the translator is.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Remark {
    /// The translation lacks punctuation inside the sentence.
    LeftOut {
        /// The signs, each once.
        signs: Vec<char>,
    },
    /// A word is not a key of the dictionary, so the nearest key was used.
    NearestKey {
        /// The word.
        word: String,
        /// The key.
        key: String,
        /// Edits between them.
        edits: usize,
    },
    /// A word is not among the pairs that a head learned from.
    NeverShown {
        /// The word.
        word: String,
        /// The key with the greatest weight.
        key: String,
        /// The weight that it gave this key, from 0 to 1.
        weight: f64,
    },
    /// The phrasebook's grammar never makes this sentence, or its structure is kept from training.
    Unsure {
        /// The sentence.
        sentence: String,
        /// The reason.
        why: Unsure,
        /// The mean of the probabilities that the model gave the tokens of its answer.
        mean: f64,
        /// The token with the smallest probability, and that probability.
        least: (String, f64),
    },
    /// The model's answer did not end.
    Endless {
        /// The tokens after which it was cut off.
        tokens: usize,
    },
}

/// Reasons why a GPT's answer may be wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Unsure {
    /// These words are not French words of the phrasebook.
    Words(Vec<String>),
    /// Its words are known, but the grammar makes no such sentence of them.
    Grammar,
    /// The grammar makes this sentence, but its structure is kept from training.
    Structure,
    /// The sentence is like those of the training, but the model considers the tokens of its answer
    /// more likely wrong than right.
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
                            "training never shows a sentence with the structure of `{sentence}`"
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
                "the model's answer did not end and was cut off after {tokens} tokens"
            ),
        }
    }
}

/// A list such as `` `a` ``, `` `a` and `b` `` or `` `a`, `b` and `c` ``.
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
