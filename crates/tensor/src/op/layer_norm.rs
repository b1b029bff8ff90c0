//! Layer normalisation. Ba, Kiros and Hinton 2016, arXiv 1607.06450.

use super::{Meaning, attribute_such, dtype_is, is_float, operands, shape_is, shape_such};
use crate::{DType, Host, Result, View, ViewMut};

/// `y = (x - mean) · rstd · weight + bias` per row, with `rstd = 1/√(variance + eps)` and the
/// variance over `C` (not `C - 1`). `mean` and `rstd` are kept for backward.
#[derive(Debug)]
pub struct LayerNorm<'a> {
    /// `[N, C]`, or more leading axes.
    pub x: View<'a>,
    /// `[C]`.
    pub weight: View<'a>,
    /// `[C]`.
    pub bias: Option<View<'a>>,
    /// As `x`.
    pub y: ViewMut<'a>,
    /// `[N]`, `F32` (`F64` for `F64` operands).
    pub mean: ViewMut<'a>,
    /// `[N]`, as `mean`.
    pub rstd: ViewMut<'a>,
    /// Keeps a constant row finite; GPT-2's is `1e-5`.
    pub eps: f32,
}

/// Statistics are `F32`, whatever the operands, but for the oracle's `F64`.
pub(crate) fn statistics(x: DType) -> DType {
    if x == DType::F64 {
        DType::F64
    } else {
        DType::F32
    }
}

impl Meaning for LayerNorm<'_> {
    const NAME: &'static str = "layer_norm";

    fn check(&self) -> Result<()> {
        let x = self.x.shape();
        is_float(Self::NAME, "x", self.x.dtype())?;
        dtype_is(Self::NAME, "weight", self.weight.dtype(), self.x.dtype())?;
        dtype_is(Self::NAME, "y", self.y.dtype(), self.x.dtype())?;
        dtype_is(
            Self::NAME,
            "mean",
            self.mean.dtype(),
            statistics(self.x.dtype()),
        )?;
        dtype_is(
            Self::NAME,
            "rstd",
            self.rstd.dtype(),
            statistics(self.x.dtype()),
        )?;
        shape_such(
            Self::NAME,
            "x",
            x,
            x.rank() >= 1 && x.columns() > 0,
            "its rows are empty",
        )?;
        shape_is(Self::NAME, "weight", self.weight.shape(), [x.columns()])?;
        if let Some(bias) = self.bias {
            dtype_is(Self::NAME, "bias", bias.dtype(), self.x.dtype())?;
            shape_is(Self::NAME, "bias", bias.shape(), [x.columns()])?;
        }
        shape_is(Self::NAME, "y", self.y.shape(), x)?;
        shape_is(Self::NAME, "mean", self.mean.shape(), [x.rows()])?;
        shape_is(Self::NAME, "rstd", self.rstd.shape(), [x.rows()])?;
        attribute_such(
            Self::NAME,
            "eps",
            self.eps.into(),
            self.eps > 0.0,
            "it must be positive",
        )
    }

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

    operands!(In x, In weight, MaybeIn bias, Out y, Out mean, Out rstd);
}

/// Normalised rows with their statistics, and the sizes of the roundings in each.
#[derive(Default)]
pub(crate) struct Normalised {
    y: [Vec<f64>; 2],
    mean: [Vec<f64>; 2],
    rstd: [Vec<f64>; 2],
}

impl Normalised {
    /// Of rows each element of which has been rounded `roundings` times on its way here.
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

/// With `n = (x - mean)·rstd` and `g = dy·weight`, per row:
/// `dx = rstd · (g - avg(g) - n·avg(g·n))`, `dweight += Σ dy·n`, `dbias += Σ dy`.
#[derive(Debug)]
pub struct LayerNormBackward<'a> {
    /// The forward operand.
    pub x: View<'a>,
    /// `[C]`.
    pub weight: View<'a>,
    /// `[N]`, from forward.
    pub mean: View<'a>,
    /// `[N]`, from forward.
    pub rstd: View<'a>,
    /// As `x`.
    pub dy: View<'a>,
    /// As `x`.
    pub dx: ViewMut<'a>,
    /// Whether `dx` is added to, the residual stream's gradient being there already.
    pub accumulate: bool,
    /// `[C]`; added to.
    pub dweight: ViewMut<'a>,
    /// `[C]`; added to.
    pub dbias: Option<ViewMut<'a>>,
}

impl Meaning for LayerNormBackward<'_> {
    const NAME: &'static str = "layer_norm_backward";

    fn check(&self) -> Result<()> {
        let (x, dtype) = (self.x.shape(), self.x.dtype());
        is_float(Self::NAME, "x", dtype)?;
        shape_such(
            Self::NAME,
            "x",
            x,
            x.rank() >= 1 && x.columns() > 0,
            "its rows are empty",
        )?;
        for (name, got) in [
            ("weight", self.weight.dtype()),
            ("dy", self.dy.dtype()),
            ("dx", self.dx.dtype()),
        ] {
            dtype_is(Self::NAME, name, got, dtype)?;
        }
        for (name, view) in [("mean", self.mean), ("rstd", self.rstd)] {
            dtype_is(Self::NAME, name, view.dtype(), statistics(dtype))?;
            shape_is(Self::NAME, name, view.shape(), [x.rows()])?;
        }
        is_float(Self::NAME, "dweight", self.dweight.dtype())?;
        shape_is(Self::NAME, "weight", self.weight.shape(), [x.columns()])?;
        shape_is(Self::NAME, "dy", self.dy.shape(), x)?;
        shape_is(Self::NAME, "dx", self.dx.shape(), x)?;
        shape_is(Self::NAME, "dweight", self.dweight.shape(), [x.columns()])?;
        if let Some(dbias) = &self.dbias {
            dtype_is(Self::NAME, "dbias", dbias.dtype(), self.dweight.dtype())?;
            shape_is(Self::NAME, "dbias", dbias.shape(), [x.columns()])?;
        }
        Ok(())
    }

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

    operands!(In x, In weight, In mean, In rstd, In dy, InOutIf(|op| op.accumulate) dx, InOut dweight, MaybeInOut dbias);
}
