//! Sums, means and maxima over rows or columns, and the column of a row's maximum.

use super::{OpSpec, op, shape_such};
use crate::{Host, Real, Result, Shape};

/// The function that reduces several values to one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ReduceKind {
    /// The sum of the values.
    Sum,
    /// The mean of the values.
    Mean,
    /// The greatest value; NaN if any value is.
    Max,
}

/// The axis of `[N, C]` that is reduced.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Over {
    /// Over the rows: `y` is `[C]`, as for a bias's gradient.
    Rows,
    /// Over the columns: `y` is `[N]`.
    Columns,
}

op! {
    /// `y = f over an axis of x`, or `y += …` when `accumulate` is set (not for the maximum).
    Reduce "reduce" {
        /// The values, seen as `[N, C]`: all leading axes are rows.
        x: In "float", "any";
        /// The result.
        y: OutOrInOut(op: op.accumulate) "sum of x", "`[C]` or `[N]`, by `over`";
    } {
        /// The function.
        kind: ReduceKind;
        /// The axis that is reduced.
        over: Over;
        /// Adds to `y` instead of overwriting it.
        accumulate: bool;
    }
}

impl OpSpec for Reduce<'_> {
    fn computed_shape(&self, _operand: &'static str) -> Result<Shape> {
        let (x, y) = (self.x.shape(), self.y.shape());
        let some = x.numel() > 0;
        shape_such(
            Self::NAME,
            "x",
            x,
            some,
            "nothing can be reduced to a value",
        )?;
        let adds = !(self.accumulate && self.kind == ReduceKind::Max);
        shape_such(Self::NAME, "y", y, adds, "a maximum cannot be accumulated")?;
        Ok([if self.over == Over::Rows {
            x.columns()
        } else {
            x.rows()
        }]
        .into())
    }

    fn reference<R: Real>(&self, host: &mut Host<'_, R>) -> Result<()> {
        let (rows, columns) = (self.x.shape().rows(), self.x.shape().columns());
        let x = host.read(self.x)?;
        let old = host.read_old(self.y.as_view(), self.accumulate)?;
        let mut y = Vec::new();
        for (at, &old) in old.iter().enumerate() {
            let line: Vec<R> = match self.over {
                Over::Rows => (0..rows).map(|i| x[i * columns + at]).collect(),
                Over::Columns => x[at * columns..][..columns].to_vec(),
            };
            let mut sum = R::from(0.0);
            line.iter().for_each(|&x| sum.accumulate(x));
            let value = match self.kind {
                ReduceKind::Sum => sum,
                ReduceKind::Mean => sum / R::from(line.len() as f64),
                ReduceKind::Max => line.into_iter().fold(R::from(f64::NEG_INFINITY), nan_max),
            };
            y.push(old + value);
        }
        host.write("y", y);
        Ok(())
    }

    fn flops(&self) -> u64 {
        self.x.numel() as u64
    }
}

/// The greater of two values; NaN if either is.
fn nan_max<R: Real>(a: R, b: R) -> R {
    if a.value().is_nan() || a > b { a } else { b }
}

op! {
    /// `y[i]` = the column of the greatest value in row `i`, the first if several are equal. If the
    /// row has NaNs, the column of the first one, as [`ReduceKind::Max`] then is NaN.
    ArgMax "arg_max" {
        /// The values.
        x: In "float", "[N, C]";
        /// The columns.
        y: Out "u32", "[N]";
    } {
        /// Columns that are compared; those beyond are padding.
        valid_columns: usize, UpTo('C', "1 <= valid_columns <= C must hold");
    }
}

impl OpSpec for ArgMax<'_> {
    fn reference<R: Real>(&self, host: &mut Host<'_, R>) -> Result<()> {
        let x = host.read(self.x)?;
        let best = x.chunks(self.x.shape().columns()).map(|row| {
            let row = &row[..self.valid_columns];
            let is_better = |j: usize, best: usize| {
                !row[best].value().is_nan() && (row[j].value().is_nan() || row[j] > row[best])
            };
            let best = (1..row.len()).fold(0, |best, j| if is_better(j, best) { j } else { best });
            R::from(best as f64)
        });
        host.write("y", best.collect());
        Ok(())
    }

    fn flops(&self) -> u64 {
        self.x.numel() as u64
    }
}
