//! The GPT: embeddings, blocks, a final norm, a head.
//!
//! Sources: Radford et al. 2019 ("GPT-2"); parameter names and layouts are those of Hugging Face's
//! GPT-2 files.

use crate::{
    Block, Error, GptConfig, KvCache, LayerNorm, NormKind, PositionKind, ResidualStream, Result,
    WeightInit,
};
use latimer_autograd::{Declarations, Init, LmHead, Param, Pass};
use latimer_tensor::Tensor;

/// A GPT: plain data, the keys of its parameters; what they stand for is in a
/// [`Params`](latimer_autograd::Params).
#[derive(Clone, Debug)]
pub struct Gpt {
    config: GptConfig,
    /// Token embedding, `[V, C]`.
    pub wte: Param,
    /// Position embedding, `[block_size, C]`.
    pub wpe: Option<Param>,
    /// The blocks.
    pub h: Vec<Block>,
    /// Before the head.
    pub ln_f: Option<LayerNorm>,
    /// Makes logits.
    pub head: LmHead,
    embedding_site: u32,
}

impl Gpt {
    /// Declares a model; needs no device.
    ///
    /// # Errors
    /// [`Error::InvalidConfig`].
    ///
    /// ```
    /// use latimer_nn::{Gpt, GptConfig};
    /// let (_, declarations) = Gpt::new(&GptConfig::gpt2(50257))?;
    /// assert_eq!(declarations.num_parameters(), 124_439_808);
    /// # Ok::<(), latimer_nn::Error>(())
    /// ```
    pub fn new(config: &GptConfig) -> Result<(Self, Declarations)> {
        config.check()?;
        let mut declarations = Declarations::new();
        let mut root = declarations.root();
        let (v, rows, c) = (config.vocab_size, config.padded_vocab_size, config.n_embd);
        let (embedding, head_init) = match config.init {
            WeightInit::Gpt2 => (Init::Normal { std: 0.02 }, Init::Normal { std: 0.02 }),
            WeightInit::Torch => (
                Init::Normal { std: 1.0 },
                Init::Uniform {
                    bound: 1.0 / (c as f64).sqrt(),
                },
            ),
        };
        let mut transformer = root.child("transformer");
        let embedding_site = transformer.site();
        let wte = transformer
            .child("wte")
            .padded_param("weight", [v, c], rows, embedding);
        let learned = config.positions == PositionKind::Learned;
        let wpe = learned.then(|| {
            transformer
                .child("wpe")
                .param("weight", [config.block_size, c], embedding)
        });
        let h = (0..config.n_layer)
            .map(|layer| Block::new(transformer.child(format_args!("h.{layer}")), config, layer))
            .collect();
        let has_norm = config.norm == NormKind::Layer;
        let ln_f = has_norm.then(|| LayerNorm::new(transformer.child("ln_f"), config));
        let mut lm_head = root.child("lm_head");
        let weight = if config.tie {
            wte
        } else {
            lm_head.padded_param("weight", [v, c], rows, head_init)
        };
        let bias_init = if config.init == WeightInit::Gpt2 {
            Init::Zeros
        } else {
            head_init
        };
        let bias = config
            .head_bias
            .then(|| lm_head.padded_param("bias", [v], rows, bias_init));
        let head = LmHead {
            weight,
            bias,
            valid_columns: v,
        };
        let config = config.clone();
        Ok((
            Self {
                config,
                wte,
                wpe,
                h,
                ln_f,
                head,
                embedding_site,
            },
            declarations,
        ))
    }

    /// The shape it was made in.
    #[must_use]
    pub fn config(&self) -> &GptConfig {
        &self.config
    }

    /// What the head sees: `ids: [B, T]` (`U32`) to `[B, T, C]`. With a cache, the ids go on from
    /// the positions it has seen.
    fn forward(
        &self,
        pass: &Pass<'_>,
        ids: &Tensor,
        mut cache: Option<&mut KvCache>,
    ) -> Result<Tensor> {
        let x = self.embed(pass, ids, cache.as_ref().map_or(0, |c| c.len()))?; // [B, T, C]
        let mut stream = ResidualStream::from(x);
        for (layer, block) in self.h.iter().enumerate() {
            stream = block.forward(pass, stream, cache.as_mut().map(|c| c.layer(layer)))?; // [B, T, C]
        }
        if let Some(cache) = cache {
            cache.advance(ids.shape().columns())?;
        }
        let (_, y) = stream.normed(pass, self.ln_f)?; // [B, T, C]
        Ok(y)
    }

    /// What the first block sees: `ids: [B, T]` (`U32`), at positions from `first` on, to
    /// `[B, T, C]`.
    pub(crate) fn embed(&self, pass: &Pass<'_>, ids: &Tensor, first: usize) -> Result<Tensor> {
        let (got, block_size) = (first + ids.shape().columns(), self.config.block_size);
        if got > block_size {
            return Err(Error::TooLong { got, block_size });
        }
        let x = pass.embedding(ids, self.wte, self.wpe, first)?; // [B, T, C]
        Ok(pass.dropout(&x, self.config.dropout, self.embedding_site)?)
    }

    /// Mean cross-entropy in nats of `targets` (`[B, T]`, `U32`) after `ids` (`[B, T]`, `U32`), as
    /// `[1]`.
    ///
    /// # Errors
    /// [`Error::TooLong`], ids out of range, or the device's failure.
    pub fn loss(&self, pass: &Pass<'_>, ids: &Tensor, targets: &Tensor) -> Result<Tensor> {
        let x = self.forward(pass, ids, None)?; // [B, T, C]
        Ok(pass.lm_loss(&x, self.head, targets)?)
    }

    /// Logits at every position: `ids: [B, T]` to `[B·T, Vp]`, for evaluation.
    ///
    /// # Errors
    /// As [`Gpt::loss`].
    pub fn logits(&self, pass: &Pass<'_>, ids: &Tensor) -> Result<Tensor> {
        let x = self.forward(pass, ids, None)?; // [B, T, C]
        Ok(pass.logits(&x, 0, self.head)?) // [B * T, Vp]
    }

    /// Logits after the last of some new positions of each sequence, `ids: [B, T]`, which the cache
    /// of `B` rows then has seen too: `[B, Vp]`.
    ///
    /// # Errors
    /// [`Error::TooLong`] when the cache has no room, a cache of other rows, and as [`Gpt::loss`].
    pub fn decode(&self, pass: &Pass<'_>, ids: &Tensor, cache: &mut KvCache) -> Result<Tensor> {
        let x = self.forward(pass, ids, Some(cache))?; // [B, T, C]
        let (rows, seq_len) = (ids.shape().rows(), ids.shape().columns());
        if rows == 1 || seq_len == 1 {
            return Ok(pass.logits(&x, x.shape().rows() - rows, self.head)?); // [B, Vp]
        }
        let last = pass.slice(&x, 1, seq_len - 1, 1)?; // [B, 1, C]
        Ok(pass.logits(&last, 0, self.head)?) // [B, Vp]
    }
}
