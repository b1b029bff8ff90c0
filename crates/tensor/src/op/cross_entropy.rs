//! The loss of a language model.

use super::embedding::check_id;
use super::layer_norm::statistics;
use super::softmax::softmax;
use super::{Meaning, attribute_such, dtype_is, is_float, operands, shape_is, shape_such};
use crate::{DType, Host, Result, View, ViewMut};

/// `losses[i] = log Σ_j exp(logits[i, j]) - logits[i, targets[i]]`, in nats, over the valid columns.
///
/// With `gradient = Some(s)`, the logits give way to their gradient
/// `s · (softmax(logits)[i, j] - [j = targets[i]])`, which is 0 in padded columns.
#[derive(Debug)]
pub struct CrossEntropy<'a> {
    /// `[N, Vp]`; kept, or replaced by their gradient.
    pub logits: ViewMut<'a>,
    /// `[N]`, `U32`, each below `valid_columns`.
    pub targets: View<'a>,
    /// `[N]`, `F32` (`F64` for `F64` logits).
    pub losses: ViewMut<'a>,
    /// `V`: columns that are not padding.
    pub valid_columns: usize,
    /// Factor of the gradient, `1/N` for a mean, finite; `None` to leave the logits alone.
    pub gradient: Option<f32>,
}

impl Meaning for CrossEntropy<'_> {
    const NAME: &'static str = "cross_entropy";

    fn check(&self) -> Result<()> {
        let logits = self.logits.shape();
        is_float(Self::NAME, "logits", self.logits.dtype())?;
        dtype_is(Self::NAME, "targets", self.targets.dtype(), DType::U32)?;
        dtype_is(
            Self::NAME,
            "losses",
            self.losses.dtype(),
            statistics(self.logits.dtype()),
        )?;
        let fits =
            logits.rank() == 2 && self.valid_columns >= 1 && self.valid_columns <= logits.columns();
        shape_such(
            Self::NAME,
            "logits",
            logits,
            fits,
            "it must be [N, C] with 1 <= valid_columns <= C",
        )?;
        shape_is(Self::NAME, "targets", self.targets.shape(), [logits.rows()])?;
        shape_is(Self::NAME, "losses", self.losses.shape(), [logits.rows()])?;
        let factor = self.gradient.unwrap_or(0.0);
        attribute_such(
            Self::NAME,
            "gradient",
            factor.into(),
            factor.is_finite(),
            "it must be finite",
        )
    }

    fn reference(&self, host: &mut Host<'_>) -> Result<()> {
        let c = self.logits.shape().columns();
        let mut logits = host.read(self.logits.as_view())?;
        let targets = host.read_ids(self.targets)?;
        let mut sizes = vec![0.0; logits.len()];
        let (mut losses, mut loss_sizes) = (Vec::new(), Vec::new());
        for (i, &target) in targets.iter().enumerate() {
            check_id(Self::NAME, "targets", target as u64, i, self.valid_columns)?;
            let row = &mut logits[i * c..][..c];
            let valid = &row[..self.valid_columns];
            let (p, lse) = softmax(valid, 1.0);
            let largest = valid.iter().map(|x| x.abs()).fold(0.0, f64::max);
            losses.push(lse - row[target]);
            loss_sizes.push(self.valid_columns as f64 + 6.0 + 4.0 * largest);
            let Some(scale) = self.gradient else { continue };
            row.fill(0.0);
            for (j, p) in p.into_iter().enumerate() {
                let hit = f64::from(u8::from(j == target));
                row[j] = f64::from(scale) * (p - hit);
                let size = p * (self.valid_columns as f64 + 8.0 + 4.0 * largest) + hit;
                sizes[i * c + j] = f64::from(scale).abs() * size;
            }
        }
        host.write("logits", logits, sizes);
        host.write("losses", losses, loss_sizes);
        Ok(())
    }

    fn flops(&self) -> u64 {
        5 * self.logits.numel() as u64
    }

    operands!(InOut logits, In targets, Out losses);
}
