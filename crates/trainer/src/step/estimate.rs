//! Losses estimated on the way, from batches drawn at random.

use super::Training;
use crate::data::{RowKey, Source, Split};
use crate::evaluate::{NEVER, mean_of_parts};
use crate::event::Eval;
use crate::{Error, Result};
use latimer_autograd::Pass;
use std::sync::atomic::{AtomicBool, Ordering};

impl Training {
    /// The sampled losses of both splits: means over `eval_iters` batches of each, whose windows
    /// begin anywhere. There are no more batches than a split has tokens for.
    ///
    /// # Errors
    /// The device's failure.
    pub fn estimate(&mut self, source: &dyn Source) -> Result<Eval> {
        self.estimate_until(source, &NEVER)
    }

    /// As [`Training::estimate`].
    ///
    /// # Errors
    /// [`Error::Stopped`] soon after `stop` is set; the device's failure.
    pub(crate) fn estimate_until(
        &mut self,
        source: &dyn Source,
        stop: &AtomicBool,
    ) -> Result<Eval> {
        let train_loss = self.estimate_split(source, Split::Train, stop)?;
        let has_validation = source.validation_tokens() > self.engine.shape.seq_len;
        let (parts, mut val_losses) = (source.parts(), Vec::new());
        if has_validation {
            for part in &parts {
                val_losses.push(self.estimate_split(part.source, Split::Validation, stop)?);
            }
        }
        let val_loss = match (has_validation, parts.is_empty()) {
            (false, _) => None,
            (true, false) => Some(mean_of_parts(&parts, &val_losses)),
            (true, true) => Some(self.estimate_split(source, Split::Validation, stop)?),
        };
        Ok(Eval {
            step: self.step,
            train_loss,
            val_loss,
            val_losses,
        })
    }

    fn estimate_split(
        &mut self,
        source: &dyn Source,
        split: Split,
        stop: &AtomicBool,
    ) -> Result<f32> {
        let seed = self.config.seed;
        let batch_size = self.config.batch_size;
        let tokens = match split {
            Split::Train => source.training_tokens(),
            Split::Validation => Some(source.validation_tokens()),
        };
        let batches = batches_of(
            self.config.eval_iters,
            tokens,
            batch_size * self.engine.shape.seq_len,
        );
        let mut sum = 0.0f64;
        for batch in 0..batches {
            if stop.load(Ordering::Relaxed) {
                return Err(Error::Stopped);
            }
            let rows = batch_size as u32;
            let key = |row| RowKey {
                split,
                estimate: true,
                step: batch as u64,
                row,
                rows,
            };
            let batch = self.batch_of(|row, ids| source.row(seed, key(row), ids), batch_size);
            self.engine.upload(&batch)?;
            let ids = self.engine.rows(0, batch_size)?; // [B, T]
            let targets = self.engine.rows(batch_size, batch_size)?; // [B, T]
            let loss = self.model.params.device().enter(|| -> Result<f32> {
                let pass = Pass::evaluate(&self.model.params).stopped_by(stop);
                Ok(self
                    .model
                    .gpt
                    .loss(&pass, &ids, &targets)?
                    .to_vec::<f32>()?[0])
            })?;
            sum += f64::from(loss);
        }
        Ok((sum / batches as f64) as f32)
    }
}

/// Batches that an estimate of one split averages over: `eval_iters`, but no more than have as many
/// tokens as the split, `⌈tokens / (B · T)⌉`. More would see the same tokens again. A split without
/// an end has no such limit.
fn batches_of(eval_iters: usize, tokens: Option<usize>, tokens_of_a_batch: usize) -> usize {
    let most = tokens.map_or(usize::MAX, |tokens| tokens.div_ceil(tokens_of_a_batch));
    eval_iters.min(most).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_estimate_sees_no_more_tokens_than_there_are() {
        for (eval_iters, tokens, batches) in [
            (20, None, 20),
            (20, Some(1000), 16),
            (20, Some(1024), 16),
            (20, Some(1025), 17),
            (16, Some(1025), 16),
            (usize::MAX, Some(1), 1),
            (1, Some(1_000_000), 1),
        ] {
            assert_eq!(batches_of(eval_iters, tokens, 64), batches, "{tokens:?}");
        }
    }
}
