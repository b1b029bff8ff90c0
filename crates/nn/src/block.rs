//! A transformer block.

use crate::kv_cache::LayerCache;
use crate::{CausalSelfAttention, GptConfig, LayerNorm, Mlp};
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
    /// Declares a block.
    pub fn new(mut scope: Scope<'_>, config: &GptConfig) -> Self {
        let c = config.n_embd;
        let residual_std = 0.02 / (2.0 * config.n_layer as f64).sqrt();
        let has_mlp = config.ff_factor > 0;
        let mut norm = |name, needed: bool| {
            (needed && config.layer_norm).then(|| LayerNorm::new(scope.child(name), c, config.bias))
        };
        let (ln_1, ln_2) = (norm("ln_1", true), norm("ln_2", has_mlp));
        Self {
            ln_1,
            attn: CausalSelfAttention::new(scope.child("attn"), config, residual_std),
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
        x: &Tensor,
        cache: Option<LayerCache<'_>>,
    ) -> Result<Tensor> {
        let y = self
            .attn
            .forward(pass, &normed(pass, self.ln_1, x)?, cache)?;
        let x = if self.residual { pass.add(x, &y)? } else { y };
        let Some(mlp) = self.mlp else { return Ok(x) };
        let y = mlp.forward(pass, &normed(pass, self.ln_2, &x)?)?;
        if self.residual {
            pass.add(&x, &y)
        } else {
            Ok(y)
        }
    }
}

/// `norm(x)`, or `x` where there is none.
pub(crate) fn normed(pass: &Pass<'_>, norm: Option<LayerNorm>, x: &Tensor) -> Result<Tensor> {
    norm.map_or_else(|| Ok(x.clone()), |norm| norm.forward(pass, x))
}
