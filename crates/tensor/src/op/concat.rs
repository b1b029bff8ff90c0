//! Two tensors one after the other along an axis.

use super::slice::{around, axis_is, with_length};
use super::{Meaning, dtype_is, operands, shape_is, shape_such};
use crate::{Host, Result, View, ViewMut};

/// `y[…, i, …]` is `a[…, i, …]` while `i < A`, then `b[…, i - A, …]`, `i` being the index along
/// `axis` and `A` the length of `a` there.
#[derive(Debug)]
pub struct Concat<'a> {
    /// At least one axis.
    pub a: View<'a>,
    /// As `a`, but along `axis`.
    pub b: View<'a>,
    /// As `a`, but along `axis`, where it is as long as both.
    pub y: ViewMut<'a>,
    /// Counted from the outermost.
    pub axis: usize,
}

impl Concat<'_> {
    /// How the operands lie: `y` is `outer` blocks, each of a block of `a` and a block of `b` of so
    /// many elements; as `(outer, of_a, of_b)`.
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

impl Meaning for Concat<'_> {
    const NAME: &'static str = "concat";

    fn check(&self) -> Result<()> {
        let (a, b) = (self.a.shape(), self.b.shape());
        dtype_is(Self::NAME, "b", self.b.dtype(), self.a.dtype())?;
        dtype_is(Self::NAME, "y", self.y.dtype(), self.a.dtype())?;
        axis_is(Self::NAME, self.axis, a)?;
        let ranks = a.rank() == b.rank();
        shape_such(Self::NAME, "b", b, ranks, "it must have as many axes as a")?;
        let (of_a, of_b) = (a.dims()[self.axis], b.dims()[self.axis]);
        shape_is(Self::NAME, "b", b, with_length(a, self.axis, of_b))?;
        let both = with_length(a, self.axis, of_a + of_b);
        shape_is(Self::NAME, "y", self.y.shape(), both)
    }

    fn reference(&self, host: &mut Host<'_>) -> Result<()> {
        let (a, b) = (host.read(self.a)?, host.read(self.b)?);
        let (outer, of_a, of_b) = self.blocks();
        let parts = (0..outer)
            .flat_map(|i| a[i * of_a..][..of_a].iter().chain(&b[i * of_b..][..of_b]))
            .copied();
        host.write_exact("y", parts.collect());
        Ok(())
    }

    fn flops(&self) -> u64 {
        0
    }

    operands!(In a, In b, Out y);
}
