//! Translation by a GPT trained on the phrasebook, and how often it is right.

use crate::data::phrasebook::{Pair, word_by_word};
use crate::evaluate::NEVER;
use crate::sampling::line_end;
use crate::{Error, Result, sampler};
use latimer_autograd::Params;
use latimer_nn::{Generator, Gpt, Sampling};
use latimer_tokenizer::Tokenizer;
use std::sync::atomic::{AtomicBool, Ordering};

/// Longest answer, in tokens: twice what any line of the corpus needs.
const LONGEST: usize = 50;

/// A translation, and how sure the model was of each token.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    /// The English text.
    pub text: String,
    /// Its tokens, without the end of the line.
    pub ids: Vec<u32>,
    /// The probability that the model gave each token, and then the end of the line if it came.
    pub probabilities: Vec<f64>,
    /// Whether the end of the line came; else the answer was cut off.
    pub ended: bool,
}

/// Continues `french =` greedily up to the end of the line.
///
/// # Errors
/// [`crate::Error::Tokenizer`] for words the model has never seen, [`crate::Error::NoLineEnd`], or the
/// device's failure.
pub fn translate(
    gpt: &Gpt,
    params: &Params,
    tokenizer: &dyn Tokenizer,
    french: &str,
) -> Result<String> {
    Ok(answer(gpt, params, tokenizer, french)?.text)
}

/// As [`translate`], with the probability of each token.
///
/// # Errors
/// As [`translate`].
pub fn answer(
    gpt: &Gpt,
    params: &Params,
    tokenizer: &dyn Tokenizer,
    french: &str,
) -> Result<Answer> {
    answer_until(gpt, params, tokenizer, french, &NEVER)
}

/// As [`answer`].
///
/// # Errors
/// [`Error::Stopped`] at the next token after `stop` is set; those of [`translate`].
pub(crate) fn answer_until(
    gpt: &Gpt,
    params: &Params,
    tokenizer: &dyn Tokenizer,
    french: &str,
    stop: &AtomicBool,
) -> Result<Answer> {
    let newline = line_end(tokenizer)?;
    let prompt = tokenizer.encode(&format!("\n{} =", french.trim()))?;
    params.device().enter(|| -> Result<Answer> {
        let mut generator = Generator::new(gpt, params, &prompt)?;
        let mut sampler = sampler(tokenizer, gpt, Sampling::greedy(), 0)?;
        let (mut probabilities, mut ended) = (Vec::new(), false);
        while probabilities.len() < LONGEST && !ended {
            if stop.load(Ordering::Relaxed) {
                return Err(Error::Stopped);
            }
            let logits = generator.logits()?;
            let id = sampler.sample(logits)?;
            probabilities.push(probability(logits, id));
            ended = id == newline;
            if !ended {
                generator.push(id)?;
            }
        }
        let ids = generator.ids()[prompt.len()..].to_vec();
        Ok(Answer {
            text: tokenizer.decode(&ids)?.trim().to_owned(),
            ids,
            probabilities,
            ended,
        })
    })
}

/// The share that a softmax over `logits` gives to `id`.
fn probability(logits: &[f32], id: u32) -> f64 {
    let of = f64::from(logits[id as usize]);
    let sum: f64 = logits.iter().map(|&x| (f64::from(x) - of).exp()).sum();
    1.0 / sum
}

/// Shares of sentences translated to the letter.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Accuracy {
    /// By the model.
    pub exact_match: f64,
    /// By a plain dictionary, word by word.
    pub word_by_word: f64,
}

/// Translates each sentence and compares.
///
/// # Errors
/// As [`translate`].
pub fn accuracy(
    gpt: &Gpt,
    params: &Params,
    tokenizer: &dyn Tokenizer,
    pairs: &[Pair],
) -> Result<Accuracy> {
    accuracy_until(gpt, params, tokenizer, pairs, &NEVER)
}

/// As [`accuracy`].
///
/// # Errors
/// As [`answer_until`].
pub(crate) fn accuracy_until(
    gpt: &Gpt,
    params: &Params,
    tokenizer: &dyn Tokenizer,
    pairs: &[Pair],
    stop: &AtomicBool,
) -> Result<Accuracy> {
    let (mut model, mut dictionary) = (0, 0);
    for pair in pairs {
        let english = answer_until(gpt, params, tokenizer, &pair.french, stop)?.text;
        model += usize::from(english == pair.english);
        dictionary += usize::from(word_by_word(&pair.french) == pair.english);
    }
    let share = |n: usize| n as f64 / pairs.len().max(1) as f64;
    Ok(Accuracy {
        exact_match: share(model),
        word_by_word: share(dictionary),
    })
}
