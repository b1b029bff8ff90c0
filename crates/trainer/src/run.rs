//! A run from its first step to its last: steps, checkpoints, files.

use crate::config::{Config, TrainConfig};
use crate::data::corpora::Library;
use crate::data::{DataFiles, Source};
use crate::error::Remedy;
use crate::event::{Checkpoint, Done, DoneTiming, Event, Plan, Skip, Step, StepTiming, Warning};
use crate::faults::Faults;
use crate::folder::{
    CONFIG_JSON, DATA, MODEL, OPTIMIZER, RunFolder, TOKENIZER_JSON, replace_synced, write_synced,
};
use crate::log::{Files, Lengths};
use crate::measure::due;
use crate::plan::{peak_rss_mb, plan};
use crate::resume::{Resume, State};
use crate::setup::Material;
use crate::step::{Training, check_memory};
use crate::task::{Scores, Task};
use crate::{Error, Result};
use latimer_nn::io;
use latimer_tensor::Device;
use latimer_tokenizer::Tokenizer;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

/// Who is told of every event.
pub type Observe<'a> = dyn FnMut(&Event) + Send + 'a;

/// A run that is set up and has not begun.
#[derive(Debug)]
pub struct Run {
    pub(crate) config: Config,
    data: DataFiles,
    pub(crate) task: Option<Box<dyn Task>>,
    pub(crate) tokenizer: Arc<dyn Tokenizer>,
    pub(crate) source: Box<dyn Source>,
    pub(crate) training: Training,
    plan: Plan,
    /// What a checkpoint keeps beside the tensors: as training begins, then as it goes on.
    pub(crate) state: State,
    faults: Faults,
    resumed: Option<Resumed>,
}

/// What a run goes on from. The lock is the caller's, who has the folder.
#[derive(Debug)]
struct Resumed {
    state: State,
    /// Whether that is a checkpoint, or the run's beginning.
    saved: bool,
}

impl Run {
    /// Reads the corpus, fits the tokenizer, checks the memory, and only then makes the model. A name in
    /// `data.data` is looked for in `library`, which may be the cache's path alone.
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
            faults: Faults::default(),
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

    /// Takes up a run where its newest checkpoint left it: [`Run::train`] on its folder then goes on,
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
        self.faults = resume.faults().clone();
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

    /// What is known before the first step.
    #[must_use]
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// Trains to the last step, or until `stop` is set: then the step that is being done is finished,
    /// the run is saved, and what is being measured is given up, to be measured when the run is
    /// resumed. Nothing is written to `folder` before the first step is done. All of it runs inside one [`Device::enter`], as does `observe`: entering anew for each step would
    /// cost some 20 µs of it.
    ///
    /// # Errors
    /// [`Error::NotFinite`], [`Error::Unsound`], [`Error::Write`], or the device's failure. What was
    /// saved stays.
    pub fn train(
        &mut self,
        folder: &RunFolder,
        stop: &AtomicBool,
        observe: &mut Observe<'_>,
    ) -> Result<Done> {
        let device = self.training.params().device().clone();
        device.enter(|| self.train_entered(folder, stop, observe))
    }

    fn train_entered(
        &mut self,
        folder: &RunFolder,
        stop: &AtomicBool,
        observe: &mut Observe<'_>,
    ) -> Result<Done> {
        let begin = Instant::now();
        let resumed = self.resumed.take();
        let config = self.config.train.clone();
        let first = self.training.steps_done();
        let mut train_seconds = 0.0;
        let plan = Event::Plan(self.plan.clone());
        observe(&plan);
        // A run that cannot do a single step leaves nothing behind.
        let (mut files, mut first_step) = match &resumed {
            Some(resumed) => (Files::go_on(folder, &self.config, &resumed.state)?, None),
            None => {
                let step = self.timed_step().map_err(|error| match error {
                    Error::NotFinite {
                        what,
                        value,
                        step,
                        place,
                        ..
                    } => Error::NotFinite {
                        what,
                        value,
                        step,
                        place,
                        remedy: Remedy::OtherSettings,
                    },
                    error => error,
                })?;
                (Files::create(folder, &self.config)?, Some(step))
            }
        };
        replace_synced(&folder.path().join(DATA), self.data.listing().as_bytes())?;
        files.write(&plan)?;
        if resumed.as_ref().is_some_and(|resumed| resumed.saved) {
            // A crash may have come between a checkpoint and what follows it.
            self.keep(folder)?;
        }
        let mut interrupted = false;
        if resumed.is_some_and(|resumed| resumed.left_something(&config)) {
            interrupted = self.after_step(folder, &mut files, stop, observe)?;
        }
        while first_step.is_some()
            || (self.training.steps_done() < config.max_iters
                && !interrupted
                && !self.is_out_of_patience())
        {
            let (step, seconds) = match first_step.take() {
                Some(step) => step,
                None => self.timed_step().inspect_err(|error| {
                    // The step's own error matters more than that of noting it.
                    let _ = self.note_fault(folder, error);
                })?,
            };
            train_seconds += seconds;
            let at = self.training.steps_done();
            let timing = StepTiming {
                step: at,
                step_ms: seconds * 1e3,
                tokens_per_s: self.plan.tokens_per_step as f64 / seconds,
            };
            let told = match step {
                Some(step) => Event::Step(step, timing),
                None => Event::Skip(Skip { step: at }),
            };
            files.tell(&told, observe)?;
            if let Some(message) = self.training.take_capture_failure() {
                observe(&Event::Warning(Warning { message }));
            }
            interrupted = self.after_step(folder, &mut files, stop, observe)?;
        }
        let done = self.finish(&mut files, interrupted, stop, observe)?;
        let steps = self.training.steps_done();
        let timing = DoneTiming {
            tokens_per_s: ((steps - first) as usize * self.plan.tokens_per_step) as f64
                / f64::max(train_seconds, 1e-9),
            train_seconds,
            seconds: begin.elapsed().as_secs_f64(),
            peak_rss_mb: peak_rss_mb(),
            run: folder.path().to_owned(),
        };
        files.tell(&Event::Done(done.clone(), timing), observe)?;
        Ok(done)
    }

    /// The next step, none if it is one that is left out; and its seconds.
    fn timed_step(&mut self) -> Result<(Option<Step>, f64)> {
        let start = Instant::now();
        let next = self.training.steps_done() + 1;
        let step = match self.faults.skipped.contains(&next) {
            true => {
                self.training.leave_out_step();
                None
            }
            false => Some(self.training.next_step(&*self.source)?),
        };
        Ok((step, start.elapsed().as_secs_f64()))
    }

    /// Keeps in the run's folder which step stopped it, and whether leaving it out helps.
    fn note_fault(&mut self, folder: &RunFolder, error: &Error) -> Result<()> {
        let Error::NotFinite { step, remedy, .. } = error else {
            return Ok(());
        };
        self.faults.not_finite = Some(*step);
        self.faults.beyond_help = *remedy != Remedy::SkipBatch;
        self.faults.write(folder)
    }

    /// Whether too many evaluations in a row brought nothing.
    fn is_out_of_patience(&self) -> bool {
        let patience = self.config.train.patience;
        patience > 0 && self.state.evals_since_best >= patience
    }

    /// Lets `best` name what it should, and removes checkpoints that are not to stay.
    fn keep(&self, folder: &RunFolder) -> Result<()> {
        let train = &self.config.train;
        let best = self.state.best_step.filter(|_| train.keep_best);
        folder.point_best(best)?;
        folder.prune(train.keep_last, best, self.training.steps_done())
    }

    /// What comes after a step: an evaluation, a sample and a checkpoint, where they are due.
    /// Whether the run is to stop here, saved.
    fn after_step(
        &mut self,
        folder: &RunFolder,
        files: &mut Files,
        stop: &AtomicBool,
        observe: &mut Observe<'_>,
    ) -> Result<bool> {
        let at = self.training.steps_done();
        let last = at == self.config.train.max_iters;
        let before = (files.lengths(), self.state.clone());
        let looked = match last {
            // What is measured at the end comes after the checkpoint.
            true => Ok(()),
            false => self.look(files, at, stop, observe),
        };
        let undone = match looked {
            Err(Error::Stopped) => true,
            looked => looked.map(|()| false)?,
        };
        let mut lengths = files.lengths();
        if undone {
            // It is done from its beginning when the run is resumed.
            (lengths, self.state) = before;
        }
        let interrupted = undone || stop.load(Ordering::Relaxed);
        let train = &self.config.train;
        let best = train.keep_best && self.state.best_step == Some(at);
        if due(train.checkpoint_interval, at)
            || last
            || self.is_out_of_patience()
            || interrupted
            || best
        {
            let path = self.checkpoint(folder, files, lengths, undone)?;
            files.tell(&Event::Checkpoint(Checkpoint { step: at, path }), observe)?;
        }
        Ok(interrupted)
    }

    /// The end of a run: what is measured then, unless it is stopped.
    fn finish(
        &mut self,
        files: &mut Files,
        interrupted: bool,
        stop: &AtomicBool,
        observe: &mut Observe<'_>,
    ) -> Result<Done> {
        let unmeasured = Done {
            steps: self.training.steps_done(),
            interrupted: true,
            val_loss: None,
            best_val_loss: self.state.best_val_loss,
            val_losses: Vec::new(),
            scores: Scores::default(),
        };
        if interrupted {
            return Ok(unmeasured);
        }
        let mut done = Done {
            interrupted: false,
            ..unmeasured.clone()
        };
        match self.measure(files, stop, observe, &mut done) {
            Err(Error::Stopped) => Ok(unmeasured),
            measured => measured.map(|()| done),
        }
    }

    /// Saves the run. `lengths` are those of the files as they are when it is resumed; `undone` says
    /// that what comes after the step was not done.
    fn checkpoint(
        &self,
        folder: &RunFolder,
        files: &Files,
        lengths: Lengths,
        undone: bool,
    ) -> Result<PathBuf> {
        let training = &self.training;
        training.check_state()?;
        files.sync()?;
        let state = State {
            step: training.steps_done(),
            metrics_bytes: lengths.metrics,
            samples_bytes: lengths.samples,
            recent: training.recent(),
            undone,
            ..self.state.clone()
        };
        let path = folder.checkpoint(state.step, |aside| {
            let config = io::config_to_json(training.gpt().config());
            write_synced(&aside.join(CONFIG_JSON), config.as_bytes())?;
            write_synced(
                &aside.join(TOKENIZER_JSON),
                self.tokenizer.to_json().as_bytes(),
            )?;
            training.save(&aside.join(MODEL), &aside.join(OPTIMIZER))?;
            state.write(aside)
        })?;
        self.keep(folder)?;
        Ok(path)
    }
}

impl Resumed {
    /// Whether the run was stopped before what comes after its last step was done. What was to end
    /// there, and is now made longer, did without what a longer run does on its way.
    fn left_something(&self, config: &TrainConfig) -> bool {
        let ended_there = self.state.config.train.max_iters == self.state.step;
        self.state.undone || (ended_there && self.state.step < config.max_iters)
    }
}
