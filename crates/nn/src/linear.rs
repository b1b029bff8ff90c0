//! Linear layers, GPT-2's way round.

use crate::{GptConfig, WeightInit};
use latimer_autograd::{Init, Param, Pass, Result, Scope};
use latimer_tensor::Tensor;

/// `y = x · weight + bias`, with `weight: [in, out]` (Conv1D in Hugging Face's GPT-2, the transpose
/// of PyTorch's `Linear`).
#[derive(Clone, Copy, Debug)]
pub struct Linear {
    /// `[in, out]`.
    pub weight: Param,
    /// `[out]`.
    pub bias: Option<Param>,
}

impl Linear {
    /// Declares a layer from `width` to `out`; `std` is GPT-2's standard deviation for it.
    pub fn new(
        mut scope: Scope<'_>,
        config: &GptConfig,
        [width, out]: [usize; 2],
        bias: bool,
        std: f64,
    ) -> Self {
        let uniform = Init::Uniform {
            bound: 1.0 / (width as f64).sqrt(),
        };
        let (weight, zero) = match config.init {
            WeightInit::Gpt2 => (Init::Normal { std }, Init::Zeros),
            WeightInit::Torch => (uniform, uniform),
        };
        Self {
            weight: scope.param("weight", [width, out], weight),
            bias: bias.then(|| scope.param("bias", [out], zero)),
        }
    }

    /// `[…, in]` to `[…, out]`.
    ///
    /// # Errors
    /// A width that does not fit.
    pub fn forward(&self, pass: &Pass<'_>, x: &Tensor) -> Result<Tensor> {
        pass.linear(x, self.weight, self.bias)
    }
}
