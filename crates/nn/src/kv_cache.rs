//! Keys and values of the positions seen so far, so that decoding computes each only once.

use crate::{Error, GptConfig, Result};
use latimer_autograd::Params;
use latimer_tensor::Tensor;

/// The cache of a whole model: `[B, NH, S, D]` for keys and for values of each layer.
#[derive(Debug)]
pub struct KvCache {
    layers: Vec<(Tensor, Tensor)>,
    len: usize,
    block_size: usize,
}

/// One layer's part of a cache, while new positions go through it.
#[derive(Debug)]
pub struct LayerCache<'c> {
    pub(crate) k: &'c mut Tensor,
    pub(crate) v: &'c mut Tensor,
    pub(crate) position: usize,
}

impl KvCache {
    /// An empty cache for one sequence of up to `block_size` positions, where these parameters lie
    /// and of the type that they compute in.
    ///
    /// # Errors
    /// The device's lack of memory.
    pub fn new(params: &Params, config: &GptConfig) -> Result<Self> {
        Self::with_batch_size(params, config, 1)
    }

    /// As [`KvCache::new`], for `batch_size` sequences of equal length, `B`, that are decoded side
    /// by side.
    ///
    /// # Errors
    /// The device's lack of memory.
    pub fn with_batch_size(params: &Params, config: &GptConfig, batch_size: usize) -> Result<Self> {
        let (t, d) = (config.block_size, config.head_dim());
        let shape = [batch_size, config.n_head, t, d];
        let one = || Tensor::zeros(params.device(), shape, params.dtype());
        let layers = (0..config.n_layer)
            .map(|_| Ok((one()?, one()?)))
            .collect::<Result<_>>()?;
        Ok(Self {
            layers,
            len: 0,
            block_size: config.block_size,
        })
    }

    /// Positions seen.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// True if no position was seen.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Positions that still fit.
    #[must_use]
    pub fn remaining(&self) -> usize {
        self.block_size - self.len
    }

    /// Forgets all positions, keeping the memory.
    pub fn clear(&mut self) {
        self.len = 0;
    }

    pub(crate) fn layer(&mut self, layer: usize) -> LayerCache<'_> {
        let (k, v) = &mut self.layers[layer];
        LayerCache {
            k,
            v,
            position: self.len,
        }
    }

    pub(crate) fn advance(&mut self, positions: usize) -> Result<()> {
        if positions > self.remaining() {
            return Err(Error::TooLong {
                got: self.len + positions,
                block_size: self.block_size,
            });
        }
        self.len += positions;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Gpt;
    use latimer_autograd::Params;
    use latimer_tensor::Device;

    #[test]
    fn positions_beyond_the_block_are_refused_with_their_number() {
        let config = GptConfig {
            n_layer: 1,
            n_head: 1,
            n_embd: 8,
            block_size: 4,
            ..GptConfig::gpt2(5)
        };
        let (_, declarations) = Gpt::new(&config).unwrap();
        let params = Params::new(&Device::reference(), declarations, 0).unwrap();
        let mut cache = KvCache::new(&params, &config).unwrap();
        cache.advance(3).unwrap();
        assert_eq!((cache.len(), cache.remaining()), (3, 1));
        let error = cache.advance(2).unwrap_err();
        assert!(
            matches!(
                error,
                Error::TooLong {
                    got: 5,
                    block_size: 4
                }
            ),
            "{error}"
        );
        assert_eq!(cache.len(), 3);
        cache.advance(1).unwrap();
        assert_eq!(cache.remaining(), 0);
        cache.clear();
        assert_eq!((cache.is_empty(), cache.remaining()), (true, 4));
    }
}
