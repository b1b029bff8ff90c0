//! The values that change from step to step, kept on the device.
//!
//! A step recorded once stays valid because its operations read these values from memory instead
//! of holding them as attributes.

use crate::Result;
use latimer_tensor::op::{DropoutMask, ScalarBlock};
use latimer_tensor::philox::split;
use latimer_tensor::{DType, Device, Error, Tensor, View, ViewMut, dtype::bytes_of};

/// The block of per-step values: floats for the optimizer, words for randomness, and room for a
/// step's results.
///
/// A step may consist of several micro-steps, whose gradients add up. All of a step's values are
/// uploaded before its first operation, and all its results are downloaded after its last, so
/// nothing in between needs the host.
#[derive(Debug)]
pub(crate) struct Scalars {
    /// `[8 + A]`: the optimizer's floats, and the loss of each micro-step.
    floats: Tensor,
    /// `[A, 4]`: the random words of each micro-step.
    words: Tensor,
    /// Rows of the global batch that a micro-step has.
    rows: u32,
    /// The current micro-step.
    micro_step: usize,
}

/// The results of a step.
#[derive(Clone, Debug, PartialEq)]
pub struct StepResults {
    /// The loss of each micro-step.
    pub losses: Vec<f32>,
    /// The gradients' norm before clipping.
    pub grad_norm: f32,
}

/// The values of one step.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct StepValues {
    /// Learning rate.
    pub(crate) lr: f32,
    /// `1 - beta1^t`.
    pub(crate) bias1: f32,
    /// `1 - beta2^t`.
    pub(crate) bias2: f32,
    /// Key of all randomness.
    pub(crate) seed: u64,
    /// The step, from 1; part of every dropout mask's counter.
    pub(crate) step: u32,
}

impl Scalars {
    /// A block on a device for steps of `micro_steps` micro-steps, each on `rows` rows of the
    /// global batch.
    ///
    /// # Errors
    /// When the device has no room.
    pub(crate) fn new(device: &Device, micro_steps: usize, rows: u32) -> Result<Self> {
        let micro_steps = micro_steps.max(1);
        Ok(Self {
            floats: Tensor::zeros(device, [ScalarBlock::LEN + micro_steps], DType::F32)?,
            words: Tensor::zeros(device, [micro_steps, DropoutMask::WORDS], DType::U32)?,
            rows,
            micro_step: 0,
        })
    }

    /// Uploads the values of a step and begins its first micro-step.
    ///
    /// # Errors
    /// When the device fails.
    pub(crate) fn set(&mut self, values: &StepValues) -> Result<()> {
        let mut floats = vec![0.0f32; self.floats.shape().numel()];
        floats[ScalarBlock::LR] = values.lr;
        floats[ScalarBlock::CLIP] = 1.0;
        floats[ScalarBlock::BIAS1] = values.bias1;
        floats[ScalarBlock::BIAS2] = values.bias2;
        let device = self.floats.device().clone();
        device.upload(bytes_of(&floats), self.floats.view_mut()?)?;
        let [low, high] = split(values.seed);
        let first_rows = (0..self.words.dims()[0] as u32).map(|i| i.wrapping_mul(self.rows));
        let words: Vec<u32> = first_rows
            .flat_map(|first_row| [low, high, values.step, first_row])
            .collect();
        device.upload(bytes_of(&words), self.words.view_mut()?)?;
        self.micro_step = 0;
        Ok(())
    }

    /// Makes `micro_step`, counted from 0, the current one; nothing is uploaded.
    ///
    /// # Errors
    /// [`Error::OutOfBounds`] when a step has fewer micro-steps.
    pub(crate) fn begin_micro_step(&mut self, micro_step: usize) -> Result<()> {
        let (end, len) = (micro_step.saturating_add(1), self.words.dims()[0]);
        if end > len {
            let first = micro_step;
            return Err(Error::OutOfBounds { first, end, len }.into());
        }
        self.micro_step = micro_step;
        Ok(())
    }

    /// Micro-steps of a step.
    pub(crate) fn micro_steps(&self) -> usize {
        self.words.dims()[0]
    }

    /// The place to write the current micro-step's loss to, `[1]`, `F32`.
    ///
    /// # Errors
    /// Never in practice: the block owns its memory alone.
    pub(crate) fn loss_mut(&mut self) -> Result<ViewMut<'_>> {
        let at = ScalarBlock::LEN + self.micro_step;
        Ok(self.floats.view_mut()?.slice(at, [1])?)
    }

    /// The floats, `[8]`.
    #[must_use]
    #[inline]
    pub(crate) fn floats(&self) -> View<'_> {
        part(self.floats.view(), 0, ScalarBlock::LEN)
    }

    /// The floats, to be written by [`ClipScale`](latimer_tensor::op::ClipScale).
    ///
    /// # Errors
    /// Never in practice: the block owns its memory alone.
    pub(crate) fn floats_mut(&mut self) -> Result<ViewMut<'_>> {
        Ok(self.floats.view_mut()?.slice(0, [ScalarBlock::LEN])?)
    }

    /// The random words of the current micro-step, `[4]`, `U32`: seed (low, high), step, first row.
    #[must_use]
    #[inline]
    pub(crate) fn random(&self) -> View<'_> {
        let words = DropoutMask::WORDS;
        part(self.words.view(), self.micro_step * words, words)
    }

    /// The results of the last step; waits for the device.
    ///
    /// # Errors
    /// When the device fails.
    pub(crate) fn results(&self) -> Result<StepResults> {
        let floats = self.floats.to_vec::<f32>()?;
        Ok(StepResults {
            losses: floats[ScalarBlock::LEN..].to_vec(),
            grad_norm: floats[ScalarBlock::GRAD_NORM],
        })
    }
}

/// `n` elements of a view from `first` on.
fn part(view: View<'_>, first: usize, n: usize) -> View<'_> {
    view.slice(first, [n])
        .unwrap_or_else(|_| unreachable!("the block is as long as its parts"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_micro_step_has_its_words_and_its_loss() {
        let mut block = Scalars::new(&Device::reference(), 3, 5).unwrap();
        let values = StepValues {
            lr: 0.5,
            bias1: 0.1,
            bias2: 0.2,
            seed: 7 << 32 | 9,
            step: 11,
        };
        block.set(&values).unwrap();
        for i in 0..3 {
            block.begin_micro_step(i).unwrap();
            let device = block.words.device().clone();
            let mut words = [0u32; 4];
            let bytes = latimer_tensor::dtype::bytes_of_mut(&mut words);
            device.download(block.random(), bytes).unwrap();
            assert_eq!(words, [9, 7, 11, 5 * i as u32]);
            let loss = [i as f32];
            device
                .upload(bytes_of(&loss), block.loss_mut().unwrap())
                .unwrap();
        }
        assert!(block.begin_micro_step(3).is_err());
        assert_eq!(block.floats().numel(), ScalarBlock::LEN);
        assert_eq!(block.results().unwrap().losses, [0.0, 1.0, 2.0]);
    }
}
