//! The events of a run in progress, and the files that keep them.
//!
//! Every event is one line of JSON. What depends on the run alone (steps, losses, samples) goes to
//! `metrics.jsonl`, whose bytes the same run always repeats; what the clock or the machine decides
//! goes to `timings.jsonl`.

use crate::task::Scores;
use serde::Serialize;
use std::path::PathBuf;

/// What is known before the first step.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Plan {
    /// Elements of all parameters.
    pub parameters: usize,
    /// Tokens in the vocabulary.
    pub vocab_size: usize,
    /// Tokens of the training split, where it has an end.
    pub training_tokens: Option<usize>,
    /// Tokens of the validation split.
    pub validation_tokens: usize,
    /// The corpora that have a weight each, in their order; empty where there are no weights.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub parts: Vec<PlanPart>,
    /// Steps done before, where a run is resumed.
    pub steps_done: u64,
    /// Tokens an optimizer step sees.
    pub tokens_per_step: usize,
    /// Floating-point operations of an optimizer step.
    pub flops_per_step: u64,
    /// Device memory of a training step, in bytes, parameters and optimizer included: the tensors
    /// of the device's pool. The program itself, its threads' stacks and the data are not counted.
    pub memory_bytes: u64,
    /// Training time still to come in seconds, estimated from the device's speed in one product.
    pub estimated_seconds: f64,
    /// The device's name.
    pub device: String,
}

/// One of several corpora that have a weight each.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PlanPart {
    /// What `--data` calls it.
    pub data: String,
    /// The part of all rows that is taken from it.
    pub share: f64,
    /// Tokens of its training split, where it has an end.
    pub training_tokens: Option<usize>,
    /// Tokens of its validation split.
    pub validation_tokens: usize,
    /// How often the whole run goes through it, where it has an end.
    pub epochs: Option<f64>,
}

/// One optimizer step.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Step {
    /// From 1.
    pub step: u64,
    /// Mean cross-entropy of the batch, in nats.
    pub loss: f32,
    /// Learning rate.
    pub lr: f64,
    /// Norm of the gradients before clipping.
    pub grad_norm: f32,
    /// Whether it lay so far from the steps before that nothing was updated.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub skipped: bool,
}

/// A step that was left out, as asked.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Skip {
    /// From 1.
    pub step: u64,
}

/// A sentence for the user.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Warning {
    /// What it is, and what follows from it.
    pub message: String,
}

/// How fast one optimizer step was.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct StepTiming {
    /// From 1.
    pub step: u64,
    /// Milliseconds.
    pub step_ms: f64,
    /// Tokens a second.
    pub tokens_per_s: f64,
}

/// Losses estimated along the way, on batches whose windows begin anywhere. They are drawn from the
/// splits: not the loss over the whole validation split, which [`Done`] has.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Eval {
    /// Steps done.
    pub step: u64,
    /// Mean over batches of the training split, in nats.
    pub train_loss: f32,
    /// Mean over batches of the validation split; absent without one. Of corpora that have a weight
    /// each, the mean of `val_losses` by the length of their validation splits.
    pub val_loss: Option<f32>,
    /// Mean over batches of each one's own validation split, in the order of `data.data`; empty
    /// where there are no weights.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub val_losses: Vec<f32>,
}

/// A text the model wrote.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Sample {
    /// Steps done.
    pub step: u64,
    /// What it went on from.
    pub prompt: String,
    /// The whole text.
    pub text: String,
}

/// A checkpoint on disk.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Checkpoint {
    /// Steps done.
    pub step: u64,
    /// Its folder.
    pub path: PathBuf,
}

/// The end of a run.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Done {
    /// Steps done.
    pub steps: u64,
    /// Whether it was stopped before its last step.
    pub interrupted: bool,
    /// Mean cross-entropy over the whole validation split, in nats; absent without one.
    pub val_loss: Option<f32>,
    /// The least of all validation losses, the sampled ones along the way and that of the whole
    /// split at the end.
    pub best_val_loss: Option<f32>,
    /// The same as `val_loss` of each corpus that has a weight, in the order of `data.data`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub val_losses: Vec<f32>,
    /// What the task measured, each under its own name; nothing without a task.
    #[serde(flatten)]
    pub scores: Scores,
}

/// What the end of a run cost.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct DoneTiming {
    /// Tokens a second, over all training steps.
    pub tokens_per_s: f64,
    /// Seconds in training steps.
    pub train_seconds: f64,
    /// Seconds in all.
    pub seconds: f64,
    /// The greatest resident memory of the process, in MiB, where the system tells.
    pub peak_rss_mb: Option<f64>,
    /// The run's folder.
    pub run: PathBuf,
}

/// Anything a run tells.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Event {
    /// Before the first step.
    Plan(Plan),
    /// After a step.
    Step(Step, StepTiming),
    /// In the place of a step that is left out.
    Skip(Skip),
    /// After an estimate of the losses.
    Eval(Eval),
    /// A text the model wrote.
    Sample(Sample),
    /// After a checkpoint was written.
    Checkpoint(Checkpoint),
    /// A problem that does not stop the run, but that the user should know. It depends on the
    /// machine, so it is in no file of the run.
    Warning(Warning),
    /// At the end.
    Done(Done, DoneTiming),
}

/// A line of JSON with the event's name in front.
#[derive(Serialize)]
struct Line<'a, A, B> {
    event: &'a str,
    #[serde(flatten)]
    what: &'a A,
    #[serde(flatten)]
    timing: Option<&'a B>,
}

fn line<A: Serialize, B: Serialize>(event: &str, what: &A, timing: Option<&B>) -> String {
    // Plain structs of numbers and strings cannot fail to be written.
    serde_json::to_string(&Line {
        event,
        what,
        timing,
    })
    .unwrap_or_default()
}

const NO_TIMING: Option<&()> = None;

/// A [`StepTiming`] beside its [`Step`], which names the step already.
#[derive(Serialize)]
struct Speed {
    step_ms: f64,
    tokens_per_s: f64,
}

impl Speed {
    fn of(timing: &StepTiming) -> Self {
        Self {
            step_ms: timing.step_ms,
            tokens_per_s: timing.tokens_per_s,
        }
    }
}

impl Event {
    /// The event's name, as in JSON.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Plan(_) => "plan",
            Self::Step(..) => "step",
            Self::Skip(_) => "skip",
            Self::Eval(_) => "eval",
            Self::Sample(_) => "sample",
            Self::Checkpoint(_) => "checkpoint",
            Self::Warning(_) => "warning",
            Self::Done(..) => "done",
        }
    }

    /// Everything, as one line of JSON.
    #[must_use]
    pub fn to_json(&self) -> String {
        let name = self.name();
        match self {
            Self::Plan(plan) => line(name, plan, NO_TIMING),
            Self::Step(step, timing) => line(name, step, Some(&Speed::of(timing))),
            Self::Skip(skip) => line(name, skip, NO_TIMING),
            Self::Eval(eval) => line(name, eval, NO_TIMING),
            Self::Sample(sample) => line(name, sample, NO_TIMING),
            Self::Checkpoint(checkpoint) => line(name, checkpoint, NO_TIMING),
            Self::Warning(warning) => line(name, warning, NO_TIMING),
            Self::Done(done, timing) => line(name, done, Some(timing)),
        }
    }

    /// What the same run always repeats, as one line of JSON.
    #[must_use]
    pub fn metrics(&self) -> Option<String> {
        match self {
            Self::Step(step, _) => Some(line(self.name(), step, NO_TIMING)),
            Self::Skip(skip) => Some(line(self.name(), skip, NO_TIMING)),
            Self::Eval(eval) => Some(line(self.name(), eval, NO_TIMING)),
            Self::Done(done, _) => Some(line(self.name(), done, NO_TIMING)),
            Self::Plan(_) | Self::Sample(_) | Self::Checkpoint(_) | Self::Warning(_) => None,
        }
    }

    /// What the clock and the machine decide, as one line of JSON.
    #[must_use]
    pub fn timings(&self) -> Option<String> {
        match self {
            Self::Plan(plan) => Some(line(self.name(), plan, NO_TIMING)),
            Self::Step(_, timing) => Some(line(self.name(), timing, NO_TIMING)),
            Self::Done(_, timing) => Some(line(self.name(), timing, NO_TIMING)),
            Self::Skip(_)
            | Self::Eval(_)
            | Self::Sample(_)
            | Self::Checkpoint(_)
            | Self::Warning(_) => None,
        }
    }
}
