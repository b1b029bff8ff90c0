//! Softmax over the last axis.

use super::{Meaning, attribute_such, dtype_is, is_float, operands, shape_is, shape_such};
use crate::{Host, Result, View, ViewMut};

/// `y[j] = exp(scale·x[j]) / Σ_k exp(scale·x[k])` per row, the greatest subtracted first.
///
/// With `causal`, seen as matrices `[…, R, C]`, row `i` reaches columns `j <= i + (C - R)` only.
/// Columns at or beyond `valid_columns` are padding. What is masked becomes 0.
#[derive(Debug)]
pub struct Softmax<'a> {
    /// `[…, R, C]`, or `[C]`.
    pub x: View<'a>,
    /// As `x`.
    pub y: ViewMut<'a>,
    /// Factor of the scores: `1/√D`, or 1 over a temperature; finite.
    pub scale: f32,
    /// Whether later columns are masked.
    pub causal: bool,
    /// Columns that are not padding, at most `C`.
    pub valid_columns: usize,
}

impl Softmax<'_> {
    /// How many leading columns of row `row` (counted over all matrices) take part.
    #[must_use]
    pub fn reach(&self, row: usize) -> usize {
        let shape = self.x.shape();
        let matrix_rows = if shape.rank() < 2 {
            1
        } else {
            shape.dims()[shape.rank() - 2]
        };
        if !self.causal {
            return self.valid_columns;
        }
        let first = (shape.columns() + 1).saturating_sub(matrix_rows);
        self.valid_columns.min(first + row % matrix_rows)
    }
}

impl Meaning for Softmax<'_> {
    const NAME: &'static str = "softmax";

    fn check(&self) -> Result<()> {
        let x = self.x.shape();
        is_float(Self::NAME, "x", self.x.dtype())?;
        dtype_is(Self::NAME, "y", self.y.dtype(), self.x.dtype())?;
        let columns = x.rank() >= 1 && self.valid_columns >= 1 && self.valid_columns <= x.columns();
        shape_such(
            Self::NAME,
            "x",
            x,
            columns,
            "1 <= valid_columns <= C must hold",
        )?;
        let wide = !self.causal || (x.rank() >= 2 && x.dims()[x.rank() - 2] <= x.columns());
        shape_such(
            Self::NAME,
            "x",
            x,
            wide,
            "a causal mask needs at least as many columns as rows",
        )?;
        shape_is(Self::NAME, "y", self.y.shape(), x)?;
        attribute_such(
            Self::NAME,
            "scale",
            self.scale.into(),
            self.scale.is_finite(),
            "it must be finite",
        )
    }

    fn reference(&self, host: &mut Host<'_>) -> Result<()> {
        let c = self.x.shape().columns();
        let x = host.read(self.x)?;
        let (mut y, mut sizes) = (vec![0.0; x.len()], vec![0.0; x.len()]);
        for (i, row) in x.chunks(c).enumerate() {
            let reach = self.reach(i);
            let (p, _) = softmax(&row[..reach], self.scale.into());
            let largest = row[..reach].iter().map(|x| x.abs()).fold(0.0, f64::max);
            let spread = 2.0 * largest * f64::from(self.scale).abs();
            for (j, p) in p.into_iter().enumerate() {
                y[i * c + j] = p;
                sizes[i * c + j] = p * (reach as f64 + 6.0 + 3.0 * spread);
            }
        }
        host.write("y", y, sizes);
        Ok(())
    }

    fn flops(&self) -> u64 {
        5 * self.x.numel() as u64
    }

    operands!(In x, Out y);
}

/// Probabilities of scaled scores, and `log Σ exp`.
pub(crate) fn softmax(x: &[f64], scale: f64) -> (Vec<f64>, f64) {
    let max = x.iter().fold(f64::NEG_INFINITY, |m, &x| {
        if (x * scale).is_nan() || x * scale > m {
            x * scale
        } else {
            m
        }
    });
    let terms: Vec<f64> = x.iter().map(|x| (x * scale - max).exp()).collect();
    let sum = terms.iter().sum::<f64>();
    (terms.into_iter().map(|e| e / sum).collect(), max + sum.ln())
}

/// `dx = scale · y · (dy - Σ_k dy[k]·y[k])` per row.
#[derive(Debug)]
pub struct SoftmaxBackward<'a> {
    /// The forward result; zero where masked, which masks the gradient too.
    pub y: View<'a>,
    /// As `y`.
    pub dy: View<'a>,
    /// As `y`; overwritten.
    pub dx: ViewMut<'a>,
    /// As in forward; finite.
    pub scale: f32,
}

impl Meaning for SoftmaxBackward<'_> {
    const NAME: &'static str = "softmax_backward";

    fn check(&self) -> Result<()> {
        is_float(Self::NAME, "y", self.y.dtype())?;
        dtype_is(Self::NAME, "dy", self.dy.dtype(), self.y.dtype())?;
        dtype_is(Self::NAME, "dx", self.dx.dtype(), self.y.dtype())?;
        shape_such(
            Self::NAME,
            "y",
            self.y.shape(),
            self.y.shape().rank() >= 1 && self.y.shape().columns() > 0,
            "it has no columns",
        )?;
        shape_is(Self::NAME, "dy", self.dy.shape(), self.y.shape())?;
        shape_is(Self::NAME, "dx", self.dx.shape(), self.y.shape())?;
        attribute_such(
            Self::NAME,
            "scale",
            self.scale.into(),
            self.scale.is_finite(),
            "it must be finite",
        )
    }

    fn reference(&self, host: &mut Host<'_>) -> Result<()> {
        let c = self.y.shape().columns();
        let (y, dy) = (host.read(self.y)?, host.read(self.dy)?);
        let scale = f64::from(self.scale);
        let (mut dx, mut sizes) = (Vec::new(), Vec::new());
        for (y, dy) in y.chunks(c).zip(dy.chunks(c)) {
            let dot: f64 = y.iter().zip(dy).map(|(y, d)| y * d).sum();
            let size: f64 = y.iter().zip(dy).map(|(y, d)| (y * d).abs()).sum();
            for (y, d) in y.iter().zip(dy) {
                dx.push(scale * y * (d - dot));
                sizes.push((scale * y).abs() * (4.0 * d.abs() + (c as f64 + 4.0) * size));
            }
        }
        host.write("dx", dx, sizes);
        Ok(())
    }

    fn flops(&self) -> u64 {
        5 * self.y.numel() as u64
    }

    operands!(In y, In dy, Out dx);
}
