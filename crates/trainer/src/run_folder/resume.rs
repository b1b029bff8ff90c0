//! Going on with a run that was stopped, as if it never had been.
//!
//! Batches, dropout and samples are functions of the seed and the step, so a checkpoint needs no
//! more than weights, AdamW's moments and the step. `state.json` says besides how long
//! `metrics.jsonl` and `samples.txt` were: what a stopped run wrote after its checkpoint is cut
//! off, and written again.

use super::bad_steps::BadSteps;
use super::checkpoints::{Candidates, Sound};
use super::folder::{
    CONFIG_JSON, CONFIG_TOML, MODEL, OPTIMIZER, RunFolder, TOKENIZER_JSON, write_synced,
};
use super::manifest::{self, MANIFEST};
use crate::config::{Config, Schedule, diff};
use crate::event::{Eval, Plan};
use crate::{Error, Result};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// A checkpoint's file.
const STATE: &str = "state.json";
const FORMAT: &str = "latimer-checkpoint";
/// 4: the model's shape as [`GptConfig`](latimer_nn::GptConfig) has it. 3: with a manifest beside
/// it. 2: with all that resuming needs. Both are read, too.
const VERSION: u32 = 4;
/// From this version on there is a manifest.
const SEALED: u32 = 3;
const OLDEST: u32 = 2;

/// What a checkpoint keeps of its run beside the tensors.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct State {
    pub(crate) format: String,
    pub(crate) version: u32,
    /// Steps done.
    pub(crate) step: u64,
    /// The tokenizer's fingerprint, in hexadecimal.
    pub(crate) tokenizer: String,
    /// The corpus's, likewise.
    #[serde(default)]
    pub(crate) data: Option<String>,
    pub(crate) training_tokens: Option<usize>,
    pub(crate) validation_tokens: usize,
    /// The least validation loss so far.
    pub(crate) best_val_loss: Option<f32>,
    /// The step of that loss, and how many evaluations came after it.
    #[serde(default)]
    pub(crate) best_step: Option<u64>,
    #[serde(default)]
    pub(crate) evals_since_best: u64,
    /// Loss and gradient norm of the last steps, where outliers are skipped.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) recent: Vec<[f32; 2]>,
    /// Whether the run was stopped before what is to come after this step, an evaluation and a
    /// sample, was done: they come first when it is resumed.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) undone: bool,
    /// Bytes of `metrics.jsonl` and of `samples.txt` at this step.
    pub(crate) metrics_bytes: u64,
    pub(crate) samples_bytes: u64,
    pub(crate) config: Config,
}

impl State {
    /// Of a run with this tokenizer and corpus; lengths and loss are still to be filled in.
    pub(crate) fn new(config: &Config, fingerprint: u64, data: u64, plan: &Plan) -> Self {
        Self {
            tokenizer: format!("{fingerprint:016x}"),
            data: Some(format!("{data:016x}")),
            training_tokens: plan.training_tokens,
            validation_tokens: plan.validation_tokens,
            ..Self::beginning(config)
        }
    }

    /// Of a run that has not been set up.
    fn beginning(config: &Config) -> Self {
        Self {
            format: FORMAT.to_owned(),
            version: VERSION,
            step: 0,
            tokenizer: String::new(),
            data: None,
            training_tokens: None,
            validation_tokens: 0,
            best_val_loss: None,
            best_step: None,
            evals_since_best: 0,
            recent: Vec::new(),
            undone: false,
            metrics_bytes: 0,
            samples_bytes: 0,
            config: config.clone(),
        }
    }

    /// Takes an evaluation on the way into account.
    pub(crate) fn judge(&mut self, eval: &Eval) {
        let Some(loss) = eval.val_loss else { return };
        if self.best_val_loss.is_none_or(|best| loss < best) {
            self.best_val_loss = Some(loss);
            self.best_step = Some(eval.step);
            self.evals_since_best = 0;
        } else {
            self.evals_since_best += 1;
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
        let text = latimer_text::read(&path).map_err(Error::of_file)?;
        let bad = |reason: String| Error::BadState {
            path: path.clone(),
            reason,
        };
        let mut value: serde_json::Value =
            serde_json::from_str(&text).map_err(|error| bad(error.to_string()))?;
        let (format, version) = (&value["format"], &value["version"]);
        let known = version
            .as_u64()
            .filter(|n| (OLDEST.into()..=VERSION.into()).contains(n));
        let Some(known) = known.filter(|_| format == FORMAT) else {
            return Err(bad(format!(
                "it is version {version} of the format {format}, and this program reads versions \
                 {OLDEST} to {VERSION} of {FORMAT:?}"
            )));
        };
        if known < VERSION.into() {
            migrate(&mut value).map_err(|error| bad(error.to_string()))?;
        }
        if known >= SEALED.into() && !checkpoint.join(MANIFEST).is_file() {
            return Err(Error::BadCheckpoint {
                path: checkpoint.join(MANIFEST),
                reason: "it is missing".to_owned(),
            });
        }
        let state: Self = serde_json::from_value(value).map_err(|error| bad(error.to_string()))?;
        let sound = state.config.validate();
        sound.map_err(|error| bad(format!("its configuration is invalid: {error}")))?;
        Ok(state)
    }
}

/// Makes a state of an earlier version one of today's: the model's shape is written in another way,
/// and keys that came since are what its preset has, which is what was done before there was such a
/// key.
fn migrate(state: &mut serde_json::Value) -> latimer_nn::Result<()> {
    state["version"] = VERSION.into();
    if let Some(model) = state["config"]["model"].as_object_mut() {
        latimer_nn::io::migrate_config(model)?;
    }
    let preset = state["config"]["preset"].as_str().unwrap_or_default();
    let Some(preset) = Config::preset(preset)
        .ok()
        .and_then(|preset| serde_json::to_value(preset).ok())
    else {
        return Ok(());
    };
    for section in ["model", "train", "data"] {
        let then = state["config"][section].as_object_mut();
        let (Some(then), Some(now)) = (then, preset[section].as_object()) else {
            return Ok(());
        };
        for (key, value) in now {
            then.entry(key).or_insert_with(|| value.clone());
        }
    }
    Ok(())
}

/// A run that can be resumed: from its newest undamaged checkpoint, or from its beginning. While
/// this value exists, no other process can resume the run.
#[derive(Clone, Debug)]
pub struct Resume {
    folder: RunFolder,
    /// `None` if the run stopped before its first checkpoint.
    checkpoint: Option<PathBuf>,
    state: State,
    bad_steps: BadSteps,
    passed_over: Vec<String>,
}

impl Resume {
    /// Finds the newest checkpoint of a run folder that is sound, and locks the folder.
    ///
    /// # Errors
    /// [`Error::NothingToResume`], [`Error::InUse`]; where no checkpoint is sound,
    /// [`Error::BadCheckpoint`], [`Error::BadState`] or [`Error::Read`] of the newest.
    pub fn open(path: &Path) -> Result<Self> {
        if !path.exists() {
            return Err(Error::Read {
                path: path.to_owned(),
                source: std::io::ErrorKind::NotFound.into(),
            });
        }
        let config = path.join(CONFIG_TOML);
        if Candidates::of(path)?.is_empty() && !config.is_file() {
            return Err(Error::NothingToResume {
                path: path.to_owned(),
            });
        }
        let folder = RunFolder::at(path)?;
        let bad_steps = BadSteps::read(&folder)?;
        let candidates = Candidates::of(path)?;
        if candidates.is_empty() {
            let config = Config::resolve(None, Some(&config), &[])?;
            return Ok(Self {
                folder,
                checkpoint: None,
                state: State::beginning(&config),
                bad_steps,
                passed_over: Vec::new(),
            });
        }
        let sound = candidates.first_sound(|checkpoint| {
            manifest::verify(
                checkpoint,
                &[STATE, CONFIG_JSON, TOKENIZER_JSON, MODEL, OPTIMIZER],
            )?;
            State::read(checkpoint)
        })?;
        let Sound {
            path,
            found,
            passed_over,
        } = sound;
        Ok(Self {
            folder,
            checkpoint: Some(path),
            state: found,
            bad_steps,
            passed_over,
        })
    }

    /// Leaves out the step that stopped the run because something in it was not finite: it counts,
    /// but its rows are not trained on. Which step that is.
    ///
    /// # Errors
    /// [`Error::NothingToSkip`], [`Error::SkipDoesNotHelp`], [`Error::Write`].
    pub fn skip_batch(&mut self) -> Result<u64> {
        let path = || self.folder.path().to_owned();
        let Some(step) = self.bad_steps.not_finite else {
            return Err(Error::NothingToSkip { path: path() });
        };
        if self.bad_steps.beyond_help {
            return Err(Error::SkipDoesNotHelp { path: path(), step });
        }
        self.bad_steps.not_finite = None;
        self.bad_steps.skipped.insert(step);
        self.bad_steps.write(&self.folder)?;
        Ok(step)
    }

    /// Newer checkpoints that are damaged and were passed over, a sentence each.
    #[must_use]
    pub fn passed_over(&self) -> &[String] {
        &self.passed_over
    }

    pub(crate) fn bad_steps(&self) -> &BadSteps {
        &self.bad_steps
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

    /// The checkpoint's folder; none if the run starts again from its beginning.
    pub(crate) fn checkpoint(&self) -> Option<&Path> {
        self.checkpoint.as_deref()
    }

    pub(crate) fn state(&self) -> &State {
        &self.state
    }

    /// Whether going on under this configuration is the same run. Only a run whose learning rate
    /// stayed so far may be made longer: the steps done would have been the same.
    ///
    /// # Errors
    /// [`Error::ChangedConfig`].
    pub fn check(&self, config: &Config) -> Result<()> {
        let mut allowed = self.config().clone();
        let (then, now) = (&self.config().train, &config.train);
        let longer = match now.schedule {
            Schedule::Constant => true,
            // Both are still to fall, so all rates up to here agree.
            Schedule::Wsd => [then, now]
                .iter()
                .all(|train| self.step() <= train.max_iters.saturating_sub(train.decay_iters)),
            _ => false,
        };
        if longer && now.max_iters >= self.step() {
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
        if self.checkpoint.is_none() {
            return Ok(());
        }
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
        if let (Some(then), Some(now)) = (&self.state.data, &now.data)
            && then != now
        {
            return Err(changed(format!("the data's fingerprint: {then} → {now}")));
        }
        Ok(())
    }
}
