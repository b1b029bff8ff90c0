//! AdamW over the slabs, with clipping. The clip factor never leaves the device.

use crate::step_memory::{StepMemory, StepValues};
use crate::{Error, Params, Result};
use latimer_tensor::op::{self, ClipScale, SumSquares};
use latimer_tensor::{DType, Phase, Tensor};
use std::sync::PoisonError;

/// The optimizer's constants; its state lives in the store's slabs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AdamW {
    /// The learning rate.
    pub lr: f32,
    /// Decay of the first moment.
    pub beta1: f32,
    /// Decay of the second moment.
    pub beta2: f32,
    /// Keeps the quotient finite.
    pub eps: f32,
    /// The share of a parameter that decays per unit of learning rate.
    pub weight_decay: f32,
    /// Decays biases and norms too, as PyTorch's AdamW does by default.
    pub decay_all: bool,
    /// The greatest gradient norm that is not clipped; 0 to clip nothing.
    pub grad_clip: f32,
}

impl Default for AdamW {
    /// The constants that nanoGPT trains GPT-2 with.
    fn default() -> Self {
        Self {
            lr: 6e-4,
            beta1: 0.9,
            beta2: 0.95,
            eps: 1e-8,
            weight_decay: 0.1,
            decay_all: false,
            grad_clip: 1.0,
        }
    }
}

impl AdamW {
    /// The values that the device needs for a step, counted from 1: the learning rate, the bias
    /// corrections `1 - beta^step`, and the words that dropout is drawn from.
    pub(crate) fn step_values(&self, step: u32, seed: u64) -> StepValues {
        let correction = |beta: f32| (1.0 - f64::from(beta).powf(f64::from(step))) as f32;
        StepValues {
            lr: self.lr,
            bias1: correction(self.beta1),
            bias2: correction(self.beta2),
            seed,
            step,
        }
    }

    /// The first half of an update: writes the gradients' norm and the factor that clips them into
    /// the scalar block. Between the halves they can be read, before any parameter changes. If the
    /// norm is not finite, the factor is NaN, and the second half updates nothing.
    ///
    /// # Errors
    /// [`Error::NoGradients`], or the device's failure.
    pub(crate) fn measure(&self, params: &Params, scalars: &mut StepMemory) -> Result<()> {
        let device = params.device();
        let _update = device.begin_phase(Phase::Update);
        let gradients = params.gradients()?;
        let mut sum_squares = Tensor::empty(device, [1], DType::F32)?;
        device.run(SumSquares {
            x: gradients.view(),
            y: sum_squares.view_mut()?,
            accumulate: false,
        })?;
        let max_norm = if self.grad_clip > 0.0 {
            self.grad_clip
        } else {
            f32::INFINITY
        };
        Ok(device.run(ClipScale {
            sum_squares: sum_squares.view(),
            scalars: scalars.floats_mut()?,
            max_norm,
        })?)
    }

    /// The second half of an update: updates both groups by the values that the first half wrote.
    ///
    /// # Errors
    /// [`Error::NoGradients`], or the device's failure.
    pub(crate) fn apply(&self, params: &mut Params, scalars: &StepMemory) -> Result<()> {
        let device = params.device().clone();
        let _update = device.begin_phase(Phase::Update);
        let groups = params.groups();
        let (values, working) = (&mut params.values, &mut params.working);
        let training = params.training.as_mut();
        let training = training.ok_or(Error::NoGradients)?;
        let gradients = training
            .gradients
            .get_mut()
            .unwrap_or_else(PoisonError::into_inner);
        for (group, decayed) in groups.into_iter().zip([true, self.decay_all]) {
            if group.is_empty() {
                continue;
            }
            let shape = [group.len()];
            device.run(op::AdamW {
                param: values.view_mut()?.slice(group.start, shape)?,
                grad: gradients.view().slice(group.start, shape)?,
                m: training.m.view_mut()?.slice(group.start, shape)?,
                v: training.v.view_mut()?.slice(group.start, shape)?,
                working: match working {
                    Some(working) => Some(working.view_mut()?.slice(group.start, shape)?),
                    None => None,
                },
                scalars: scalars.floats(),
                beta1: self.beta1,
                beta2: self.beta2,
                eps: self.eps,
                weight_decay: if decayed { self.weight_decay } else { 0.0 },
            })?;
        }
        Ok(())
    }
}
