//! Root mean square normalisation. Zhang and Sennrich 2019, arXiv 1910.07467.

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
