//! Functions of every element.

use crate::{Pass, Result, rules};
use latimer_tensor::Tensor;
use latimer_tensor::op::{Unary, UnaryKind};

impl Pass<'_> {
    /// Applies a function to every element, such as ReLU or GELU.
    ///
    /// # Errors
    /// The device's failure.
    pub fn unary(&self, kind: UnaryKind, x: &Tensor) -> Result<Tensor> {
        self.check_operand("unary", "x", x)?;
        let mut y = self.like(x, x.shape())?;
        self.device().run(Unary {
            kind,
            x: x.view(),
            y: y.view_mut()?,
        })?;
        self.record(&y, rules::unary(kind, x.clone()));
        Ok(y)
    }
}
