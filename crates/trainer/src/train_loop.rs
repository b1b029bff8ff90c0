//! A run while it is trained: step after step, and what comes between them.

use crate::error::Remedy;
use crate::event::{Checkpoint, Done, DoneTiming, Event, Skip, Step, StepTiming, Warning};
use crate::measure::due;
use crate::plan::peak_rss_mb;
use crate::run::{Observe, Resumed, Run};
use crate::run_folder::RunFolder;
use crate::run_folder::folder::{
    CONFIG_JSON, DATA, MODEL, OPTIMIZER, TOKENIZER_JSON, replace_synced, write_synced,
};
use crate::run_folder::log::{Files, Lengths};
use crate::run_folder::resume::State;
use crate::task::Scores;
use crate::{Error, Result};
use latimer_nn::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

/// One call of [`Run::train`]: the run, its files, and what is counted on the way.
pub(crate) struct TrainLoop<'a, 'o> {
    run: &'a mut Run,
    folder: &'a RunFolder,
    files: Files,
    stop: &'a AtomicBool,
    observe: &'a mut Observe<'o>,
    begun: Instant,
    /// Steps done before this call.
    steps_before: u64,
    /// Seconds in steps.
    train_seconds: f64,
    /// True once `stop` took effect: the run is saved and ends.
    interrupted: bool,
}

/// A step that was done, none if it was left out, and its seconds.
type Timed = (Option<Step>, f64);

impl<'a, 'o> TrainLoop<'a, 'o> {
    /// Trains to the last step, or until `stop` is set.
    ///
    /// # Errors
    /// As [`Run::train`].
    pub(crate) fn train(
        run: &'a mut Run,
        folder: &'a RunFolder,
        stop: &'a AtomicBool,
        observe: &'a mut Observe<'o>,
    ) -> Result<Done> {
        let begun = Instant::now();
        let resumed = run.resumed.take();
        let steps_before = run.training.steps_done();
        let plan = Event::Plan(run.plan.clone());
        observe(&plan);
        let (files, first_step) = open_files(run, folder, resumed.as_ref())?;
        let mut this = Self {
            run,
            folder,
            files,
            stop,
            observe,
            begun,
            steps_before,
            train_seconds: 0.0,
            interrupted: false,
        };
        this.write_beginning(&plan, resumed.as_ref())?;
        let max_iters = this.run.config.train.max_iters;
        if resumed.is_some_and(|resumed| resumed.left_something(max_iters)) {
            this.after_step()?;
        }
        if let Some(step) = first_step {
            this.report(step)?;
            this.after_step()?;
        }
        while this.has_more_steps() {
            let step = this.next_step()?;
            this.report(step)?;
            this.after_step()?;
        }
        this.finish()
    }

    /// Writes what stands at a run's beginning, also where it is resumed.
    fn write_beginning(&mut self, plan: &Event, resumed: Option<&Resumed>) -> Result<()> {
        let listing = self.run.data.listing();
        replace_synced(&self.folder.path().join(DATA), listing.as_bytes())?;
        self.files.write(plan)?;
        if resumed.is_some_and(|resumed| resumed.saved) {
            // A crash may have come between a checkpoint and what follows it.
            self.prune_checkpoints()?;
        }
        Ok(())
    }

    fn has_more_steps(&self) -> bool {
        self.run.training.steps_done() < self.run.config.train.max_iters
            && !self.interrupted
            && !self.run.is_out_of_patience()
    }

    /// The next step. A value in it that is not finite is noted in the run's folder.
    fn next_step(&mut self) -> Result<Timed> {
        let folder = self.folder;
        self.run.timed_step().inspect_err(|error| {
            // The step's own error matters more than that of noting it.
            let _ = self.run.note_bad_step(folder, error);
        })
    }

    /// Counts a step's seconds and emits its event.
    fn report(&mut self, (step, seconds): Timed) -> Result<()> {
        self.train_seconds += seconds;
        let at = self.run.training.steps_done();
        let timing = StepTiming {
            step: at,
            step_ms: seconds * 1e3,
            tokens_per_s: self.run.plan.tokens_per_step as f64 / seconds,
        };
        let event = match step {
            Some(step) => Event::Step(step, timing),
            None => Event::Skip(Skip { step: at }),
        };
        self.files.emit(&event, self.observe)?;
        if let Some(message) = self.run.training.take_capture_failure() {
            (self.observe)(&Event::Warning(Warning { message }));
        }
        Ok(())
    }

    /// What comes after a step: an evaluation, a sample and a checkpoint, where they are due.
    fn after_step(&mut self) -> Result<()> {
        let at = self.run.training.steps_done();
        let last = at == self.run.config.train.max_iters;
        let before = (self.files.lengths(), self.run.state.clone());
        let evaluated = match last {
            // What is measured at the end comes after the checkpoint.
            true => Ok(()),
            false => {
                let files = &mut self.files;
                self.run.evaluate_if_due(files, at, self.stop, self.observe)
            }
        };
        let undone = match evaluated {
            Err(Error::Stopped) => true,
            evaluated => evaluated.map(|()| false)?,
        };
        let mut lengths = self.files.lengths();
        if undone {
            // It is done from its beginning when the run is resumed.
            (lengths, self.run.state) = before;
        }
        self.interrupted = undone || self.stop.load(Ordering::Relaxed);
        let train = &self.run.config.train;
        let best = train.keep_best && self.run.state.best_step == Some(at);
        if due(train.checkpoint_interval, at)
            || last
            || self.run.is_out_of_patience()
            || self.interrupted
            || best
        {
            let path = self.checkpoint(lengths, undone)?;
            let event = Event::Checkpoint(Checkpoint { step: at, path });
            self.files.emit(&event, self.observe)?;
        }
        Ok(())
    }

    /// Saves the run. `lengths` are those of the files as they are when it is resumed; `undone`
    /// says that what comes after the step was not done.
    fn checkpoint(&self, lengths: Lengths, undone: bool) -> Result<PathBuf> {
        let training = &self.run.training;
        training.check_state()?;
        self.files.sync()?;
        let state = State {
            step: training.steps_done(),
            metrics_bytes: lengths.metrics,
            samples_bytes: lengths.samples,
            recent: training.recent(),
            undone,
            ..self.run.state.clone()
        };
        let path = self.folder.checkpoint(state.step, |aside| {
            let config = io::config_to_json(training.gpt().config());
            write_synced(&aside.join(CONFIG_JSON), config.as_bytes())?;
            write_synced(
                &aside.join(TOKENIZER_JSON),
                self.run.tokenizer.to_json().as_bytes(),
            )?;
            training.save(&aside.join(MODEL), &aside.join(OPTIMIZER))?;
            state.write(aside)
        })?;
        self.prune_checkpoints()?;
        Ok(path)
    }

    /// Lets `best` name what it should, and removes checkpoints that are not to stay.
    fn prune_checkpoints(&self) -> Result<()> {
        let train = &self.run.config.train;
        let best = self.run.state.best_step.filter(|_| train.keep_best);
        self.folder.point_best(best)?;
        let now = self.run.training.steps_done();
        self.folder.prune(train.keep_last, best, now)
    }

    /// The end of a run: what is measured then, and the last event.
    fn finish(mut self) -> Result<Done> {
        let done = self.measured()?;
        let steps = self.run.training.steps_done() - self.steps_before;
        let timing = DoneTiming {
            tokens_per_s: (steps as usize * self.run.plan.tokens_per_step) as f64
                / f64::max(self.train_seconds, 1e-9),
            train_seconds: self.train_seconds,
            seconds: self.begun.elapsed().as_secs_f64(),
            peak_rss_mb: peak_rss_mb(),
            run: self.folder.path().to_owned(),
        };
        self.files
            .emit(&Event::Done(done.clone(), timing), self.observe)?;
        Ok(done)
    }

    /// What is measured at the end, unless the run was stopped or is now.
    fn measured(&mut self) -> Result<Done> {
        let unmeasured = Done {
            steps: self.run.training.steps_done(),
            interrupted: true,
            val_loss: None,
            best_val_loss: self.run.state.best_val_loss,
            val_losses: Vec::new(),
            scores: Scores::default(),
        };
        if self.interrupted {
            return Ok(unmeasured);
        }
        let mut done = Done {
            interrupted: false,
            ..unmeasured.clone()
        };
        let files = &mut self.files;
        match self.run.measure(files, self.stop, self.observe, &mut done) {
            Err(Error::Stopped) => Ok(unmeasured),
            measured => measured.map(|()| done),
        }
    }
}

/// The files to append to; before those of a new run are made, its first step: a run that cannot do
/// a single one leaves nothing behind.
fn open_files(
    run: &mut Run,
    folder: &RunFolder,
    resumed: Option<&Resumed>,
) -> Result<(Files, Option<Timed>)> {
    if let Some(resumed) = resumed {
        return Ok((Files::go_on(folder, &run.config, &resumed.state)?, None));
    }
    let step = run.timed_step().map_err(|error| match error {
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
    Ok((Files::create(folder, &run.config)?, Some(step)))
}
