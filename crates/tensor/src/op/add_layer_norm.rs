//! A residual sum and its layer normalisation in one pass over memory.

use super::layer_norm::{Normalised, statistics};
use super::{Meaning, attribute_such, dtype_is, is_float, operands, shape_is, shape_such};
use crate::{Host, Result, View, ViewMut};

/// `s = x + r` and `y = layer_norm(s)`, as [`super::LayerNorm`]'s. `s`, `mean` and `rstd` are kept for
/// backward.
///
/// It is the unrounded sum that is normalised: where `s` is narrower than what the backend adds in,
/// `y` is closer to the meaning than an [`super::Binary`] and a [`super::LayerNorm`] would be.
///
/// Its backward is [`super::LayerNormBackward`] on `s` with `accumulate`: what came to `s` directly
/// lies in `dx` already, and `dx` then is the gradient of `x` and of `r` alike.
#[derive(Debug)]
pub struct AddLayerNorm<'a> {
    /// `[N, C]`, or more leading axes: the residual stream.
    pub x: View<'a>,
    /// As `x`: what a sublayer adds to it.
    pub r: View<'a>,
    /// `[C]`.
    pub weight: View<'a>,
    /// `[C]`.
    pub bias: Option<View<'a>>,
    /// As `x`: the stream from here on.
    pub s: ViewMut<'a>,
    /// As `x`.
    pub y: ViewMut<'a>,
    /// `[N]`, `F32` (`F64` for `F64` operands).
    pub mean: ViewMut<'a>,
    /// `[N]`, as `mean`.
    pub rstd: ViewMut<'a>,
    /// Keeps a constant row finite; GPT-2's is `1e-5`.
    pub eps: f32,
}

impl Meaning for AddLayerNorm<'_> {
    const NAME: &'static str = "add_layer_norm";

    fn check(&self) -> Result<()> {
        let (x, dtype) = (self.x.shape(), self.x.dtype());
        is_float(Self::NAME, "x", dtype)?;
        let rows = x.rank() >= 1 && x.columns() > 0;
        shape_such(Self::NAME, "x", x, rows, "its rows are empty")?;
        for (name, got, shape) in [
            ("r", self.r.dtype(), self.r.shape()),
            ("s", self.s.dtype(), self.s.shape()),
            ("y", self.y.dtype(), self.y.shape()),
        ] {
            dtype_is(Self::NAME, name, got, dtype)?;
            shape_is(Self::NAME, name, shape, x)?;
        }
        for (name, view) in [("weight", Some(self.weight)), ("bias", self.bias)] {
            let Some(view) = view else { continue };
            dtype_is(Self::NAME, name, view.dtype(), dtype)?;
            shape_is(Self::NAME, name, view.shape(), [x.columns()])?;
        }
        for (name, view) in [("mean", &self.mean), ("rstd", &self.rstd)] {
            dtype_is(Self::NAME, name, view.dtype(), statistics(dtype))?;
            shape_is(Self::NAME, name, view.shape(), [x.rows()])?;
        }
        attribute_such(
            Self::NAME,
            "eps",
            self.eps.into(),
            self.eps > 0.0,
            "it must be positive",
        )
    }

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

    operands!(In x, In r, In weight, MaybeIn bias, Out s, Out y, Out mean, Out rstd);
}
