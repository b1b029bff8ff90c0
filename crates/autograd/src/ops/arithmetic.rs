//! Arithmetic: sums, differences, products, quotients, multiples, and sums and means over an axis.

use crate::{Pass, Result, rules};
use latimer_tensor::Tensor;
use latimer_tensor::op::{Axpby, BinaryKind, Over, Reduce, ReduceKind};

impl Pass<'_> {
    /// `a + b`, of equal shapes.
    ///
    /// # Errors
    /// Shapes that differ.
    pub fn add(&self, a: &Tensor, b: &Tensor) -> Result<Tensor> {
        let (y, ..) = self.zip("add", BinaryKind::Add, a, &b.reshape(a.shape())?)?;
        self.record(&y, rules::add(a.into(), b.into()));
        Ok(y)
    }

    /// `a - b`; if `b` has fewer axes, it is repeated over the leading axes of `a`.
    ///
    /// # Errors
    /// A `b` that is not the last axes of `a`.
    pub fn sub(&self, a: &Tensor, b: &Tensor) -> Result<Tensor> {
        let (y, ..) = self.zip("sub", BinaryKind::Sub, a, b)?;
        self.record(&y, rules::sub(a.into(), b.into()));
        Ok(y)
    }

    /// `a · b`, element by element; `b` repeated as in [`Pass::sub`].
    ///
    /// # Errors
    /// A `b` that is not the last axes of `a`.
    pub fn mul(&self, a: &Tensor, b: &Tensor) -> Result<Tensor> {
        let (y, wants_a, wants_b) = self.zip("mul", BinaryKind::Mul, a, b)?;
        let values = [wants_b.then(|| a.clone()), wants_a.then(|| b.clone())];
        self.record(&y, rules::mul(a.into(), b.into(), values));
        Ok(y)
    }

    /// `a / b`, element by element; `b` repeated as in [`Pass::sub`].
    ///
    /// # Errors
    /// A `b` that is not the last axes of `a`.
    pub fn div(&self, a: &Tensor, b: &Tensor) -> Result<Tensor> {
        let (y, _, wants_b) = self.zip("div", BinaryKind::Div, a, b)?;
        let quotient = wants_b.then(|| y.clone());
        self.record(&y, rules::div(a.into(), b.clone(), quotient));
        Ok(y)
    }

    /// Applies a function to two tensors; also returns whether the gradient of each is wanted.
    fn zip(
        &self,
        name: &'static str,
        kind: BinaryKind,
        a: &Tensor,
        b: &Tensor,
    ) -> Result<(Tensor, bool, bool)> {
        let (wants_a, wants_b) = (self.wants(name, "a", a)?, self.wants(name, "b", b)?);
        Ok((a.zip(kind, b)?, wants_a, wants_b))
    }

    /// `factor · x`.
    ///
    /// # Errors
    /// A factor that is no number.
    pub fn scale(&self, x: &Tensor, factor: f32) -> Result<Tensor> {
        self.check_operand("scale", "x", x)?;
        let mut y = self.like(x, x.shape())?;
        self.device().run(Axpby {
            alpha: factor,
            x: x.view(),
            beta: 0.0,
            y: y.view_mut()?,
        })?;
        self.record(&y, rules::scale(x.into(), factor));
        Ok(y)
    }

    /// The sum over the last axis, as [`Tensor::sum`]: `[N, C]` to `[N]`. A tensor that is first
    /// reshaped to one axis is summed to a loss.
    ///
    /// # Errors
    /// Nothing to sum.
    pub fn sum(&self, x: &Tensor) -> Result<Tensor> {
        self.reduce("sum", ReduceKind::Sum, x, 1.0)
    }

    /// The mean over the last axis: [`Pass::sum`] divided by the axis's length.
    ///
    /// # Errors
    /// Nothing to take the mean of.
    pub fn mean(&self, x: &Tensor) -> Result<Tensor> {
        self.reduce(
            "mean",
            ReduceKind::Mean,
            x,
            1.0 / x.shape().columns() as f32,
        )
    }

    fn reduce(
        &self,
        name: &'static str,
        kind: ReduceKind,
        x: &Tensor,
        slope: f32,
    ) -> Result<Tensor> {
        self.check_operand(name, "x", x)?;
        let mut y = self.like(x, [x.shape().rows()])?;
        self.device().run(Reduce {
            kind,
            over: Over::Columns,
            x: x.view(),
            y: y.view_mut()?,
            accumulate: false,
        })?;
        self.record(&y, rules::reduce(x.into(), slope));
        Ok(y)
    }
}
