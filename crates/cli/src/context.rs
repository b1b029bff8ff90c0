//! What every command is given: devices, terminal, signals, the model that is meant.

use crate::args::{Common, ModelArgs};
use crate::error::{Error, Result, sentence};
use crate::registry::{AUTO, Options, Registry, RegistryError};
use crate::signals::Signals;
use crate::terminal::Terminal;
use latimer_tensor::Device;
use latimer_trainer::config::{Dtype, nearest};
use latimer_trainer::data::corpora::Library;
use latimer_trainer::{Model, load_tokenizer, newest_run};
use std::path::{Path, PathBuf};

/// The default folder of runs.
pub(crate) const RUNS: &str = "runs";

/// Data that every command can use.
#[derive(Debug)]
pub(crate) struct Context {
    pub(crate) registry: Registry,
    pub(crate) common: Common,
    pub(crate) terminal: Terminal,
    pub(crate) signals: Signals,
}

impl Context {
    /// The device that `--backend` and `--threads` name.
    pub(crate) fn device(&self) -> Result<Device> {
        let (device, passed_over) = self.open()?;
        if let Some(reason) = passed_over {
            let taken = device.info().backend;
            self.terminal
                .detail(1, format_args!("{taken} is used: {reason}"));
        }
        Ok(device)
    }

    /// The device; and, if the backend was `auto` and no GPU is used, the reason.
    pub(crate) fn open(&self) -> Result<(Device, Option<String>)> {
        let options = Options::new(self.common.threads);
        let device = self.registry.open(&self.common.backend, &options)?;
        let taken = device.info().backend;
        if self.common.backend != AUTO || taken == "cuda" {
            return Ok((device, None));
        }
        let reason = match self.registry.open("cuda", &options) {
            Err(error @ RegistryError::Unavailable { .. }) => {
                let reason = std::error::Error::source(&error).map_or_else(String::new, sentence);
                // Further advice is only for users who asked for a GPU.
                let reason = reason.split([':', ';']).next().unwrap_or_default();
                Some(reason.to_owned())
            }
            _ => None,
        };
        Ok((device, reason))
    }

    /// Warns if a number type is not native on the device.
    pub(crate) fn warn_if_slow(&self, device: &Device, dtype: Dtype) {
        if !device.is_native(dtype.dtype()) {
            let (dtype, info) = (dtype.name(), device.info());
            self.terminal.warn(format_args!(
                "{dtype} is correct but very slow on {}: {} has no native operations for it",
                info.backend, info.name
            ));
        }
    }

    /// The model that `--model` names, or the newest run, of one preset or of any.
    pub(crate) fn model(&self, args: &ModelArgs, preset: Option<&str>) -> Result<Model> {
        self.model_with(args, preset, None)
    }

    /// As [`Context::model`], with the tokenizer at this path instead of the model's own.
    pub(crate) fn model_with(
        &self,
        args: &ModelArgs,
        preset: Option<&str>,
        tokenizer: Option<&Path>,
    ) -> Result<Model> {
        let dtype = Dtype::from_name(&args.dtype)
            .ok_or_else(|| unknown("number type", &args.dtype, Dtype::NAMES))?;
        let path: PathBuf = match &args.model {
            Some(path) => path.clone(),
            None => newest_run(Path::new(RUNS), preset)?,
        };
        let device = self.device()?;
        let tokenizer = match tokenizer {
            Some(path) => Some(load_tokenizer(path, None)?),
            None => None,
        };
        let model = Model::open_with(&path, &device, tokenizer)?.computed_in(dtype)?;
        for damage in &model.passed_over {
            self.terminal
                .warn(format_args!("{damage} (using the one before)"));
        }
        for note in &model.notes {
            self.terminal.warn(note);
        }
        self.warn_if_slow(&device, dtype);
        self.terminal
            .detail(1, format_args!("model: {}", model.path.display()));
        Ok(model)
    }
}

/// The error for an unknown name; it suggests the nearest known one.
pub(crate) fn unknown(what: &str, name: &str, known: &[&str]) -> Error {
    let meant = nearest(name, known.iter().copied());
    let hint = meant.map_or(String::new(), |meant| format!(": did you mean `{meant}`?"));
    let known = known.join(", ");
    Error::Usage(format!("unknown {what} `{name}`{hint} (there is: {known})"))
}

/// The corpora that have a name: published ones, in the folder of downloads, and the phrasebook's.
pub(crate) fn library() -> Library {
    latimer_phrasebook::library(cache())
}

/// The folder of downloads: `$LATIMER_CACHE`, else the platform's.
fn cache() -> PathBuf {
    match std::env::var_os("LATIMER_CACHE") {
        Some(path) if !path.is_empty() => path.into(),
        // A system without a home directory has no cache folder.
        _ => dirs::cache_dir().unwrap_or_default().join("latimer"),
    }
}
