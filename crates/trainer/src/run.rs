//! A run: set up from a configuration, resumed, trained.

use crate::config::Config;
use crate::data::corpora::Library;
use crate::data::{DataFiles, Source};
use crate::error::Remedy;
use crate::event::{Done, Event, Plan, Step};
use crate::plan::plan;
use crate::run_folder::bad_steps::BadSteps;
use crate::run_folder::folder::{MODEL, OPTIMIZER};
use crate::run_folder::resume::State;
use crate::run_folder::{Resume, RunFolder};
use crate::setup::Material;
use crate::step::{Training, check_memory};
use crate::task::Task;
use crate::train_loop::TrainLoop;
use crate::{Error, Model, Result};
use latimer_tensor::Device;
use latimer_tokenizer::Tokenizer;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Instant;

/// A function that is called with every event.
pub type Observe<'a> = dyn FnMut(&Event) + Send + 'a;

/// A run that is set up and has not begun.
#[derive(Debug)]
pub struct Run {
    pub(crate) config: Config,
    pub(crate) data: DataFiles,
    pub(crate) task: Option<Box<dyn Task>>,
    pub(crate) tokenizer: Arc<dyn Tokenizer>,
    pub(crate) source: Box<dyn Source>,
    pub(crate) training: Training,
    pub(crate) plan: Plan,
    /// The part of a checkpoint beside the tensors: the state before training, then that after the
    /// last step.
    pub(crate) state: State,
    bad_steps: BadSteps,
    pub(crate) resumed: Option<Resumed>,
}

/// The state that a resumed run starts from. The caller holds the folder and its lock.
#[derive(Debug)]
pub(crate) struct Resumed {
    pub(crate) state: State,
    /// True if that is a checkpoint, false if it is the run's beginning.
    pub(crate) saved: bool,
}

impl Run {
    /// Reads the corpus, fits the tokenizer, checks the memory, and only then makes the model. A
    /// name in `data.data` is looked for in `library`, which may be the cache's path alone.
    ///
    /// # Errors
    /// Anything wrong with the configuration, the data, or the device.
    pub fn new(config: &Config, device: &Device, library: impl Into<Library>) -> Result<Self> {
        config.validate()?;
        Self::on(config, device, Material::of(config, &library.into())?)
    }

    /// As [`Run::new`], on a task in the place of `data.data`.
    ///
    /// # Errors
    /// As [`Run::new`].
    pub fn with_task(config: &Config, device: &Device, task: Box<dyn Task>) -> Result<Self> {
        config.validate()?;
        Self::on(config, device, Material::of_task(task))
    }

    fn on(config: &Config, device: &Device, material: Material) -> Result<Self> {
        let (plan, needs) = plan(config, device, &material)?;
        let Material {
            files: data,
            task,
            tokenizer,
            source,
        } = material;
        let model = config.model.with_vocab(tokenizer.vocab_size());
        check_memory(&needs, device)?;
        let training = Training::new(device, &model, &config.train)?;
        let (of_tokenizer, of_data) = (tokenizer.fingerprint(), source.fingerprint());
        let state = State::new(config, of_tokenizer, of_data, &plan);
        Ok(Self {
            config: config.clone(),
            data,
            task,
            tokenizer,
            source,
            training,
            plan,
            state,
            bad_steps: BadSteps::default(),
            resumed: None,
        })
    }

    /// What [`Run::new`] would find out, without the model: nothing large is allocated, and no
    /// device is too small.
    ///
    /// # Errors
    /// Anything wrong with the configuration or the data.
    pub fn dry(config: &Config, device: &Device, library: impl Into<Library>) -> Result<Plan> {
        config.validate()?;
        let material = Material::of(config, &library.into())?;
        Ok(plan(config, device, &material)?.0)
    }

    /// Resumes a run at its newest checkpoint: [`Run::train`] on its folder then continues,
    /// and leaves what it would have left had it never been stopped.
    ///
    /// # Errors
    /// [`Error::ChangedConfig`], [`Error::ChangedData`], and what reading the checkpoint gives.
    pub fn resume(&mut self, resume: &Resume) -> Result<()> {
        resume.check(&self.config)?;
        resume.check_data(&self.state)?;
        let then = resume.state();
        if let Some(from) = resume.checkpoint() {
            let (weights, moments) = (from.join(MODEL), from.join(OPTIMIZER));
            self.training.restore(then.step, &weights, &moments)?;
            self.training.set_recent(&then.recent);
        }
        self.bad_steps = resume.bad_steps().clone();
        let left = self.config.train.max_iters.saturating_sub(then.step) as f64;
        self.plan.estimated_seconds *= left / self.config.train.max_iters.max(1) as f64;
        self.plan.steps_done = then.step;
        self.state.best_val_loss = then.best_val_loss;
        self.state.best_step = then.best_step;
        self.state.evals_since_best = then.evals_since_best;
        self.resumed = Some(Resumed {
            state: then.clone(),
            saved: resume.checkpoint().is_some(),
        });
        Ok(())
    }

    /// Enqueues every step's operations one by one: see [`Training::launch_plainly`].
    pub fn launch_plainly(&mut self) {
        self.training.launch_plainly();
    }

    /// The model as it is trained so far, with its tokenizer.
    #[must_use]
    pub fn into_model(self) -> Model {
        Model {
            tokenizer: Some(self.tokenizer),
            ..self.training.into_model()
        }
    }

    /// What is known before the first step.
    #[must_use]
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// Trains to the last step, or until `stop` is set. Then it finishes the current step, saves
    /// the run, and abandons an evaluation, which is done when the run is resumed. Nothing is
    /// written to `folder` before the first step is done. Everything, `observe` included, runs
    /// inside one [`Device::enter`]: entering for each step would cost some 20 µs per step.
    ///
    /// # Errors
    /// [`Error::NotFinite`], [`Error::Unsound`], [`Error::Write`], or the device's failure. What
    /// was saved stays.
    pub fn train(
        &mut self,
        folder: &RunFolder,
        stop: &AtomicBool,
        observe: &mut Observe<'_>,
    ) -> Result<Done> {
        let device = self.training.params().device().clone();
        device.enter(|| TrainLoop::train(self, folder, stop, observe))
    }

    /// The next step, none if it is one that is left out; and its seconds.
    pub(crate) fn timed_step(&mut self) -> Result<(Option<Step>, f64)> {
        let start = Instant::now();
        let next = self.training.steps_done() + 1;
        let step = match self.bad_steps.skipped.contains(&next) {
            true => {
                self.training.leave_out_step();
                None
            }
            false => Some(self.training.next_step(&*self.source)?),
        };
        Ok((step, start.elapsed().as_secs_f64()))
    }

    /// Keeps in the run's folder which step stopped it, and whether leaving it out helps.
    pub(crate) fn note_bad_step(&mut self, folder: &RunFolder, error: &Error) -> Result<()> {
        let Error::NotFinite { step, remedy, .. } = error else {
            return Ok(());
        };
        self.bad_steps.not_finite = Some(*step);
        self.bad_steps.beyond_help = *remedy != Remedy::SkipBatch;
        self.bad_steps.write(folder)
    }

    /// True if too many evaluations in a row brought nothing.
    pub(crate) fn is_out_of_patience(&self) -> bool {
        let patience = self.config.train.patience;
        patience > 0 && self.state.evals_since_best >= patience
    }
}

impl Resumed {
    /// True if work of the last step is still to be done: the run was stopped before that work, or
    /// the step was to be the last and so skipped the evaluation that a longer run does there.
    pub(crate) fn left_something(&self, max_iters: u64) -> bool {
        let ended_there = self.state.config.train.max_iters == self.state.step;
        self.state.undone || (ended_there && self.state.step < max_iters)
    }
}
