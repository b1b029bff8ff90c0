//! One run, described by one value: the model, how it is trained, and on what.
//!
//! A [`Config`] begins as a preset, is overlaid by a TOML file and then by flags:
//! preset < file < flags ([`Config::resolve`]). Every key is a row of [`KEYS`], from which flags,
//! comments and checks are made, so that a key that exists in one place exists in all of them.
//!
//! ```toml
//! preset = "baby"
//!
//! [train]
//! learning_rate = 5e-4
//! ```
//!
//! The vocabulary size is not a key: it comes from the tokenizer.

mod error;
mod keys;
mod overlay;
mod presets;
mod print;
#[cfg(test)]
mod tests;
mod validate;
mod value;

use latimer_nn::{GptConfig, choices};
use serde::{Deserialize, Serialize};

pub use error::{ConfigError, Origin, Result};
pub use keys::{KEYS, Key, KeyKind, OLD_KEYS};
pub use presets::{DEFAULT_PRESET, PRESETS, Preset};
pub use print::{Difference, diff};

/// A whole run. Read it with [`Config::resolve`], which fills what a file leaves out; the derived
/// `Deserialize` wants every key and accepts no other.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The preset this began as.
    pub preset: String,
    /// The shape of the model, without its vocabulary: that comes from the tokenizer
    /// ([`GptConfig::with_vocab`]).
    pub model: GptConfig,
    /// How it is trained.
    pub train: TrainConfig,
    /// What it is trained on.
    pub data: DataConfig,
}

/// How the model is trained. An iteration is one optimizer step.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrainConfig {
    /// Optimizer steps.
    pub max_iters: u64,
    /// Rows per micro-batch, B; an optimizer step sees `batch_size * grad_accum` rows.
    pub batch_size: usize,
    /// Micro-batches whose gradients are averaged in one optimizer step.
    pub grad_accum: usize,
    /// Learning rate after the warm-up.
    pub learning_rate: f64,
    /// Learning rate that a falling schedule ends at; a constant one ignores it.
    pub min_lr: f64,
    /// Optimizer steps of linear warm-up.
    pub warmup_iters: u64,
    /// The learning rate's course after the warm-up.
    pub schedule: Schedule,
    /// Optimizer steps at the end over which schedule `wsd` falls; others ignore it.
    pub decay_iters: u64,
    /// AdamW's decoupled weight decay.
    pub weight_decay: f64,
    /// Whether weight decay reaches every parameter, as by default in PyTorch's AdamW, or only
    /// those of rank 2 and more (biases and layer norms are spared).
    pub decay_all: bool,
    /// AdamW's decay of the mean gradient.
    pub beta1: f64,
    /// AdamW's decay of the mean squared gradient.
    pub beta2: f64,
    /// AdamW's epsilon, added to the divisor.
    pub eps: f64,
    /// Largest L2 norm of the whole gradient; 0 leaves it as it is.
    pub grad_clip: f64,
    /// A step whose loss or gradient norm lies more than this many standard deviations above the
    /// mean of the steps before updates nothing; 0 lets every step update.
    pub skip_outliers: f64,
    /// Evaluations in a row without a lower validation loss that end the run; 0 never ends it.
    pub patience: u64,
    /// Whether every step sees the rows of the first: a model that cannot learn them is wrong.
    pub overfit_one_batch: bool,
    /// The order in which windows of a text are taken.
    pub order: Order,
    /// Optimizer steps from one evaluation to the next; 0 evaluates at the end only.
    pub eval_interval: u64,
    /// Batches that an evaluation along the way averages over, for each split; no more than have as
    /// many tokens as the split.
    pub eval_iters: usize,
    /// The part of the text kept for validation, from 0 to below 1.
    pub val_fraction: f64,
    /// Optimizer steps from one sample to the next; 0 takes none.
    pub sample_interval: u64,
    /// Optimizer steps from one checkpoint to the next; 0 writes one at the end only.
    pub checkpoint_interval: u64,
    /// Newest checkpoints that are kept; 0 keeps all.
    pub keep_last: usize,
    /// Whether the model with the lowest validation loss of the evaluations on the way is kept, in
    /// a checkpoint that the file `best` names.
    pub keep_best: bool,
    /// Seed of everything random: weights, batches, dropout, samples.
    pub seed: u64,
    /// Number type of activations.
    pub dtype: Dtype,
}

/// What the model is trained on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DataConfig {
    /// Corpus names or file paths; in TOML a string or an array of strings. Joined in this order,
    /// unless `data_weights` keeps them apart.
    #[serde(with = "print::text_list")]
    pub data: Vec<String>,
    /// How often rows are taken from each name of `data`, in proportion to each other; none joins
    /// them. See [`crate::data::mixture`].
    #[serde(default)]
    pub data_weights: Vec<f64>,
    /// What the names of a folder's files end in to be read, in any case and with or without the
    /// dot; none stands for [`TEXT_EXTENSIONS`](crate::data::TEXT_EXTENSIONS).
    #[serde(default, with = "print::text_list")]
    pub extensions: Vec<String>,
    /// `char`, `word`, `ngram`, `bpe`, or a tokenizer file.
    pub tokenizer: String,
    /// Most tokens that a vocabulary learnt from the data may have; 0 sets no limit.
    pub max_vocab_size: usize,
}

choices! {
    /// The learning rate's course after the warm-up; see [`crate::schedule`].
    Schedule {
        /// Stays.
        Constant = "constant",
        /// Falls along half a cosine to `min_lr`.
        Cosine = "cosine",
        /// Falls along a line to `min_lr`.
        Linear = "linear",
        /// Stays, and falls along a line to `min_lr` in the last `decay_iters` steps.
        Wsd = "wsd",
    }
}

choices! {
    /// The order in which an epoch takes the windows of a text, each once; see
    /// [`crate::data::sampler`].
    Order {
        /// Any few in a row lie evenly over the whole text.
        Spread = "spread",
        /// At random.
        Shuffle = "shuffle",
    }
}

choices! {
    /// Number type of activations and of the weights that they meet.
    Dtype {
        /// 32-bit floats.
        F32 = "f32",
        /// 16-bit brain floats; weights are kept in 32 bits too, and all sums and the optimizer's
        /// state are.
        Bf16 = "bf16",
    }
}

impl Dtype {
    /// The element type.
    #[must_use]
    pub fn dtype(self) -> latimer_tensor::DType {
        match self {
            Self::F32 => latimer_tensor::DType::F32,
            Self::Bf16 => latimer_tensor::DType::Bf16,
        }
    }
}

/// The candidate that `name` most likely meant, if any comes near.
pub fn nearest<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    // Jaro-Winkler rewards a common beginning, so "gpt2" finds "gpt2-124m". Below 0.75 the
    // suggestions were noise on the keys and presets of this module.
    const NEAR: f64 = 0.75;
    let name = name.to_lowercase();
    candidates
        .into_iter()
        .map(|candidate| (strsim::jaro_winkler(&name, candidate), candidate))
        .filter(|(similarity, _)| *similarity >= NEAR)
        .reduce(|best, next| if next.0 > best.0 { next } else { best })
        .map(|(_, candidate)| candidate)
}
