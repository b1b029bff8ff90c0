//! The loss of a language model.

use super::embedding::check_id;
use super::softmax::softmax;
use super::{OpSpec, op};
use crate::{Host, Real, Result};

op! {
    /// `losses[i] = log Σ_j exp(logits[i, j]) - logits[i, targets[i]]`, in nats, over the valid columns.
    ///
    /// With `gradient = Some(s)`, the logits are overwritten with their gradient
    /// `s · (softmax(logits)[i, j] - [j = targets[i]])`, which is 0 in padded columns.
    CrossEntropy "cross_entropy" {
        /// The logits; kept, or replaced by their gradient.
        logits: InOut "float", "[N, C]";
        /// The correct column of each row, below `valid_columns`.
        targets: In "u32", "[N]";
        /// The loss of each row, in nats.
        losses: Out "statistics of logits", "[N]";
    } {
        /// `V`: columns that are not padding.
        valid_columns: usize, UpTo('C', "1 <= valid_columns <= C must hold");
        /// Factor of the gradient, `1/N` for a mean; `None` to leave the logits alone.
        gradient: Option<f32>, Finite;
    }
}

impl OpSpec for CrossEntropy<'_> {
    fn reference<R: Real>(&self, host: &mut Host<'_, R>) -> Result<()> {
        let c = self.logits.shape().columns();
        let mut logits = host.read(self.logits.as_view())?;
        let targets = host.read_ids(self.targets)?;
        let mut losses = Vec::new();
        for (i, &target) in targets.iter().enumerate() {
            check_id(Self::NAME, "targets", target as u64, i, self.valid_columns)?;
            let row = &mut logits[i * c..][..c];
            let (p, lse) = softmax(&row[..self.valid_columns], R::from(1.0));
            losses.push(lse - row[target]);
            let Some(scale) = self.gradient else { continue };
            row.fill(R::from(0.0));
            for (j, p) in p.into_iter().enumerate() {
                let hit = f64::from(u8::from(j == target));
                row[j] = R::from(scale) * (p - R::from(hit));
            }
        }
        host.write("logits", logits);
        host.write("losses", losses);
        Ok(())
    }

    fn flops(&self) -> u64 {
        5 * self.logits.numel() as u64
    }
}
