//! A run from its first step to its last: evaluations, samples, checkpoints, files.

use crate::config::Config;
use crate::data::phrasebook::{Pair, TUTORIAL_SENTENCE, Unseen, unseen_pairs};
use crate::data::{Source, corpora};
use crate::evaluate::{mean_loss, mean_of_parts};
use crate::event::{
    Checkpoint, Done, DoneTiming, Eval, Event, Plan, PlanPart, Sample, Skip, Step, StepTiming,
};
use crate::faults::Faults;
use crate::folder::{CONFIG_JSON, MODEL, OPTIMIZER, RunFolder, TOKENIZER_JSON, write_synced};
use crate::log::Files;
use crate::resume::{Resume, State};
use crate::step::{StepNeeds, Training, check_memory};
use crate::{Error, Result, beginning, sampler, setup, translate};
use latimer_nn::{Generator, Sampling, io};
use latimer_tensor::op::Matmul;
use latimer_tensor::{DType, Device, Tensor};
use latimer_tokenizer::Tokenizer;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

/// Tokens of a sample taken while training.
const SAMPLE_TOKENS: usize = 200;
/// Unseen sentences that the phrasebook's accuracy is measured on, of each kind.
const SENTENCES: usize = 1000;
/// Unseen sentences shown while training.
const SHOWN: usize = 3;

/// Who is told of every event.
pub type Observe<'a> = dyn FnMut(&Event) + Send + 'a;

/// A run that is set up and has not begun.
#[derive(Debug)]
pub struct Run {
    config: Config,
    tokenizer: Arc<dyn Tokenizer>,
    source: Box<dyn Source>,
    training: Training,
    plan: Plan,
    /// The state that training begins with, and what it was resumed from.
    state: State,
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
    /// Reads the corpus, fits the tokenizer, checks the memory, and only then makes the model.
    ///
    /// # Errors
    /// Anything wrong with the configuration, the data, or the device.
    pub fn new(config: &Config, device: &Device, cache: &Path) -> Result<Self> {
        let (tokenizer, source, plan, needs) = plan(config, device, cache)?;
        let model = setup::gpt_config(&config.model, tokenizer.vocab_size());
        check_memory(&needs, device)?;
        let training = Training::new(device, &model, &config.train)?;
        let (fingerprint, data) = (tokenizer.fingerprint(), source.fingerprint());
        let state = State::new(config, fingerprint, data, &plan);
        Ok(Self {
            config: config.clone(),
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
    pub fn dry(config: &Config, device: &Device, cache: &Path) -> Result<Plan> {
        Ok(plan(config, device, cache)?.2)
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

    /// Trains to the last step, or until `stop` is set: then the step is finished and saved. All of
    /// it runs inside one [`Device::enter`], as does `observe`: entering anew for each step would
    /// cost some 20 µs of it.
    ///
    /// # Errors
    /// [`Error::NotFinite`], [`Error::Write`], or the device's failure. What was saved stays.
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
        let mut files = match &resumed {
            None => Files::create(folder, &self.config)?,
            Some(resumed) => Files::go_on(folder, &self.config, &resumed.state)?,
        };
        files.tell(&Event::Plan(self.plan.clone()), observe)?;
        let config = self.config.train.clone();
        let first = self.training.steps_done();
        let mut train_seconds = 0.0;
        let saved = resumed.as_ref().is_some_and(|resumed| resumed.saved);
        let (mut last_checkpoint, mut interrupted) = (saved.then_some(first), false);
        if saved {
            // A crash may have come between a checkpoint and what follows it.
            self.keep(folder)?;
        }
        let ended_here = |resumed: &Resumed| resumed.state.config.train.max_iters == first;
        if first < config.max_iters && resumed.as_ref().is_some_and(ended_here) {
            // It was to end here, and did without what a longer run does on its way.
            self.look(&mut files, first, observe)?;
        }
        while self.training.steps_done() < config.max_iters
            && !interrupted
            && !self.is_out_of_patience()
        {
            let start = Instant::now();
            let step = match self.step() {
                Err(Error::NotFinite {
                    what,
                    value,
                    step,
                    place,
                }) => {
                    self.faults.not_finite = Some(step);
                    self.faults.write(folder)?;
                    return Err(Error::NotFinite {
                        what,
                        value,
                        step,
                        place,
                    });
                }
                step => step?,
            };
            let seconds = start.elapsed().as_secs_f64();
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
            let last = at == config.max_iters;
            if !last {
                self.look(&mut files, at, observe)?;
            }
            let last = last || self.is_out_of_patience();
            interrupted = stop.load(Ordering::Relaxed) && !last;
            let best = config.keep_best && self.state.best_step == Some(at);
            if due(config.checkpoint_interval, at) || last || interrupted || best {
                let path = self.checkpoint(folder, &files)?;
                last_checkpoint = Some(at);
                files.tell(&Event::Checkpoint(Checkpoint { step: at, path }), observe)?;
            }
        }
        if last_checkpoint.is_none() {
            // No step was asked for: the initial weights are a model too.
            let (step, path) = (self.training.steps_done(), self.checkpoint(folder, &files)?);
            files.tell(&Event::Checkpoint(Checkpoint { step, path }), observe)?;
        }
        let done = self.finish(&mut files, interrupted, observe)?;
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

    /// The next step; none if it is one that is left out.
    fn step(&mut self) -> Result<Option<Step>> {
        if self
            .faults
            .skipped
            .contains(&(self.training.steps_done() + 1))
        {
            self.training.leave_out_step();
            return Ok(None);
        }
        Ok(Some(self.training.next_step(&*self.source)?))
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

    /// Evaluates and samples on the way, where that is due after a step.
    fn look(&mut self, files: &mut Files, step: u64, observe: &mut Observe<'_>) -> Result<()> {
        if due(self.config.train.eval_interval, step) {
            let eval = self.training.estimate(&*self.source)?;
            self.state.judge(&eval);
            files.tell(&Event::Eval(eval), observe)?;
        }
        if due(self.config.train.sample_interval, step) {
            self.sample(files, observe)?;
        }
        Ok(())
    }

    /// The last evaluation, over everything that was kept from training.
    fn finish(
        &mut self,
        files: &mut Files,
        interrupted: bool,
        observe: &mut Observe<'_>,
    ) -> Result<Done> {
        let mut done = Done {
            steps: self.training.steps_done(),
            interrupted,
            val_loss: None,
            best_val_loss: self.state.best_val_loss,
            val_losses: Vec::new(),
            exact_match: None,
            exact_match_structures: None,
            word_by_word: None,
            sentences: None,
        };
        if interrupted {
            return Ok(done);
        }
        let eval = self.training.estimate(&*self.source)?;
        files.tell(
            &Event::Eval(Eval {
                step: done.steps,
                ..eval
            }),
            observe,
        )?;
        self.sample(files, observe)?;
        let training = &self.training;
        let (gpt, params) = (training.gpt(), training.params());
        let over = |source: &dyn Source| {
            let windows = source.validation();
            mean_loss(gpt, params, training.scalars(), windows)
        };
        let parts = self.source.parts();
        for part in &parts {
            done.val_losses.extend(over(part.source)?);
        }
        done.val_loss = match done.val_losses.is_empty() {
            true => over(&*self.source)?,
            false => Some(mean_of_parts(&parts, &done.val_losses)),
        };
        keep_least(&mut done.best_val_loss, done.val_loss);
        if self.is_phrasebook() {
            let of = |which| {
                translate::accuracy(
                    gpt,
                    params,
                    &*self.tokenizer,
                    &unseen_pairs(which, SENTENCES),
                )
            };
            let sentences = of(Unseen::Sentences)?;
            done.exact_match = Some(sentences.exact_match);
            done.word_by_word = Some(sentences.word_by_word);
            done.exact_match_structures = Some(of(Unseen::Structures)?.exact_match);
            done.sentences = Some(SENTENCES);
        }
        Ok(done)
    }

    fn is_phrasebook(&self) -> bool {
        self.config.data.data == [corpora::PHRASEBOOK]
    }

    /// Lets the model write: the phrasebook's translates, any other goes on from a new line.
    fn sample(&self, files: &mut Files, observe: &mut Observe<'_>) -> Result<()> {
        let (gpt, params) = (self.training.gpt(), self.training.params());
        let step = self.training.steps_done();
        let mut samples = Vec::new();
        if self.is_phrasebook() {
            let unseen = unseen_pairs(Unseen::Sentences, SHOWN);
            let sentences = [TUTORIAL_SENTENCE.0]
                .into_iter()
                .chain(unseen.iter().map(french));
            for prompt in sentences {
                let text = translate::translate(gpt, params, &*self.tokenizer, prompt)?;
                samples.push((prompt.to_owned(), text));
            }
        } else {
            let prompt = beginning(&*self.tokenizer)?;
            let ids = params.device().enter(|| -> Result<Vec<u32>> {
                let mut generator = Generator::new(gpt, params, &prompt)?;
                let sampling = Sampling {
                    seed: self.config.train.seed,
                    ..Sampling::default()
                };
                let mut sampler = sampler(&*self.tokenizer, gpt, sampling, step as u32)?;
                for _ in 0..SAMPLE_TOKENS {
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
            files.tell(&Event::Sample(Sample { step, prompt, text }), observe)?;
        }
        Ok(())
    }

    fn checkpoint(&self, folder: &RunFolder, files: &Files) -> Result<PathBuf> {
        let training = &self.training;
        let state = State {
            step: training.steps_done(),
            metrics_bytes: files.metrics.sync()?,
            samples_bytes: files.samples.sync()?,
            recent: training.recent(),
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

type Planned = (Arc<dyn Tokenizer>, Box<dyn Source>, Plan, StepNeeds);

/// Reads the corpus, fits the tokenizer, and counts what a step needs.
fn plan(config: &Config, device: &Device, cache: &Path) -> Result<Planned> {
    config.validate()?;
    let (tokenizer, source) = setup::corpus(config, cache)?;
    let model = setup::gpt_config(&config.model, tokenizer.vocab_size());
    let needs = Training::needs(&model, &config.train)?;
    let flops_per_s = matmul_speed(device, 512, config.train.dtype.dtype())?;
    let plan = Plan {
        parameters: needs.parameters,
        vocab_size: tokenizer.vocab_size(),
        training_tokens: source.training_tokens(),
        validation_tokens: source.validation_tokens(),
        parts: plan_parts(config, &*source),
        steps_done: 0,
        tokens_per_step: config.train.batch_size * config.train.grad_accum * model.block_size,
        flops_per_step: needs.flops,
        memory_bytes: needs.memory_bytes,
        // Small products and everything between them run below the speed of one large
        // product; an operation costs a few microseconds on top.
        estimated_seconds: config.train.max_iters as f64
            * (needs.flops as f64 / (0.6 * flops_per_s) + 5e-6 * needs.ops as f64),
        device: device.info().name,
    };
    Ok((tokenizer, source, plan, needs))
}

/// What a run takes from each of several corpora.
fn plan_parts(config: &Config, source: &dyn Source) -> Vec<PlanPart> {
    let train = &config.train;
    let rows = train.max_iters as f64 * (train.batch_size * train.grad_accum) as f64;
    let parts = source.parts().into_iter().map(|part| {
        let tokens = part.source.training_tokens();
        let windows = tokens.map(|tokens| tokens.saturating_sub(1) / config.model.block_size);
        PlanPart {
            data: part.name.to_owned(),
            share: part.share,
            training_tokens: tokens,
            validation_tokens: part.source.validation_tokens(),
            epochs: windows.map(|windows| rows * part.share / windows.max(1) as f64),
        }
    });
    parts.collect()
}

fn due(interval: u64, step: u64) -> bool {
    interval > 0 && step.is_multiple_of(interval)
}

fn french(pair: &Pair) -> &str {
    &pair.french
}

fn keep_least(best: &mut Option<f32>, loss: Option<f32>) {
    if let Some(loss) = loss {
        *best = Some(best.map_or(loss, |best| best.min(loss)));
    }
}

/// FLOP/s of one product of two `n x n` matrices, the better of a few; of an eighth of that side
/// where the device does not know the type. Their memory is given back, so that a step finds the pool
/// as its plan counts on.
///
/// # Errors
/// The device's failure.
pub fn matmul_speed(device: &Device, n: usize, dtype: DType) -> Result<f64> {
    let n = if device.native(dtype) { n } else { n / 8 };
    let seconds = device.enter(|| -> Result<f64> {
        let a = Tensor::full(device, [n, n], dtype, 0.5)?;
        let mut y = Tensor::empty(device, [n, n], dtype)?;
        let mut best = f64::INFINITY;
        for _ in 0..4 {
            let start = Instant::now();
            device.run(Matmul::new(a.view(), a.view(), y.view_mut()?))?;
            device.synchronize()?;
            best = best.min(start.elapsed().as_secs_f64());
        }
        Ok(best)
    })?;
    device.trim();
    Ok(2.0 * (n * n * n) as f64 / seconds)
}

/// The greatest resident memory of this process in MiB, where `/proc` tells.
#[must_use]
pub fn peak_rss_mb() -> Option<f64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim()
        .strip_suffix("kB")?
        .trim()
        .parse::<f64>()
        .ok()
        .map(|kb| kb / 1024.0)
}
