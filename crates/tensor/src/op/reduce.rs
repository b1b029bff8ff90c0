//! Sums, means and maxima over rows or columns, and where a row's maximum is.

use super::{Meaning, dtype_is, is_float, operands, shape_is, shape_such, sum_is};
use crate::{DType, Host, Result, View, ViewMut};

/// How many values become one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ReduceKind {
    /// Their sum.
    Sum,
    /// Their mean.
    Mean,
    /// The greatest; NaN if any is.
    Max,
}

/// Which axis of `[N, C]` disappears.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Over {
    /// The rows: `y` is `[C]`, as a bias's gradient.
    Rows,
    /// The columns: `y` is `[N]`.
    Columns,
}

/// `y = f over an axis of x`, or `y += …` when `accumulate` is set (not for the maximum).
#[derive(Debug)]
pub struct Reduce<'a> {
    /// The function.
    pub kind: ReduceKind,
    /// Which axis disappears.
    pub over: Over,
    /// Any shape, seen as `[N, C]`: all leading axes are rows.
    pub x: View<'a>,
    /// `[C]` or `[N]`; `F32` also where `x` is narrower, as a bias's gradient.
    pub y: ViewMut<'a>,
    /// Adds to `y` instead of overwriting it.
    pub accumulate: bool,
}

impl Meaning for Reduce<'_> {
    const NAME: &'static str = "reduce";

    fn check(&self) -> Result<()> {
        let x = self.x.shape();
        is_float(Self::NAME, "x", self.x.dtype())?;
        sum_is(Self::NAME, "y", self.y.dtype(), self.x.dtype())?;
        shape_such(
            Self::NAME,
            "x",
            x,
            x.numel() > 0,
            "nothing can be reduced to a value",
        )?;
        let adds = !(self.accumulate && self.kind == ReduceKind::Max);
        shape_such(
            Self::NAME,
            "y",
            self.y.shape(),
            adds,
            "a maximum cannot be accumulated",
        )?;
        let want = if self.over == Over::Rows {
            x.columns()
        } else {
            x.rows()
        };
        shape_is(Self::NAME, "y", self.y.shape(), [want])
    }

    fn reference(&self, host: &mut Host<'_>) -> Result<()> {
        let (rows, columns) = (self.x.shape().rows(), self.x.shape().columns());
        let x = host.read(self.x)?;
        let old = if self.accumulate {
            host.read(self.y.as_view())?
        } else {
            vec![0.0; self.y.numel()]
        };
        let (mut values, mut sizes) = (Vec::new(), Vec::new());
        for (at, &old) in old.iter().enumerate() {
            let line: Vec<f64> = match self.over {
                Over::Rows => (0..rows).map(|i| x[i * columns + at]).collect(),
                Over::Columns => x[at * columns..][..columns].to_vec(),
            };
            let (sum, size) = line
                .iter()
                .fold((0.0, 0.0), |(s, m), x| (s + x, m + x.abs()));
            let n = line.len() as f64;
            let (value, size) = match self.kind {
                ReduceKind::Sum => (sum, n * size),
                ReduceKind::Mean => (sum / n, size + 2.0 * size / n),
                ReduceKind::Max => (line.iter().copied().fold(f64::NEG_INFINITY, nan_max), 0.0),
            };
            values.push(old + value);
            sizes.push(size + old.abs());
        }
        host.write("y", values, sizes);
        Ok(())
    }

    fn flops(&self) -> u64 {
        self.x.numel() as u64
    }

    operands!(In x, InOutIf(|op| op.accumulate) y);
}

/// The greater, NaN if either is.
fn nan_max(a: f64, b: f64) -> f64 {
    if a.is_nan() || a > b { a } else { b }
}

/// `y[i]` = the column of the greatest value in row `i`, the first if several are equal; of the
/// first NaN if there is one, as [`ReduceKind::Max`] is NaN then.
#[derive(Debug)]
pub struct ArgMax<'a> {
    /// `[N, C]`.
    pub x: View<'a>,
    /// `[N]`, `U32`.
    pub y: ViewMut<'a>,
    /// Columns looked at; those beyond are padding.
    pub valid_columns: usize,
}

impl Meaning for ArgMax<'_> {
    const NAME: &'static str = "arg_max";

    fn check(&self) -> Result<()> {
        let x = self.x.shape();
        is_float(Self::NAME, "x", self.x.dtype())?;
        dtype_is(Self::NAME, "y", self.y.dtype(), DType::U32)?;
        let fits = x.rank() == 2 && self.valid_columns >= 1 && self.valid_columns <= x.columns();
        shape_such(
            Self::NAME,
            "x",
            x,
            fits,
            "it must be [N, C] with 1 <= valid_columns <= C",
        )?;
        shape_is(Self::NAME, "y", self.y.shape(), [x.rows()])
    }

    fn reference(&self, host: &mut Host<'_>) -> Result<()> {
        let x = host.read(self.x)?;
        let best = x.chunks(self.x.shape().columns()).map(|row| {
            let row = &row[..self.valid_columns];
            let is_better = |j: usize, best: usize| {
                !row[best].is_nan() && (row[j].is_nan() || row[j] > row[best])
            };
            (1..row.len()).fold(0, |best, j| if is_better(j, best) { j } else { best }) as f64
        });
        host.write_exact("y", best.collect());
        Ok(())
    }

    fn flops(&self) -> u64 {
        self.x.numel() as u64
    }

    operands!(In x, Out y);
}
