//! Training as an iterator of steps, on batches from anywhere.

use crate::data::batch::Batch;
use crate::error::Remedy;
use crate::step::engine::{BatchShape, Engine, not_finite};
use crate::{Error, Model, Result};
use latimer_autograd::AdamW;
use std::fmt;

/// Trains a [`Model`], batch after batch.
///
/// Nothing of a step needs the host between its first operation and its last, so where the device
/// can record a step it is recorded once and repeated, with the same bits. For checkpoints, metrics
/// and runs that can be resumed, use [`Run`](crate::Run).
///
/// ```
/// use latimer_autograd::AdamW;
/// use latimer_nn::GptConfig;
/// use latimer_tensor::Device;
/// use latimer_tokenizer::{CharTokenizer, Tokenizer};
/// use latimer_trainer::{Model, Text, Trainer};
///
/// let text = Text::from("to be or not to be, that is the question ".repeat(4));
/// let tokenizer = CharTokenizer::fit(text.as_str())?;
/// let config = GptConfig {
///     n_layer: 1, n_head: 2, n_embd: 16, block_size: 16,
///     ..GptConfig::gpt2(tokenizer.vocab_size())
/// };
/// let mut model = Model::new(&config, &Device::reference(), 1337)?;
/// let batches = text.batches(&tokenizer, 16, 2, 1337)?;
/// let mut trainer = Trainer::new(&mut model, AdamW { lr: 1e-2, ..AdamW::default() });
/// let losses = trainer.run(batches, 20).map(|step| Ok(step?.loss));
/// let losses = losses.collect::<Result<Vec<f32>, latimer_trainer::Error>>()?;
/// assert!(losses[19] < losses[0]);
/// # Ok::<(), latimer_trainer::Error>(())
/// ```
pub struct Trainer<'m> {
    model: &'m mut Model,
    adamw: AdamW,
    learning_rate: Option<Box<dyn FnMut(u64) -> f64 + Send>>,
    micro_steps: usize,
    seed: u64,
    /// For batches of one shape; made when the first of another shape comes.
    engine: Option<Engine>,
    done: u64,
}

/// A step that was done.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TrainStep {
    /// Its number, from 1.
    pub number: u64,
    /// The mean loss of its batch, before the update.
    pub loss: f32,
    /// The norm of its gradients before they were clipped.
    pub grad_norm: f32,
    /// Its learning rate.
    pub lr: f64,
}

impl<'m> Trainer<'m> {
    /// A trainer that has done no step.
    #[must_use]
    pub fn new(model: &'m mut Model, adamw: AdamW) -> Self {
        Self {
            model,
            adamw,
            learning_rate: None,
            micro_steps: 1,
            seed: 0,
            engine: None,
            done: 0,
        }
    }

    /// Takes each step's learning rate from a function of its number, which counts from 1, instead
    /// of [`AdamW::lr`].
    #[must_use]
    pub fn with_learning_rate(self, rate: impl FnMut(u64) -> f64 + Send + 'static) -> Self {
        Self {
            learning_rate: Some(Box::new(rate)),
            ..self
        }
    }

    /// Cuts each batch into this many parts, computed one after the other: the same step, for less
    /// memory.
    #[must_use]
    pub fn with_micro_steps(self, micro_steps: usize) -> Self {
        Self {
            micro_steps,
            ..self
        }
    }

    /// Draws dropout from another seed than 0.
    #[must_use]
    pub fn with_seed(self, seed: u64) -> Self {
        Self { seed, ..self }
    }

    /// Steps done so far.
    #[must_use]
    pub fn steps_done(&self) -> u64 {
        self.done
    }

    /// The model that is trained.
    #[must_use]
    pub fn model(&self) -> &Model {
        self.model
    }

    /// Iterates over `steps` steps, or over fewer if the batches run out. Each step is done when
    /// `next` is called; after an error the iterator ends.
    pub fn run<B: IntoIterator<Item = Batch>>(
        &mut self,
        batches: B,
        steps: u64,
    ) -> Steps<'_, 'm, B::IntoIter> {
        Steps {
            trainer: self,
            batches: batches.into_iter(),
            left: steps,
        }
    }

    /// One step on a batch. At the first, the loss must reach every parameter, and every gradient
    /// must be finite.
    ///
    /// # Errors
    /// [`Error::NotFinite`], with the tensor in which it came up; the parameters are then those
    /// before the step. [`Error::BadBatch`]; [`latimer_nn::Error::TooLong`]; the device's failure.
    pub fn step(&mut self, batch: &Batch) -> Result<TrainStep> {
        let shape = self.shape_of(batch)?;
        let model = &mut *self.model;
        let engine = match &mut self.engine {
            Some(engine) if engine.shape == shape => engine,
            other => other.insert(Engine::new(model, self.adamw, shape, self.seed)?),
        };
        let number = self.done + 1;
        let lr = match &mut self.learning_rate {
            Some(rate) => rate(number),
            None => self.adamw.lr.into(),
        };
        engine.begin(number, lr, &[batch.ids(), batch.targets()].concat())?;
        engine.run(model, number == 1)?;
        let results = engine.results()?;
        if let Some((what, value)) = not_finite(results) {
            let place = engine.diagnose(model, number, self.seed);
            let remedy = match number {
                1 => Remedy::OtherSettings,
                _ => Remedy::BeginAgain,
            };
            return Err(Error::NotFinite {
                what,
                value,
                step: number,
                place,
                remedy,
            });
        }
        self.done = number;
        let [loss, grad_norm] = results;
        Ok(TrainStep {
            number,
            loss,
            grad_norm,
            lr,
        })
    }

    fn shape_of(&self, batch: &Batch) -> Result<BatchShape> {
        let (rows, micro_steps) = (batch.rows(), self.micro_steps);
        if micro_steps == 0 || !rows.is_multiple_of(micro_steps) {
            return Err(Error::BadBatch {
                reason: format!("{rows} rows cannot be cut into {micro_steps} equal parts"),
            });
        }
        Ok(BatchShape {
            micro_steps,
            rows: rows / micro_steps,
            seq_len: batch.seq_len(),
        })
    }
}

impl fmt::Debug for Trainer<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Trainer")
            .field("adamw", &self.adamw)
            .field("steps_done", &self.done)
            .finish_non_exhaustive()
    }
}

/// The steps of [`Trainer::run`].
#[derive(Debug)]
pub struct Steps<'t, 'm, B> {
    trainer: &'t mut Trainer<'m>,
    batches: B,
    left: u64,
}

impl<B: Iterator<Item = Batch>> Iterator for Steps<'_, '_, B> {
    type Item = Result<TrainStep>;

    fn next(&mut self) -> Option<Result<TrainStep>> {
        if self.left == 0 {
            return None;
        }
        let batch = self.batches.next()?;
        let step = self.trainer.step(&batch);
        self.left = step.as_ref().map_or(0, |_| self.left - 1);
        Some(step)
    }
}
