//! Training with one call per step.

use crate::{AdamW, Error, Params, Pass, Result};
use latimer_tensor::{Scalars, Tensor};

/// AdamW with the state that it needs besides the parameters: the number of the step, and the
/// values on the device that change from step to step.
///
/// One [`Optimizer::step`] is a whole training step. To accumulate gradients over several passes,
/// or to look at them before the update, use the parts instead: [`Pass::train`],
/// [`Pass::backward`], [`AdamW::measure`] and [`AdamW::apply`].
///
/// ```
/// use latimer_autograd::{AdamW, Declarations, Init, Optimizer, Params};
/// use latimer_tensor::{Device, Tensor};
/// let mut declarations = Declarations::new();
/// let w = declarations.root().param("w", [1, 1], Init::Ones);
/// let device = Device::reference();
/// let mut params = Params::new(&device, declarations, 1)?;
/// let mut optimizer = Optimizer::new(&mut params, AdamW { lr: 0.1, ..AdamW::default() })?;
/// let one = Tensor::from_slice(&device, &[1.0f32], [1, 1])?;
/// for _ in 0..50 {
///     // The loss is (w - 3)².
///     optimizer.step(&mut params, |pass| {
///         let three = pass.constant(Tensor::from_slice(&device, &[3.0f32], [1, 1])?);
///         let error = pass.sub(&pass.linear(&pass.constant(one.clone()), w, None)?, &three)?;
///         pass.mul(&error, &error)
///     })?;
/// }
/// assert!((params.get(latimer_autograd::Slab::Values, w)?[0] - 3.0).abs() < 0.3);
/// # Ok::<(), latimer_autograd::Error>(())
/// ```
#[derive(Debug)]
pub struct Optimizer {
    /// The constants of the next step; its learning rate may follow a schedule.
    pub adamw: AdamW,
    scalars: Scalars,
    seed: u64,
    step: u32,
}

impl Optimizer {
    /// Makes an optimizer for these parameters, before its first step. It adds gradients and
    /// moments to them, as [`Params::enable_training`] does.
    ///
    /// # Errors
    /// The device's lack of memory.
    pub fn new(params: &mut Params, adamw: AdamW) -> Result<Self> {
        params.enable_training()?;
        Ok(Self {
            adamw,
            scalars: Scalars::new(params.device())?,
            seed: 0,
            step: 0,
        })
    }

    /// Draws dropout from another seed than 0.
    #[must_use]
    pub fn with_seed(self, seed: u64) -> Self {
        Self { seed, ..self }
    }

    /// The number of steps done so far.
    #[must_use]
    pub fn steps_done(&self) -> u32 {
        self.step
    }

    /// One step: calls `loss` with a training pass, walks back from the loss it returns, clips the
    /// gradients and updates the parameters. Returns that loss; it stays on the device until it is
    /// read. If the gradients' norm is not finite, no parameter changes.
    ///
    /// # Errors
    /// The error of `loss`, an error of [`Pass::backward`] such as [`Error::ForeignLoss`], or the
    /// device's failure.
    pub fn step<E: From<Error>>(
        &mut self,
        params: &mut Params,
        loss: impl FnOnce(&Pass<'_>) -> Result<Tensor, E>,
    ) -> Result<Tensor, E> {
        let values = self.adamw.step_values(self.step + 1, self.seed);
        self.scalars.set(&values).map_err(Error::from)?;
        params.zero_gradients()?;
        let pass = Pass::train(params, &self.scalars, 1.0);
        let loss = loss(&pass)?;
        pass.backward(loss.clone())?;
        self.adamw.update(params, &mut self.scalars)?;
        self.step += 1;
        Ok(loss)
    }

    /// The norm of the last step's gradients before they were clipped; waits for the device.
    ///
    /// # Errors
    /// The device's failure.
    pub fn grad_norm(&self) -> Result<f32> {
        Ok(self.scalars.grad_norm()?)
    }
}
