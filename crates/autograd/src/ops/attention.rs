//! Attention in one operation, attention over a cache, and softmax, to compose attention from.

use crate::{Pass, Result, rules};
use latimer_tensor::op::{Attention, AttentionDecode, Softmax};
use latimer_tensor::{Shape, Tensor};

/// The settings of an attention.
#[derive(Clone, Copy, Debug)]
pub struct AttentionSpec {
    /// Heads, `NH`.
    pub n_head: usize,
    /// The factor of the scores `q·k`; `1/√D` in nearly every model.
    pub scale: f32,
    /// Whether position `i` sees positions `j <= i` only.
    pub causal: bool,
    /// Share of the weights dropped in training.
    pub dropout: f32,
    /// The dropout's site, from [`crate::Scope::site`].
    pub site: u32,
}

impl Pass<'_> {
    /// Attention over packed queries, keys and values: `[B, T, 3C]` to `[B, T, C]`.
    ///
    /// # Errors
    /// A width not divisible by `3 · n_head`.
    pub fn attention(&self, qkv: &Tensor, spec: AttentionSpec) -> Result<Tensor> {
        self.check_operand("attention", "qkv", qkv)?;
        let AttentionSpec {
            n_head,
            scale,
            causal,
            dropout,
            site,
        } = spec;
        let [batch, seq_len, width] = as_3d(qkv.shape());
        let rate = if self.is_training() { dropout } else { 0.0 };
        let mut y = self.like(qkv, [batch, seq_len, width / 3])?; // [B, T, C]
        let mut lse = self.empty_f32([batch, n_head, seq_len])?; // [B, NH, T]
        let random = self.random().filter(|_| rate > 0.0);
        self.device().run(Attention {
            qkv: qkv.view(),
            y: y.view_mut()?,
            lse: lse.view_mut()?,
            n_head,
            scale,
            causal,
            rate,
            site,
            random,
        })?;
        if !self.is_training() {
            return Ok(y);
        }
        self.record(
            &y,
            rules::attention(qkv.clone(), y.clone(), lse, spec, rate),
        );
        Ok(y)
    }

    /// Attention of new positions over a cache, which it extends: `[B, T, 3C]` to `[B, T, C]`, with
    /// caches `[B, NH, S, D]` filled up to `position`; `scale` is the factor of the scores, as in
    /// [`AttentionSpec`]. It is for evaluation: nothing is recorded for backward.
    ///
    /// # Errors
    /// A cache without room for the new positions; a cache that is shared.
    pub fn attention_decode(
        &self,
        qkv: &Tensor,
        k_cache: &mut Tensor,
        v_cache: &mut Tensor,
        position: usize,
        scale: f32,
    ) -> Result<Tensor> {
        let [batch, seq_len, width] = as_3d(qkv.shape());
        let mut y = self.like(qkv, [batch, seq_len, width / 3])?; // [B, T, C]
        self.device().run(AttentionDecode {
            qkv: qkv.view(),
            k_cache: k_cache.view_mut()?,
            v_cache: v_cache.view_mut()?,
            y: y.view_mut()?,
            position,
            scale,
        })?;
        Ok(y)
    }

    /// Softmax of `scale · x` over the last axis; `causal` masks later columns.
    ///
    /// # Errors
    /// A tensor without columns.
    pub fn softmax(&self, x: &Tensor, scale: f32, causal: bool) -> Result<Tensor> {
        self.check_operand("softmax", "x", x)?;
        let mut y = self.like(x, x.shape())?;
        let valid_columns = x.shape().columns();
        self.device().run(Softmax {
            x: x.view(),
            y: y.view_mut()?,
            scale,
            causal,
            valid_columns,
        })?;
        self.record(&y, rules::softmax(x.into(), y.clone(), scale));
        Ok(y)
    }
}

/// The lengths of `[B, T, X]`; zeros, which no operation takes, for another rank.
fn as_3d(shape: Shape) -> [usize; 3] {
    shape.dims().try_into().unwrap_or([0; 3])
}
