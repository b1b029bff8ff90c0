//! Going on with a run that was stopped, as if it never had been.
//!
//! Batches, dropout and samples are functions of the seed and the step, so a checkpoint needs no
//! more than weights, AdamW's moments and the step. `state.json` says besides how long
//! `metrics.jsonl` and `samples.txt` were: what a stopped run wrote after its checkpoint is cut off,
//! and written again.

use crate::config::{Config, Schedule, diff};
use crate::event::Plan;
use crate::folder::{RunFolder, latest_checkpoint, write_synced};
use crate::{Error, Result};
use serde::{Deserialize, Serialize};
use std::fs;
use std::path::{Path, PathBuf};

/// A checkpoint's file.
const STATE: &str = "state.json";
const FORMAT: &str = "latimer-checkpoint";
/// 2: with all that resuming needs.
const VERSION: u32 = 2;

/// What a checkpoint keeps of its run beside the tensors.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct State {
    pub(crate) format: String,
    pub(crate) version: u32,
    /// Steps done.
    pub(crate) step: u64,
    /// The tokenizer's fingerprint, in hexadecimal.
    pub(crate) tokenizer: String,
    pub(crate) training_tokens: Option<usize>,
    pub(crate) validation_tokens: usize,
    /// The least validation loss so far.
    pub(crate) best_val_loss: Option<f32>,
    /// Bytes of `metrics.jsonl` and of `samples.txt` at this step.
    pub(crate) metrics_bytes: u64,
    pub(crate) samples_bytes: u64,
    pub(crate) config: Config,
}

impl State {
    /// Of a run with this tokenizer and corpus; lengths and loss are still to be filled in.
    pub(crate) fn new(config: &Config, fingerprint: u64, plan: &Plan) -> Self {
        Self {
            format: FORMAT.to_owned(),
            version: VERSION,
            step: 0,
            tokenizer: format!("{fingerprint:016x}"),
            training_tokens: plan.training_tokens,
            validation_tokens: plan.validation_tokens,
            best_val_loss: None,
            metrics_bytes: 0,
            samples_bytes: 0,
            config: config.clone(),
        }
    }

    pub(crate) fn write(&self, checkpoint: &Path) -> Result<()> {
        let path = checkpoint.join(STATE);
        let text = serde_json::to_string_pretty(self).map_err(|error| Error::Write {
            path: path.clone(),
            source: error.into(),
        })?;
        write_synced(&path, format!("{text}\n").as_bytes())
    }

    fn read(checkpoint: &Path) -> Result<Self> {
        let path = checkpoint.join(STATE);
        let text = fs::read_to_string(&path).map_err(|source| Error::Read {
            path: path.clone(),
            source,
        })?;
        let bad = |reason: String| Error::BadState {
            path: path.clone(),
            reason,
        };
        let value: serde_json::Value =
            serde_json::from_str(&text).map_err(|error| bad(error.to_string()))?;
        if value["format"] != FORMAT || value["version"] != VERSION {
            return Err(bad(format!(
                "it is not of the format {FORMAT}, version {VERSION}"
            )));
        }
        let state: Self = serde_json::from_value(value).map_err(|error| bad(error.to_string()))?;
        let sound = state.config.validate();
        sound.map_err(|error| bad(format!("its configuration is unsound: {error}")))?;
        Ok(state)
    }
}

/// A run that can be gone on with: its newest checkpoint.
#[derive(Clone, Debug)]
pub struct Resume {
    folder: RunFolder,
    checkpoint: PathBuf,
    state: State,
}

impl Resume {
    /// Finds the newest checkpoint of a run folder.
    ///
    /// # Errors
    /// [`Error::NothingToResume`], [`Error::BadState`], [`Error::Read`].
    pub fn open(path: &Path) -> Result<Self> {
        let checkpoint = latest_checkpoint(path)?.ok_or_else(|| Error::NothingToResume {
            path: path.to_owned(),
        })?;
        Ok(Self {
            folder: RunFolder::at(path),
            state: State::read(&checkpoint)?,
            checkpoint,
        })
    }

    /// The run's configuration.
    #[must_use]
    pub fn config(&self) -> &Config {
        &self.state.config
    }

    /// Steps done.
    #[must_use]
    pub fn step(&self) -> u64 {
        self.state.step
    }

    /// The run's folder.
    #[must_use]
    pub fn folder(&self) -> &RunFolder {
        &self.folder
    }

    /// The checkpoint's folder.
    pub(crate) fn checkpoint(&self) -> &Path {
        &self.checkpoint
    }

    pub(crate) fn state(&self) -> &State {
        &self.state
    }

    /// Whether going on under this configuration is the same run. Only a run whose learning rate
    /// stays may be made longer: the steps done would have been the same.
    ///
    /// # Errors
    /// [`Error::ChangedConfig`].
    pub fn check(&self, config: &Config) -> Result<()> {
        let mut allowed = self.config().clone();
        let longer = config.train.max_iters >= self.step();
        if config.train.schedule == Schedule::Constant && longer {
            allowed.train.max_iters = config.train.max_iters;
        }
        let mut differences: Vec<String> = diff(self.config(), config)
            .iter()
            .map(ToString::to_string)
            .collect();
        if allowed.preset != config.preset {
            differences.insert(0, format!("preset: {} → {}", allowed.preset, config.preset));
        } else if diff(&allowed, config).is_empty() {
            return Ok(());
        }
        Err(Error::ChangedConfig {
            path: self.folder.path().to_owned(),
            differences: differences.join(", "),
        })
    }

    /// Whether the corpus and its tokenizer are the run's own.
    pub(crate) fn check_data(&self, now: &State) -> Result<()> {
        let changed = |what| Error::ChangedData {
            path: self.folder.path().to_owned(),
            what,
        };
        let tokens = |state: &State| match state.training_tokens {
            Some(training) => format!("{training} + {} tokens", state.validation_tokens),
            None => format!("{} tokens for validation", state.validation_tokens),
        };
        let (then, now_has) = (tokens(&self.state), tokens(now));
        if self.state.tokenizer != now.tokenizer {
            let (then, now) = (&self.state.tokenizer, &now.tokenizer);
            return Err(changed(format!(
                "the tokenizer's fingerprint: {then} → {now}"
            )));
        }
        if then != now_has {
            return Err(changed(format!("the data: {then} → {now_has}")));
        }
        Ok(())
    }
}
