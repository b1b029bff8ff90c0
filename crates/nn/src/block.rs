//! A transformer block.

use crate::kv_cache::LayerCache;
use crate::{CausalSelfAttention, GptConfig, LayerNorm, Mlp, NormKind};
use latimer_autograd::{Pass, Result, Scope};
use latimer_tensor::Tensor;

/// Attention, then feed-forward, each normalised before and added to what came in.
#[derive(Clone, Copy, Debug)]
pub struct Block {
    /// Before attention.
    pub ln_1: Option<LayerNorm>,
    /// Looks at other positions.
    pub attn: CausalSelfAttention,
    /// Before the feed-forward part.
    pub ln_2: Option<LayerNorm>,
    /// Works on each position.
    pub mlp: Option<Mlp>,
    residual: bool,
}

impl Block {
    /// Declares the block of a layer, counted from 0.
    pub fn new(mut scope: Scope<'_>, config: &GptConfig, layer: usize) -> Self {
        let residual_std = 0.02 / (2.0 * config.n_layer as f64).sqrt();
        let has_mlp = config.inner_width() > 0;
        let mut norm = |name, needed: bool| {
            (needed && config.norm == NormKind::Layer)
                .then(|| LayerNorm::new(scope.child(name), config))
        };
        let (ln_1, ln_2) = (norm("ln_1", true), norm("ln_2", has_mlp));
        Self {
            ln_1,
            attn: CausalSelfAttention::new(scope.child("attn"), config, layer, residual_std),
            ln_2,
            mlp: has_mlp.then(|| Mlp::new(scope.child("mlp"), config, residual_std)),
            residual: config.residual,
        }
    }

    /// `[B, T, C]` to the same, over a cache when decoding.
    ///
    /// # Errors
    /// The device's failure; a cache without room.
    pub fn forward(
        &self,
        pass: &Pass<'_>,
        stream: ResidualStream,
        cache: Option<LayerCache<'_>>,
    ) -> Result<ResidualStream> {
        let (x, y) = stream.normed(pass, self.ln_1)?; // [B, T, C]
        let y = self.attn.forward(pass, &y, cache)?; // [B, T, C]
        let stream = self.join(x, y);
        let Some(mlp) = self.mlp else {
            return Ok(stream);
        };
        let (x, y) = stream.normed(pass, self.ln_2)?; // [B, T, C]
        let y = mlp.forward(pass, &y)?; // [B, T, C]
        Ok(self.join(x, y))
    }

    fn join(&self, x: Tensor, y: Tensor) -> ResidualStream {
        if self.residual {
            ResidualStream { x, y: Some(y) }
        } else {
            y.into()
        }
    }
}

/// The value passed from block to block, `x + y`, each `[B, T, C]`. `y` is the output of the last
/// part; the next norm adds it, in the same operation. The stream's name is from Elhage et al. 2021
/// ("A Mathematical Framework for Transformer Circuits").
#[derive(Clone, Debug)]
pub struct ResidualStream {
    x: Tensor,
    y: Option<Tensor>,
}

impl From<Tensor> for ResidualStream {
    fn from(x: Tensor) -> Self {
        Self { x, y: None }
    }
}

impl ResidualStream {
    /// The sum, `[B, T, C]`.
    ///
    /// # Errors
    /// The device's failure.
    pub fn sum(self, pass: &Pass<'_>) -> Result<Tensor> {
        match self.y {
            Some(y) => pass.add(&self.x, &y),
            None => Ok(self.x),
        }
    }

    /// The sum and its norm, or the sum twice where there is no norm.
    pub(crate) fn normed(
        self,
        pass: &Pass<'_>,
        norm: Option<LayerNorm>,
    ) -> Result<(Tensor, Tensor)> {
        match (self.y, norm) {
            (Some(y), Some(norm)) => norm.forward_residual(pass, &self.x, &y),
            (None, Some(norm)) => {
                let y = norm.forward(pass, &self.x)?;
                Ok((self.x, y))
            }
            (y, None) => {
                let x = Self { x: self.x, y }.sum(pass)?;
                Ok((x.clone(), x))
            }
        }
    }
}
