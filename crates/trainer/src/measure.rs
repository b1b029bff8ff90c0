//! What a run measures: losses and samples on the way, everything at its end.

use crate::data::Source;
use crate::error::{Error, Remedy};
use crate::evaluate::{mean_loss_with, mean_of_parts};
use crate::event::{Done, Eval, Event, Sample};
use crate::run::{Observe, Run};
use crate::run_folder::log::Files;
use crate::task::GptWriter;
use crate::{Result, beginning, sampler};
use latimer_nn::{Generator, Sampling};
use std::sync::atomic::{AtomicBool, Ordering};

/// Tokens of a sample taken while training.
const SAMPLE_TOKENS: usize = 200;

impl Run {
    /// Evaluates and samples on the way, where that is due after a step.
    ///
    /// # Errors
    /// [`Error::Stopped`] soon after `stop` is set; [`Error::Unsound`], [`Error::NotFinite`].
    pub(crate) fn evaluate_if_due(
        &mut self,
        files: &mut Files,
        step: u64,
        stop: &AtomicBool,
        observe: &mut Observe<'_>,
    ) -> Result<()> {
        if due(self.config.train.eval_interval, step) {
            let eval = self.estimate(stop)?;
            self.state.judge(&eval);
            files.emit(&Event::Eval(eval), observe)?;
        }
        if due(self.config.train.sample_interval, step) {
            self.sample(files, stop, observe)?;
        }
        Ok(())
    }

    /// The sampled losses, which are finite.
    fn estimate(&mut self, stop: &AtomicBool) -> Result<Eval> {
        self.training.check_weights()?;
        let eval = self.training.estimate_until(&*self.source, stop)?;
        self.check_finite("sampled training loss", Some(eval.train_loss))?;
        self.check_finite("sampled validation loss", eval.val_loss)?;
        Ok(eval)
    }

    /// Refuses a loss of an evaluation that is not finite.
    fn check_finite(&self, what: &'static str, loss: Option<f32>) -> Result<()> {
        match loss {
            Some(value) if !value.is_finite() => Err(Error::NotFinite {
                what,
                value,
                step: self.training.steps_done(),
                place: "though all weights are finite".to_owned(),
                remedy: Remedy::BeginAgain,
            }),
            _ => Ok(()),
        }
    }

    /// The last evaluation, over everything that was kept from training.
    ///
    /// # Errors
    /// As [`Run::evaluate_if_due`].
    pub(crate) fn measure(
        &mut self,
        files: &mut Files,
        stop: &AtomicBool,
        observe: &mut Observe<'_>,
        done: &mut Done,
    ) -> Result<()> {
        let eval = self.estimate(stop)?;
        files.emit(
            &Event::Eval(Eval {
                step: done.steps,
                ..eval
            }),
            observe,
        )?;
        self.sample(files, stop, observe)?;
        let training = &self.training;
        let (gpt, params) = (training.gpt(), training.params());
        let over = |source: &dyn Source| {
            let windows = source.validation();
            mean_loss_with(gpt, params, windows, stop, &mut |_| ())
        };
        let parts = self.source.parts();
        let mut losses = Vec::new();
        for part in &parts {
            losses.extend(over(part.source)?);
        }
        let loss = match losses.is_empty() {
            true => over(&*self.source)?,
            false => Some(mean_of_parts(&parts, &losses)),
        };
        self.check_finite("validation loss", loss)?;
        (done.val_loss, done.val_losses) = (loss, losses);
        keep_least(&mut done.best_val_loss, done.val_loss);
        if let Some(task) = &self.task {
            done.scores = task.score(&self.writer(stop))?;
        }
        Ok(())
    }

    fn writer<'a>(&'a self, stop: &'a AtomicBool) -> GptWriter<'a> {
        let training = &self.training;
        GptWriter::new(training.gpt(), training.params(), &*self.tokenizer).until(stop)
    }

    /// Lets the model write: answers to the task's prompts, else from a new line.
    fn sample(
        &self,
        files: &mut Files,
        stop: &AtomicBool,
        observe: &mut Observe<'_>,
    ) -> Result<()> {
        let (gpt, params) = (self.training.gpt(), self.training.params());
        let step = self.training.steps_done();
        let mut samples = Vec::new();
        if let Some(task) = &self.task {
            let writer = self.writer(stop);
            for prompt in task.prompts() {
                let text = task.answer(&writer, &prompt)?;
                samples.push((prompt, text));
            }
        }
        if samples.is_empty() {
            let prompt = beginning(&*self.tokenizer)?;
            let ids = params.device().enter(|| -> Result<Vec<u32>> {
                let mut generator = Generator::new(gpt, params, &prompt)?;
                let sampling = Sampling {
                    seed: self.config.train.seed,
                    ..Sampling::default()
                };
                let mut sampler = sampler(&*self.tokenizer, gpt, sampling, step as u32)?;
                for _ in 0..SAMPLE_TOKENS {
                    if stop.load(Ordering::Relaxed) {
                        return Err(Error::Stopped);
                    }
                    generator.next_id(&mut sampler)?;
                }
                Ok(generator.ids().to_vec())
            })?;
            samples.push((
                self.tokenizer.decode(&prompt)?,
                self.tokenizer.decode(&ids)?,
            ));
        }
        for (prompt, text) in samples {
            files.emit(&Event::Sample(Sample { step, prompt, text }), observe)?;
        }
        Ok(())
    }
}

/// Whether something that comes every `interval` steps comes after this one.
pub(crate) fn due(interval: u64, step: u64) -> bool {
    interval > 0 && step.is_multiple_of(interval)
}

fn keep_least(best: &mut Option<f32>, loss: Option<f32>) {
    if let Some(loss) = loss {
        *best = Some(best.map_or(loss, |best| best.min(loss)));
    }
}
