//! Normalisation: of layers, alone and after a residual sum, and by the root mean square.

use crate::{Param, Pass, Result, rules};
use latimer_tensor::Tensor;
use latimer_tensor::op::{AddLayerNorm, LayerNorm, RmsNorm};

impl Pass<'_> {
    /// Layer normalisation over the last axis; the shape `[…, C]` is kept.
    ///
    /// # Errors
    /// A width that does not fit.
    pub fn layer_norm(&self, x: &Tensor, w: Param, b: Option<Param>, eps: f32) -> Result<Tensor> {
        self.check_operand("layer_norm", "x", x)?;
        let rows = x.shape().rows();
        let mut y = self.like(x, x.shape())?;
        let (mut mean, mut rstd) = (self.empty_f32([rows])?, self.empty_f32([rows])?);
        self.device().run(LayerNorm {
            x: x.view(),
            weight: self.value(w)?,
            bias: self.value_of(b)?,
            y: y.view_mut()?,
            mean: mean.view_mut()?,
            rstd: rstd.view_mut()?,
            eps,
        })?;
        self.record(&y, rules::layer_norm(x.clone(), w, b, mean, rstd));
        Ok(y)
    }

    /// `s = x + r` and its layer normalisation `y` in one operation, as `(s, y)`, all `[…, C]`.
    /// Results and gradients are those of [`Pass::add`] followed by [`Pass::layer_norm`].
    ///
    /// # Errors
    /// Shapes that differ, a width that does not fit.
    pub fn add_layer_norm(
        &self,
        x: &Tensor,
        r: &Tensor,
        w: Param,
        b: Option<Param>,
        eps: f32,
    ) -> Result<(Tensor, Tensor)> {
        self.check_operand("add_layer_norm", "x", x)?;
        self.check_operand("add_layer_norm", "r", r)?;
        let rows = x.shape().rows();
        let (mut s, mut y) = (self.like(x, x.shape())?, self.like(x, x.shape())?);
        let (mut mean, mut rstd) = (self.empty_f32([rows])?, self.empty_f32([rows])?);
        self.device().run(AddLayerNorm {
            x: x.view(),
            r: r.view(),
            weight: self.value(w)?,
            bias: self.value_of(b)?,
            s: s.view_mut()?,
            y: y.view_mut()?,
            mean: mean.view_mut()?,
            rstd: rstd.view_mut()?,
            eps,
        })?;
        // Two nodes: the walk back reaches that of `y` first, which adds to the gradient of `s`,
        // and then that of the sum.
        self.record(&s, rules::add(x.into(), r.into()));
        self.record(&y, rules::layer_norm(s.clone(), w, b, mean, rstd));
        Ok((s, y))
    }

    /// Root mean square normalisation over the last axis; the shape `[…, C]` is kept.
    ///
    /// # Errors
    /// A width that does not fit.
    pub fn rms_norm(&self, x: &Tensor, w: Param, eps: f32) -> Result<Tensor> {
        self.check_operand("rms_norm", "x", x)?;
        let mut y = self.like(x, x.shape())?;
        let mut rstd = self.empty_f32([x.shape().rows()])?;
        self.device().run(RmsNorm {
            x: x.view(),
            weight: self.value(w)?,
            y: y.view_mut()?,
            rstd: rstd.view_mut()?,
            eps,
        })?;
        self.record(&y, rules::rms_norm(x.clone(), w, rstd));
        Ok(y)
    }
}
