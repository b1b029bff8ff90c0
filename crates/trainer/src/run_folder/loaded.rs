//! The model in a run's folder, a checkpoint's, or Hugging Face's.

use super::checkpoints::Candidates;
use super::folder::{CONFIG_JSON, MODEL, TOKENIZER_JSON};
use super::manifest;
use crate::config::Dtype;
use crate::{Error, Result};
use latimer_autograd::Params;
use latimer_nn::io::ModelOnDisk;
use latimer_nn::{Gpt, io};
use latimer_tensor::Device;
use latimer_tokenizer::{Pattern, Tokenizer};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A model read from disk.
#[derive(Debug)]
pub struct LoadedModel {
    /// Its shape.
    pub gpt: Gpt,
    /// Its weights, for inference.
    pub params: Params,
    /// Its tokenizer, if the folder has one.
    pub tokenizer: Option<Arc<dyn Tokenizer>>,
    /// The folder that holds the files.
    pub path: PathBuf,
    /// Newer checkpoints of the run that are damaged, a sentence each.
    pub passed_over: Vec<String>,
    /// What was read in another way than the model's files say, a sentence each.
    pub notes: Vec<String>,
}

impl LoadedModel {
    /// Reads a model from a run folder, a checkpoint folder or a Hugging Face GPT-2 folder.
    ///
    /// # Errors
    /// [`Error::NoModel`], [`Error::BadCheckpoint`], [`Error::VocabularyMismatch`], and what reading
    /// the files gives.
    pub fn open(path: &Path, device: &Device) -> Result<Self> {
        Self::open_with(path, device, None)
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
            gpt,
            params,
            tokenizer: None,
            path,
            passed_over,
            notes,
        };
        match tokenizer {
            Some(tokenizer) => model.with_tokenizer(tokenizer),
            None => Ok(model),
        }
    }

    /// The same model with this tokenizer. It may lack ids that the model has, which padding or
    /// tokens for later use explain ([`sampler`](crate::sampler) draws none of them); but an id that
    /// the model lacks would come from some text.
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
    /// [`Error::NoTokenizer`].
    pub fn tokenizer(&self) -> Result<&Arc<dyn Tokenizer>> {
        self.tokenizer.as_ref().ok_or_else(|| Error::NoTokenizer {
            path: self.path.clone(),
        })
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
        Ok(file) if !file.is_dir() => "it is a file, not the folder of one",
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
            let error = LoadedModel::open(path, &Device::reference()).unwrap_err();
            assert!(error.to_string().contains("holds no model: "), "{error}");
            error.to_string()
        };
        assert!(said(folder.path()).contains("neither checkpoints nor weights"));
        let error = LoadedModel::open(&folder.path().join("no"), &Device::reference());
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
