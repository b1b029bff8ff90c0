//! Generation: token after token, each computed once.

use crate::{Error, Gpt, KvCache, Result, Sampler};
use latimer_autograd::{Params, Pass};
use latimer_tensor::Tensor;

/// A sequence being continued.
///
/// While the sequence fits into `block_size`, keys and values are cached. Beyond, the model sees
/// the last `block_size` tokens at positions 0, 1, …, as nanoGPT's does, so every token's place
/// changes and the window is computed again. A model that is not causal is computed again always.
#[derive(Debug)]
pub struct Generator<'m> {
    model: &'m Gpt,
    params: &'m Params,
    cache: KvCache,
    ids: Vec<u32>,
    /// The last logits, padded.
    logits: Vec<f32>,
    use_cache: bool,
}

impl<'m> Generator<'m> {
    /// Starts from a prompt.
    ///
    /// # Errors
    /// [`Error::EmptyPrompt`], [`Error::IdOutOfRange`], or the device's lack of memory.
    pub fn new(model: &'m Gpt, params: &'m Params, prompt: &[u32]) -> Result<Self> {
        let cache = KvCache::new(params, model.config())?;
        let use_cache = model.config().causal;
        let mut generator = Self {
            model,
            params,
            cache,
            ids: Vec::new(),
            logits: Vec::new(),
            use_cache,
        };
        generator.restart(prompt)?;
        Ok(generator)
    }

    /// Starts again from another prompt, in the same memory.
    ///
    /// # Errors
    /// [`Error::EmptyPrompt`], [`Error::IdOutOfRange`].
    pub fn restart(&mut self, prompt: &[u32]) -> Result<()> {
        let vocab_size = self.model.config().vocab_size;
        if prompt.is_empty() {
            return Err(Error::EmptyPrompt);
        }
        if let Some(&id) = prompt.iter().find(|&&id| id as usize >= vocab_size) {
            return Err(Error::IdOutOfRange { id, vocab_size });
        }
        self.cache.clear();
        self.ids = prompt.to_vec();
        Ok(())
    }

    /// Recomputes everything for every token, to check the cache against.
    #[must_use]
    pub fn without_cache(self) -> Self {
        Self {
            use_cache: false,
            ..self
        }
    }

    /// The prompt and what was added to it.
    #[must_use]
    pub fn ids(&self) -> &[u32] {
        &self.ids
    }

    /// Logits of the next token, `V` of them.
    ///
    /// # Errors
    /// The device's failure.
    pub fn logits(&mut self) -> Result<&[f32]> {
        let config = self.model.config();
        let pass = Pass::evaluate(self.params);
        let window = &self.ids[self.ids.len().saturating_sub(config.block_size)..];
        let fits = self.ids.len() <= config.block_size;
        if !(self.use_cache && fits) || self.cache.len() >= self.ids.len() {
            self.cache.clear();
        }
        let fresh = &window[self.cache.len()..];
        let ids = Tensor::from_slice(self.params.device(), fresh, [1, fresh.len()])?; // [1, T]
        let logits = if config.causal && self.use_cache {
            self.model.decode(&pass, &ids, &mut self.cache)? // [1, Vp]
        } else {
            self.model.logits(&pass, &ids)? // [T, Vp]
        };
        self.logits.resize(logits.shape().numel(), 0.0);
        logits.copy_to_slice(&mut self.logits)?;
        let last = self.logits.len() - config.padded_vocab_size;
        Ok(&self.logits[last..][..config.vocab_size])
    }

    /// Adds a token from elsewhere.
    ///
    /// # Errors
    /// [`Error::IdOutOfRange`].
    pub fn push(&mut self, id: u32) -> Result<()> {
        let vocab_size = self.model.config().vocab_size;
        if id as usize >= vocab_size {
            return Err(Error::IdOutOfRange { id, vocab_size });
        }
        self.ids.push(id);
        Ok(())
    }

    /// Draws the next token and adds it.
    ///
    /// # Errors
    /// [`Error::BadLogits`], or the device's failure.
    pub fn next_id(&mut self, sampler: &mut Sampler) -> Result<u32> {
        let id = sampler.sample(self.logits()?)?;
        self.ids.push(id);
        Ok(id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::GptConfig;
    use latimer_tensor::Device;

    /// Or the tests that hold the cache to what is computed without it would hold it to itself.
    #[test]
    fn without_the_cache_nothing_is_kept() {
        let config = GptConfig {
            n_layer: 1,
            n_head: 1,
            n_embd: 8,
            block_size: 4,
            ..GptConfig::gpt2(5)
        };
        let (gpt, declarations) = Gpt::new(&config).unwrap();
        let params = Params::new(&Device::reference(), declarations, 0).unwrap();
        let generator = || Generator::new(&gpt, &params, &[1, 2]).unwrap();
        let mut cached = generator();
        cached.logits().unwrap();
        assert_eq!(cached.cache.len(), 2);
        let mut anew = generator().without_cache();
        anew.logits().unwrap();
        assert!(anew.cache.is_empty());
    }
}
