//! Layer normalisation. Ba, Kiros and Hinton 2016, arXiv 1607.06450.

use super::{OpSpec, op};
use crate::{Host, Real, Result};

op! {
    /// `y = (x - mean) · rstd · weight + bias` per row, with `rstd = 1/√(variance + eps)` and the
    /// variance over `C` (not `C - 1`). `mean` and `rstd` are kept for backward.
    LayerNorm "layer_norm" {
        /// The rows to normalise.
        x: In "float", "[N.., C>0]";
        /// Factor of each column.
        weight: In "as x", "[C]";
        /// Added to each column.
        bias: MaybeIn "as x", "[C]";
        /// The result.
        y: Out "as x", "as x";
        /// The mean of each row.
        mean: Out "statistics of x", "[N]";
        /// One over the standard deviation of each row.
        rstd: Out "statistics of x", "[N]";
    } {
        /// Keeps a constant row finite; GPT-2's is `1e-5`.
        eps: f32, Positive;
    }
}

impl OpSpec for LayerNorm<'_> {
    fn reference<R: Real>(&self, host: &mut Host<'_, R>) -> Result<()> {
        let (x, weight, bias) = (
            host.read(self.x)?,
            host.read(self.weight)?,
            host.read_some(self.bias)?,
        );
        normalise(host, &x, &weight, bias.as_deref(), self.eps);
        Ok(())
    }

    fn flops(&self) -> u64 {
        8 * self.x.numel() as u64
    }
}

/// Normalises rows, and writes `y`, `mean` and `rstd`.
pub(crate) fn normalise<R: Real>(
    host: &mut Host<'_, R>,
    x: &[R],
    weight: &[R],
    bias: Option<&[R]>,
    eps: f32,
) {
    let n = R::from(weight.len() as f64);
    let (mut y, mut means, mut rstds) = (Vec::new(), Vec::new(), Vec::new());
    for row in x.chunks(weight.len()) {
        let mean = R::sum(row.iter().copied()) / n;
        let variance = R::sum(row.iter().map(|&x| (x - mean) * (x - mean))) / n;
        let rstd = R::from(1.0) / (variance + R::from(eps)).sqrt();
        for (j, &x) in row.iter().enumerate() {
            let shift = bias.map_or(R::from(0.0), |bias| bias[j]);
            y.push((x - mean) * rstd * weight[j] + shift);
        }
        means.push(mean);
        rstds.push(rstd);
    }
    host.write("y", y);
    host.write("mean", means);
    host.write("rstd", rstds);
}

op! {
    /// With `n = (x - mean)·rstd` and `g = dy·weight`, per row:
    /// `dx = rstd · (g - avg(g) - n·avg(g·n))`, `dweight += Σ dy·n`, `dbias += Σ dy`.
    LayerNormBackward "layer_norm_backward" {
        /// The forward operand.
        x: In "float", "[N.., C>0]";
        /// The factor of each column, as in forward.
        weight: In "as x", "[C]";
        /// As forward returned it.
        mean: In "statistics of x", "[N]";
        /// As forward returned it.
        rstd: In "statistics of x", "[N]";
        /// The gradient of the result.
        dy: In "as x", "as x";
        /// The gradient of `x`.
        dx: OutOrInOut(op: op.accumulate) "as x", "as x";
        /// The parameter's gradient so far, which the sum is added to.
        dweight: InOut "float", "[C]";
        /// The parameter's gradient so far, which the sum is added to.
        dbias: MaybeInOut "as dweight", "[C]";
    } {
        /// Adds to `dx` instead of overwriting it, for a residual stream whose gradient is there
        /// already.
        accumulate: bool;
    }
}

impl OpSpec for LayerNormBackward<'_> {
    fn reference<R: Real>(&self, host: &mut Host<'_, R>) -> Result<()> {
        let (rows, c) = (self.x.shape().rows(), self.x.shape().columns());
        let (x, weight, dy) = (
            host.read(self.x)?,
            host.read(self.weight)?,
            host.read(self.dy)?,
        );
        let (mean, rstd) = (host.read(self.mean)?, host.read(self.rstd)?);
        let n = R::from(c as f64);
        let mut dx = host.read_old(self.dx.as_view(), self.accumulate)?;
        let mut dweight = host.read(self.dweight.as_view())?;
        let mut dbias = match &self.dbias {
            Some(dbias) => host.read(dbias.as_view())?,
            None => vec![R::from(0.0); c],
        };
        for i in 0..rows {
            let at = |j: usize| i * c + j;
            let normal: Vec<R> = (0..c).map(|j| (x[at(j)] - mean[i]) * rstd[i]).collect();
            let g: Vec<R> = (0..c).map(|j| dy[at(j)] * weight[j]).collect();
            let g_mean = R::sum(g.iter().copied()) / n;
            let gn_mean = R::sum(g.iter().zip(&normal).map(|(&g, &x)| g * x)) / n;
            for j in 0..c {
                dx[at(j)] = dx[at(j)] + rstd[i] * (g[j] - g_mean - normal[j] * gn_mean);
                dweight[j].accumulate(dy[at(j)] * normal[j]);
                dbias[j].accumulate(dy[at(j)]);
            }
        }
        host.write("dx", dx);
        host.write("dweight", dweight);
        if self.dbias.is_some() {
            host.write("dbias", dbias);
        }
        Ok(())
    }

    fn flops(&self) -> u64 {
        15 * self.x.numel() as u64
    }
}
