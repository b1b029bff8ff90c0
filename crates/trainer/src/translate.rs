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
    translate_until(gpt, params, tokenizer, french, &NEVER)
}

/// As [`translate`].
///
/// # Errors
/// [`Error::Stopped`] at the next token after `stop` is set; those of [`translate`].
pub(crate) fn translate_until(
    gpt: &Gpt,
    params: &Params,
    tokenizer: &dyn Tokenizer,
    french: &str,
    stop: &AtomicBool,
) -> Result<String> {
    let newline = line_end(tokenizer)?;
    let prompt = tokenizer.encode(&format!("\n{} =", french.trim()))?;
    let answer = params.device().enter(|| -> Result<Vec<u32>> {
        let mut generator = Generator::new(gpt, params, &prompt)?;
        let mut sampler = sampler(tokenizer, gpt, Sampling::greedy(), 0)?;
        for _ in 0..LONGEST {
            if stop.load(Ordering::Relaxed) {
                return Err(Error::Stopped);
            }
            if generator.next_id(&mut sampler)? == newline {
                break;
            }
        }
        Ok(generator.ids()[prompt.len()..].to_vec())
    })?;
    Ok(tokenizer.decode(&answer)?.trim().to_owned())
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
/// As [`translate_until`].
pub(crate) fn accuracy_until(
    gpt: &Gpt,
    params: &Params,
    tokenizer: &dyn Tokenizer,
    pairs: &[Pair],
    stop: &AtomicBool,
) -> Result<Accuracy> {
    let (mut model, mut dictionary) = (0, 0);
    for pair in pairs {
        let english = translate_until(gpt, params, tokenizer, &pair.french, stop)?;
        model += usize::from(english == pair.english);
        dictionary += usize::from(word_by_word(&pair.french) == pair.english);
    }
    let share = |n: usize| n as f64 / pairs.len().max(1) as f64;
    Ok(Accuracy {
        exact_match: share(model),
        word_by_word: share(dictionary),
    })
}
