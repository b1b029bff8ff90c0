//! What a configuration must satisfy to mean something.

use std::ops::RangeInclusive;

use crate::data::shares::{LONGEST, least_share};

use super::{Config, ConfigError, DataConfig, ModelConfig, Result, Schedule, TrainConfig};

// Far above anything that one machine trains: they are there so that a slip of the finger gives a
// sentence instead of an allocation failure, and so that sizes multiply without overflow.
const MAX_LAYERS: u64 = 1_000;
const MAX_WIDTH: u64 = 65_536;
const MAX_CONTEXT: u64 = 1 << 20;
const MAX_FF_FACTOR: u64 = 64;
const MAX_ROWS: u64 = 1 << 20;
const MAX_ITERS: u64 = 1_000_000_000_000;
/// Ids are `u32`.
const MAX_VOCABULARY: u64 = 1 << 31;
/// Parameters without the vocabulary's: 8 TiB in f32.
const MAX_PARAMETERS: u64 = 1 << 41;
/// Tokens in a micro-batch.
const MAX_TOKENS: u64 = 1 << 31;
/// Elements of the widest activation.
const MAX_ACTIVATION: u64 = 1 << 41;

impl Config {
    /// Checks every value and what they are to each other.
    ///
    /// # Errors
    /// [`ConfigError::OutOfRange`], [`ConfigError::Conflict`] or [`ConfigError::TooLarge`]: the
    /// first that is wrong.
    pub fn validate(&self) -> Result<()> {
        self.model.validate()?;
        self.train.validate()?;
        self.data.validate()?;
        let ModelConfig {
            block_size,
            n_embd,
            ff_factor,
            ..
        } = self.model;
        let tokens = self.train.batch_size as u64 * block_size as u64;
        at_most(
            "train.batch_size * model.block_size, the tokens of a micro-batch,",
            tokens,
            MAX_TOKENS,
            "train.batch_size and raise train.grad_accum",
        )?;
        at_most(
            "the largest activation",
            // q, k and v side by side, or the feed-forward's inner layer.
            tokens * n_embd as u64 * ff_factor.max(3) as u64,
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
                "train.schedule = wsd falls in the last train.decay_iters steps, which are 0: the \
                 learning rate stays"
                    .to_owned(),
            );
        }
        if patience > 0 && eval_interval == 0 {
            warnings.push(format!(
                "train.patience = {patience} counts evaluations on the way, of which \
                 train.eval_interval = 0 makes none"
            ));
        }
        warnings
    }
}

impl ModelConfig {
    fn validate(&self) -> Result<()> {
        let Self {
            n_layer,
            n_head,
            n_embd,
            block_size,
            ff_factor,
            ff_proj,
            dropout,
            ..
        } = *self;
        whole("model.n_layer", n_layer as u64, 1..=MAX_LAYERS)?;
        whole("model.n_embd", n_embd as u64, 1..=MAX_WIDTH)?;
        whole("model.n_head", n_head as u64, 1..=MAX_WIDTH)?;
        whole("model.block_size", block_size as u64, 1..=MAX_CONTEXT)?;
        whole("model.ff_factor", ff_factor as u64, 0..=MAX_FF_FACTOR)?;
        number(
            "model.dropout",
            dropout,
            (0.0..1.0).contains(&dropout),
            "it must be in [0, 1)",
        )?;
        if n_embd % n_head != 0 {
            return Err(ConfigError::Conflict {
                key: "model.n_embd",
                value: n_embd.to_string(),
                relation: "is not divisible by",
                other: "model.n_head",
                other_value: n_head.to_string(),
                reason: "head_dim = n_embd / n_head must be whole",
            });
        }
        if ff_factor > 1 && !ff_proj {
            return Err(ConfigError::Conflict {
                key: "model.ff_factor",
                value: ff_factor.to_string(),
                relation: "does not go with",
                other: "model.ff_proj",
                other_value: ff_proj.to_string(),
                reason: "without ff_proj the feed-forward must be as wide as n_embd, \
                         so ff_factor is 1, or 0 for none",
            });
        }
        at_most(
            "the number of parameters, the vocabulary's aside,",
            self.parameters(0),
            MAX_PARAMETERS,
            "model.n_layer or model.n_embd",
        )
    }

    /// Parameters of a model whose sizes are within their limits, a tied weight counted once.
    pub(super) fn parameters(&self, vocab_size: usize) -> u64 {
        let [c, v] = [self.n_embd as u64, vocab_size as u64];
        let linear = |inputs: u64, outputs: u64, bias: bool| {
            inputs * outputs + if bias { outputs } else { 0 }
        };
        let when = |present: bool, count: u64| if present { count } else { 0 };

        let norm = when(self.layer_norm, c + when(self.bias, c));
        let attention =
            linear(c, 3 * c, self.qkv_bias) + when(self.attn_proj, linear(c, c, self.bias));
        let inner = c * self.ff_factor as u64;
        let feed_forward = when(
            self.ff_factor > 0,
            linear(c, inner, self.bias) + when(self.ff_proj, linear(inner, c, self.bias)) + norm,
        );
        let head = when(!self.tie, c * v) + when(self.head_bias, v);
        v * c
            + when(self.positions, self.block_size as u64 * c)
            + self.n_layer as u64 * (norm + attention + feed_forward)
            + norm
            + head
    }
}

impl TrainConfig {
    fn validate(&self) -> Result<()> {
        let unit = |value: f64| (0.0..1.0).contains(&value);
        whole("train.max_iters", self.max_iters, 1..=MAX_ITERS)?;
        whole("train.batch_size", self.batch_size as u64, 1..=MAX_ROWS)?;
        whole("train.grad_accum", self.grad_accum as u64, 1..=MAX_ROWS)?;
        let rate = self.learning_rate;
        let sound = rate.is_finite() && rate > 0.0;
        number(
            "train.learning_rate",
            rate,
            sound,
            "it must be finite and above 0",
        )?;
        in_32_bits("train.learning_rate", rate)?;
        not_negative("train.min_lr", self.min_lr)?;
        if self.schedule != Schedule::Constant && self.min_lr > rate {
            return Err(ConfigError::Conflict {
                key: "train.min_lr",
                value: self.min_lr.to_string(),
                relation: "is above",
                other: "train.learning_rate",
                other_value: rate.to_string(),
                reason: "a falling schedule ends at min_lr, so it must be the lower of the two",
            });
        }
        whole("train.warmup_iters", self.warmup_iters, 0..=MAX_ITERS)?;
        whole("train.decay_iters", self.decay_iters, 0..=MAX_ITERS)?;
        not_negative("train.weight_decay", self.weight_decay)?;
        number(
            "train.beta1",
            self.beta1,
            unit(self.beta1),
            "it must be in [0, 1)",
        )?;
        number(
            "train.beta2",
            self.beta2,
            unit(self.beta2),
            "it must be in [0, 1)",
        )?;
        for (key, beta) in [("train.beta1", self.beta1), ("train.beta2", self.beta2)] {
            let sound = beta as f32 != 1.0;
            let reason = "it must be at most 0.9999999, as it is rounded to 32 bits";
            number(key, beta, sound, reason)?;
        }
        let sound = self.eps.is_finite() && self.eps > 0.0;
        number(
            "train.eps",
            self.eps,
            sound,
            "it must be finite and above 0",
        )?;
        in_32_bits("train.eps", self.eps)?;
        not_negative("train.grad_clip", self.grad_clip)?;
        in_32_bits("train.grad_clip", self.grad_clip)?;
        not_negative("train.skip_outliers", self.skip_outliers)?;
        // Also without evaluations on the way, there is one at the end.
        whole("train.eval_iters", self.eval_iters as u64, 1..=MAX_ITERS)?;
        let part = self.val_fraction;
        number(
            "train.val_fraction",
            part,
            unit(part),
            "it must be in [0, 1)",
        )
    }
}

impl DataConfig {
    fn validate(&self) -> Result<()> {
        if self.data.iter().any(String::is_empty) {
            return Err(ConfigError::OutOfRange {
                key: "data.data",
                value: format!("{:?}", self.data),
                reason: "a name in the list is empty".to_owned(),
            });
        }
        if self.tokenizer.is_empty() {
            return Err(ConfigError::OutOfRange {
                key: "data.tokenizer",
                value: "\"\"".to_owned(),
                reason: "it must be char, word, ngram, bpe or a tokenizer file".to_owned(),
            });
        }
        self.validate_weights()?;
        whole(
            "data.max_vocab_size",
            self.max_vocab_size as u64,
            0..=MAX_VOCABULARY,
        )
    }

    fn validate_weights(&self) -> Result<()> {
        let weights = &self.data_weights;
        if weights.is_empty() {
            return Ok(());
        }
        let refused = |reason: String| {
            Err(ConfigError::OutOfRange {
                key: "data.data_weights",
                value: format!("{weights:?}"),
                reason,
            })
        };
        let names = self.data.len();
        if names < 2 {
            return refused(
                "weights are for several names in data.data: leave them out, or give --data more"
                    .to_owned(),
            );
        }
        if weights.len() != names {
            return refused(format!(
                "data.data has {names} names, and each needs a weight: there are {}",
                weights.len()
            ));
        }
        if !weights
            .iter()
            .all(|weight| weight.is_finite() && *weight > 0.0)
        {
            return refused("each must be finite and above 0".to_owned());
        }
        // As near as a sum of rounded numbers comes.
        if least_share(weights) < (1.0 - 1e-9) / f64::from(LONGEST) {
            return refused(format!("each must be 1/{LONGEST} of their sum or more"));
        }
        Ok(())
    }
}

fn whole(key: &'static str, value: u64, range: RangeInclusive<u64>) -> Result<()> {
    if range.contains(&value) {
        return Ok(());
    }
    let reason = format!("it must be from {} to {}", range.start(), range.end());
    Err(ConfigError::OutOfRange {
        key,
        value: value.to_string(),
        reason,
    })
}

fn not_negative(key: &'static str, value: f64) -> Result<()> {
    let sound = value.is_finite() && value >= 0.0;
    number(key, value, sound, "it must be finite and 0 or more")?;
    let sound = (value as f32).is_finite();
    number(key, value, sound, TOO_LARGE_FOR_32_BITS)
}

const TOO_LARGE_FOR_32_BITS: &str = "it must be at most 3.4e38, as it is rounded to 32 bits";

/// Checks that a finite number, 0 or more, means the same where it is computed with: there, 1e39 is
/// infinite and 1e-50 is 0.
fn in_32_bits(key: &'static str, value: f64) -> Result<()> {
    let rounded = value as f32;
    number(key, value, rounded.is_finite(), TOO_LARGE_FOR_32_BITS)?;
    let sound = value == 0.0 || rounded >= f32::MIN_POSITIVE;
    let reason = "it must be at least 1.2e-38, as it is rounded to 32 bits";
    number(key, value, sound, reason)
}

fn number(
    key: &'static str,
    value: impl Into<f64> + std::fmt::Display + std::fmt::LowerExp + Copy,
    sound: bool,
    reason: &'static str,
) -> Result<()> {
    if sound {
        return Ok(());
    }
    Err(ConfigError::OutOfRange {
        key,
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
