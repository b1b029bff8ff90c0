//! The folder of a run, and where runs are.

use super::lock::{LOCK, lock};
use crate::{Error, Result};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// The text file of a run that names its newest checkpoint, relative to the run.
pub(crate) const LATEST: &str = "latest";
/// The one that names the checkpoint with the lowest validation loss.
pub(crate) const BEST: &str = "best";
/// A checkpoint's files.
pub(crate) const CONFIG_JSON: &str = "config.json";
pub(crate) const TOKENIZER_JSON: &str = "tokenizer.json";
pub(crate) const MODEL: &str = "model.safetensors";
pub(crate) const OPTIMIZER: &str = "optimizer.safetensors";
/// What a run appends to.
pub(crate) const METRICS: &str = "metrics.jsonl";
pub(crate) const TIMINGS: &str = "timings.jsonl";
pub(crate) const SAMPLES: &str = "samples.txt";
/// Steps that were not finite or are left out; only of a run that had such.
pub(crate) const BAD_STEPS: &str = "faults.json";
/// A run's configuration.
pub(crate) const CONFIG_TOML: &str = "config.toml";
/// The files that a run was trained on.
pub(crate) const DATA: &str = "data.txt";
/// Its checkpoints.
pub(crate) const CHECKPOINTS: &str = "checkpoints";
/// The files that make a folder a run's.
const FILES: [&str; 8] = [
    CONFIG_TOML,
    LATEST,
    BEST,
    METRICS,
    TIMINGS,
    SAMPLES,
    BAD_STEPS,
    DATA,
];

/// What to do with a folder that holds a run already.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Existing {
    /// Leave it and give an error.
    #[default]
    Refuse,
    /// Delete the old run.
    Overwrite,
}

/// The folder of one run. Until the run writes to it, the folder is only reserved: if every handle
/// is dropped before that, what was made for it is removed, and an old run there is as it was.
#[derive(Clone, Debug)]
pub struct RunFolder {
    path: PathBuf,
    held: Arc<Held>,
}

/// What all handles to a folder share.
#[derive(Debug)]
struct Held {
    /// Those that did not exist before, the innermost first.
    made: Vec<PathBuf>,
    /// The file that was locked, and its lock where the file system has locks.
    lock: Option<(PathBuf, Option<fs::File>)>,
    /// Whether the run has begun to write.
    begun: AtomicBool,
}

impl Drop for Held {
    fn drop(&mut self) {
        if self.begun.load(Ordering::Relaxed) {
            return;
        }
        // A folder that cannot be removed holds more than our files, and stays.
        if let Some((path, _)) = &self.lock {
            let _ = fs::remove_file(path);
        }
        for folder in &self.made {
            let _ = fs::remove_dir(folder);
        }
    }
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

    /// Reserves the folder: creates it, locks it and tries to write to it. An old run there is
    /// removed when the new one has done its first step, not before.
    ///
    /// # Errors
    /// [`Error::RunExists`], [`Error::InUse`], [`Error::Write`].
    pub fn create(path: &Path, existing: Existing) -> Result<Self> {
        Self::check(path, existing)?;
        let failed = |source| Error::Write {
            path: path.to_owned(),
            source,
        };
        let made = path.ancestors().take_while(|folder| !folder.exists());
        let mut held = Held {
            made: made.map(Path::to_owned).collect(),
            lock: None,
            begun: AtomicBool::new(false),
        };
        fs::create_dir_all(path).map_err(failed)?;
        held.lock = Some((path.join(LOCK), lock(path)?));
        // Again: another process may have begun a run there meanwhile.
        Self::check(path, existing)?;
        // Better now than after an hour of training.
        let probe = path.join(".probe.tmp");
        fs::write(&probe, b"")
            .and_then(|()| fs::remove_file(&probe))
            .map_err(failed)?;
        Ok(Self {
            path: path.to_owned(),
            held: Arc::new(held),
        })
    }

    /// Opens and locks the folder of an existing run: no other process can write to it from now on.
    ///
    /// # Errors
    /// [`Error::InUse`], [`Error::Write`].
    pub(crate) fn at(path: &Path) -> Result<Self> {
        Ok(Self {
            path: path.to_owned(),
            held: Arc::new(Held {
                made: Vec::new(),
                lock: Some((path.join(LOCK), lock(path)?)),
                begun: AtomicBool::new(true),
            }),
        })
    }

    /// Makes the folder the new run's, once: removes an old run. From now on the folder stays.
    ///
    /// # Errors
    /// [`Error::Write`].
    pub(crate) fn begin(&self) -> Result<()> {
        if self.held.begun.swap(true, Ordering::Relaxed) {
            return Ok(());
        }
        let files = FILES.iter().map(|file| self.path.join(file));
        for file in files.filter(|file| file.exists()) {
            fs::remove_file(&file).map_err(|source| Error::Write { path: file, source })?;
        }
        let checkpoints = self.checkpoints();
        if checkpoints.exists() {
            fs::remove_dir_all(&checkpoints).map_err(|source| Error::Write {
                path: checkpoints,
                source,
            })?;
        }
        Ok(())
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn checkpoints(&self) -> PathBuf {
        self.path.join(CHECKPOINTS)
    }
}

/// Writes a whole file and waits until it is on the disk.
pub(crate) fn write_synced(path: &Path, bytes: &[u8]) -> Result<()> {
    latimer_files::write_synced(path, bytes).map_err(Error::of_writing(path))
}

/// Replaces a file by another in one step: a reader finds the old one or the new one.
pub(crate) fn replace_synced(path: &Path, bytes: &[u8]) -> Result<()> {
    latimer_files::replace_alone(path, bytes).map_err(Error::of_writing(path))
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
    newest_of(runs, preset, &[LATEST])
}

/// The run under `runs` that was last written to, of one preset or of any: it may have been stopped
/// before its first checkpoint.
///
/// # Errors
/// [`Error::NoRun`].
pub fn newest_to_resume(runs: &Path, preset: Option<&str>) -> Result<PathBuf> {
    newest_of(runs, preset, &[LATEST, METRICS, CONFIG_TOML])
}

/// The run one of whose files of these names is newer than those of all others.
fn newest_of(runs: &Path, preset: Option<&str>, files: &[&str]) -> Result<PathBuf> {
    let written = |path: &PathBuf| {
        let files = files.iter().filter_map(|file| {
            let metadata = fs::metadata(path.join(file)).ok()?;
            // Where times are not told, it is there all the same.
            metadata.is_file().then(|| metadata.modified().ok())
        });
        files.max()
    };
    let newest = fs::read_dir(runs)
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| preset.is_none_or(|preset| preset_of(path).is_some_and(|p| p == preset)))
        .filter_map(|path| Some((written(&path)?, path)))
        .max_by_key(|(written, _)| *written)
        .map(|(_, path)| path);
    let what = match preset {
        Some(preset) => format!("{preset} run"),
        None => "run".to_owned(),
    };
    newest.ok_or_else(|| Error::NoRun {
        what,
        path: runs.to_owned(),
    })
}

/// The preset a run was started as.
fn preset_of(run: &Path) -> Option<String> {
    let text = latimer_text::read(&run.join(CONFIG_TOML)).ok()?;
    let table: toml::Table = text.parse().ok()?;
    Some(table.get("preset")?.as_str()?.to_owned())
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
        // The second of two does not wait: it gets the error.
        let busy = RunFolder::create(&path, Existing::Overwrite);
        assert!(matches!(busy, Err(Error::InUse { .. })));
        drop(run);
        // The old run is there until the new one begins.
        let again = RunFolder::create(&path, Existing::Overwrite).unwrap();
        drop(again);
        assert!(path.join("checkpoints").exists());
        let again = RunFolder::create(&path, Existing::Overwrite).unwrap();
        again.begin().unwrap();
        assert!(!path.join("checkpoints").exists());
    }

    /// What was there before stays: an empty folder, a folder above.
    #[test]
    fn a_folder_that_was_only_reserved_is_removed() {
        let runs = tempfile::tempdir().unwrap();
        let inside = || fs::read_dir(runs.path()).unwrap().count();
        let path = runs.path().join("a/b/c");
        let run = RunFolder::create(&path, Existing::Refuse).unwrap();
        let other = run.clone();
        drop(run);
        assert!(path.exists());
        drop(other);
        assert_eq!(inside(), 0);
        fs::create_dir_all(runs.path().join("a/b")).unwrap();
        drop(RunFolder::create(&runs.path().join("a/b"), Existing::Refuse).unwrap());
        assert_eq!(fs::read_dir(runs.path().join("a/b")).unwrap().count(), 0);
        // Of two processes, the one that is refused does not take the other's lock away.
        let run = RunFolder::create(&path, Existing::Refuse).unwrap();
        for _ in 0..2 {
            let refused = RunFolder::create(&path, Existing::Refuse);
            assert!(matches!(refused, Err(Error::InUse { .. })));
        }
        run.begin().unwrap();
        drop(run);
        assert!(path.exists());
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
}
