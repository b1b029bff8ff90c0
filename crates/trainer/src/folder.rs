//! Folders: a run's, a checkpoint's, and the model in either.

use crate::config::Dtype;
use crate::{Error, Result};
use latimer_autograd::Params;
use latimer_nn::{Gpt, GptConfig, io};
use latimer_tensor::Device;
use latimer_tokenizer::Tokenizer;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The text file of a run that names its newest checkpoint, relative to the run.
const LATEST: &str = "latest";
/// A checkpoint's files.
pub(crate) const CONFIG_JSON: &str = "config.json";
pub(crate) const TOKENIZER_JSON: &str = "tokenizer.json";
pub(crate) const MODEL: &str = "model.safetensors";
pub(crate) const OPTIMIZER: &str = "optimizer.safetensors";
/// What a run appends to.
pub(crate) const METRICS: &str = "metrics.jsonl";
pub(crate) const TIMINGS: &str = "timings.jsonl";
pub(crate) const SAMPLES: &str = "samples.txt";
/// A run's configuration.
pub(crate) const CONFIG_TOML: &str = "config.toml";
/// Its checkpoints.
const CHECKPOINTS: &str = "checkpoints";
/// The files that make a folder a run's.
const FILES: [&str; 5] = [CONFIG_TOML, LATEST, METRICS, TIMINGS, SAMPLES];

/// What to do with a folder that holds a run already.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Existing {
    /// Leave it and give an error.
    #[default]
    Refuse,
    /// Delete the old run.
    Overwrite,
}

/// The folder of one run.
#[derive(Clone, Debug)]
pub struct RunFolder {
    path: PathBuf,
}

impl RunFolder {
    /// The folder that a run without `--out` gets: `runs/<preset>-<NNN>`, the next free number.
    #[must_use]
    pub fn default_path(runs: &Path, preset: &str) -> PathBuf {
        let last = numbered_runs(runs)
            .filter(|run| run.preset == preset)
            .map(|r| r.number)
            .max();
        runs.join(format!("{preset}-{:03}", last.unwrap_or(0) + 1))
    }

    /// Whether a run may be put there, before anything is computed for it.
    ///
    /// # Errors
    /// [`Error::RunExists`].
    pub fn check(path: &Path, existing: Existing) -> Result<()> {
        let holds_run = FILES
            .iter()
            .chain(&[CHECKPOINTS])
            .any(|name| path.join(name).exists());
        match existing {
            Existing::Refuse if holds_run => Err(Error::RunExists {
                path: path.to_owned(),
            }),
            _ => Ok(()),
        }
    }

    /// Creates the folder, or empties it of an old run when told to.
    ///
    /// # Errors
    /// [`Error::RunExists`], [`Error::Write`].
    pub fn create(path: &Path, existing: Existing) -> Result<Self> {
        Self::check(path, existing)?;
        let run = Self {
            path: path.to_owned(),
        };
        for file in FILES
            .iter()
            .map(|file| path.join(file))
            .filter(|file| file.exists())
        {
            fs::remove_file(&file).map_err(|source| Error::Write { path: file, source })?;
        }
        let checkpoints = run.checkpoints();
        if checkpoints.exists() {
            fs::remove_dir_all(&checkpoints).map_err(|source| Error::Write {
                path: checkpoints,
                source,
            })?;
        }
        let failed = |source| Error::Write {
            path: path.to_owned(),
            source,
        };
        fs::create_dir_all(path).map_err(failed)?;
        // Better now than after an hour of training.
        let probe = path.join(".probe.tmp");
        fs::write(&probe, b"")
            .and_then(|()| fs::remove_file(&probe))
            .map_err(failed)?;
        Ok(run)
    }

    /// The folder of a run that is there already.
    pub(crate) fn at(path: &Path) -> Self {
        Self {
            path: path.to_owned(),
        }
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    fn checkpoints(&self) -> PathBuf {
        self.path.join(CHECKPOINTS)
    }

    /// Writes a checkpoint aside, syncs it, renames it into place, then lets `latest` name it: a
    /// crash at any moment leaves the previous checkpoint whole.
    ///
    /// # Errors
    /// [`Error::Write`], or what `fill` fails with.
    pub fn checkpoint(&self, step: u64, fill: impl FnOnce(&Path) -> Result<()>) -> Result<PathBuf> {
        let name = format!("step-{step:06}");
        let (aside, path) = (
            self.checkpoints().join(format!(".tmp-{name}")),
            self.checkpoints().join(&name),
        );
        let failed = |path: &Path| {
            let path = path.to_owned();
            move |source| Error::Write { path, source }
        };
        if aside.exists() {
            fs::remove_dir_all(&aside).map_err(failed(&aside))?;
        }
        fs::create_dir_all(&aside).map_err(failed(&aside))?;
        let written = fill(&aside).and_then(|()| sync_folder(&aside));
        if let Err(error) = written {
            // What was half written is of no use; the error matters more than its removal.
            let _ = fs::remove_dir_all(&aside);
            return Err(error);
        }
        if path.exists() {
            fs::remove_dir_all(&path).map_err(failed(&path))?;
        }
        fs::rename(&aside, &path).map_err(failed(&path))?;
        let (latest, new) = (self.path.join(LATEST), self.path.join(".latest.tmp"));
        write_synced(&new, format!("checkpoints/{name}\n").as_bytes())?;
        fs::rename(&new, &latest).map_err(failed(&latest))?;
        Ok(path)
    }
}

/// Writes a whole file and waits until it is on the disk.
pub(crate) fn write_synced(path: &Path, bytes: &[u8]) -> Result<()> {
    fs::File::create(path)
        .and_then(|mut file| file.write_all(bytes).and_then(|()| file.sync_all()))
        .map_err(|source| Error::Write {
            path: path.to_owned(),
            source,
        })
}

/// Waits until every file of a folder, and the folder, are on the disk.
fn sync_folder(path: &Path) -> Result<()> {
    let sync = || -> std::io::Result<()> {
        for entry in fs::read_dir(path)? {
            fs::File::open(entry?.path())?.sync_all()?;
        }
        // Some systems cannot open folders; there, the rename is all there is.
        if let Ok(folder) = fs::File::open(path) {
            let _ = folder.sync_all();
        }
        Ok(())
    };
    sync().map_err(|source| Error::Write {
        path: path.to_owned(),
        source,
    })
}

struct NumberedRun {
    preset: String,
    number: u32,
}

fn numbered_runs(runs: &Path) -> impl Iterator<Item = NumberedRun> {
    fs::read_dir(runs)
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| {
            let name = entry.file_name().into_string().ok()?;
            let (preset, number) = name.rsplit_once('-')?;
            Some(NumberedRun {
                preset: preset.to_owned(),
                number: number.parse().ok()?,
            })
        })
}

/// The newest run under `runs` that has a checkpoint, of one preset or of any.
///
/// # Errors
/// [`Error::NoRun`].
pub fn newest_run(runs: &Path, preset: Option<&str>) -> Result<PathBuf> {
    let newest = fs::read_dir(runs)
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.join(LATEST).is_file())
        .filter(|path| preset.is_none_or(|preset| preset_of(path).is_some_and(|p| p == preset)))
        .max_by_key(|path| {
            fs::metadata(path.join(LATEST))
                .and_then(|m| m.modified())
                .ok()
        });
    let what = if preset == Some("phrasebook") {
        "phrasebook run"
    } else {
        "run"
    };
    newest.ok_or_else(|| Error::NoRun {
        what,
        path: runs.to_owned(),
    })
}

/// The preset a run was started as.
fn preset_of(run: &Path) -> Option<String> {
    let text = fs::read_to_string(run.join(CONFIG_TOML)).ok()?;
    let table: toml::Table = text.parse().ok()?;
    Some(table.get("preset")?.as_str()?.to_owned())
}

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
}

impl LoadedModel {
    /// Reads a model from a run folder, a checkpoint folder or a Hugging Face GPT-2 folder.
    ///
    /// # Errors
    /// [`Error::NoModel`], [`Error::VocabularyMismatch`], and what reading the files gives.
    pub fn open(path: &Path, device: &Device) -> Result<Self> {
        let path = model_folder(path)?;
        let config = io::read_config(&path.join(CONFIG_JSON))?;
        let (gpt, declarations) = Gpt::new(&config)?;
        let params = io::load_weights(device, declarations, &path.join(MODEL))?;
        let tokenizer = read_tokenizer(&path, &config)?;
        Ok(Self {
            gpt,
            params,
            tokenizer,
            path,
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

fn read_tokenizer(path: &Path, config: &GptConfig) -> Result<Option<Arc<dyn Tokenizer>>> {
    let file = path.join(TOKENIZER_JSON);
    if !file.exists() {
        return Ok(None);
    }
    let tokenizer = latimer_tokenizer::load(&file)?;
    let (tokens, vocab_size) = (tokenizer.vocab_size(), config.vocab_size);
    if tokens != vocab_size {
        return Err(Error::VocabularyMismatch {
            path: path.to_owned(),
            tokens,
            vocab_size,
        });
    }
    Ok(Some(tokenizer))
}

/// The folder with the files: the newest checkpoint of a run, or the folder itself.
fn model_folder(path: &Path) -> Result<PathBuf> {
    if let Some(folder) = latest_checkpoint(path)? {
        return Ok(folder);
    }
    if path.join(CONFIG_JSON).is_file() && path.join(MODEL).is_file() {
        return Ok(path.to_owned());
    }
    Err(Error::NoModel {
        path: path.to_owned(),
    })
}

/// The newest checkpoint of a run, if it is there.
pub(crate) fn latest_checkpoint(run: &Path) -> Result<Option<PathBuf>> {
    let latest = run.join(LATEST);
    if !latest.is_file() {
        return Ok(None);
    }
    let text = fs::read_to_string(&latest).map_err(|source| Error::Read {
        path: latest,
        source,
    })?;
    let folder = run.join(text.trim());
    Ok(folder.join(CONFIG_JSON).is_file().then_some(folder))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_are_numbered_and_never_overwritten_unasked() {
        let runs = tempfile::tempdir().unwrap();
        assert!(RunFolder::default_path(runs.path(), "baby").ends_with("baby-001"));
        let path = RunFolder::default_path(runs.path(), "baby");
        let run = RunFolder::create(&path, Existing::Refuse).unwrap();
        run.checkpoint(5, |aside| write_synced(&aside.join("a"), b"1"))
            .unwrap();
        assert!(RunFolder::default_path(runs.path(), "baby").ends_with("baby-002"));
        assert!(RunFolder::default_path(runs.path(), "seed").ends_with("seed-001"));
        let again = RunFolder::create(&path, Existing::Refuse);
        assert!(matches!(again, Err(Error::RunExists { .. })));
        RunFolder::create(&path, Existing::Overwrite).unwrap();
        assert!(!path.join("checkpoints").exists());
    }

    #[test]
    fn a_checkpoint_that_fails_leaves_the_previous_one() {
        let runs = tempfile::tempdir().unwrap();
        let run = RunFolder::create(&runs.path().join("r"), Existing::Refuse).unwrap();
        run.checkpoint(1, |aside| write_synced(&aside.join("a"), b"1"))
            .unwrap();
        let full = || std::io::Error::from(std::io::ErrorKind::StorageFull);
        let failed = run.checkpoint(2, |aside| {
            write_synced(&aside.join("a"), b"2")?;
            Err(Error::Write {
                path: aside.to_owned(),
                source: full(),
            })
        });
        assert!(failed.is_err());
        assert_eq!(
            fs::read_to_string(run.path().join(LATEST)).unwrap(),
            "checkpoints/step-000001\n"
        );
        let left: Vec<_> = fs::read_dir(run.checkpoints()).unwrap().collect();
        assert_eq!(left.len(), 1);
    }

    #[test]
    fn a_folder_without_a_model_says_so() {
        let folder = tempfile::tempdir().unwrap();
        let error = LoadedModel::open(folder.path(), &Device::reference()).unwrap_err();
        assert!(error.to_string().contains("holds no model"), "{error}");
        assert!(matches!(
            newest_run(folder.path(), None),
            Err(Error::NoRun { .. })
        ));
    }
}
