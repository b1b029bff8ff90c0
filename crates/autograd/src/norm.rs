//! Layer normalisation, alone and after a residual sum.

use crate::{Param, Pass, Result, Slot};
use latimer_tensor::Tensor;
use latimer_tensor::op::{AddLayerNorm, LayerNorm, LayerNormBackward};

impl Pass<'_> {
    /// Layer normalisation of the last axis: `[…, C]` to the same.
    ///
    /// # Errors
    /// A width that does not fit.
    pub fn layer_norm(&self, x: &Tensor, w: Param, b: Option<Param>, eps: f32) -> Result<Tensor> {
        let wants = self.wants("layer_norm", "x", x)?;
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
        self.record_layer_norm(x, w, b, &y, [mean, rstd], wants);
        Ok(y)
    }

    /// `s = x + r` and its layer normalisation in one operation: `[…, C]` twice to the same twice, as
    /// `(s, y)`. What [`Pass::add`] and [`Pass::layer_norm`] give, and their gradients.
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
        let wants = self.wants("add_layer_norm", "x", x)?;
        let wants = self.wants("add_layer_norm", "r", r)? || wants;
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
        // Two nodes: the walk back meets `y`'s first, which adds to the gradient of `s`, and then
        // that of the sum.
        let (x, r) = (Slot::from(x), Slot::from(r));
        self.record(&s, move |gradients, ds| {
            gradients.give(x, ds.clone())?;
            gradients.give(r, ds)
        });
        self.record_layer_norm(&s, w, b, &y, [mean, rstd], wants);
        Ok((s, y))
    }

    /// The backward half of `y = layer_norm(x)`.
    fn record_layer_norm(
        &self,
        x: &Tensor,
        w: Param,
        b: Option<Param>,
        y: &Tensor,
        [mean, rstd]: [Tensor; 2],
        wants: bool,
    ) {
        let x = x.clone();
        self.record(y, move |gradients, dy| {
            // Without a taker the gradient is written all the same: the op makes all three at once.
            let (mut dx, accumulate) = if wants {
                gradients.target(&x)?
            } else {
                (
                    Tensor::empty(gradients.device(), x.shape(), x.dtype())?,
                    false,
                )
            };
            let weight = gradients.value(w)?;
            let target = dx.view_mut()?;
            gradients.with_params([Some(w), b], |[dweight, dbias]| {
                let Some(dweight) = dweight else {
                    return Ok(());
                };
                Ok(gradients.device().run(LayerNormBackward {
                    x: x.view(),
                    weight,
                    mean: mean.view(),
                    rstd: rstd.view(),
                    dy: dy.view(),
                    dx: target,
                    accumulate,
                    dweight,
                    dbias,
                })?)
            })?;
            if wants {
                gradients.put(&x, dx);
            }
            Ok(())
        });
    }
}
