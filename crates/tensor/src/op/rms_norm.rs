//! Root mean square normalisation, and its gradient. Zhang and Sennrich 2019, arXiv 1910.07467.

use super::{OpSpec, op};
use crate::{Host, Real, Result};

op! {
    /// `y = x · rstd · weight` per row, with `rstd = 1/√(avg(x²) + eps)`, which is kept for backward.
    RmsNorm "rms_norm" {
        /// The rows to normalise.
        x: In "float", "[N.., C>0]";
        /// Factor of each column.
        weight: In "as x", "[C]";
        /// The result.
        y: Out "as x", "as x";
        /// One over the root of the mean square of each row.
        rstd: Out "statistics of x", "[N]";
    } {
        /// Keeps a row of zeros finite; Llama's is `1e-5` or `1e-6`.
        eps: f32, Positive;
    }
}

impl OpSpec for RmsNorm<'_> {
    fn reference<R: Real>(&self, host: &mut Host<'_, R>) -> Result<()> {
        let (x, weight) = (host.read(self.x)?, host.read(self.weight)?);
        let n = R::from(weight.len() as f64);
        let (mut y, mut rstds) = (Vec::new(), Vec::new());
        for row in x.chunks(weight.len()) {
            let mean_square = R::sum(row.iter().map(|&x| x * x)) / n;
            let rstd = R::from(1.0) / (mean_square + R::from(self.eps)).sqrt();
            y.extend(row.iter().zip(&*weight).map(|(&x, &w)| x * rstd * w));
            rstds.push(rstd);
        }
        host.write("y", y);
        host.write("rstd", rstds);
        Ok(())
    }

    fn flops(&self) -> u64 {
        4 * self.x.numel() as u64
    }
}

op! {
    /// With `n = x · rstd` and `g = dy · weight`, per row:
    /// `dx = rstd · (g - n·avg(g·n))`, `dweight += Σ dy·n`.
    RmsNormBackward "rms_norm_backward" {
        /// The forward operand.
        x: In "float", "[N.., C>0]";
        /// The factor of each column, as in forward.
        weight: In "as x", "[C]";
        /// As forward returned it.
        rstd: In "statistics of x", "[N]";
        /// The gradient of the result.
        dy: In "as x", "as x";
        /// The gradient of `x`.
        dx: OutOrInOut(op: op.accumulate) "as x", "as x";
        /// The parameter's gradient so far, which the sum is added to.
        dweight: InOut "float", "[C]";
    } {
        /// Adds to `dx` instead of overwriting it, for a residual stream whose gradient is there
        /// already.
        accumulate: bool;
    }
}

impl OpSpec for RmsNormBackward<'_> {
    fn reference<R: Real>(&self, host: &mut Host<'_, R>) -> Result<()> {
        let (x, weight, dy) = (
            host.read(self.x)?,
            host.read(self.weight)?,
            host.read(self.dy)?,
        );
        let rstd = host.read(self.rstd)?;
        let c = weight.len();
        let n = R::from(c as f64);
        let mut dx = host.read_old(self.dx.as_view(), self.accumulate)?;
        let mut dweight = host.read(self.dweight.as_view())?;
        for (i, &rstd) in rstd.iter().enumerate() {
            let at = |j: usize| i * c + j;
            let normal: Vec<R> = (0..c).map(|j| x[at(j)] * rstd).collect();
            let g: Vec<R> = (0..c).map(|j| dy[at(j)] * weight[j]).collect();
            let gn_mean = R::sum(g.iter().zip(&normal).map(|(&g, &x)| g * x)) / n;
            for j in 0..c {
                dx[at(j)] = dx[at(j)] + rstd * (g[j] - normal[j] * gn_mean);
                dweight[j].accumulate(dy[at(j)] * normal[j]);
            }
        }
        host.write("dx", dx);
        host.write("dweight", dweight);
        Ok(())
    }

    fn flops(&self) -> u64 {
        11 * self.x.numel() as u64
    }
}
