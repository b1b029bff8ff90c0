//! A run from its first step to its last: evaluations, samples, checkpoints, files.

use crate::config::Config;
use crate::data::phrasebook::{Pair, TUTORIAL_SENTENCE, Unseen, unseen_pairs};
use crate::data::{Source, corpora};
use crate::evaluate::mean_loss;
use crate::event::{Checkpoint, Done, DoneTiming, Eval, Event, Plan, Sample, StepTiming};
use crate::folder::{CONFIG_JSON, CONFIG_TOML, MODEL, RunFolder, TOKENIZER_JSON, write_synced};
use crate::step::{Training, check_dtype, check_memory};
use crate::{Error, Result, setup, translate};
use latimer_autograd::Slab;
use latimer_nn::{Generator, Sampler, Sampling, io};
use latimer_tensor::op::Matmul;
use latimer_tensor::{DType, Device, Tensor};
use latimer_tokenizer::Tokenizer;
use std::fs::File;
use std::io::Write;
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

/// A run that is set up and has not begun.
#[derive(Debug)]
pub struct Run {
    config: Config,
    tokenizer: Arc<dyn Tokenizer>,
    source: Box<dyn Source>,
    training: Training,
    plan: Plan,
}

impl Run {
    /// Reads the corpus, fits the tokenizer, checks the memory, and only then makes the model.
    ///
    /// # Errors
    /// Anything wrong with the configuration, the data, or the device.
    pub fn new(config: &Config, device: &Device, cache: &Path) -> Result<Self> {
        config.validate()?;
        check_dtype(config)?;
        let (tokenizer, source) = setup::corpus(config, cache)?;
        let model = setup::gpt_config(&config.model, tokenizer.vocab_size());
        let needs = Training::needs(&model, &config.train)?;
        check_memory(&needs, device)?;
        let training = Training::new(device, &model, &config.train)?;
        let flops_per_s = matmul_speed(device, 512)?;
        let steps = config.train.max_iters as f64;
        let plan = Plan {
            parameters: training.params().num_parameters(),
            vocab_size: tokenizer.vocab_size(),
            training_tokens: source.training_tokens(),
            validation_tokens: source.validation_tokens(),
            tokens_per_step: config.train.batch_size * config.train.grad_accum * model.block_size,
            flops_per_step: needs.flops,
            memory_bytes: needs.memory_bytes,
            // Small products and everything between them run below the speed of one large
            // product; an operation costs a few microseconds on top.
            estimated_seconds: steps
                * (needs.flops as f64 / (0.6 * flops_per_s) + 5e-6 * needs.ops as f64),
            device: device.info().name,
        };
        Ok(Self {
            config: config.clone(),
            tokenizer,
            source,
            training,
            plan,
        })
    }

    /// What is known before the first step.
    #[must_use]
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// Trains to the last step, or until `stop` is set: then the step is finished and saved.
    ///
    /// # Errors
    /// [`Error::NotFinite`], [`Error::Write`], or the device's failure. What was saved stays.
    pub fn train(
        &mut self,
        folder: &RunFolder,
        stop: &AtomicBool,
        observe: &mut dyn FnMut(&Event),
    ) -> Result<Done> {
        let begin = Instant::now();
        let mut files = Files::create(folder, &self.config)?;
        files.tell(&Event::Plan(self.plan.clone()), observe)?;
        let config = self.config.train.clone();
        let due = |interval: u64, step: u64| interval > 0 && step.is_multiple_of(interval);
        let (mut train_seconds, mut best) = (0.0, None::<f32>);
        let (mut last_checkpoint, mut interrupted) = (None, false);
        while self.training.steps_done() < config.max_iters && !interrupted {
            let start = Instant::now();
            let step = self.training.next_step(&*self.source)?;
            let seconds = start.elapsed().as_secs_f64();
            train_seconds += seconds;
            let at = step.step;
            let timing = StepTiming {
                step: at,
                step_ms: seconds * 1e3,
                tokens_per_s: self.plan.tokens_per_step as f64 / seconds,
            };
            files.tell(&Event::Step(step, timing), observe)?;
            let last = at == config.max_iters;
            interrupted = stop.load(Ordering::Relaxed) && !last;
            if due(config.eval_interval, at) && !last {
                let eval = self.training.estimate(&*self.source)?;
                keep_least(&mut best, eval.val_loss);
                files.tell(&Event::Eval(eval), observe)?;
            }
            if due(config.sample_interval, at) && !last {
                self.sample(&mut files, observe)?;
            }
            if due(config.checkpoint_interval, at) || last || interrupted {
                let path = self.checkpoint(folder)?;
                last_checkpoint = Some(at);
                files.tell(&Event::Checkpoint(Checkpoint { step: at, path }), observe)?;
            }
        }
        if last_checkpoint.is_none() {
            // No step was asked for: the initial weights are a model too.
            let (step, path) = (self.training.steps_done(), self.checkpoint(folder)?);
            files.tell(&Event::Checkpoint(Checkpoint { step, path }), observe)?;
        }
        let done = self.finish(&mut files, interrupted, best, observe)?;
        let steps = self.training.steps_done();
        let timing = DoneTiming {
            tokens_per_s: (steps as usize * self.plan.tokens_per_step) as f64
                / f64::max(train_seconds, 1e-9),
            train_seconds,
            seconds: begin.elapsed().as_secs_f64(),
            peak_rss_mb: peak_rss_mb(),
            run: folder.path().to_owned(),
        };
        files.tell(&Event::Done(done.clone(), timing), observe)?;
        Ok(done)
    }

    /// The last evaluation, over everything that was kept from training.
    fn finish(
        &mut self,
        files: &mut Files,
        interrupted: bool,
        best: Option<f32>,
        observe: &mut dyn FnMut(&Event),
    ) -> Result<Done> {
        let mut done = Done {
            steps: self.training.steps_done(),
            interrupted,
            val_loss: None,
            best_val_loss: best,
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
        done.val_loss = mean_loss(gpt, params, training.scalars(), &self.source.validation())?;
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
    fn sample(&self, files: &mut Files, observe: &mut dyn FnMut(&Event)) -> Result<()> {
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
            // A line's beginning, where the vocabulary has one; else its first token.
            let prompt = self.tokenizer.encode("\n").unwrap_or_else(|_| vec![0]);
            let ids = params.device().enter(|| -> Result<Vec<u32>> {
                let mut generator = Generator::new(gpt, params, &prompt)?;
                let sampling = Sampling {
                    seed: self.config.train.seed,
                    ..Sampling::default()
                };
                let mut sampler = Sampler::new(sampling, step as u32)?;
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

    fn checkpoint(&self, folder: &RunFolder) -> Result<PathBuf> {
        let training = &self.training;
        folder.checkpoint(training.steps_done(), |aside| {
            let config = io::config_to_json(training.gpt().config());
            write_synced(&aside.join(CONFIG_JSON), config.as_bytes())?;
            write_synced(
                &aside.join(TOKENIZER_JSON),
                self.tokenizer.to_json().as_bytes(),
            )?;
            io::write_weights(training.params(), &aside.join(MODEL))?;
            let moments = [(Slab::M, "m/"), (Slab::V, "v/")];
            io::write_slabs(
                training.params(),
                &moments,
                &aside.join("optimizer.safetensors"),
            )?;
            let state = serde_json::json!({
                "format": "latimer-checkpoint",
                "version": 1,
                "step": training.steps_done(),
                "tokenizer": format!("{:016x}", self.tokenizer.fingerprint()),
                "config": self.config,
            });
            write_synced(&aside.join("state.json"), format!("{state:#}\n").as_bytes())
        })
    }
}

fn french(pair: &Pair) -> &str {
    &pair.french
}

fn keep_least(best: &mut Option<f32>, loss: Option<f32>) {
    if let Some(loss) = loss {
        *best = Some(best.map_or(loss, |best| best.min(loss)));
    }
}

/// FLOP/s of one product of two `n x n` matrices, the better of a few.
///
/// # Errors
/// The device's failure.
pub fn matmul_speed(device: &Device, n: usize) -> Result<f64> {
    let a = Tensor::full(device, [n, n], DType::F32, 0.5)?;
    let mut y = Tensor::empty(device, [n, n], DType::F32)?;
    let seconds = device.enter(|| -> Result<f64> {
        let mut best = f64::INFINITY;
        for _ in 0..4 {
            let start = Instant::now();
            device.run(Matmul::new(a.view(), a.view(), y.view_mut()?))?;
            device.synchronize()?;
            best = best.min(start.elapsed().as_secs_f64());
        }
        Ok(best)
    })?;
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

/// The files a run appends to.
struct Files {
    metrics: Log,
    timings: Log,
    samples: Log,
}

struct Log {
    path: PathBuf,
    file: File,
}

impl Log {
    fn create(path: PathBuf) -> Result<Self> {
        let file = File::create(&path).map_err(|source| Error::Write {
            path: path.clone(),
            source,
        })?;
        Ok(Self { path, file })
    }

    fn write(&mut self, text: &str) -> Result<()> {
        let written = self.file.write_all(text.as_bytes());
        written.map_err(|source| Error::Write {
            path: self.path.clone(),
            source,
        })
    }
}

impl Files {
    fn create(folder: &RunFolder, config: &Config) -> Result<Self> {
        let path = folder.path();
        write_synced(
            &path.join(CONFIG_TOML),
            config.to_commented_toml().as_bytes(),
        )?;
        Ok(Self {
            metrics: Log::create(path.join("metrics.jsonl"))?,
            timings: Log::create(path.join("timings.jsonl"))?,
            samples: Log::create(path.join("samples.txt"))?,
        })
    }

    /// Writes an event to the files it belongs to and hands it on.
    fn tell(&mut self, event: &Event, observe: &mut dyn FnMut(&Event)) -> Result<()> {
        if let Some(line) = event.metrics() {
            self.metrics.write(&format!("{line}\n"))?;
        }
        if let Some(line) = event.timings() {
            self.timings.write(&format!("{line}\n"))?;
        }
        if let Event::Sample(Sample { step, prompt, text }) = event {
            self.samples
                .write(&format!("--- step {step}, after {prompt:?}\n{text}\n\n"))?;
        }
        observe(event);
        Ok(())
    }
}
