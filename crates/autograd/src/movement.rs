//! Differentiable operations that only move values: permute, slice, concat.

use crate::{Pass, Result, Slot};
use latimer_tensor::op::Permute;
use latimer_tensor::{Shape, Tensor};

impl Pass<'_> {
    /// The axes in another order, as [`Tensor::permute`].
    ///
    /// # Errors
    /// No permutation.
    pub fn permute(&self, x: &Tensor, axes: &[usize]) -> Result<Tensor> {
        let wants = self.wants("permute", "x", x)?;
        let y = x.permute(axes)?;
        let mut back = [0, 1, 2, 3];
        axes.iter()
            .enumerate()
            .for_each(|(to, &from)| back[from] = to);
        let x = Slot::from(x);
        self.record(&y, move |gradients, dy| {
            if !wants {
                return Ok(());
            }
            let mut dx = x.empty(gradients.device())?;
            let y = dx.view_mut()?;
            gradients.device().run(Permute {
                x: dy.view(),
                y,
                axes: back,
            })?;
            gradients.give(x, dx)
        });
        Ok(y)
    }

    /// `n` indices of an axis from `first` on, as [`Tensor::slice`].
    ///
    /// Its backward puts zeros around `dy`: a copy as large as `x`, so a tensor of which many
    /// parts are wanted is better permuted.
    ///
    /// # Errors
    /// No such axis, or one that is not as long.
    pub fn slice(&self, x: &Tensor, axis: usize, first: usize, n: usize) -> Result<Tensor> {
        let wants = self.wants("slice", "x", x)?;
        let y = x.slice(axis, first, n)?;
        let (slot, shape, dtype) = (Slot::from(x), x.shape(), x.dtype());
        self.record(&y, move |gradients, dy| {
            if !wants {
                return Ok(());
            }
            let longest = shape.dims()[axis];
            if n == longest {
                return gradients.give(slot, dy);
            }
            let device = gradients.device();
            let zeros = |length| Tensor::zeros(device, with_length(shape, axis, length), dtype);
            let (before, after) = (zeros(first)?, zeros(longest - first - n)?);
            // Empty parts are left out: often the slice begins or ends where `x` does.
            let mut parts = vec![&before, &dy, &after];
            parts.retain(|part| part.dims()[axis] > 0);
            let dx = Tensor::cat(&parts, axis)?;
            gradients.give(slot, dx)
        });
        Ok(y)
    }

    /// Two tensors one after the other along an axis, as [`Tensor::cat`].
    ///
    /// # Errors
    /// Shapes that do not fit, or no such axis.
    pub fn concat(&self, a: &Tensor, b: &Tensor, axis: usize) -> Result<Tensor> {
        self.wants("concat", "a", a)?;
        self.wants("concat", "b", b)?;
        let y = Tensor::cat(&[a, b], axis)?;
        let (of_a, of_b) = (a.dims()[axis], b.dims()[axis]);
        let (a, b) = (Slot::from(a), Slot::from(b));
        self.record(&y, move |gradients, dy| {
            if gradients.wants(a) {
                gradients.give(a, dy.slice(axis, 0, of_a)?)?;
            }
            if gradients.wants(b) {
                gradients.give(b, dy.slice(axis, of_a, of_b)?)?;
            }
            Ok(())
        });
        Ok(y)
    }
}

/// `shape` with another length along `axis`.
fn with_length(shape: Shape, axis: usize, length: usize) -> Shape {
    let mut dims = [1; Shape::MAX_RANK];
    dims[..shape.rank()].copy_from_slice(shape.dims());
    dims[axis] = length;
    Shape::new(&dims[..shape.rank()])
}
