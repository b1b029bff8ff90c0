//! Where a text begins and ends, and which ids may be in it.

use crate::{Error, Result};
use latimer_nn::{Gpt, Sampler, Sampling};
use latimer_tokenizer::Tokenizer;

/// A sampler that draws no id without a token: a model's vocabulary may be larger than its
/// tokenizer's, and a tokenizer may have gaps.
///
/// # Errors
/// As [`Sampler::new`].
pub fn sampler(
    tokenizer: &dyn Tokenizer,
    gpt: &Gpt,
    sampling: Sampling,
    sample: u32,
) -> Result<Sampler> {
    let ids = 0..gpt.config().vocab_size as u32;
    let without_token = ids.filter(|&id| tokenizer.token_bytes(id).is_none());
    Ok(Sampler::new(sampling, sample)?.without(without_token))
}

/// What a model continues when no prompt is given: a line's beginning, where the vocabulary has
/// one; else its first token.
///
/// # Errors
/// [`latimer_nn::Error::NothingToDraw`] where no id has a token.
pub fn beginning(tokenizer: &dyn Tokenizer) -> Result<Vec<u32>> {
    if let Ok(ids) = tokenizer.encode("\n")
        && !ids.is_empty()
    {
        return Ok(ids);
    }
    let mut ids = 0..tokenizer.vocab_size() as u32;
    let first = ids.find(|&id| tokenizer.token_bytes(id).is_some());
    Ok(vec![first.ok_or(latimer_nn::Error::NothingToDraw)?])
}

/// The token that ends a line: the first of those that a new line is encoded to.
///
/// # Errors
/// [`Error::NoLineEnd`]; [`Error::Tokenizer`] when the tokenizer refuses a new line.
pub fn line_end(tokenizer: &dyn Tokenizer) -> Result<u32> {
    let ids = tokenizer.encode("\n")?;
    ids.first().copied().ok_or(Error::NoLineEnd)
}
