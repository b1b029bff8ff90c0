//! One optimizer step, and what it needs: model, parameters, optimizer, fixed tensors for a batch.

mod diagnose;
pub(crate) mod engine;
mod estimate;
mod outliers;
mod sound;

use crate::config::{Dtype, TrainConfig};
use crate::data::{RowKey, Source, Split};
use crate::event::Step;
use crate::model::Model;
use crate::schedule::learning_rate;
use crate::{Error, Result};
use engine::{BatchShape, Engine, not_finite};
use latimer_autograd::{AdamW, Params, Slab};
use latimer_nn::{Gpt, GptConfig, io};
use latimer_tensor::{Device, DryRun, PoolStats};
use outliers::Outliers;
use std::path::Path;

/// AdamW's moments, and what their names begin with in files.
const MOMENTS: [(Slab, &str); 2] = [(Slab::M, "m/"), (Slab::V, "v/")];

/// A model in training: everything a step reads and writes.
#[derive(Debug)]
pub struct Training {
    model: Model,
    engine: Engine,
    config: TrainConfig,
    outliers: Outliers,
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
    /// Elements of all parameters.
    pub parameters: usize,
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
        Self::of(Model::new(model, device, config.seed)?, config, seq_len)
    }

    fn of(mut model: Model, config: &TrainConfig, seq_len: usize) -> Result<Self> {
        if config.dtype == Dtype::Bf16 {
            model.params.enable_bf16()?;
        }
        let adamw = AdamW {
            lr: config.learning_rate as f32,
            beta1: config.beta1 as f32,
            beta2: config.beta2 as f32,
            eps: config.eps as f32,
            weight_decay: config.weight_decay as f32,
            decay_all: config.decay_all,
            grad_clip: config.grad_clip as f32,
        };
        let shape = BatchShape {
            micro_steps: config.grad_accum,
            rows: config.batch_size,
            seq_len,
        };
        Ok(Self {
            engine: Engine::new(&mut model, adamw, shape, config.seed)?,
            model,
            config: config.clone(),
            outliers: Outliers::default(),
            step: 0,
        })
    }

    /// What a step will need on `device`, found by doing one on a device that only counts.
    ///
    /// # Errors
    /// A configuration that describes no model.
    pub fn needs(device: &Device, model: &GptConfig, config: &TrainConfig) -> Result<StepNeeds> {
        Self::needs_with_seq_len(device, model, config, model.block_size)
    }

    /// As [`Training::needs`], on rows of `seq_len` positions.
    ///
    /// # Errors
    /// As [`Training::with_seq_len`].
    pub fn needs_with_seq_len(
        device: &Device,
        model: &GptConfig,
        config: &TrainConfig,
        seq_len: usize,
    ) -> Result<StepNeeds> {
        let dry = DryRun::of(device);
        let device = Device::new(dry.clone());
        let (gpt, declarations) = Gpt::new(model)?;
        let params = Params::zeroed(&device, declarations)?;
        let mut training = Self::of(Model::of(gpt, params), config, seq_len)?;
        let before = (dry.cost().flops, dry.ops());
        training.run_step(1, &[], false)?;
        let PoolStats { peak_bytes, .. } = device.pool_stats();
        Ok(StepNeeds {
            memory_bytes: peak_bytes as u64,
            flops: dry.cost().flops - before.0,
            ops: dry.ops() - before.1,
            parameters: training.params().num_parameters(),
        })
    }

    /// The model.
    #[must_use]
    pub fn gpt(&self) -> &Gpt {
        &self.model.gpt
    }

    /// Its parameters.
    #[must_use]
    pub fn params(&self) -> &Params {
        &self.model.params
    }

    /// The model as it is trained so far, for inference: gradients and moments are given up.
    #[must_use]
    pub fn into_model(mut self) -> Model {
        self.model.params.disable_training();
        self.model
    }

    /// Takes the weights and moments after some step from the files of a checkpoint.
    ///
    /// # Errors
    /// What reading the files gives.
    pub(crate) fn restore(&mut self, step: u64, weights: &Path, moments: &Path) -> Result<()> {
        io::read_weights(&mut self.model.params, weights)?;
        io::read_slabs(&mut self.model.params, &MOMENTS, moments)?;
        self.step = step;
        Ok(())
    }

    /// Writes what [`Training::restore`] reads.
    ///
    /// # Errors
    /// What writing the files gives.
    pub(crate) fn save(&self, weights: &Path, moments: &Path) -> Result<()> {
        io::write_weights(&self.model.params, weights)?;
        Ok(io::write_slabs(&self.model.params, &MOMENTS, moments)?)
    }

    /// Loss and gradient norm of the last steps, where outliers are skipped.
    pub(crate) fn recent(&self) -> Vec<[f32; 2]> {
        self.outliers.recent()
    }

    /// Continues with these as the last steps' losses and norms.
    pub(crate) fn set_recent(&mut self, recent: &[[f32; 2]]) {
        self.outliers = Outliers::from(recent);
    }

    /// Counts a step whose rows are not trained on.
    pub(crate) fn leave_out_step(&mut self) {
        self.step += 1;
    }

    /// Steps done.
    #[must_use]
    pub fn steps_done(&self) -> u64 {
        self.step
    }

    /// Enqueues the operations of every step one by one, also where the device could record a step
    /// and repeat it; the results are the same to the bit.
    pub fn launch_plainly(&mut self) {
        self.engine.launch.always_plain();
    }

    /// A sentence for the user, once, if the device could not record a step or make the recording
    /// executable. Operations are then enqueued one by one, more slowly but with the same bits.
    pub fn take_capture_failure(&mut self) -> Option<String> {
        self.engine.launch.take_capture_failure()
    }

    /// Whether steps are repeated from a recording by now.
    #[must_use]
    pub fn is_captured(&self) -> bool {
        self.engine.launch.is_captured()
    }

    /// The ids of `rows` rows, then all their targets.
    fn batch_of(&self, row: impl Fn(u32, &mut [u32]), rows: usize) -> Vec<u32> {
        let seq_len = self.engine.shape.seq_len;
        let n = rows * seq_len;
        let mut ids = vec![0; 2 * n]; // [2, rows, T]
        let (inputs, targets) = ids.split_at_mut(n);
        let mut tokens = vec![0; seq_len + 1];
        let places = inputs
            .chunks_exact_mut(seq_len)
            .zip(targets.chunks_exact_mut(seq_len));
        for (at, (inputs, targets)) in (0..).zip(places) {
            row(at, &mut tokens);
            inputs.copy_from_slice(&tokens[..seq_len]);
            targets.copy_from_slice(&tokens[1..]);
        }
        ids
    }

    /// The next step, on the rows of a corpus. At the first, the loss must reach every parameter,
    /// and every gradient must be finite. Where [`TrainConfig::skip_outliers`] asks for it, a step
    /// far from those before it counts and updates nothing.
    ///
    /// # Errors
    /// [`Error::NotFinite`]; a gradient that is missing; the device's failure.
    pub fn next_step(&mut self, source: &dyn Source) -> Result<Step> {
        let step = self.step + 1;
        let batch = self.batch_of(self.rows_of(step, source), self.engine.shape.all_rows());
        let done = self.run_step(step, &batch, step == 1)?;
        if let Some((what, value)) = not_finite([done.loss, done.grad_norm]) {
            let place = self.engine.diagnose(&self.model, step, self.config.seed);
            let remedy = self.remedy(step, source);
            return Err(Error::NotFinite {
                what,
                value,
                step,
                place,
                remedy,
            });
        }
        self.step = step;
        Ok(done)
    }

    /// The rows of a step, by number.
    fn rows_of<'s>(&self, step: u64, source: &'s dyn Source) -> impl Fn(u32, &mut [u32]) + use<'s> {
        let seed = self.config.seed;
        let rows = (self.config.batch_size * self.config.grad_accum) as u32;
        let step = if self.config.overfit_one_batch {
            1
        } else {
            step
        };
        move |row, ids| {
            let key = RowKey {
                split: Split::Train,
                estimate: false,
                step,
                row,
                rows,
            };
            source.row(seed, key, ids);
        }
    }

    /// A whole step on a batch. What changes from step to step goes to the device before its first
    /// operation, and what it leaves comes back after its last.
    fn run_step(&mut self, step: u64, batch: &[u32], check: bool) -> Result<Step> {
        let lr = learning_rate(&self.config, step);
        let skip_outliers = self.config.skip_outliers;
        self.engine.begin(step, lr, batch)?;
        let (engine, model) = (&mut self.engine, &mut self.model);
        // Where it is decided here whether the gradients are used, a step is in two halves.
        if skip_outliers > 0.0 {
            engine.run_gradients(model, check)?;
        } else {
            engine.run(model, check)?;
        }
        let [loss, grad_norm] = engine.results()?;
        let mut done = Step {
            step,
            loss,
            lr,
            grad_norm,
            skipped: false,
        };
        if skip_outliers > 0.0 {
            done.skipped = self.outliers.judge(&done, skip_outliers);
            if !done.skipped {
                self.engine.run_update(&mut self.model)?;
            }
        }
        Ok(done)
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
