//! Translation by a GPT trained on the phrasebook, and how often it is right.

use crate::{Pair, word_by_word};
use latimer_autograd::Params;
use latimer_nn::Gpt;
use latimer_tokenizer::Tokenizer;
use latimer_trainer::{GptWriter, Line, Result, Writer};

/// Longest answer, in tokens: twice what any line of the corpus needs.
const LONGEST: usize = 50;

/// Continues `french =` greedily up to the end of the line.
///
/// # Errors
/// [`Tokenizer`](latimer_trainer::Error::Tokenizer) for words the model has never seen,
/// [`NoLineEnd`](latimer_trainer::Error::NoLineEnd), or the device's failure.
pub fn answer(gpt: &Gpt, params: &Params, tokenizer: &dyn Tokenizer, french: &str) -> Result<Line> {
    translate(&GptWriter::new(gpt, params, tokenizer), french)
}

pub(crate) fn translate(model: &dyn Writer, french: &str) -> Result<Line> {
    model.line(&format!("{} =", french.trim()), LONGEST)
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
/// As [`answer`].
pub fn accuracy(
    gpt: &Gpt,
    params: &Params,
    tokenizer: &dyn Tokenizer,
    pairs: &[Pair],
) -> Result<Accuracy> {
    accuracy_of(&GptWriter::new(gpt, params, tokenizer), pairs)
}

pub(crate) fn accuracy_of(model: &dyn Writer, pairs: &[Pair]) -> Result<Accuracy> {
    let (mut right, mut dictionary) = (0, 0);
    for pair in pairs {
        let english = translate(model, &pair.french)?.text;
        right += usize::from(english == pair.english);
        dictionary += usize::from(word_by_word(&pair.french) == pair.english);
    }
    let share = |n: usize| n as f64 / pairs.len().max(1) as f64;
    Ok(Accuracy {
        exact_match: share(right),
        word_by_word: share(dictionary),
    })
}
