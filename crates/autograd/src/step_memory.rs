//! The values that change from step to step, kept on the device.
//!
//! A step recorded once stays valid because its operations read these values from memory instead
//! of holding them as attributes.

use crate::Result;
use crate::params::ALIGNMENT;
use latimer_tensor::op::{DropoutMask, ScalarBlock};
use latimer_tensor::philox::split;
use latimer_tensor::{
    DType, Device, Error, Tensor, View, ViewMut,
    dtype::{bytes_of, bytes_of_mut},
};

/// What a step reads from memory: floats for the optimizer, words for randomness, the ids of its
/// batch; and room for its results. All of it lies in one memory, so it is uploaded by one copy
/// before the step's first operation, and the results come back by one after its last. Nothing in
/// between needs the host.
///
/// A step may consist of several micro-steps, whose gradients add up.
#[derive(Debug)]
pub(crate) struct StepMemory {
    /// `U32`, in this order, each part aligned as memory of its own is: `[8 + A]` floats (those of
    /// the optimizer, and the loss of each micro-step), `[A, 4]` random words, the ids.
    memory: Tensor,
    micro_steps: usize,
    /// Ids of a batch.
    ids: usize,
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

impl StepMemory {
    /// A block on a device for steps of `micro_steps` micro-steps, each on `rows` rows of the
    /// global batch, and for batches of `ids` integers.
    ///
    /// # Errors
    /// When the device has no room.
    pub(crate) fn new(device: &Device, micro_steps: usize, rows: u32, ids: usize) -> Result<Self> {
        let mut block = Self {
            memory: Tensor::empty(device, [0], DType::U32)?,
            micro_steps: micro_steps.max(1),
            ids,
            rows,
            micro_step: 0,
        };
        let len = block.first_id() + ids;
        block.memory = Tensor::zeros(device, [len], DType::U32)?;
        Ok(block)
    }

    /// Floats: those of the optimizer, and the losses.
    fn floats_len(&self) -> usize {
        ScalarBlock::LEN + self.micro_steps
    }

    /// Where the random words begin.
    fn first_word(&self) -> usize {
        self.floats_len().next_multiple_of(ALIGNMENT)
    }

    /// Where the ids begin.
    fn first_id(&self) -> usize {
        let words = self.micro_steps * DropoutMask::WORDS;
        (self.first_word() + words).next_multiple_of(ALIGNMENT)
    }

    /// Uploads the values of a step, with the first ids of its batch, and begins its first
    /// micro-step.
    ///
    /// # Errors
    /// [`Error::OutOfBounds`] for more ids than the block has room for; when the device fails.
    pub(crate) fn set(&mut self, values: &StepValues, ids: &[u32]) -> Result<()> {
        let mut all = vec![0u32; self.first_id() + ids.len()];
        let floats = [
            (ScalarBlock::LR, values.lr),
            (ScalarBlock::CLIP, 1.0),
            (ScalarBlock::BIAS1, values.bias1),
            (ScalarBlock::BIAS2, values.bias2),
        ];
        for (at, value) in floats {
            all[at] = value.to_bits();
        }
        let [low, high] = split(values.seed);
        let words = &mut all[self.first_word()..];
        for (micro_step, words) in (0..self.micro_steps).zip(words.chunks_mut(DropoutMask::WORDS)) {
            let first_row = (micro_step as u32).wrapping_mul(self.rows);
            words.copy_from_slice(&[low, high, values.step, first_row]);
        }
        all[self.first_id()..].copy_from_slice(ids);
        self.upload(0, &all)?;
        self.micro_step = 0;
        Ok(())
    }

    /// Uploads the first ids of a batch alone.
    ///
    /// # Errors
    /// As [`StepMemory::set`].
    pub(crate) fn set_ids(&mut self, ids: &[u32]) -> Result<()> {
        self.upload(self.first_id(), ids)
    }

    fn upload(&mut self, first: usize, values: &[u32]) -> Result<()> {
        let device = self.memory.device().clone();
        let target = self.memory.view_mut()?.slice(first, [values.len()])?;
        Ok(device.upload(bytes_of(values), target)?)
    }

    /// `n` ids from number `first` on, without copying them.
    ///
    /// # Errors
    /// When the block has fewer.
    pub(crate) fn ids(&self, first: usize, n: usize) -> Result<Tensor> {
        let (end, len) = (first.saturating_add(n), self.ids);
        if end > len {
            return Err(Error::OutOfBounds { first, end, len }.into());
        }
        Ok(self.memory.view_rows(self.first_id() + first, n)?)
    }

    /// Makes `micro_step`, counted from 0, the current one; nothing is uploaded.
    ///
    /// # Errors
    /// [`Error::OutOfBounds`] when a step has fewer micro-steps.
    pub(crate) fn begin_micro_step(&mut self, micro_step: usize) -> Result<()> {
        let (end, len) = (micro_step.saturating_add(1), self.micro_steps);
        if end > len {
            let first = micro_step;
            return Err(Error::OutOfBounds { first, end, len }.into());
        }
        self.micro_step = micro_step;
        Ok(())
    }

    /// Micro-steps of a step.
    pub(crate) fn micro_steps(&self) -> usize {
        self.micro_steps
    }

    /// The place to write the current micro-step's loss to, `[1]`, `F32`.
    ///
    /// # Errors
    /// A tensor's [`Shared`](Error::Shared) while a tensor of the batch's ids lives.
    pub(crate) fn loss_mut(&mut self) -> Result<ViewMut<'_>> {
        let at = ScalarBlock::LEN + self.micro_step;
        let memory = self.memory.view_mut()?;
        Ok(memory.slice(at, [1])?.reinterpret(DType::F32)?)
    }

    /// The floats, `[8]`.
    #[must_use]
    #[inline]
    pub(crate) fn floats(&self) -> View<'_> {
        self.floats_and_losses(ScalarBlock::LEN)
    }

    /// The floats, to be written by [`ClipScale`](latimer_tensor::op::ClipScale).
    ///
    /// # Errors
    /// As [`StepMemory::loss_mut`].
    pub(crate) fn floats_mut(&mut self) -> Result<ViewMut<'_>> {
        let memory = self.memory.view_mut()?;
        Ok(memory
            .slice(0, [ScalarBlock::LEN])?
            .reinterpret(DType::F32)?)
    }

    /// The random words of the current micro-step, `[4]`, `U32`: seed (low, high), step, first row.
    #[must_use]
    #[inline]
    pub(crate) fn random(&self) -> View<'_> {
        let words = DropoutMask::WORDS;
        part(
            self.memory.view(),
            self.first_word() + self.micro_step * words,
            words,
        )
    }

    /// The results of the last step; waits for the device.
    ///
    /// # Errors
    /// When the device fails.
    pub(crate) fn results(&self) -> Result<StepResults> {
        let mut floats = vec![0.0f32; self.floats_len()];
        let from = self.floats_and_losses(floats.len());
        self.memory
            .device()
            .download(from, bytes_of_mut(&mut floats))?;
        Ok(StepResults {
            losses: floats[ScalarBlock::LEN..].to_vec(),
            grad_norm: floats[ScalarBlock::GRAD_NORM],
        })
    }

    /// The first `n` of the floats and the losses after them.
    fn floats_and_losses(&self, n: usize) -> View<'_> {
        let floats = part(self.memory.view(), 0, n).reinterpret(DType::F32);
        floats.unwrap_or_else(|_| unreachable!("both have 4 bytes"))
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
        let mut block = StepMemory::new(&Device::reference(), 3, 5, 6).unwrap();
        let values = StepValues {
            lr: 0.5,
            bias1: 0.1,
            bias2: 0.2,
            seed: 7 << 32 | 9,
            step: 11,
        };
        block.set(&values, &[1, 2, 3, 4, 5]).unwrap();
        for i in 0..3 {
            block.begin_micro_step(i).unwrap();
            let device = block.memory.device().clone();
            let mut words = [0u32; 4];
            let bytes = bytes_of_mut(&mut words);
            device.download(block.random(), bytes).unwrap();
            assert_eq!(words, [9, 7, 11, 5 * i as u32]);
            let loss = [i as f32];
            device
                .upload(bytes_of(&loss), block.loss_mut().unwrap())
                .unwrap();
        }
        assert!(block.begin_micro_step(3).is_err());
        assert_eq!(block.floats().numel(), ScalarBlock::LEN);
        assert_eq!(
            block.ids(1, 4).unwrap().to_vec::<u32>().unwrap(),
            [2, 3, 4, 5]
        );
        block.set_ids(&[9, 8]).unwrap();
        assert_eq!(block.ids(0, 3).unwrap().to_vec::<u32>().unwrap(), [9, 8, 3]);
        assert!(block.ids(3, 4).is_err() && block.set(&values, &[0; 7]).is_err());
        assert_eq!(block.results().unwrap().losses, [0.0, 1.0, 2.0]);
    }
}
