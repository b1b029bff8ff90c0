//! Concatenation of two tensors along an axis.

use super::slice::{around, axis_is, with_length};
use super::{OpSpec, op, shape_such};
use crate::{Host, Real, Result, Shape};

op! {
    /// `y[…, i, …]` is `a[…, i, …]` while `i < A`, then `b[…, i - A, …]`, `i` being the index along
    /// `axis` and `A` the length of `a` there.
    Concat "concat" {
        /// The first part; it has at least one axis.
        a: In "any", "any";
        /// The second part.
        b: In "as a", "a's, but along `axis`";
        /// Both parts, one after the other.
        y: Out "as a", "a's, but along `axis`, where it is as long as both";
    } {
        /// The axis, counted from the outermost.
        axis: usize;
    }
}

impl Concat<'_> {
    /// The layout of the operands, `(outer, of_a, of_b)`: `y` consists of `outer` blocks, each made
    /// of `of_a` elements of `a` and then `of_b` elements of `b`.
    #[must_use]
    pub fn blocks(&self) -> (usize, usize, usize) {
        let (outer, inner) = around(self.a.shape(), self.axis);
        (
            outer,
            self.a.shape().dims()[self.axis] * inner,
            self.b.shape().dims()[self.axis] * inner,
        )
    }
}

impl OpSpec for Concat<'_> {
    fn computed_shape(&self, operand: &'static str) -> Result<Shape> {
        let (a, b) = (self.a.shape(), self.b.shape());
        axis_is(Self::NAME, self.axis, a)?;
        let ranks = a.rank() == b.rank();
        shape_such(Self::NAME, "b", b, ranks, "it must have as many axes as a")?;
        let (of_a, of_b) = (a.dims()[self.axis], b.dims()[self.axis]);
        let length = if operand == "b" { of_b } else { of_a + of_b };
        Ok(with_length(a, self.axis, length))
    }

    fn reference<R: Real>(&self, host: &mut Host<'_, R>) -> Result<()> {
        let (a, b) = (host.read(self.a)?, host.read(self.b)?);
        let (outer, of_a, of_b) = self.blocks();
        let parts = (0..outer)
            .flat_map(|i| a[i * of_a..][..of_a].iter().chain(&b[i * of_b..][..of_b]))
            .copied();
        host.write("y", parts.collect());
        Ok(())
    }

    fn flops(&self) -> u64 {
        0
    }
}
