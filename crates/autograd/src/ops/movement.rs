//! Operations that only move values: permute, slice, concat.

use crate::{Pass, Result, rules};
use latimer_tensor::Tensor;

impl Pass<'_> {
    /// The tensor with its axes in another order, as [`Tensor::permute`].
    ///
    /// # Errors
    /// No permutation.
    pub fn permute(&self, x: &Tensor, axes: &[usize]) -> Result<Tensor> {
        self.check_operand("permute", "x", x)?;
        let y = x.permute(axes)?;
        let mut back = [0, 1, 2, 3];
        axes.iter()
            .enumerate()
            .for_each(|(to, &from)| back[from] = to);
        self.record(&y, rules::permute(x.into(), back));
        Ok(y)
    }

    /// `n` indices of an axis from `first` on, as [`Tensor::slice`].
    ///
    /// Its backward puts zeros around `dy`, a copy as large as `x`. If you need many parts of a
    /// tensor, permute it instead.
    ///
    /// # Errors
    /// No such axis, or one that is not as long.
    pub fn slice(&self, x: &Tensor, axis: usize, first: usize, n: usize) -> Result<Tensor> {
        self.check_operand("slice", "x", x)?;
        let y = x.slice(axis, first, n)?;
        self.record(&y, rules::slice(x.into(), axis, first, n));
        Ok(y)
    }

    /// Concatenates two tensors along an axis, as [`Tensor::cat`].
    ///
    /// # Errors
    /// Shapes that do not fit, or no such axis.
    pub fn concat(&self, a: &Tensor, b: &Tensor, axis: usize) -> Result<Tensor> {
        self.check_operand("concat", "a", a)?;
        self.check_operand("concat", "b", b)?;
        let y = Tensor::cat(&[a, b], axis)?;
        self.record(&y, rules::concat(a.into(), b.into(), axis));
        Ok(y)
    }
}
