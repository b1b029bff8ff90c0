//! The language-model head and its loss in one operation, so that all logits are never held at
//! once.

use crate::{Error, GradientKey, Mode, Param, Pass, Result};
use latimer_tensor::op::{CrossEntropy, Matmul, Over, Reduce, ReduceKind};
use latimer_tensor::{DType, Phase, SMALL_CHUNK, Tensor};

/// A language-model head: logits are `x · weightᵀ + bias`.
#[derive(Clone, Copy, Debug)]
pub struct LmHead {
    /// `[Vp, C]`; the token embedding itself when tied.
    pub weight: Param,
    /// `[Vp]`.
    pub bias: Option<Param>,
    /// `V`: rows that are not padding.
    pub valid_columns: usize,
}

/// The number of rows of logits that `lm_loss` holds at a time: as many as fit the device's chunk
/// size, a multiple of the height of its products' tiles, and at most the batch's rows.
fn logits_rows(chunk_bytes: usize, row_bytes: usize, rows: usize) -> usize {
    let multiple = if chunk_bytes > SMALL_CHUNK { 256 } else { 64 };
    let most = chunk_bytes / row_bytes.max(1) / multiple * multiple;
    most.max(multiple).min(rows.max(1))
}

impl Pass<'_> {
    /// Logits `x · weightᵀ + bias` of the rows from `first_row` on, padded columns included: `[…,
    /// C]` to `[N - first_row, Vp]`, `F32`. They are for evaluation; training uses
    /// [`Pass::lm_loss`], which never holds all logits at once.
    ///
    /// # Errors
    /// A width that does not fit, a row that does not exist.
    pub fn logits(&self, x: &Tensor, first_row: usize, head: LmHead) -> Result<Tensor> {
        let (rows, width) = (
            x.shape().rows().saturating_sub(first_row),
            x.shape().columns(),
        );
        let x = x.view().slice(first_row * width, [rows, width])?; // [n, C]
        let weight = self.value(head.weight)?;
        let mut logits = self.empty_f32([rows, weight.shape().rows()])?; // [n, Vp]
        let product = Matmul::new(x, weight, logits.view_mut()?).trans_b();
        self.device()
            .run(product.with_bias(self.value_of(head.bias)?))?;
        Ok(logits)
    }

    /// Head and loss in one, in chunks of rows: the mean cross-entropy, in nats, of `x: [B, T, C]`
    /// under `head` against `targets: [B, T]` (`U32`), as `[1]`, `F32`. All logits are never held
    /// at once. In training they have the activations' type, because their gradients, which
    /// overwrite them, must have it; in evaluation they are `F32`.
    ///
    /// In training the head's gradients are computed together with the loss, so the result must be
    /// given to [`Pass::backward`] itself.
    ///
    /// # Errors
    /// Targets out of range.
    pub fn lm_loss(&self, x: &Tensor, head: LmHead, targets: &Tensor) -> Result<Tensor> {
        let scale = match self.mode() {
            Mode::Train { loss_scale } => Some(loss_scale / x.shape().rows() as f32),
            Mode::Evaluate => None,
        };
        let wants = self.wants("lm_loss", "x", x)?;
        let (rows, width) = (x.shape().rows(), x.shape().columns());
        let weight = self.value(head.weight)?; // [Vp, C]
        let columns = weight.shape().rows();
        let dtype = scale.map_or(DType::F32, |_| x.dtype());
        let row_bytes = dtype.size() * columns;
        let chunk = logits_rows(self.device().chunk_bytes(), row_bytes, rows);
        let mut losses = self.empty_f32([rows])?; // [N]
        let mut dx = if wants {
            Some(self.like(x, x.shape())?)
        } else {
            None
        };
        for first in (0..rows).step_by(chunk) {
            self.check_stop()?;
            let n = chunk.min(rows - first);
            let x = x.view().slice(first * width, [n, width])?; // [n, C]
            let mut logits = Tensor::empty(self.device(), [n, columns], dtype)?; // [n, Vp]
            let product = Matmul::new(x, weight, logits.view_mut()?).trans_b();
            self.device()
                .run(product.with_bias(self.value_of(head.bias)?))?;
            self.device().run(CrossEntropy {
                logits: logits.view_mut()?,
                targets: targets.view().slice(first, [n])?,
                losses: losses.view_mut()?.slice(first, [n])?,
                valid_columns: head.valid_columns,
                gradient: scale,
            })?;
            if scale.is_none() {
                continue;
            }
            let _backward = self.device().begin_phase(Phase::Backward);
            let dlogits = logits;
            if let Some(dx) = &mut dx {
                let dx = dx.view_mut()?.slice(first * width, [n, width])?;
                self.device().run(Matmul::new(dlogits.view(), weight, dx))?;
            }
            self.params
                .with_weight_and_bias(head.weight, head.bias, |dw, db| {
                    let product = Matmul::new(dlogits.view(), x, dw).trans_a();
                    self.device().run(product.scaled(1.0, 1.0))?;
                    let Some(y) = db else { return Ok(()) };
                    let (kind, over) = (ReduceKind::Sum, Over::Rows);
                    self.device().run(Reduce {
                        kind,
                        over,
                        x: dlogits.view(),
                        y,
                        accumulate: true,
                    })
                })?;
        }
        let mut loss = self.empty_f32([1])?;
        self.device().run(Reduce {
            kind: ReduceKind::Mean,
            over: Over::Columns,
            x: losses.view().slice(0, [1, rows])?,
            y: loss.view_mut()?,
            accumulate: false,
        })?;
        let x = GradientKey::from(x);
        self.record(&loss, move |gradients, dy| {
            if dy.id() != gradients.seed {
                return Err(Error::LossMustBeLast);
            }
            dx.map_or(Ok(()), |dx| gradients.pass_on(x, dx))
        });
        Ok(loss)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_of_logits_are_whole_tiles_and_no_more_than_the_batch() {
        // Small chunks of GPT-2's logits, in f32 and in bf16, as on the CPU.
        assert_eq!(logits_rows(SMALL_CHUNK, 4 * 50_304, 32_768), 320);
        assert_eq!(logits_rows(SMALL_CHUNK, 2 * 50_304, 32_768), 640);
        // Chunks of a large device: a few per step instead of 52.
        assert_eq!(logits_rows(1 << 30, 2 * 50_304, 32_768), 10_496);
        assert_eq!(logits_rows(1 << 30, 4 * 50_304, 32_768), 5_120);
        assert_eq!(logits_rows(1 << 30, 2 * 50_304, 100), 100);
        // A row that is larger than a chunk.
        assert_eq!(logits_rows(SMALL_CHUNK, 1 << 30, 1000), 64);
        assert_eq!(logits_rows(SMALL_CHUNK, 4 * 65, 1000), 1000);
        assert_eq!(logits_rows(SMALL_CHUNK, 0, 0), 1);
    }
}
