//! Causal self-attention. Vaswani et al. 2017.

use crate::kv_cache::LayerCache;
use crate::{GptConfig, Linear};
use latimer_autograd::{AttentionSpec, Pass, Result, Scope};
use latimer_tensor::Tensor;

/// Several heads of attention over one sequence, and a projection of what they found.
#[derive(Clone, Copy, Debug)]
pub struct CausalSelfAttention {
    /// `[C, 3C]`: queries, keys and values side by side.
    pub c_attn: Linear,
    /// `[C, C]`.
    pub c_proj: Option<Linear>,
    spec: AttentionSpec,
    proj_site: u32,
}

impl CausalSelfAttention {
    /// Declares the part; `residual_std` is the standard deviation of the projection's weights.
    pub fn new(mut scope: Scope<'_>, config: &GptConfig, residual_std: f64) -> Self {
        let c = config.n_embd;
        let spec = AttentionSpec {
            n_head: config.n_head,
            causal: config.causal,
            dropout: config.dropout,
            site: scope.site(),
        };
        let proj_site = scope.site();
        Self {
            c_attn: Linear::new(
                scope.child("c_attn"),
                config,
                [c, 3 * c],
                config.qkv_bias,
                0.02,
            ),
            c_proj: config.attn_proj.then(|| {
                Linear::new(
                    scope.child("c_proj"),
                    config,
                    [c, c],
                    config.bias,
                    residual_std,
                )
            }),
            spec,
            proj_site,
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
        let qkv = self.c_attn.forward(pass, x)?; // [B, T, 3C]
        let y = match cache {
            None => pass.attention(&qkv, self.spec)?, // [B, T, C]
            Some(LayerCache { k, v, position }) => pass.attention_decode(&qkv, k, v, position)?,
        };
        let Some(c_proj) = self.c_proj else {
            return Ok(y);
        };
        pass.dropout(
            &c_proj.forward(pass, &y)?,
            self.spec.dropout,
            self.proj_site,
        ) // [B, T, C]
    }
}
