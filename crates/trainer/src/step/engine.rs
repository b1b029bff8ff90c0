//! The device's part of a step: what is uploaded before it, its operations, its results.

use crate::launch::Launch;
use crate::{Model, Result};
use latimer_autograd::{AdamW, Optimizer, Pass, StepResults};
use latimer_tensor::Tensor;

/// How the rows of a step are cut into micro-steps, whose gradients add up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BatchShape {
    /// Micro-steps of a step, `A`.
    pub(crate) micro_steps: usize,
    /// Rows of a micro-step, `B`.
    pub(crate) rows: usize,
    /// Positions of a row, `T`.
    pub(crate) seq_len: usize,
}

impl BatchShape {
    /// Rows of a whole step, `A·B`.
    pub(crate) fn all_rows(self) -> usize {
        self.micro_steps * self.rows
    }
}

/// Optimizer, batch and recording of a model in training.
#[derive(Debug)]
pub(crate) struct Engine {
    optimizer: Optimizer,
    pub(crate) shape: BatchShape,
    pub(crate) launch: Launch,
}

impl Engine {
    /// Adds gradients and moments to the parameters, and memory for a batch. Dropout is drawn from
    /// `seed`.
    ///
    /// # Errors
    /// [`latimer_nn::Error::TooLong`], or the device's lack of memory.
    pub(crate) fn new(
        model: &mut Model,
        adamw: AdamW,
        shape: BatchShape,
        seed: u64,
    ) -> Result<Self> {
        let block_size = model.gpt.config().block_size;
        if shape.seq_len > block_size {
            let got = shape.seq_len;
            return Err(latimer_nn::Error::TooLong { got, block_size }.into());
        }
        let rows = shape.rows as u32;
        // `[2·A·B, T]`: the ids of all micro-steps, then their targets.
        let ids = 2 * shape.all_rows() * shape.seq_len;
        let optimizer =
            Optimizer::with_micro_steps(&mut model.params, adamw, shape.micro_steps, rows, ids)?;
        Ok(Self {
            optimizer: optimizer.with_seed(seed),
            shape,
            launch: Launch::default(),
        })
    }

    /// An engine as this one, for another copy of the model; it launches plainly.
    pub(crate) fn for_copy(&self, model: &mut Model, seed: u64) -> Result<Self> {
        let mut copy = Self::new(model, self.optimizer.adamw, self.shape, seed)?;
        copy.launch.always_plain();
        Ok(copy)
    }

    /// Uploads ids, then as many targets, each in rows of `seq_len`, without beginning a step.
    pub(crate) fn upload(&mut self, ids: &[u32]) -> Result<()> {
        Ok(self.optimizer.upload_ids(ids)?)
    }

    /// All that was uploaded last.
    pub(crate) fn batch(&self) -> Result<Vec<u32>> {
        let n = 2 * self.shape.all_rows() * self.shape.seq_len;
        Ok(self.optimizer.ids(0, n)?.to_vec()?)
    }

    /// `n` rows of what was uploaded, from row `first` on: `[n, T]`.
    pub(crate) fn rows(&self, first: usize, n: usize) -> Result<Tensor> {
        let seq_len = self.shape.seq_len;
        let ids = self.optimizer.ids(first * seq_len, n * seq_len)?;
        Ok(ids.reshape([n, seq_len])?)
    }

    /// Uploads what changes from step to step by one copy: the step's values, all ids of its batch,
    /// and as many targets; `step` counts from 1.
    pub(crate) fn begin(&mut self, step: u64, lr: f64, ids: &[u32]) -> Result<()> {
        self.optimizer.adamw.lr = lr as f32;
        Ok(self.optimizer.begin_step_on(step as u32, ids)?)
    }

    /// The operations of a step: forward, backward, clip, update, one by one or repeated from a
    /// recording. They read what changes from step to step from the device's memory, and leave
    /// losses and norm there. Where the norm is not finite, no parameter changes. With `check`, the
    /// loss must reach every parameter, and every gradient must be finite if the loss is.
    pub(crate) fn run(&mut self, model: &mut Model, check: bool) -> Result<()> {
        let device = model.params.device().clone();
        let mut launch = std::mem::take(&mut self.launch);
        let ran = device.enter(|| {
            launch.run(&device, &mut || {
                self.enqueue_gradients(model, check)?;
                self.optimizer.measure(&model.params)?;
                Ok(self.optimizer.apply(&mut model.params)?)
            })
        });
        self.launch = launch;
        ran
    }

    /// The first half of a step: gradients, their norm and the clip factor; no update.
    pub(crate) fn run_gradients(&mut self, model: &mut Model, check: bool) -> Result<()> {
        let device = model.params.device().clone();
        device.enter(|| {
            self.enqueue_gradients(model, check)?;
            Ok(self.optimizer.measure(&model.params)?)
        })
    }

    /// The second half of a step, the update.
    pub(crate) fn run_update(&mut self, model: &mut Model) -> Result<()> {
        let device = model.params.device().clone();
        Ok(device.enter(|| self.optimizer.apply(&mut model.params))?)
    }

    /// The forward and backward passes of all micro-steps.
    fn enqueue_gradients(&mut self, model: &Model, check: bool) -> Result<()> {
        let BatchShape {
            micro_steps, rows, ..
        } = self.shape;
        for micro_step in 0..micro_steps {
            let ids = self.rows(micro_step * rows, rows)?; // [B, T]
            let targets = self.rows((micro_steps + micro_step) * rows, rows)?; // [B, T]
            let gpt = &model.gpt;
            // The ids are gone when the loss is kept, which is written to the same memory.
            let loss = move |pass: &Pass<'_>| gpt.loss(pass, &ids, &targets);
            self.optimizer.backward(&model.params, micro_step, loss)?;
        }
        if check {
            let losses = self.optimizer.results()?.losses;
            if losses.iter().all(|loss| loss.is_finite()) {
                model.params.check_gradients()?;
            }
        }
        Ok(())
    }

    /// The mean loss of the last step's micro-steps, and the norm of its gradients before they were
    /// clipped; waits for the device.
    pub(crate) fn results(&self) -> Result<[f32; 2]> {
        let StepResults { losses, grad_norm } = self.optimizer.results()?;
        let sum = losses.iter().fold(0.0, |sum, loss| sum + loss);
        Ok([sum / losses.len() as f32, grad_norm])
    }
}

/// The first of a step's two results that is not finite, with its name.
pub(crate) fn not_finite([loss, grad_norm]: [f32; 2]) -> Option<(&'static str, f32)> {
    let named = [("loss", loss), ("gradient norm", grad_norm)];
    named.into_iter().find(|(_, value)| !value.is_finite())
}
