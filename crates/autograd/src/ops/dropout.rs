//! Dropout.

use crate::rules;
use crate::{Pass, Result};
use latimer_tensor::Tensor;
use latimer_tensor::op::Dropout;

impl Pass<'_> {
    /// Dropout of `rate` in training; in evaluation it changes nothing. The shape `[B, …]` is kept.
    /// `site` comes from [`crate::Scope::site`].
    ///
    /// # Errors
    /// A rate outside `0..1`.
    pub fn dropout(&self, x: &Tensor, rate: f32, site: u32) -> Result<Tensor> {
        let (Some(random), true) = (self.random(), rate != 0.0) else {
            return Ok(x.clone());
        };
        self.check_operand("dropout", "x", x)?;
        let mut y = self.like(x, x.shape())?;
        self.device().run(Dropout {
            x: x.view(),
            y: y.view_mut()?,
            rate,
            site,
            random,
        })?;
        self.record(&y, rules::dropout(x.into(), rate, site));
        Ok(y)
    }
}
