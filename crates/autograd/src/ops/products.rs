//! Products of matrices: with a parameter, and of two tensors.

use crate::{Param, Pass, Result, rules};
use latimer_tensor::op::Matmul;
use latimer_tensor::{Shape, Tensor};

impl Pass<'_> {
    /// `x · w + b` over the last axis: `[…, in]` to `[…, out]` with `w: [in, out]`, `b: [out]`.
    ///
    /// # Errors
    /// Widths that do not fit.
    pub fn linear(&self, x: &Tensor, w: Param, b: Option<Param>) -> Result<Tensor> {
        self.check_operand("linear", "x", x)?;
        let x_rows = x.reshape([x.shape().rows(), x.shape().columns()])?; // [N, in]
        let out = self.params.info(w).stored_shape().columns();
        let mut y = self.like(x, [x.shape().rows(), out])?; // [N, out]
        let product = Matmul::new(x_rows.view(), self.value(w)?, y.view_mut()?);
        self.device().run(product.with_bias(self.value_of(b)?))?;
        self.record(&y, rules::linear(x_rows, w, b));
        let mut dims = [0; Shape::MAX_RANK];
        dims[..x.shape().rank()].copy_from_slice(x.dims());
        dims[x.shape().rank() - 1] = out;
        Ok(y.reshape(&dims[..x.shape().rank()])?)
    }

    /// `a · b` of matrices or batches of them; if `trans_b` is set, `b` is stored transposed.
    ///
    /// # Errors
    /// Shapes that do not fit.
    pub fn matmul(&self, a: &Tensor, b: &Tensor, trans_b: bool) -> Result<Tensor> {
        self.check_operand("matmul", "a", a)?;
        self.check_operand("matmul", "b", b)?;
        let rank = a.shape().rank();
        let mut dims = [0; Shape::MAX_RANK];
        dims[..rank].copy_from_slice(a.dims());
        let columns = if trans_b {
            b.dims().iter().rev().nth(1)
        } else {
            b.dims().last()
        };
        dims[rank.max(1) - 1] = columns.copied().unwrap_or(1);
        let mut y = self.like(a, &dims[..rank])?;
        let product = Matmul::new(a.view(), b.view(), y.view_mut()?);
        self.device().run(Matmul { trans_b, ..product })?;
        self.record(&y, rules::matmul(a.clone(), b.clone(), trans_b));
        Ok(y)
    }
}
