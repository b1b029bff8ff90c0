//! Differentiable arithmetic: differences, products, quotients, multiples, sums and means.

use crate::{Pass, Result, Slot};
use latimer_tensor::Tensor;
use latimer_tensor::op::{Axpby, Binary, BinaryKind, Matmul, Over, Reduce, ReduceKind};

impl Pass<'_> {
    /// `a - b`; where `b` has fewer axes it is repeated over the leading ones of `a`.
    ///
    /// # Errors
    /// A `b` that is not the last axes of `a`.
    pub fn sub(&self, a: &Tensor, b: &Tensor) -> Result<Tensor> {
        self.binary("sub", BinaryKind::Sub, a, b)
    }

    /// `a · b`, element by element; `b` repeated as in [`Pass::sub`].
    ///
    /// # Errors
    /// A `b` that is not the last axes of `a`.
    pub fn mul(&self, a: &Tensor, b: &Tensor) -> Result<Tensor> {
        self.binary("mul", BinaryKind::Mul, a, b)
    }

    /// `a / b`, element by element; `b` repeated as in [`Pass::sub`].
    ///
    /// # Errors
    /// A `b` that is not the last axes of `a`.
    pub fn div(&self, a: &Tensor, b: &Tensor) -> Result<Tensor> {
        self.binary("div", BinaryKind::Div, a, b)
    }

    fn binary(
        &self,
        name: &'static str,
        kind: BinaryKind,
        a: &Tensor,
        b: &Tensor,
    ) -> Result<Tensor> {
        let (wants_a, wants_b) = (self.wants(name, "a", a)?, self.wants(name, "b", b)?);
        let mut y = self.like(a, a.shape())?;
        self.device().run(Binary {
            kind,
            a: a.view(),
            b: b.view(),
            y: y.view_mut()?,
        })?;
        let (of_a, of_b) = (Slot::from(a), Slot::from(b));
        // A difference needs no values on the way back, a quotient not a's.
        let product = kind == BinaryKind::Mul && wants_b;
        let a = Some(a.clone()).filter(|_| product);
        let quotient = Some(y.clone()).filter(|_| kind == BinaryKind::Div && wants_b);
        let (shape, b) = (
            b.shape(),
            Some(b.clone()).filter(|_| kind != BinaryKind::Sub),
        );
        self.record(&y, move |gradients, dy| {
            let da = match &b {
                Some(b) => dy.zip(kind, b)?, // dy·b, dy/b
                None => dy.clone(),
            };
            if wants_b {
                // -dy, dy·a, -(dy/b)·(a/b)
                let (terms, sign) = match (&a, &quotient) {
                    (Some(a), _) => (dy.zip(BinaryKind::Mul, a)?, 1.0),
                    (None, Some(y)) => (da.zip(BinaryKind::Mul, y)?, -1.0),
                    (None, None) => (dy, -1.0),
                };
                let mut db = of_b.empty(gradients.device())?;
                let n = shape.numel();
                let terms = terms.reshape([terms.shape().numel() / n.max(1), n])?; // [N, b]
                let ones = Tensor::full(
                    gradients.device(),
                    [1, terms.shape().rows()],
                    terms.dtype(),
                    1.0,
                )?;
                let target = db.view_mut()?.slice(0, [1, n])?;
                let sums = Matmul::new(ones.view(), terms.view(), target);
                gradients.device().run(sums.scaled(sign, 0.0))?;
                gradients.give(of_b, db)?;
            }
            if wants_a {
                gradients.give(of_a, da)?;
            }
            Ok(())
        });
        Ok(y)
    }

    /// `factor · x`.
    ///
    /// # Errors
    /// A factor that is no number.
    pub fn scale(&self, x: &Tensor, factor: f32) -> Result<Tensor> {
        let wants = self.wants("scale", "x", x)?;
        let y = scaled(x, factor)?;
        let x = Slot::from(x);
        self.record(&y, move |gradients, dy| {
            if wants {
                gradients.give(x, scaled(&dy, factor)?)?;
            }
            Ok(())
        });
        Ok(y)
    }

    /// The sum over the last axis, as [`Tensor::sum`]: `[N, C]` to `[N]`. Reshaped to one axis
    /// before, a tensor is summed to a loss.
    ///
    /// # Errors
    /// Nothing to sum.
    pub fn sum(&self, x: &Tensor) -> Result<Tensor> {
        self.reduce("sum", ReduceKind::Sum, x, 1.0)
    }

    /// The mean over the last axis, as [`Pass::sum`] of it over its length.
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
        let wants = self.wants(name, "x", x)?;
        let (rows, columns) = (x.shape().rows(), x.shape().columns());
        let mut y = self.like(x, [rows])?;
        self.device().run(Reduce {
            kind,
            over: Over::Columns,
            x: x.view(),
            y: y.view_mut()?,
            accumulate: false,
        })?;
        let x = Slot::from(x);
        self.record(&y, move |gradients, dy| {
            if !wants {
                return Ok(());
            }
            // Every column gets its row's: dy as a column times a row of ones.
            let device = gradients.device();
            let ones = Tensor::full(device, [1, columns], dy.dtype(), 1.0)?;
            let mut dx = x.empty(device)?;
            let dy = dy.reshape([rows, 1])?;
            let target = dx.view_mut()?.slice(0, [rows, columns])?;
            device.run(Matmul::new(dy.view(), ones.view(), target).scaled(slope, 0.0))?;
            gradients.give(x, dx)
        });
        Ok(y)
    }
}

/// `factor · x`.
fn scaled(x: &Tensor, factor: f32) -> Result<Tensor> {
    let mut y = Tensor::empty(x.device(), x.shape(), x.dtype())?;
    x.device().run(Axpby {
        alpha: factor,
        x: x.view(),
        beta: 0.0,
        y: y.view_mut()?,
    })?;
    Ok(y)
}
