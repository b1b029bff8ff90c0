//! Layer normalisation. Ba, Kiros and Hinton 2016, arXiv 1607.06450.

use super::{OpSpec, op};
use crate::{Host, Result};

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
    fn reference(&self, host: &mut Host<'_>) -> Result<()> {
        let (x, weight, bias) = (
            host.read(self.x)?,
            host.read(self.weight)?,
            host.read_some(self.bias)?,
        );
        Normalised::of(&x, 0.0, &weight, bias.as_deref(), self.eps).write(host);
        Ok(())
    }

    fn flops(&self) -> u64 {
        8 * self.x.numel() as u64
    }
}

/// Normalised rows with their statistics, and the sizes of the roundings in each.
#[derive(Default)]
pub(crate) struct Normalised {
    y: [Vec<f64>; 2],
    mean: [Vec<f64>; 2],
    rstd: [Vec<f64>; 2],
}

impl Normalised {
    /// Normalises rows whose elements have each been rounded `roundings` times before.
    pub(crate) fn of(
        x: &[f64],
        roundings: f64,
        weight: &[f64],
        bias: Option<&[f64]>,
        eps: f32,
    ) -> Self {
        let n = weight.len() as f64;
        let mut all = Self::default();
        for row in x.chunks(weight.len()) {
            let mean = row.iter().sum::<f64>() / n;
            let size = row.iter().map(|x| x.abs()).sum::<f64>() / n;
            let variance = row.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / n;
            let rstd = 1.0 / (variance + f64::from(eps)).sqrt();
            // The mean errs by n·u·size; a deviation by that, its own rounding and those of x; the
            // variance, a sum of squares of deviations, relative to itself by n·u and by twice the
            // deviations' error against the standard deviation; rstd by half of that.
            let mean_error = (n + 1.0 + roundings) * size;
            let error_of = |x: f64| (x - mean).abs() + roundings * x.abs();
            let row_error = mean_error + row.iter().map(|&x| error_of(x)).fold(0.0, f64::max);
            let relative = 0.5 * n + 4.0 + row_error * rstd;
            all.mean[0].push(mean);
            all.mean[1].push(mean_error);
            all.rstd[0].push(rstd);
            all.rstd[1].push(rstd * relative);
            for (j, x) in row.iter().enumerate() {
                let normal = (x - mean) * rstd;
                let shift = bias.map_or(0.0, |b| b[j]);
                all.y[0].push(normal * weight[j] + shift);
                let error = (mean_error + roundings * x.abs()) * rstd;
                let error = error + normal.abs() * (relative + 3.0);
                all.y[1].push(weight[j].abs() * error + shift.abs());
            }
        }
        all
    }

    /// Writes `y`, `mean` and `rstd`.
    pub(crate) fn write(self, host: &mut Host<'_>) {
        let outputs = [("y", self.y), ("mean", self.mean), ("rstd", self.rstd)];
        for (name, [values, sizes]) in outputs {
            host.write(name, values, sizes);
        }
    }
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
    fn reference(&self, host: &mut Host<'_>) -> Result<()> {
        let (rows, c) = (self.x.shape().rows(), self.x.shape().columns());
        let (x, weight, dy) = (
            host.read(self.x)?,
            host.read(self.weight)?,
            host.read(self.dy)?,
        );
        let (mean, rstd) = (host.read(self.mean)?, host.read(self.rstd)?);
        let n = c as f64;
        let old = if self.accumulate {
            host.read(self.dx.as_view())?
        } else {
            vec![0.0; x.len()]
        };
        let (mut dx, mut dx_sizes) = (Vec::new(), Vec::new());
        let dweight_old = host.read(self.dweight.as_view())?;
        let dbias_old = match &self.dbias {
            Some(dbias) => host.read(dbias.as_view())?,
            None => vec![0.0; c],
        };
        let mut weight_sizes: Vec<f64> = dweight_old.iter().map(|x| x.abs()).collect();
        let mut bias_sizes: Vec<f64> = dbias_old.iter().map(|x| x.abs()).collect();
        let (mut dweight, mut dbias) = (dweight_old, dbias_old);
        for i in 0..rows {
            let at = |j: usize| i * c + j;
            let normal: Vec<f64> = (0..c).map(|j| (x[at(j)] - mean[i]) * rstd[i]).collect();
            // A deviation cancels: its rounding is that of x and mean, not of the difference.
            let spread: Vec<f64> = (0..c)
                .map(|j| (x[at(j)].abs() + mean[i].abs()) * rstd[i])
                .collect();
            let g: Vec<f64> = (0..c).map(|j| dy[at(j)] * weight[j]).collect();
            let g_mean = g.iter().sum::<f64>() / n;
            let gn_mean = g.iter().zip(&normal).map(|(g, x)| g * x).sum::<f64>() / n;
            let g_size = g.iter().map(|g| g.abs()).sum::<f64>() / n;
            let gn_size = g
                .iter()
                .zip(&spread)
                .map(|(g, x)| (g * x).abs())
                .sum::<f64>()
                / n;
            for j in 0..c {
                dx.push(old[at(j)] + rstd[i] * (g[j] - g_mean - normal[j] * gn_mean));
                let error = 3.0 * g[j].abs()
                    + (n + 3.0) * g_size
                    + normal[j].abs() * (n + 6.0) * gn_size
                    + 3.0 * spread[j] * gn_mean.abs();
                dx_sizes.push(2.0 * old[at(j)].abs() + rstd[i] * error);
                dweight[j] += dy[at(j)] * normal[j];
                weight_sizes[j] += (dy[at(j)] * spread[j]).abs();
                dbias[j] += dy[at(j)];
                bias_sizes[j] += dy[at(j)].abs();
            }
        }
        let grow = |sizes: Vec<f64>| sizes.into_iter().map(|s| s * (rows + 3) as f64).collect();
        host.write("dx", dx, dx_sizes);
        host.write("dweight", dweight, grow(weight_sizes));
        if self.dbias.is_some() {
            host.write("dbias", dbias, grow(bias_sizes));
        }
        Ok(())
    }

    fn flops(&self) -> u64 {
        15 * self.x.numel() as u64
    }
}
