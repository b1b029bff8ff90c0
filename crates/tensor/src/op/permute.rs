//! Permuting the axes of a tensor.

use super::{OpSpec, op};
use crate::{Error, Host, Real, Result, Shape};

op! {
    /// `y[…] = x[…]` with axis `i` of `y` being axis `axes[i]` of `x`.
    Permute "permute" {
        /// The tensor to permute.
        x: In "any", "any";
        /// The result.
        y: Out "as x", "x's lengths in the new order";
    } {
        /// The first `rank` entries are a permutation of `0..rank`.
        axes: [usize; 4];
    }
}

impl Permute<'_> {
    /// The shape of `y`, or `None` if `axes` is no permutation.
    #[must_use]
    pub fn output_shape(x: Shape, axes: [usize; 4]) -> Option<Shape> {
        let (mut seen, mut dims) = ([false; 4], [1; 4]);
        for (to, &from) in axes.iter().enumerate().take(x.rank()) {
            if from >= x.rank() || std::mem::replace(&mut seen[from], true) {
                return None;
            }
            dims[to] = x.dims()[from];
        }
        Some(Shape::new(&dims[..x.rank()]))
    }

    /// For every element of `y`, in order, its index in `x`.
    pub fn sources(&self) -> impl Iterator<Item = usize> {
        let mut strides = [0; 4];
        let mut step = 1;
        for axis in (0..self.x.shape().rank()).rev() {
            strides[axis] = step;
            step *= self.x.shape().dims()[axis];
        }
        let (axes, shape) = (self.axes, self.y.shape());
        (0..shape.numel()).map(move |mut at| {
            let mut source = 0;
            for to in (0..shape.rank()).rev() {
                source += at % shape.dims()[to] * strides[axes[to]];
                at /= shape.dims()[to];
            }
            source
        })
    }
}

impl OpSpec for Permute<'_> {
    fn computed_shape(&self, _operand: &'static str) -> Result<Shape> {
        let x = self.x.shape();
        Self::output_shape(x, self.axes).ok_or(Error::InvalidShape {
            op: Self::NAME,
            operand: "x",
            got: x,
            reason: "axes is no permutation of its axes",
        })
    }

    fn reference<R: Real>(&self, host: &mut Host<'_, R>) -> Result<()> {
        let x = host.read(self.x)?;
        host.write("y", self.sources().map(|at| x[at]).collect());
        Ok(())
    }

    fn flops(&self) -> u64 {
        0
    }
}
