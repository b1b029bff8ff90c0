//! A residual sum and its layer normalisation in one pass over memory.

use super::layer_norm::Normalised;
use super::{OpSpec, op};
use crate::{Host, Result};

op! {
    /// `s = x + r` and `y = layer_norm(s)`, as [`super::LayerNorm`]'s. `s`, `mean` and `rstd` are kept for
    /// backward.
    ///
    /// It is the unrounded sum that is normalised: where `s` is narrower than what the backend adds in,
    /// `y` is closer to the meaning than an [`super::Binary`] and a [`super::LayerNorm`] would be.
    ///
    /// Its backward is [`super::LayerNormBackward`] on `s` with `accumulate`: what came to `s` directly
    /// lies in `dx` already, and `dx` then is the gradient of `x` and of `r` alike.
    AddLayerNorm "add_layer_norm" {
        /// The residual stream.
        x: In "float", "[N.., C>0]";
        /// What a sublayer adds to it.
        r: In "as x", "as x";
        /// Factor of each column.
        weight: In "as x", "[C]";
        /// Added to each column.
        bias: MaybeIn "as x", "[C]";
        /// The stream from here on.
        s: Out "as x", "as x";
        /// The result.
        y: Out "as x", "as x";
        /// The mean of each row of `s`.
        mean: Out "statistics of x", "[N]";
        /// One over the standard deviation of each row of `s`.
        rstd: Out "statistics of x", "[N]";
    } {
        /// Keeps a constant row finite; GPT-2's is `1e-5`.
        eps: f32, Positive;
    }
}

impl OpSpec for AddLayerNorm<'_> {
    fn reference(&self, host: &mut Host<'_>) -> Result<()> {
        let (x, r) = (host.read(self.x)?, host.read(self.r)?);
        let (weight, bias) = (host.read(self.weight)?, host.read_some(self.bias)?);
        let s: Vec<f64> = x.iter().zip(&r).map(|(x, r)| x + r).collect();
        // Each element of the sum is rounded once before it is normalised.
        Normalised::of(&s, 1.0, &weight, bias.as_deref(), self.eps).write(host);
        // One rounding, that of the output.
        host.write_exact("s", s);
        Ok(())
    }

    fn flops(&self) -> u64 {
        9 * self.x.numel() as u64
    }
}
