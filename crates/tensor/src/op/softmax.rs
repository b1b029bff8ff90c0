//! Softmax over the last axis.

use super::{OpSpec, op};
use crate::{Host, Real, Result};

op! {
    /// `y[j] = exp(scale·x[j]) / Σ_k exp(scale·x[k])` per row, the greatest subtracted first.
    ///
    /// With `causal`, seen as matrices `[…, R, C]`, row `i` reaches columns `j <= i + (C - R)` only.
    /// Columns from `valid_columns` on are padding. Masked and padding columns become 0.
    Softmax "softmax" {
        /// The scores.
        x: In "float", "[N.., C]";
        /// The probabilities.
        y: Out "as x", "as x";
    } {
        /// Factor of the scores: `1/√D`, or 1 over a temperature.
        scale: f32, Finite;
        /// Whether later columns are masked.
        causal: bool, Causal;
        /// Columns that are not padding, at most `C`.
        valid_columns: usize, UpTo('C', "1 <= valid_columns <= C must hold");
    }
}

impl Softmax<'_> {
    /// The number of leading columns of row `row` (counted over all matrices) that take part.
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

impl OpSpec for Softmax<'_> {
    fn reference<R: Real>(&self, host: &mut Host<'_, R>) -> Result<()> {
        let c = self.x.shape().columns();
        let x = host.read(self.x)?;
        let mut y = vec![R::from(0.0); x.len()];
        for (i, row) in x.chunks(c).enumerate() {
            let reach = self.reach(i);
            let (p, _) = softmax(&row[..reach], R::from(self.scale));
            y[i * c..][..reach].copy_from_slice(&p);
        }
        host.write("y", y);
        Ok(())
    }

    fn flops(&self) -> u64 {
        5 * self.x.numel() as u64
    }
}

/// Probabilities of scaled scores, and `log Σ exp`.
pub(crate) fn softmax<R: Real>(x: &[R], scale: R) -> (Vec<R>, R) {
    let scores: Vec<R> = x.iter().map(|&x| x * scale).collect();
    let max = scores.iter().fold(R::from(f64::NEG_INFINITY), |max, &x| {
        if x.value().is_nan() || x > max {
            x
        } else {
            max
        }
    });
    // The result is the same whatever is subtracted.
    let max = max.as_exact();
    let terms: Vec<R> = scores.into_iter().map(|x| (x - max).exp()).collect();
    let sum = R::sum(terms.iter().copied());
    (terms.into_iter().map(|e| e / sum).collect(), max + sum.ln())
}

op! {
    /// `dx = scale · y · (dy - Σ_k dy[k]·y[k])` per row.
    SoftmaxBackward "softmax_backward" {
        /// The forward result; zero where masked, which masks the gradient too.
        y: In "float", "[N.., C>0]";
        /// The gradient of the probabilities.
        dy: In "as y", "as y";
        /// The gradient of the scores.
        dx: Out "as y", "as y";
    } {
        /// As in forward.
        scale: f32, Finite;
    }
}

impl OpSpec for SoftmaxBackward<'_> {
    fn reference<R: Real>(&self, host: &mut Host<'_, R>) -> Result<()> {
        let c = self.y.shape().columns();
        let (y, dy) = (host.read(self.y)?, host.read(self.dy)?);
        let scale = R::from(self.scale);
        let mut dx = Vec::new();
        for (y, dy) in y.chunks(c).zip(dy.chunks(c)) {
            let dot = R::sum(y.iter().zip(dy).map(|(&y, &d)| y * d));
            dx.extend(y.iter().zip(dy).map(|(&y, &d)| scale * y * (d - dot)));
        }
        host.write("dx", dx);
        Ok(())
    }

    fn flops(&self) -> u64 {
        5 * self.y.numel() as u64
    }
}
