//! A model: made, read from a folder, saved, asked for a loss or for text.

use crate::config::Dtype;
use crate::run_folder::checkpoints::Candidates;
use crate::run_folder::folder::{CONFIG_JSON, MODEL, TOKENIZER_JSON, write_synced};
use crate::run_folder::manifest;
use crate::sampling::sampler;
use crate::{Error, Result, text_loss};
use latimer_autograd::Params;
use latimer_nn::io::ModelOnDisk;
use latimer_nn::{Generator, Gpt, GptConfig, Sampling, io};
use latimer_tensor::Device;
use latimer_tokenizer::{Pattern, Tokenizer};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A GPT and its parameters on a device, with its tokenizer if it has one.
///
/// ```
/// use latimer_nn::{GptConfig, Sampling};
/// use latimer_tensor::Device;
/// use latimer_tokenizer::{CharTokenizer, Tokenizer};
/// use latimer_trainer::Model;
///
/// let tokenizer = CharTokenizer::fit("to be or not to be")?;
/// let config = GptConfig {
///     n_layer: 1, n_head: 2, n_embd: 8, block_size: 16,
///     ..GptConfig::gpt2(tokenizer.vocab_size())
/// };
/// let model = Model::new(&config, &Device::reference(), 1337)?;
/// let text = model.generate(&tokenizer, "to be", 10, Sampling::default())?;
/// assert!(text.starts_with("to be") && text.len() == 15);
/// # Ok::<(), latimer_trainer::Error>(())
/// ```
#[derive(Debug)]
pub struct Model {
    /// What it computes.
    pub gpt: Gpt,
    /// Its weights.
    pub params: Params,
    /// Its tokenizer, if its folder has one or it was given one.
    pub tokenizer: Option<Arc<dyn Tokenizer>>,
    /// The folder that it was read from; empty for a model that was not read.
    pub path: PathBuf,
    /// Newer checkpoints of the run that are damaged, a sentence each.
    pub passed_over: Vec<String>,
    /// What was read in another way than the model's files say, a sentence each.
    pub notes: Vec<String>,
}

impl Model {
    /// A model with initial weights, drawn from a seed: the same on every device.
    ///
    /// # Errors
    /// A configuration that describes no model, or the device's lack of memory.
    pub fn new(config: &GptConfig, device: &Device, seed: u64) -> Result<Self> {
        let (gpt, declarations) = Gpt::new(config)?;
        Ok(Self::of(gpt, Params::new(device, declarations, seed)?))
    }

    pub(crate) fn of(gpt: Gpt, params: Params) -> Self {
        Self {
            gpt,
            params,
            tokenizer: None,
            path: PathBuf::new(),
            passed_over: Vec::new(),
            notes: Vec::new(),
        }
    }

    /// Reads a model from a run folder, a checkpoint folder or a Hugging Face GPT-2 folder.
    ///
    /// # Errors
    /// [`Error::NoModel`], [`Error::BadCheckpoint`], [`Error::VocabularyMismatch`], and what
    /// reading the files gives.
    pub fn open(path: impl AsRef<Path>, device: &Device) -> Result<Self> {
        Self::open_with(path.as_ref(), device, None)
    }

    /// [`open`](Self::open), with this tokenizer in place of the folder's own, which is then not
    /// looked at.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn open_with(
        path: &Path,
        device: &Device,
        tokenizer: Option<Arc<dyn Tokenizer>>,
    ) -> Result<Self> {
        let (path, passed_over) = model_folder(path)?;
        let ModelOnDisk { gpt, params, notes } = io::load_model(device, &path)?;
        let tokenizer = match tokenizer {
            None if latimer_tokenizer::is_in_folder(&path) => Some(latimer_tokenizer::load(&path)?),
            other => other,
        };
        let model = Self {
            path,
            passed_over,
            notes,
            ..Self::of(gpt, params)
        };
        match tokenizer {
            Some(tokenizer) => model.with_tokenizer(tokenizer),
            None => Ok(model),
        }
    }

    /// The same model with this tokenizer. It may lack ids that the model has, which padding or
    /// tokens for later use explain ([`sampler`](crate::sampler) draws none of them); but an id
    /// that the model lacks would come from some text.
    ///
    /// # Errors
    /// [`Error::VocabularyMismatch`] when it has more tokens than the model has ids.
    pub fn with_tokenizer(self, tokenizer: Arc<dyn Tokenizer>) -> Result<Self> {
        let (tokens, vocab_size) = (tokenizer.vocab_size(), self.gpt.config().vocab_size);
        if tokens > vocab_size {
            return Err(Error::VocabularyMismatch {
                path: self.path,
                tokens,
                vocab_size,
            });
        }
        Ok(Self {
            tokenizer: Some(tokenizer),
            ..self
        })
    }

    /// The same model, to be computed in this number type.
    ///
    /// # Errors
    /// The device's lack of memory.
    pub fn computed_in(mut self, dtype: Dtype) -> Result<Self> {
        if dtype == Dtype::Bf16 {
            self.params.enable_bf16()?;
        }
        Ok(self)
    }

    /// The tokenizer.
    ///
    /// # Errors
    /// [`Error::NoTokenizer`]; [`Error::NoTokenizerGiven`] if the model was not read from a folder.
    pub fn tokenizer(&self) -> Result<&Arc<dyn Tokenizer>> {
        self.tokenizer.as_ref().ok_or_else(|| {
            let path = self.path.clone();
            match path.as_os_str().is_empty() {
                true => Error::NoTokenizerGiven,
                false => Error::NoTokenizer { path },
            }
        })
    }

    /// The model's shape.
    #[must_use]
    pub fn config(&self) -> &GptConfig {
        self.gpt.config()
    }

    /// The device that it lies on.
    #[must_use]
    pub fn device(&self) -> &Device {
        self.params.device()
    }

    /// Writes `config.json` and `model.safetensors` into a folder, which is made if need be, and
    /// the model's own tokenizer if it has one. [`Model::open`] reads them. What else is in the
    /// folder stays.
    ///
    /// # Errors
    /// [`Error::Write`] names the file; what was there before is then whole or gone, never half
    /// written.
    pub fn save(&self, folder: impl AsRef<Path>) -> Result<()> {
        self.write(folder.as_ref(), self.tokenizer.as_deref())
    }

    /// As [`Model::save`], with this tokenizer: the folder is one for `latimer generate --model`.
    ///
    /// # Errors
    /// As [`Model::save`].
    pub fn save_with(&self, tokenizer: &dyn Tokenizer, folder: impl AsRef<Path>) -> Result<()> {
        self.write(folder.as_ref(), Some(tokenizer))
    }

    fn write(&self, folder: &Path, tokenizer: Option<&dyn Tokenizer>) -> Result<()> {
        std::fs::create_dir_all(folder).map_err(Error::of_writing(folder))?;
        // A manifest of other files would call these damaged.
        match std::fs::remove_file(folder.join(manifest::MANIFEST)) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(Error::of_writing(folder)(error));
            }
            _ => {}
        }
        let config = io::config_to_json(self.config());
        write_synced(&folder.join(CONFIG_JSON), config.as_bytes())?;
        if let Some(tokenizer) = tokenizer {
            let text = tokenizer.to_json();
            write_synced(&folder.join(TOKENIZER_JSON), text.as_bytes())?;
        }
        Ok(io::write_weights(&self.params, &folder.join(MODEL))?)
    }

    /// Mean next-token cross-entropy of a text's tokens in nats, in windows of `block_size` side by
    /// side: every token but the first is predicted once.
    ///
    /// # Errors
    /// [`Error::NothingToPredict`] for fewer than two tokens; an id beyond the vocabulary; the
    /// device's failure.
    pub fn loss(&self, ids: &[u32]) -> Result<f32> {
        let stride = self.config().block_size;
        text_loss(&self.gpt, &self.params, ids, stride, &mut |_| ())
    }

    /// `prompt` and `max_new_tokens` tokens after it, drawn as `sampling` says.
    ///
    /// # Errors
    /// [`Error::Tokenizer`] for a prompt that has no ids; [`latimer_nn::Error::EmptyPrompt`];
    /// the device's failure.
    pub fn generate(
        &self,
        tokenizer: &dyn Tokenizer,
        prompt: &str,
        max_new_tokens: usize,
        sampling: Sampling,
    ) -> Result<String> {
        let prompt = tokenizer.encode(prompt)?;
        let mut sampler = sampler(tokenizer, &self.gpt, sampling, 0)?;
        let ids = self.device().enter(|| -> Result<Vec<u32>> {
            let mut generator = Generator::new(&self.gpt, &self.params, &prompt)?;
            for _ in 0..max_new_tokens {
                generator.next_id(&mut sampler)?;
            }
            Ok(generator.ids().to_vec())
        })?;
        Ok(tokenizer.decode(&ids)?)
    }
}

/// The tokenizer that a path means, as [`latimer_tokenizer::load_with`] reads it; of a run, the one
/// of its newest sound checkpoint.
///
/// # Errors
/// What reading it gives.
pub fn load_tokenizer(path: &Path, pattern: Option<Pattern>) -> Result<Arc<dyn Tokenizer>> {
    let candidates = Candidates::of(path)?;
    if candidates.is_empty() {
        return Ok(latimer_tokenizer::load_with(path, pattern)?);
    }
    let sound = candidates.first_sound(|folder| manifest::verify(folder, &[TOKENIZER_JSON]))?;
    Ok(latimer_tokenizer::load_with(&sound.path, pattern)?)
}

/// The folder with the files: the newest checkpoint of a run that is sound, or the folder itself;
/// and which newer ones are not.
fn model_folder(path: &Path) -> Result<(PathBuf, Vec<String>)> {
    const FILES: [&str; 3] = [CONFIG_JSON, TOKENIZER_JSON, MODEL];
    if !path.exists() {
        return Err(Error::Read {
            path: path.to_owned(),
            source: std::io::ErrorKind::NotFound.into(),
        });
    }
    let candidates = Candidates::of(path)?;
    if !candidates.is_empty() {
        let sound = candidates.first_sound(|folder| manifest::verify(folder, &FILES))?;
        return Ok((sound.path, sound.passed_over));
    }
    if path.join(CONFIG_JSON).is_file() {
        manifest::verify(path, &FILES)?;
        return Ok((path.to_owned(), Vec::new()));
    }
    let found = match path.metadata() {
        Err(_) => "it is not there",
        Ok(file) if !file.is_dir() => "it is a file, not a model's folder",
        Ok(_) if holds_weights(path) => "it has weights, but no `config.json` beside them",
        Ok(_) => "it has neither checkpoints nor weights",
    };
    Err(Error::NoModel {
        path: path.to_owned(),
        found,
    })
}

/// Whether a folder has files that models' weights come in.
fn holds_weights(folder: &Path) -> bool {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    entries.into_iter().any(|entry| {
        let path = entry.path();
        let end = path.extension().and_then(|end| end.to_str());
        end.is_some_and(|end| ["safetensors", "bin", "pt", "pth"].contains(&end))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::newest_run;

    #[test]
    fn a_folder_without_a_model_says_so() {
        let folder = tempfile::tempdir().unwrap();
        let said = |path: &Path| {
            let error = Model::open(path, &Device::reference()).unwrap_err();
            assert!(error.to_string().contains("holds no model: "), "{error}");
            error.to_string()
        };
        assert!(said(folder.path()).contains("neither checkpoints nor weights"));
        let error = Model::open(folder.path().join("no"), &Device::reference());
        let error = error.unwrap_err().to_string();
        assert!(error.starts_with("cannot read "), "{error}");
        let weights = folder.path().join("model.safetensors");
        std::fs::write(&weights, "").unwrap();
        assert!(said(folder.path()).contains("no `config.json` beside them"));
        assert!(said(&weights).contains("it is a file"));
        assert!(matches!(
            newest_run(folder.path(), None),
            Err(Error::NoRun { .. })
        ));
    }
}
