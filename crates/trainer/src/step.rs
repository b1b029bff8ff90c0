//! One optimizer step, and what it needs: model, parameters, optimizer, fixed tensors for a batch.

use crate::config::{Dtype, TrainConfig};
use crate::data::{RowKey, Source, Split};
use crate::event::{Eval, Step};
use crate::schedule::learning_rate;
use crate::{Error, Result};
use latimer_autograd::{AdamW, Mode, Params, Pass, Slab};
use latimer_nn::{Gpt, GptConfig, io};
use latimer_tensor::dtype::bytes_of;
use latimer_tensor::{DType, Device, DryRun, PoolStats, Scalars, StepValues, Tensor};
use std::path::Path;

/// AdamW's moments, and what their names begin with in files.
const MOMENTS: [(Slab, &str); 2] = [(Slab::M, "m/"), (Slab::V, "v/")];

/// A model in training: everything a step reads and writes.
#[derive(Debug)]
pub struct Training {
    gpt: Gpt,
    params: Params,
    scalars: Scalars,
    adamw: AdamW,
    config: TrainConfig,
    ids: Tensor,
    targets: Tensor,
    /// Positions of a row, `T`.
    seq_len: usize,
    /// Steps done.
    step: u64,
}

/// What one optimizer step needs, known before any is run.
#[derive(Clone, Copy, Debug)]
pub struct StepNeeds {
    /// Bytes of the device's pool at its fullest.
    pub memory_bytes: u64,
    /// Floating-point operations.
    pub flops: u64,
    /// Operations run.
    pub ops: u64,
}

impl Training {
    /// A model with initial weights, step 0.
    ///
    /// # Errors
    /// A configuration that describes no model, or the device's lack of memory.
    pub fn new(device: &Device, model: &GptConfig, config: &TrainConfig) -> Result<Self> {
        Self::with_seq_len(device, model, config, model.block_size)
    }

    /// As [`Training::new`], but on rows of `seq_len` positions, at most the model's `block_size`.
    ///
    /// # Errors
    /// As [`Training::new`], and [`latimer_nn::Error::TooLong`].
    pub fn with_seq_len(
        device: &Device,
        model: &GptConfig,
        config: &TrainConfig,
        seq_len: usize,
    ) -> Result<Self> {
        let (gpt, declarations) = Gpt::new(model)?;
        let params = Params::new(device, declarations, config.seed)?;
        Self::with_params(gpt, params, config, seq_len)
    }

    fn with_params(
        gpt: Gpt,
        mut params: Params,
        config: &TrainConfig,
        seq_len: usize,
    ) -> Result<Self> {
        let block_size = gpt.config().block_size;
        if seq_len > block_size {
            let got = seq_len;
            return Err(latimer_nn::Error::TooLong { got, block_size }.into());
        }
        if config.dtype == Dtype::Bf16 {
            params.enable_bf16()?;
        }
        params.enable_training()?;
        let device = params.device().clone();
        let shape = [config.batch_size, seq_len];
        let adamw = AdamW {
            beta1: config.beta1 as f32,
            beta2: config.beta2 as f32,
            eps: config.eps as f32,
            weight_decay: config.weight_decay as f32,
            decay_all: config.decay_all,
            grad_clip: config.grad_clip as f32,
        };
        Ok(Self {
            gpt,
            params,
            scalars: Scalars::new(&device)?,
            adamw,
            config: config.clone(),
            ids: Tensor::zeros(&device, shape, DType::U32)?,
            targets: Tensor::zeros(&device, shape, DType::U32)?,
            seq_len,
            step: 0,
        })
    }

    /// What a step will need, found by doing one on a device that only counts.
    ///
    /// # Errors
    /// A configuration that describes no model.
    pub fn needs(model: &GptConfig, config: &TrainConfig) -> Result<StepNeeds> {
        Self::needs_with_seq_len(model, config, model.block_size)
    }

    /// As [`Training::needs`], on rows of `seq_len` positions.
    ///
    /// # Errors
    /// As [`Training::with_seq_len`].
    pub fn needs_with_seq_len(
        model: &GptConfig,
        config: &TrainConfig,
        seq_len: usize,
    ) -> Result<StepNeeds> {
        let dry = DryRun::default();
        let device = Device::new(dry.clone());
        let (gpt, declarations) = Gpt::new(model)?;
        let params = Params::zeroed(&device, declarations)?;
        let mut training = Self::with_params(gpt, params, config, seq_len)?;
        let before = (dry.cost().flops, dry.ops());
        training.run_step(1, None::<fn(u32, &mut [u32])>)?;
        let PoolStats { peak_bytes, .. } = device.pool_stats();
        Ok(StepNeeds {
            memory_bytes: peak_bytes as u64,
            flops: dry.cost().flops - before.0,
            ops: dry.ops() - before.1,
        })
    }

    /// The model.
    #[must_use]
    pub fn gpt(&self) -> &Gpt {
        &self.gpt
    }

    /// Its parameters.
    #[must_use]
    pub fn params(&self) -> &Params {
        &self.params
    }

    /// The step's values on the device.
    #[must_use]
    pub fn scalars(&self) -> &Scalars {
        &self.scalars
    }

    /// Takes the weights and moments after some step from the files of a checkpoint.
    ///
    /// # Errors
    /// What reading the files gives.
    pub(crate) fn restore(&mut self, step: u64, weights: &Path, moments: &Path) -> Result<()> {
        io::read_weights(&mut self.params, weights)?;
        io::read_slabs(&mut self.params, &MOMENTS, moments)?;
        self.step = step;
        Ok(())
    }

    /// Writes what [`Training::restore`] reads.
    ///
    /// # Errors
    /// What writing the files gives.
    pub(crate) fn save(&self, weights: &Path, moments: &Path) -> Result<()> {
        io::write_weights(&self.params, weights)?;
        Ok(io::write_slabs(&self.params, &MOMENTS, moments)?)
    }

    /// Steps done.
    #[must_use]
    pub fn steps_done(&self) -> u64 {
        self.step
    }

    fn upload(&mut self, row: impl Fn(u32, &mut [u32]), first_row: u32) -> Result<()> {
        let (batch_size, seq_len) = (self.config.batch_size, self.seq_len);
        let mut ids = Vec::with_capacity(batch_size * seq_len); // [B, T]
        let mut targets = Vec::with_capacity(batch_size * seq_len); // [B, T]
        let mut tokens = vec![0; seq_len + 1];
        for b in 0..batch_size as u32 {
            row(first_row + b, &mut tokens);
            ids.extend_from_slice(&tokens[..seq_len]);
            targets.extend_from_slice(&tokens[1..]);
        }
        let device = self.params.device();
        device.upload(bytes_of(&ids), self.ids.view_mut()?)?;
        device.upload(bytes_of(&targets), self.targets.view_mut()?)?;
        Ok(())
    }

    /// The next step, on the rows of a corpus. At the first, every parameter must get a gradient
    /// that is finite and not zero.
    ///
    /// # Errors
    /// [`Error::NotFinite`]; a gradient that is missing; the device's failure.
    pub fn next_step(&mut self, source: &dyn Source) -> Result<Step> {
        let (step, seed) = (self.step + 1, self.config.seed);
        let rows = (self.config.batch_size * self.config.grad_accum) as u32;
        let key = |row| RowKey {
            split: Split::Train,
            estimate: false,
            step,
            row,
            rows,
        };
        let done = self.run_step(
            step,
            Some(|row, ids: &mut [u32]| source.row(seed, key(row), ids)),
        )?;
        for (what, value) in [("loss", done.loss), ("gradient norm", done.grad_norm)] {
            if !value.is_finite() {
                return Err(Error::NotFinite { what, value, step });
            }
        }
        self.step = step;
        Ok(done)
    }

    /// Forward, backward, clip, update, with rows from anywhere; from nowhere to count only.
    fn run_step(
        &mut self,
        step: u64,
        row: Option<impl Fn(u32, &mut [u32]) + Sync>,
    ) -> Result<Step> {
        let lr = learning_rate(&self.config, step);
        let [bias1, bias2] = self.adamw.bias_corrections(step as u32);
        let (seed, micro_steps) = (self.config.seed, self.config.grad_accum);
        self.scalars.set(&StepValues {
            lr: lr as f32,
            bias1,
            bias2,
            seed,
            step: step as u32,
        })?;
        let mut loss_sum = 0.0;
        for micro_step in 0..micro_steps {
            let first_row = (micro_step * self.config.batch_size) as u32;
            if let Some(row) = &row {
                self.upload(row, first_row)?;
            }
            self.scalars.set_first_row(first_row)?;
            let device = self.params.device().clone();
            loss_sum += device.enter(|| -> Result<f32> {
                if micro_step == 0 {
                    self.params.zero_gradients()?;
                }
                let mode = Mode::Train {
                    loss_scale: 1.0 / micro_steps as f32,
                };
                let pass = Pass::new(&self.params, &self.scalars, mode);
                let loss = self.gpt.loss(&pass, &self.ids, &self.targets)?;
                pass.backward(loss.clone())?;
                let loss = loss.to_vec::<f32>()?[0];
                if micro_step + 1 == micro_steps && loss.is_finite() {
                    if step == 1 && row.is_some() {
                        self.params.check_gradients()?;
                    }
                    self.adamw.update(&mut self.params, &mut self.scalars)?;
                }
                Ok(loss)
            })?;
        }
        let loss = loss_sum / micro_steps as f32;
        Ok(Step {
            step,
            loss,
            lr,
            grad_norm: self.scalars.grad_norm()?,
        })
    }

    /// Means over `eval_iters` batches of each split, the tutorial's rule.
    ///
    /// # Errors
    /// The device's failure.
    pub fn estimate(&mut self, source: &dyn Source) -> Result<Eval> {
        let train_loss = self.estimate_split(source, Split::Train)?;
        let has_validation = source.validation_tokens() > self.seq_len;
        let val_loss = match has_validation {
            true => Some(self.estimate_split(source, Split::Validation)?),
            false => None,
        };
        Ok(Eval {
            step: self.step,
            train_loss,
            val_loss,
        })
    }

    fn estimate_split(&mut self, source: &dyn Source, split: Split) -> Result<f32> {
        let seed = self.config.seed;
        let mut sum = 0.0f64;
        for batch in 0..self.config.eval_iters {
            let rows = self.config.batch_size as u32;
            let key = |row| RowKey {
                split,
                estimate: true,
                step: batch as u64,
                row,
                rows,
            };
            self.upload(|row, ids| source.row(seed, key(row), ids), 0)?;
            let loss = self.params.device().enter(|| -> Result<f32> {
                let pass = Pass::new(&self.params, &self.scalars, Mode::Evaluate);
                Ok(self
                    .gpt
                    .loss(&pass, &self.ids, &self.targets)?
                    .to_vec::<f32>()?[0])
            })?;
            sum += f64::from(loss);
        }
        Ok((sum / self.config.eval_iters.max(1) as f64) as f32)
    }
}

/// Checks that a run fits into a device's memory before anything is allocated.
///
/// # Errors
/// [`Error::NotEnoughMemory`].
pub fn check_memory(needs: &StepNeeds, device: &Device) -> Result<()> {
    let info = device.info();
    match info.memory_bytes {
        Some(available) if needs.memory_bytes > available => Err(Error::NotEnoughMemory {
            needed: size(needs.memory_bytes),
            device: info.name,
            available: size(available),
        }),
        _ => Ok(()),
    }
}

/// Bytes for people.
#[must_use]
pub fn size(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["KiB", "MiB", "GiB", "TiB", "PiB"];
    let mut value = bytes as f64 / 1024.0;
    let mut unit = 0;
    while value >= 1024.0 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    format!("{value:.1} {}", UNITS[unit])
}
