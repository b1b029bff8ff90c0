//! One optimizer step, and what it needs: model, parameters, optimizer, fixed tensors for a batch.

mod diagnose;
mod estimate;
mod outliers;
mod sound;

use crate::config::{Dtype, TrainConfig};
use crate::data::{RowKey, Source, Split};
use crate::event::Step;
use crate::launch::Launch;
use crate::schedule::learning_rate;
use crate::{Error, Result};
use latimer_autograd::{AdamW, Optimizer, Params, Slab, StepResults};
use latimer_nn::{Gpt, GptConfig, io};
use latimer_tensor::dtype::bytes_of;
use latimer_tensor::{DType, Device, DryRun, PoolStats, Tensor};
use outliers::Outliers;
use std::path::Path;

/// AdamW's moments, and what their names begin with in files.
const MOMENTS: [(Slab, &str); 2] = [(Slab::M, "m/"), (Slab::V, "v/")];

/// Fills a row of a batch, by its number.
type Rows<'a> = dyn Fn(u32, &mut [u32]) + Sync + 'a;

/// A model in training: everything a step reads and writes.
#[derive(Debug)]
pub struct Training {
    gpt: Gpt,
    params: Params,
    optimizer: Optimizer,
    config: TrainConfig,
    /// `[2·A·B, T]`, `U32`: the ids of all micro-steps, then their targets.
    batch: Tensor,
    /// Positions of a row, `T`.
    seq_len: usize,
    launch: Launch,
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
        let device = params.device().clone();
        let adamw = AdamW {
            lr: config.learning_rate as f32,
            beta1: config.beta1 as f32,
            beta2: config.beta2 as f32,
            eps: config.eps as f32,
            weight_decay: config.weight_decay as f32,
            decay_all: config.decay_all,
            grad_clip: config.grad_clip as f32,
        };
        let (micro_steps, rows) = (config.grad_accum, config.batch_size as u32);
        let optimizer = Optimizer::with_micro_steps(&mut params, adamw, micro_steps, rows)?;
        Ok(Self {
            gpt,
            params,
            optimizer: optimizer.with_seed(config.seed),
            config: config.clone(),
            batch: Tensor::zeros(
                &device,
                [2 * config.grad_accum * config.batch_size, seq_len],
                DType::U32,
            )?,
            seq_len,
            launch: Launch::default(),
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
        let mut training = Self::with_params(gpt, params, config, seq_len)?;
        let before = (dry.cost().flops, dry.ops());
        training.run_step(1, None)?;
        let PoolStats { peak_bytes, .. } = device.pool_stats();
        Ok(StepNeeds {
            memory_bytes: peak_bytes as u64,
            flops: dry.cost().flops - before.0,
            ops: dry.ops() - before.1,
            parameters: training.params.num_parameters(),
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
        self.launch.always_plain();
    }

    /// A sentence for the user, once, if the device could not record a step or make the recording executable.
    /// Operations are then enqueued one by one, with the same bits and more slowly.
    pub fn take_capture_failure(&mut self) -> Option<String> {
        self.launch.take_capture_failure()
    }

    /// Whether steps are repeated from a recording by now.
    #[must_use]
    pub fn is_captured(&self) -> bool {
        self.launch.is_captured()
    }

    /// Uploads `rows` rows to the batch: all their ids, then all their targets.
    fn upload(&mut self, row: impl Fn(u32, &mut [u32]), rows: usize) -> Result<()> {
        let n = rows * self.seq_len;
        let mut ids = vec![0; 2 * n]; // [2, rows, T]
        let (inputs, targets) = ids.split_at_mut(n);
        let mut tokens = vec![0; self.seq_len + 1];
        let places = inputs
            .chunks_exact_mut(self.seq_len)
            .zip(targets.chunks_exact_mut(self.seq_len));
        for (at, (inputs, targets)) in (0..).zip(places) {
            row(at, &mut tokens);
            inputs.copy_from_slice(&tokens[..self.seq_len]);
            targets.copy_from_slice(&tokens[1..]);
        }
        let target = self.batch.view_mut()?.slice(0, [2 * n])?;
        Ok(self.params.device().upload(bytes_of(&ids), target)?)
    }

    /// The next step, on the rows of a corpus. At the first, the loss must reach every parameter, and
    /// every gradient must be finite. Where [`TrainConfig::skip_outliers`] asks for it, a step far from
    /// those before it counts and updates nothing.
    ///
    /// # Errors
    /// [`Error::NotFinite`]; a gradient that is missing; the device's failure.
    pub fn next_step(&mut self, source: &dyn Source) -> Result<Step> {
        let step = self.step + 1;
        let row = self.rows_of(step, source);
        let done = self.run_step(step, Some(&row))?;
        for (what, value) in [("loss", done.loss), ("gradient norm", done.grad_norm)] {
            if !value.is_finite() {
                let place = self.diagnose(step, &row);
                let remedy = self.remedy(step, source);
                return Err(Error::NotFinite {
                    what,
                    value,
                    step,
                    place,
                    remedy,
                });
            }
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

    /// A whole step with rows from anywhere; from nowhere to count only. What it needs goes to the
    /// device before its first operation, and what it leaves comes back after its last.
    fn run_step(&mut self, step: u64, row: Option<&Rows<'_>>) -> Result<Step> {
        let lr = learning_rate(&self.config, step);
        self.prepare(step, lr, row)?;
        let check = step == 1 && row.is_some();
        let device = self.params.device().clone();
        let mut done = Step {
            step,
            loss: 0.0,
            lr,
            grad_norm: 0.0,
            skipped: false,
        };
        if self.config.skip_outliers > 0.0 {
            // Whether the gradients are used is decided here, so a step is in two halves.
            device.enter(|| -> Result<()> {
                self.enqueue_gradients(check)?;
                Ok(self.optimizer.measure(&self.params)?)
            })?;
            self.read_results(&mut done)?;
            let outlier = self.outliers.judge(&done, self.config.skip_outliers);
            done.skipped = outlier;
            if !outlier {
                device.enter(|| self.optimizer.apply(&mut self.params))?;
            }
            return Ok(done);
        }
        let mut launch = std::mem::take(&mut self.launch);
        let ran = device.enter(|| launch.run(&device, &mut || self.enqueue(check)));
        self.launch = launch;
        ran?;
        self.read_results(&mut done)?;
        Ok(done)
    }

    /// Takes to the device what a step needs.
    fn prepare(&mut self, step: u64, lr: f64, row: Option<&Rows<'_>>) -> Result<()> {
        self.optimizer.adamw.lr = lr as f32;
        self.optimizer.begin_step(step as u32)?;
        match row {
            Some(row) => self.upload(row, self.config.grad_accum * self.config.batch_size),
            None => Ok(()),
        }
    }

    /// What the step left on the device.
    fn read_results(&self, done: &mut Step) -> Result<()> {
        let StepResults { losses, grad_norm } = self.optimizer.results()?;
        let micro_steps = self.config.grad_accum;
        done.loss = losses.iter().fold(0.0, |sum, loss| sum + loss) / micro_steps as f32;
        done.grad_norm = grad_norm;
        Ok(())
    }

    /// The operations of a step: forward, backward, clip, update. They read what changes from step
    /// to step from the device's memory, and leave losses and norm there, so they may be recorded.
    /// Where the norm is not finite, no parameter changes.
    fn enqueue(&mut self, check: bool) -> Result<()> {
        self.enqueue_gradients(check)?;
        self.optimizer.measure(&self.params)?;
        Ok(self.optimizer.apply(&mut self.params)?)
    }

    /// The forward and backward passes of all micro-steps; no update.
    fn enqueue_gradients(&mut self, check: bool) -> Result<()> {
        let (rows, micro_steps) = (self.config.batch_size, self.config.grad_accum);
        for micro_step in 0..micro_steps {
            let ids = self.batch.view_rows(micro_step * rows, rows)?; // [B, T]
            let targets = (micro_steps + micro_step) * rows;
            let targets = self.batch.view_rows(targets, rows)?; // [B, T]
            self.optimizer.backward(&self.params, micro_step, |pass| {
                self.gpt.loss(pass, &ids, &targets)
            })?;
        }
        if check {
            let losses = self.optimizer.results()?.losses;
            if losses.iter().all(|loss| loss.is_finite()) {
                self.params.check_gradients()?;
            }
        }
        Ok(())
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
