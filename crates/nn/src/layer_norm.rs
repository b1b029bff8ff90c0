//! Layer normalisation. Ba, Kiros and Hinton 2016.

use latimer_autograd::{Init, Param, Pass, Result, Scope};
use latimer_tensor::Tensor;

/// GPT-2's epsilon.
const EPS: f32 = 1e-5;

/// `y = (x - mean)/√(variance + 1e-5) · weight + bias` over the last axis.
#[derive(Clone, Copy, Debug)]
pub struct LayerNorm {
    /// `[C]`.
    pub weight: Param,
    /// `[C]`.
    pub bias: Option<Param>,
}

impl LayerNorm {
    /// Declares a norm of `width` columns.
    pub fn new(mut scope: Scope<'_>, width: usize, bias: bool) -> Self {
        Self {
            weight: scope.param("weight", [width], Init::Ones),
            bias: bias.then(|| scope.param("bias", [width], Init::Zeros)),
        }
    }

    /// `[…, C]` to the same.
    ///
    /// # Errors
    /// A width that does not fit.
    pub fn forward(&self, pass: &Pass<'_>, x: &Tensor) -> Result<Tensor> {
        pass.layer_norm(x, self.weight, self.bias, EPS)
    }

    /// `x + r` and its norm, in one operation: `[…, C]` twice to the same twice.
    ///
    /// # Errors
    /// Shapes that differ, a width that does not fit.
    pub fn forward_sum(&self, pass: &Pass<'_>, x: &Tensor, r: &Tensor) -> Result<(Tensor, Tensor)> {
        pass.add_layer_norm(x, r, self.weight, self.bias, EPS)
    }
}
