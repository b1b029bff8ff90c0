//! Training with one call per step.

use crate::step_memory::{StepMemory, StepResults};
use crate::{AdamW, Error, Params, Pass, Result};
use latimer_tensor::{Tensor, op::Cast};

/// AdamW with the state that it needs besides the parameters: the number of the step, and the
/// values on the device that change from step to step.
///
/// One [`Optimizer::step`] is a whole training step. To accumulate gradients over several passes,
/// or to look at them before the update, call its parts instead: [`Optimizer::begin_step`],
/// [`Optimizer::backward`] for each micro-step, [`Optimizer::measure`] and [`Optimizer::apply`].
/// Between `begin_step` and [`Optimizer::results`] nothing needs the host, so the parts between
/// may be recorded ([`Device::capture`](latimer_tensor::Device::capture)) and repeated.
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
    scalars: StepMemory,
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
        Self::with_micro_steps(params, adamw, 1, 0, 0)
    }

    /// Makes an optimizer whose every step adds up the gradients of `micro_steps` passes, each on
    /// `rows` rows of the global batch; each counts as one `micro_steps`th. Dropout numbers the
    /// rows of the global batch, so that its masks do not depend on how a batch is cut. The
    /// optimizer has room for `ids` integers of a batch, which [`Optimizer::begin_step_on`] uploads
    /// together with a step's values.
    ///
    /// # Errors
    /// The device's lack of memory.
    pub fn with_micro_steps(
        params: &mut Params,
        adamw: AdamW,
        micro_steps: usize,
        rows: u32,
        ids: usize,
    ) -> Result<Self> {
        params.enable_training()?;
        let mut optimizer = Self {
            adamw,
            scalars: StepMemory::new(params.device(), micro_steps, rows, ids)?,
            seed: 0,
            step: 0,
        };
        optimizer.begin_step(1)?;
        Ok(optimizer)
    }

    /// Draws dropout from another seed than 0, from the next [`Optimizer::begin_step`] on.
    #[must_use]
    pub fn with_seed(self, seed: u64) -> Self {
        Self { seed, ..self }
    }

    /// The number of calls of [`Optimizer::step`] that succeeded.
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
        self.begin_step(self.step + 1)?;
        let loss = self.backward(params, 0, loss)?;
        self.measure(params)?;
        self.apply(params)?;
        self.step += 1;
        Ok(loss)
    }

    /// Uploads the values of step number `step`, counted from 1: the learning rate, AdamW's bias
    /// corrections, and the words that dropout is drawn from.
    ///
    /// # Errors
    /// The device's failure.
    pub fn begin_step(&mut self, step: u32) -> Result<()> {
        self.begin_step_on(step, &[])
    }

    /// As [`Optimizer::begin_step`], and uploads the ids of a batch in the same copy.
    ///
    /// # Errors
    /// A tensor's [`OutOfBounds`](latimer_tensor::Error::OutOfBounds) for more ids than there is
    /// room for; the device's failure.
    pub fn begin_step_on(&mut self, step: u32, ids: &[u32]) -> Result<()> {
        let values = self.adamw.step_values(step, self.seed);
        self.scalars.set(&values, ids)
    }

    /// Uploads the ids of a batch without beginning a step.
    ///
    /// # Errors
    /// As [`Optimizer::begin_step_on`].
    pub fn upload_ids(&mut self, ids: &[u32]) -> Result<()> {
        self.scalars.set_ids(ids)
    }

    /// `n` of the ids that were uploaded, from number `first` on, `[n]`, `U32`. They share the
    /// optimizer's memory: drop them before the next call that changes it.
    ///
    /// # Errors
    /// A tensor's [`OutOfBounds`](latimer_tensor::Error::OutOfBounds).
    pub fn ids(&self, first: usize, n: usize) -> Result<Tensor> {
        self.scalars.ids(first, n)
    }

    /// A training pass on the step and micro-step that were begun last; [`Optimizer::backward`]
    /// makes one and calls the rest.
    #[must_use]
    pub fn pass<'a>(&'a self, params: &'a Params) -> Pass<'a> {
        let loss_scale = 1.0 / self.scalars.micro_steps() as f32;
        Pass::train(params, &self.scalars, loss_scale)
    }

    /// One micro-step, counted from 0: calls `loss` with a training pass, and adds its gradients to
    /// those of the micro-steps before, which the first one sets to 0. Returns the loss.
    ///
    /// # Errors
    /// As [`Optimizer::step`]; a tensor's [`OutOfBounds`](latimer_tensor::Error::OutOfBounds) for a
    /// micro-step that a step does not have.
    pub fn backward<E: From<Error>>(
        &mut self,
        params: &Params,
        micro_step: usize,
        loss: impl FnOnce(&Pass<'_>) -> Result<Tensor, E>,
    ) -> Result<Tensor, E> {
        self.scalars.begin_micro_step(micro_step)?;
        if micro_step == 0 {
            params.zero_gradients()?;
        }
        let pass = self.pass(params);
        let loss = loss(&pass)?;
        pass.backward(loss.clone())?;
        self.keep_loss(&loss)?;
        Ok(loss)
    }

    /// Copies a micro-step's loss, whose shape may be `[1, 1]`, to where the results are read.
    fn keep_loss(&mut self, loss: &Tensor) -> Result<()> {
        let kept = Cast {
            x: loss.view().slice(0, [1])?,
            y: self.scalars.loss_mut()?,
        };
        Ok(loss.device().run(kept)?)
    }

    /// The first half of an update: the gradients' norm, and the factor that clips them, which is
    /// NaN if the norm is not finite.
    ///
    /// # Errors
    /// The device's failure.
    pub fn measure(&mut self, params: &Params) -> Result<()> {
        self.adamw.measure(params, &mut self.scalars)
    }

    /// The second half of an update: AdamW, by what [`Optimizer::measure`] found. If the norm was
    /// not finite, no parameter changes.
    ///
    /// # Errors
    /// The device's failure.
    pub fn apply(&self, params: &mut Params) -> Result<()> {
        self.adamw.apply(params, &self.scalars)
    }

    /// The losses of the last step's micro-steps, and the norm of its gradients before they were
    /// clipped; waits for the device.
    ///
    /// # Errors
    /// The device's failure.
    pub fn results(&self) -> Result<StepResults> {
        self.scalars.results()
    }
}
