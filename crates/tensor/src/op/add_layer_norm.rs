//! A residual sum and its layer normalisation in one pass over memory.

use super::layer_norm::normalise;
use super::{OpSpec, op};
use crate::{Host, Real, Result};

op! {
    /// `s = x + r` and `y = layer_norm(s)`, as in [`super::LayerNorm`]. `s`, `mean` and `rstd` are
    /// kept for backward.
    ///
    /// The unrounded sum is normalised: if `s` is narrower than the type that the backend adds in,
    /// `y` is closer to the meaning than with a [`super::Binary`] and a [`super::LayerNorm`].
    ///
    /// The backward is [`super::LayerNormBackward`] on `s` with `accumulate`: `dx` already holds
    /// the gradient that reaches `s` directly, and then becomes the gradient of both `x` and `r`.
    AddLayerNorm "add_layer_norm" {
        /// The residual stream.
        x: In "float", "[N.., C>0]";
        /// The output of a sublayer, which is added to the stream.
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
    fn reference<R: Real>(&self, host: &mut Host<'_, R>) -> Result<()> {
        let (x, r) = (host.read(self.x)?, host.read(self.r)?);
        let (weight, bias) = (host.read(self.weight)?, host.read_some(self.bias)?);
        let s: Vec<R> = x.iter().zip(&r).map(|(&x, &r)| x + r).collect();
        normalise(host, &s, &weight, bias.as_deref(), self.eps);
        host.write("s", s);
        Ok(())
    }

    fn flops(&self) -> u64 {
        9 * self.x.numel() as u64
    }
}
