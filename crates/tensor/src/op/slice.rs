//! A part of a tensor along one axis.

use super::{OpSpec, attribute_such, op, shape_such};
use crate::{Host, Real, Result, Shape};

op! {
    /// `y[…, i, …] = x[…, first + i, …]`, `i` being the index along `axis`.
    ///
    /// Along axis 0 the part is dense already, and [`View::slice`](crate::View::slice) takes it at
    /// no cost; along any other axis it must be gathered, which this operation does.
    Slice "slice" {
        /// The tensor that a part is taken of; it has at least one axis.
        x: In "any", "any";
        /// The part.
        y: Out "as x", "x's, but along `axis`, where its length says how much is taken";
    } {
        /// The axis, counted from the outermost.
        axis: usize;
        /// Where the part begins along `axis`.
        first: usize;
    }
}

/// `(outer, inner)`, when `shape` is seen as `[outer, length, inner]` around an axis: the product
/// of the lengths before it, and of those after it.
pub(crate) fn around(shape: Shape, axis: usize) -> (usize, usize) {
    let dims = shape.dims();
    (
        dims[..axis].iter().product(),
        dims[axis + 1..].iter().product(),
    )
}

/// `shape` with another length along `axis`.
pub(crate) fn with_length(shape: Shape, axis: usize, length: usize) -> Shape {
    let mut dims = [1; Shape::MAX_RANK];
    dims[..shape.rank()].copy_from_slice(shape.dims());
    dims[axis] = length;
    Shape::new(&dims[..shape.rank()])
}

/// Checks that there is such an axis.
pub(crate) fn axis_is(op: &'static str, axis: usize, shape: Shape) -> Result<()> {
    let reason = "there is no such axis";
    attribute_such(op, "axis", axis as f64, axis < shape.rank(), reason)
}

impl Slice<'_> {
    /// The layout of the part: `x` is `outer` blocks of `block` elements, and of each block the
    /// `length` elements from `first` on are taken.
    #[must_use]
    pub fn blocks(&self) -> SliceBlocks {
        let (outer, inner) = around(self.x.shape(), self.axis);
        SliceBlocks {
            outer,
            block: self.x.shape().dims()[self.axis] * inner,
            first: self.first * inner,
            length: self.y.shape().dims()[self.axis] * inner,
        }
    }
}

/// See [`Slice::blocks`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SliceBlocks {
    /// The number of blocks.
    pub outer: usize,
    /// Elements of a block of `x`.
    pub block: usize,
    /// Where in a block of `x` the part begins.
    pub first: usize,
    /// Elements of the part, a block of `y`.
    pub length: usize,
}

impl OpSpec for Slice<'_> {
    fn computed_shape(&self, _operand: &'static str) -> Result<Shape> {
        let (x, y) = (self.x.shape(), self.y.shape());
        axis_is(Self::NAME, self.axis, x)?;
        let ranks = x.rank() == y.rank();
        shape_such(Self::NAME, "y", y, ranks, "it must have as many axes as x")?;
        let length = y.dims()[self.axis];
        attribute_such(
            Self::NAME,
            "first",
            self.first as f64,
            self.first.saturating_add(length) <= x.dims()[self.axis],
            "the part must lie within x",
        )?;
        Ok(with_length(x, self.axis, length))
    }

    fn reference<R: Real>(&self, host: &mut Host<'_, R>) -> Result<()> {
        let x = host.read(self.x)?;
        let SliceBlocks {
            outer,
            block,
            first,
            length,
        } = self.blocks();
        let parts = (0..outer).flat_map(|i| &x[i * block + first..][..length]);
        host.write("y", parts.copied().collect());
        Ok(())
    }

    fn flops(&self) -> u64 {
        0
    }
}
