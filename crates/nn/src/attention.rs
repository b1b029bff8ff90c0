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
    /// Declares the part of a layer, counted from 0; `residual_std` is the standard deviation of
    /// the projection's weights.
    pub fn new(mut scope: Scope<'_>, config: &GptConfig, layer: usize, residual_std: f64) -> Self {
        let c = config.n_embd;
        let spec = AttentionSpec {
            n_head: config.n_head,
            scale: config.attention_scale(layer),
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
            Some(LayerCache { k, v, position }) => {
                pass.attention_decode(&qkv, k, v, position, self.spec.scale)?
            }
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

    /// How much each position looks at each other, `softmax(scale · q·kᵀ)` by head: `x: [B, T, C]`
    /// to `[B, NH, T, T]`, rows of queries. [`Self::forward`] fuses these steps and keeps no
    /// weights; dropout, which it applies to them in training, is not part of them.
    ///
    /// # Errors
    /// An `x` of another rank or width; the device's failure.
    pub fn weights(&self, pass: &Pass<'_>, x: &Tensor) -> Result<Tensor> {
        let qkv = self.c_attn.forward(pass, x)?; // [B, T, 3C]
        // Another rank becomes zeros, which no reshape takes.
        let [batch, seq_len, width] = qkv.dims().try_into().unwrap_or([0; 3]);
        let n_head = self.spec.n_head;
        let head_dim = width / 3 / n_head.max(1);
        let heads = qkv.reshape([batch, seq_len, 3 * n_head, head_dim])?;
        let heads = pass.permute(&heads, &[0, 2, 1, 3])?; // [B, 3NH, T, D]
        let matrices = [batch * n_head, seq_len, head_dim];
        let q = pass.slice(&heads, 1, 0, n_head)?.reshape(matrices)?; // [B * NH, T, D]
        let k = pass.slice(&heads, 1, n_head, n_head)?; // [B, NH, T, D]
        let scores = pass.matmul(&q, &k.reshape(matrices)?, true)?; // [B * NH, T, T]
        let weights = pass.softmax(&scores, self.spec.scale, self.spec.causal)?; // [B * NH, T, T]
        Ok(weights.reshape([batch, n_head, seq_len, seq_len])?)
    }
}
