//! What changes from step to step, kept on the device.
//!
//! A step recorded once stays valid because its operations read these values from memory instead
//! of carrying them.

use crate::{DType, Device, Result, Tensor, View, ViewMut, dtype::bytes_of, philox::split};

/// The block of per-step values: floats for the optimizer, words for randomness.
#[derive(Debug)]
pub struct Scalars {
    floats: Tensor,
    words: Tensor,
}

/// The values of one step.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct StepValues {
    /// Learning rate.
    pub lr: f32,
    /// `1 - beta1^t`.
    pub bias1: f32,
    /// `1 - beta2^t`.
    pub bias2: f32,
    /// Key of all randomness.
    pub seed: u64,
    /// The step, from 1; part of every dropout mask's counter.
    pub step: u32,
}

impl Scalars {
    /// Floats in the block.
    pub const LEN: usize = 8;
    /// Index of the learning rate.
    pub const LR: usize = 0;
    /// Index of the factor that clips gradients; 1 until [`crate::op::ClipScale`] writes it.
    pub const CLIP: usize = 1;
    /// Index of the first moment's bias correction.
    pub const BIAS1: usize = 2;
    /// Index of the second moment's bias correction.
    pub const BIAS2: usize = 3;
    /// Index of the gradients' norm before clipping, written by [`crate::op::ClipScale`].
    pub const GRAD_NORM: usize = 4;

    /// A block on a device, for step 1 of seed 0 at learning rate 0.
    ///
    /// # Errors
    /// When the device has no room.
    pub fn new(device: &Device) -> Result<Self> {
        let floats = Tensor::zeros(device, [Self::LEN], DType::F32)?;
        let words = Tensor::zeros(device, [crate::op::DropoutMask::WORDS], DType::U32)?;
        let mut block = Self { floats, words };
        block.set(&StepValues {
            lr: 0.0,
            bias1: 1.0,
            bias2: 1.0,
            seed: 0,
            step: 1,
        })?;
        Ok(block)
    }

    /// Uploads the values of a step; its first micro-step begins at row 0.
    ///
    /// # Errors
    /// When the device fails.
    pub fn set(&mut self, values: &StepValues) -> Result<()> {
        let mut floats = [0.0f32; Self::LEN];
        floats[Self::LR] = values.lr;
        floats[Self::CLIP] = 1.0;
        floats[Self::BIAS1] = values.bias1;
        floats[Self::BIAS2] = values.bias2;
        let device = self.floats.device().clone();
        device.upload(bytes_of(&floats), self.floats.view_mut()?)?;
        let [low, high] = split(values.seed);
        device.upload(
            bytes_of(&[low, high, values.step, 0]),
            self.words.view_mut()?,
        )
    }

    /// Says which row of the global batch the next micro-step's first row is.
    ///
    /// # Errors
    /// When the device fails.
    pub fn set_first_row(&mut self, row: u32) -> Result<()> {
        let device = self.words.device().clone();
        device.upload(bytes_of(&[row]), self.words.view_mut()?.slice(3, [1])?)
    }

    /// The floats, `[8]`.
    #[must_use]
    pub fn floats(&self) -> View<'_> {
        self.floats.view()
    }

    /// The floats, to be written by [`crate::op::ClipScale`].
    ///
    /// # Errors
    /// Never in practice: the block owns its memory alone.
    pub fn floats_mut(&mut self) -> Result<ViewMut<'_>> {
        self.floats.view_mut()
    }

    /// The random words, `[4]`, `U32`: seed (low, high), step, first row.
    #[must_use]
    pub fn random(&self) -> View<'_> {
        self.words.view()
    }

    /// The gradients' norm before clipping, as of the last step; waits for the device.
    ///
    /// # Errors
    /// When the device fails.
    pub fn grad_norm(&self) -> Result<f32> {
        Ok(self.floats.to_vec::<f32>()?[Self::GRAD_NORM])
    }
}
