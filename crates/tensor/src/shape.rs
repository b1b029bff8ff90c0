//! Shapes: up to four lengths, kept inline and passed by value.

use std::fmt;

/// The lengths of a tensor's axes, outermost first; rows are dense and in order.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Shape {
    dims: [usize; 4],
    rank: u8,
}

impl Shape {
    /// The highest rank.
    pub const MAX_RANK: usize = 4;

    /// A shape of these lengths.
    ///
    /// # Panics
    /// With more than [`Shape::MAX_RANK`] axes: ranks are written in code, not read from files.
    #[must_use]
    pub fn new(dims: &[usize]) -> Self {
        assert!(
            dims.len() <= Self::MAX_RANK,
            "a shape has at most 4 axes, not {}",
            dims.len()
        );
        let mut all = [1; 4];
        all[..dims.len()].copy_from_slice(dims);
        Self {
            dims: all,
            rank: dims.len() as u8,
        }
    }

    /// The lengths.
    #[must_use]
    #[inline]
    pub fn dims(&self) -> &[usize] {
        &self.dims[..self.rank()]
    }

    /// The number of axes.
    #[must_use]
    #[inline]
    pub const fn rank(&self) -> usize {
        self.rank as usize
    }

    /// The number of elements; 1 for rank 0.
    #[must_use]
    #[inline]
    pub const fn numel(&self) -> usize {
        self.dims[0] * self.dims[1] * self.dims[2] * self.dims[3]
    }

    /// The last length, 1 for rank 0: the columns when the tensor is seen as rows.
    #[must_use]
    #[inline]
    pub fn columns(&self) -> usize {
        self.dims().last().copied().unwrap_or(1)
    }

    /// All lengths but the last, multiplied: the rows.
    #[must_use]
    #[inline]
    pub fn rows(&self) -> usize {
        self.dims().iter().rev().skip(1).product()
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.dims())
    }
}

impl fmt::Debug for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl From<&[usize]> for Shape {
    fn from(dims: &[usize]) -> Self {
        Self::new(dims)
    }
}

impl<const N: usize> From<[usize; N]> for Shape {
    fn from(dims: [usize; N]) -> Self {
        Self::new(&dims)
    }
}
