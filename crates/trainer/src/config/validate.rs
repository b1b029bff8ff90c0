//! What a configuration must satisfy to mean something.

use std::fmt::Display;
use std::ops::RangeInclusive;

use crate::data::is_ending;
use crate::data::shares::{LONGEST, least_share};

use super::{Config, ConfigError, DataConfig, Result, Schedule, TrainConfig};
use latimer_nn::GptConfig;

// Far above anything that one machine trains: they are there so that a slip of the finger gives a
// sentence instead of an allocation failure, and so that sizes multiply without overflow.
const MAX_ROWS: u64 = 1 << 20;
const MAX_ITERS: u64 = 1_000_000_000_000;
/// Ids are `u32`.
const MAX_VOCABULARY: u64 = 1 << 31;
/// Tokens in a micro-batch.
const MAX_TOKENS: u64 = 1 << 31;
/// Elements of the widest activation.
const MAX_ACTIVATION: u64 = 1 << 41;

/// The range of every whole number but the model's ([`GptConfig::SIZES`]), by key; other whole
/// numbers may have any value.
const WHOLE: &[(&str, RangeInclusive<u64>)] = &[
    ("train.max_iters", 1..=MAX_ITERS),
    ("train.batch_size", 1..=MAX_ROWS),
    ("train.grad_accum", 1..=MAX_ROWS),
    ("train.warmup_iters", 0..=MAX_ITERS),
    ("train.decay_iters", 0..=MAX_ITERS),
    ("train.eval_iters", 1..=MAX_ITERS),
    ("data.max_vocab_size", 0..=MAX_VOCABULARY),
];

const ABOVE_ZERO: Range = Range {
    holds: |x| x.is_finite() && x > 0.0,
    says: "finite and above 0",
};
const NOT_NEGATIVE: Range = Range {
    holds: |x| x.is_finite() && x >= 0.0,
    says: "finite and 0 or more",
};
const UNIT: Range = Range {
    holds: |x| (0.0..1.0).contains(&x),
    says: "in [0, 1)",
};

/// The range of every other number, by key.
const REAL: &[(&str, Range)] = &[
    ("model.norm_eps", ABOVE_ZERO),
    ("model.dropout", UNIT),
    ("train.learning_rate", ABOVE_ZERO),
    ("train.min_lr", NOT_NEGATIVE),
    ("train.weight_decay", NOT_NEGATIVE),
    ("train.beta1", UNIT),
    ("train.beta2", UNIT),
    ("train.eps", ABOVE_ZERO),
    ("train.grad_clip", NOT_NEGATIVE),
    ("train.skip_outliers", NOT_NEGATIVE),
    ("train.val_fraction", UNIT),
];

/// Which numbers a key takes, to follow "it must be"; nothing where its kind says all.
pub(super) fn range_of(path: &str) -> Option<String> {
    let size = GptConfig::SIZES
        .into_iter()
        .find(|(key, _)| path.strip_prefix("model.") == Some(key));
    if let Some((_, range)) = size {
        return Some(format!(
            "a whole number from {} to {}",
            range.start(),
            range.end()
        ));
    }
    let whole = WHOLE.iter().find(|(key, _)| *key == path);
    let real = REAL.iter().find(|(key, _)| *key == path);
    whole
        .map(|(_, range)| format!("a whole number from {} to {}", range.start(), range.end()))
        .or_else(|| real.map(|(_, range)| format!("a number, {}", range.says)))
}

/// Numbers that a key takes.
#[derive(Clone, Copy)]
struct Range {
    holds: fn(f64) -> bool,
    says: &'static str,
}

impl Config {
    /// Checks every value and what they are to each other.
    ///
    /// # Errors
    /// [`ConfigError::OutOfRange`], [`ConfigError::Conflict`] or [`ConfigError::TooLarge`]: the
    /// first that is wrong.
    pub fn validate(&self) -> Result<()> {
        model(&self.model)?;
        self.train.validate()?;
        self.data.validate()?;
        let tokens = self.train.batch_size as u64 * self.model.block_size as u64;
        let width = self.model.inner_width().max(3 * self.model.n_embd);
        at_most(
            "train.batch_size * model.block_size, the tokens of a micro-batch,",
            tokens,
            MAX_TOKENS,
            "train.batch_size and raise train.grad_accum",
        )?;
        at_most(
            "the largest activation",
            // q, k and v side by side, or the feed-forward's inner layer.
            tokens * width as u64,
            MAX_ACTIVATION,
            "train.batch_size, model.block_size or model.n_embd",
        )
    }

    /// Checks that there is something to train on: a preset may leave it to the person.
    ///
    /// # Errors
    /// [`ConfigError::NoData`].
    pub fn require_data(&self) -> Result<()> {
        match self.data.data.is_empty() {
            true => Err(ConfigError::NoData {
                preset: self.preset.clone(),
            }),
            false => Ok(()),
        }
    }

    /// What is allowed and probably not meant: one sentence each, for a person.
    #[must_use]
    pub fn warnings(&self) -> Vec<String> {
        let TrainConfig {
            max_iters,
            warmup_iters,
            learning_rate,
            ..
        } = self.train;
        let mut warnings = Vec::new();
        if warmup_iters >= max_iters {
            warnings.push(format!(
                "the run ends within its warm-up (train.max_iters = {max_iters}, \
                 train.warmup_iters = {warmup_iters}): \
                 train.learning_rate = {learning_rate} is never reached"
            ));
        }
        let TrainConfig {
            schedule,
            decay_iters,
            patience,
            eval_interval,
            ..
        } = self.train;
        if schedule == Schedule::Wsd && decay_iters == 0 {
            warnings.push(
                "train.schedule = wsd lowers the learning rate over the last train.decay_iters \
                 steps, but that is 0: the rate stays constant"
                    .to_owned(),
            );
        }
        if patience > 0 && eval_interval == 0 {
            warnings.push(format!(
                "train.patience = {patience} counts evaluations during the run, but \
                 train.eval_interval = 0 makes none"
            ));
        }
        warnings
    }
}

/// Checks a model's shape; its vocabulary is not known yet.
fn model(model: &GptConfig) -> Result<()> {
    model.with_vocab(1).check().map_err(|error| match error {
        latimer_nn::Error::InvalidConfig { key, got, reason } => ConfigError::OutOfRange {
            key: format!("model.{key}"),
            value: got,
            reason,
        },
        other => ConfigError::OutOfRange {
            key: "model".to_owned(),
            value: "none".to_owned(),
            reason: other.to_string(),
        },
    })
}

impl TrainConfig {
    fn validate(&self) -> Result<()> {
        whole("train.max_iters", self.max_iters)?;
        whole("train.batch_size", self.batch_size as u64)?;
        whole("train.grad_accum", self.grad_accum as u64)?;
        let rate = self.learning_rate;
        real("train.learning_rate", rate)?;
        in_32_bits("train.learning_rate", rate)?;
        real("train.min_lr", self.min_lr)?;
        at_most_in_32_bits("train.min_lr", self.min_lr)?;
        if self.schedule != Schedule::Constant && self.min_lr > rate {
            return Err(ConfigError::Conflict {
                key: "train.min_lr",
                value: self.min_lr.to_string(),
                relation: "is above",
                other: "train.learning_rate",
                other_value: rate.to_string(),
                reason: "a falling schedule ends at min_lr, which must not be above it",
            });
        }
        whole("train.warmup_iters", self.warmup_iters)?;
        whole("train.decay_iters", self.decay_iters)?;
        real("train.weight_decay", self.weight_decay)?;
        at_most_in_32_bits("train.weight_decay", self.weight_decay)?;
        for (key, beta) in [("train.beta1", self.beta1), ("train.beta2", self.beta2)] {
            real(key, beta)?;
            let sound = beta as f32 != 1.0;
            let reason = "it must be at most 0.9999999, because it is rounded to 32 bits";
            number(key, beta, sound, reason)?;
        }
        real("train.eps", self.eps)?;
        in_32_bits("train.eps", self.eps)?;
        real("train.grad_clip", self.grad_clip)?;
        in_32_bits("train.grad_clip", self.grad_clip)?;
        real("train.skip_outliers", self.skip_outliers)?;
        at_most_in_32_bits("train.skip_outliers", self.skip_outliers)?;
        // Also without evaluations on the way, there is one at the end.
        whole("train.eval_iters", self.eval_iters as u64)?;
        real("train.val_fraction", self.val_fraction)
    }
}

impl DataConfig {
    fn validate(&self) -> Result<()> {
        if self.data.iter().any(String::is_empty) {
            return Err(ConfigError::OutOfRange {
                key: "data.data".to_owned(),
                value: format!("{:?}", self.data),
                reason: "it must be a list of names that are not empty".to_owned(),
            });
        }
        let odd = |extensions: &String| !extensions.split(',').all(is_ending);
        if self.extensions.iter().any(odd) {
            return Err(ConfigError::OutOfRange {
                key: "data.extensions".to_owned(),
                value: format!("{:?}", self.extensions),
                reason: "it must be file endings such as py or .txt; patterns belong in --data"
                    .to_owned(),
            });
        }
        if self.tokenizer.is_empty() {
            return Err(ConfigError::OutOfRange {
                key: "data.tokenizer".to_owned(),
                value: "\"\"".to_owned(),
                reason: "it must be char, word, ngram, bpe or a tokenizer file".to_owned(),
            });
        }
        self.validate_weights()?;
        whole("data.max_vocab_size", self.max_vocab_size as u64)
    }

    fn validate_weights(&self) -> Result<()> {
        let weights = &self.data_weights;
        if weights.is_empty() {
            return Ok(());
        }
        let refused = |reason: String| {
            Err(ConfigError::OutOfRange {
                key: "data.data_weights".to_owned(),
                value: format!("{weights:?}"),
                reason,
            })
        };
        let names = self.data.len();
        if names < 2 {
            return refused(
                "it must be empty unless data.data has several names: leave it out, or add names \
                 to --data"
                    .to_owned(),
            );
        }
        if weights.len() != names {
            return refused(format!(
                "it must be a list of {names} weights, one for each name in data.data, not {}",
                weights.len()
            ));
        }
        if !weights
            .iter()
            .all(|weight| weight.is_finite() && *weight > 0.0)
        {
            return refused("it must be a list of numbers that are finite and above 0".to_owned());
        }
        // As near as a sum of rounded numbers comes.
        if least_share(weights) < (1.0 - 1e-9) / f64::from(LONGEST) {
            return refused(format!(
                "it must be a list of weights, each at least 1/{LONGEST} of their sum"
            ));
        }
        Ok(())
    }
}

/// Checks a key of [`WHOLE`].
fn whole(key: &'static str, value: u64) -> Result<()> {
    match WHOLE.iter().find(|(known, _)| *known == key) {
        Some((_, range)) if !range.contains(&value) => Err(ConfigError::OutOfRange {
            key: key.to_owned(),
            value: value.to_string(),
            reason: format!("it must be from {} to {}", range.start(), range.end()),
        }),
        Some(_) => Ok(()),
        None => unreachable!("{key} is in the table of whole numbers"),
    }
}

/// Checks a key of [`REAL`].
fn real(
    key: &'static str,
    value: impl Into<f64> + Display + std::fmt::LowerExp + Copy,
) -> Result<()> {
    match REAL.iter().find(|(known, _)| *known == key) {
        Some((_, range)) => {
            let sound = (range.holds)(value.into());
            number(key, value, sound, &format!("it must be {}", range.says))
        }
        None => unreachable!("{key} is in the table of numbers"),
    }
}

const TOO_LARGE_FOR_32_BITS: &str = "it must be at most 3.4e38, because it is rounded to 32 bits";

/// Checks that a finite number is finite where it is computed with: there, 1e39 is infinite.
fn at_most_in_32_bits(key: &'static str, value: f64) -> Result<()> {
    let sound = (value as f32).is_finite();
    number(key, value, sound, TOO_LARGE_FOR_32_BITS)
}

/// Checks that a finite number, 0 or more, means the same where it is computed with: there, 1e39 is
/// infinite and 1e-50 is 0.
fn in_32_bits(key: &'static str, value: f64) -> Result<()> {
    at_most_in_32_bits(key, value)?;
    let sound = value == 0.0 || value as f32 >= f32::MIN_POSITIVE;
    let reason = "it must be at least 1.2e-38, because it is rounded to 32 bits";
    number(key, value, sound, reason)
}

fn number(
    key: &'static str,
    value: impl Into<f64> + Display + std::fmt::LowerExp + Copy,
    sound: bool,
    reason: &str,
) -> Result<()> {
    if sound {
        return Ok(());
    }
    Err(ConfigError::OutOfRange {
        key: key.to_owned(),
        // As a person writes it: 1e39, not 1 and 39 zeros.
        value: match value.into().abs() {
            x if x.is_finite() && x != 0.0 && !(1e-4..1e16).contains(&x) => format!("{value:e}"),
            _ => value.to_string(),
        },
        reason: reason.to_owned(),
    })
}

fn at_most(quantity: &'static str, value: u64, limit: u64, keys: &'static str) -> Result<()> {
    if value <= limit {
        return Ok(());
    }
    Err(ConfigError::TooLarge {
        quantity,
        value,
        limit,
        keys,
    })
}
