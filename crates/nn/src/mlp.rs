//! The feed-forward part of a block.

use crate::{GptConfig, Linear};
use latimer_autograd::{Pass, Result, Scope};
use latimer_tensor::{Tensor, op::UnaryKind};

/// Each position by itself: wider, through a non-linearity, and back.
#[derive(Clone, Copy, Debug)]
pub struct Mlp {
    /// `[C, F]` with `F = GptConfig::inner_width`.
    pub c_fc: Linear,
    /// `[F, C]`.
    pub c_proj: Option<Linear>,
    activation: UnaryKind,
    dropout: f32,
    site: u32,
}

impl Mlp {
    /// Declares the part; `residual_std` is the standard deviation of the projection's weights.
    pub fn new(mut scope: Scope<'_>, config: &GptConfig, residual_std: f64) -> Self {
        let (c, f) = (config.n_embd, config.inner_width());
        Self {
            c_fc: Linear::new(scope.child("c_fc"), config, [c, f], config.bias, 0.02),
            c_proj: config.ff_proj.then(|| {
                Linear::new(
                    scope.child("c_proj"),
                    config,
                    [f, c],
                    config.bias,
                    residual_std,
                )
            }),
            activation: config.activation.kind(),
            dropout: config.dropout,
            site: scope.site(),
        }
    }

    /// `[B, T, C]` to the same.
    ///
    /// # Errors
    /// The device's failure.
    pub fn forward(&self, pass: &Pass<'_>, x: &Tensor) -> Result<Tensor> {
        let x = self.c_fc.forward(pass, x)?; // [B, T, F]
        let x = pass.unary(self.activation, &x)?; // [B, T, F]
        let Some(c_proj) = self.c_proj else {
            return Ok(x);
        };
        pass.dropout(&c_proj.forward(pass, &x)?, self.dropout, self.site) // [B, T, C]
    }
}
