//! Layer normalisation. Ba, Kiros and Hinton 2016.

use crate::GptConfig;
use latimer_autograd::{Init, Param, Pass, Result, Scope};
use latimer_tensor::Tensor;

/// `y = (x - mean)/√(variance + eps) · weight + bias` over the last axis.
#[derive(Clone, Copy, Debug)]
pub struct LayerNorm {
    /// `[C]`.
    pub weight: Param,
    /// `[C]`.
    pub bias: Option<Param>,
    eps: f32,
}

impl LayerNorm {
    /// Declares a norm of `n_embd` columns.
    pub fn new(mut scope: Scope<'_>, config: &GptConfig) -> Self {
        let width = config.n_embd;
        Self {
            weight: scope.param("weight", [width], Init::Ones),
            bias: config
                .bias
                .then(|| scope.param("bias", [width], Init::Zeros)),
            eps: config.norm_eps,
        }
    }

    /// `[…, C]` to the same.
    ///
    /// # Errors
    /// A width that does not fit.
    pub fn forward(&self, pass: &Pass<'_>, x: &Tensor) -> Result<Tensor> {
        pass.layer_norm(x, self.weight, self.bias, self.eps)
    }

    /// `x + r` and its norm, in one operation: `[…, C]` twice to the same twice.
    ///
    /// # Errors
    /// Shapes that differ, a width that does not fit.
    pub fn forward_residual(
        &self,
        pass: &Pass<'_>,
        x: &Tensor,
        r: &Tensor,
    ) -> Result<(Tensor, Tensor)> {
        pass.add_layer_norm(x, r, self.weight, self.bias, self.eps)
    }
}
