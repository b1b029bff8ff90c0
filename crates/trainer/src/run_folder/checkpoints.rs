//! The checkpoints of a run: written aside and renamed, the newest that is sound, those that stay.

use super::folder::{BEST, CHECKPOINTS, CONFIG_JSON, LATEST, RunFolder, replace_synced};
use super::manifest;
use crate::{Error, Result};
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// What a checkpoint's folder is called until it is whole, and while it is removed: no reader
/// looks at a name with a dot.
const ASIDE: &str = ".tmp-";

fn name(step: u64) -> String {
    format!("step-{step:06}")
}

/// The step in a checkpoint's name.
fn step_of(name: &str) -> Option<u64> {
    name.strip_prefix("step-")?.parse().ok()
}

impl RunFolder {
    /// Writes a checkpoint aside, with a manifest, syncs it, renames it into place, then lets
    /// `latest` name it: a crash at any moment leaves the previous checkpoint whole.
    ///
    /// # Errors
    /// [`Error::Write`], or what `fill` fails with.
    pub fn checkpoint(&self, step: u64, fill: impl FnOnce(&Path) -> Result<()>) -> Result<PathBuf> {
        self.begin()?;
        let (checkpoints, name) = (self.checkpoints(), name(step));
        let (aside, path) = (
            checkpoints.join(format!("{ASIDE}{name}")),
            checkpoints.join(&name),
        );
        let failed = |path: &Path| {
            let path = path.to_owned();
            move |source| Error::Write { path, source }
        };
        if aside.exists() {
            fs::remove_dir_all(&aside).map_err(failed(&aside))?;
        }
        fs::create_dir_all(&aside).map_err(failed(&aside))?;
        let written = fill(&aside)
            .and_then(|()| manifest::write(&aside))
            .and_then(|()| latimer_files::sync_folder(&aside).map_err(failed(&aside)));
        if let Err(error) = written {
            // What was half written is of no use; the error matters more than its removal.
            let _ = fs::remove_dir_all(&aside);
            return Err(error);
        }
        if path.exists() {
            self.discard(&path)?;
        }
        fs::rename(&aside, &path).map_err(failed(&path))?;
        latimer_files::sync_names(&checkpoints);
        self.point(LATEST, step)?;
        Ok(path)
    }

    /// Lets `latest` or `best` name a checkpoint.
    fn point(&self, file: &str, step: u64) -> Result<()> {
        let text = format!("{CHECKPOINTS}/{}\n", name(step));
        replace_synced(&self.path().join(file), text.as_bytes())
    }

    /// Lets `best` name the checkpoint of a step, if there is such.
    pub(crate) fn point_best(&self, step: Option<u64>) -> Result<()> {
        match step.filter(|&step| self.checkpoints().join(name(step)).is_dir()) {
            Some(step) => self.point(BEST, step),
            None => Ok(()),
        }
    }

    /// Removes all checkpoints but the newest `keep_last` up to step `now` and that of `best`; with
    /// 0, none. What a crash left half written or half removed goes too.
    pub(crate) fn prune(&self, keep_last: usize, best: Option<u64>, now: u64) -> Result<()> {
        let mut steps = Vec::new();
        for name in names(&self.checkpoints()) {
            match step_of(&name) {
                Some(step) => steps.push(step),
                None if name.starts_with(ASIDE) => {
                    let path = self.checkpoints().join(name);
                    let removed = fs::remove_dir_all(&path);
                    removed.map_err(|source| Error::Write { path, source })?;
                }
                None => (),
            }
        }
        if keep_last == 0 {
            return Ok(());
        }
        // Later steps are of a run that went on from before them: they are written again.
        steps.retain(|&step| step <= now);
        steps.sort_unstable_by(|a, b| b.cmp(a));
        for &step in steps.iter().skip(keep_last) {
            if Some(step) != best {
                self.discard(&self.checkpoints().join(name(step)))?;
            }
        }
        Ok(())
    }

    /// Removes a checkpoint: at no moment is half of one under its name.
    fn discard(&self, path: &Path) -> Result<()> {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let aside = self.checkpoints().join(format!("{ASIDE}old-{name}"));
        let removed = match aside.exists() {
            true => fs::remove_dir_all(&aside),
            false => Ok(()),
        };
        removed
            .and_then(|()| fs::rename(path, &aside))
            .and_then(|()| fs::remove_dir_all(&aside))
            .map_err(|source| Error::Write {
                path: path.to_owned(),
                source,
            })
    }

    /// Writes the manifest of a checkpoint again, so that its files count as undamaged. For callers
    /// that changed one on purpose.
    ///
    /// # Errors
    /// [`Error::Read`], [`Error::Write`].
    pub fn seal(checkpoint: &Path) -> Result<()> {
        manifest::write(checkpoint)
    }
}

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries
        .filter_map(|entry| entry.file_name().into_string().ok())
        .collect()
}

/// The checkpoints of a run, the one that `latest` names first, then those of earlier steps, the
/// newest first; without a sound `latest`, all.
#[derive(Debug)]
pub(crate) struct Candidates {
    run: PathBuf,
    /// What is wrong with `latest`.
    complaint: Option<Error>,
    steps: Vec<u64>,
}

/// The first that is.
#[derive(Debug)]
pub(crate) struct Sound<T> {
    pub(crate) path: PathBuf,
    pub(crate) found: T,
    /// What is wrong with newer ones, a sentence each.
    pub(crate) passed_over: Vec<String>,
}

impl Candidates {
    pub(crate) fn of(run: &Path) -> Result<Self> {
        let latest = run.join(LATEST);
        let mut steps: Vec<u64> = names(&run.join(CHECKPOINTS))
            .iter()
            .filter_map(|name| step_of(name))
            .collect();
        steps.sort_unstable_by(|a, b| b.cmp(a));
        let bad = |reason: String| {
            Some(Error::BadCheckpoint {
                path: latest.clone(),
                reason,
            })
        };
        let complaint = match fs::read_to_string(&latest) {
            Ok(text) => {
                let named = text
                    .strip_prefix(CHECKPOINTS)
                    .and_then(|text| text.strip_prefix('/'))
                    .and_then(|name| step_of(name.trim_end()));
                match named {
                    Some(step) if steps.contains(&step) => {
                        steps.retain(|&other| other <= step);
                        None
                    }
                    Some(step) => bad(format!("it names {}, which does not exist", name(step))),
                    None => bad("it names no checkpoint".to_owned()),
                }
            }
            // A crash before the very first swap, or no run at all; nothing is wrong.
            Err(error)
                if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) =>
            {
                None
            }
            Err(source) => {
                return Err(Error::Read {
                    path: latest,
                    source,
                });
            }
        };
        Ok(Self {
            run: run.to_owned(),
            complaint,
            steps,
        })
    }

    /// True if there are no checkpoints and no damaged ones either.
    pub(crate) fn is_empty(&self) -> bool {
        self.steps.is_empty() && self.complaint.is_none()
    }

    /// The newest that `check` accepts.
    ///
    /// # Errors
    /// What the newest is refused with, where all are.
    pub(crate) fn first_sound<T>(self, check: impl Fn(&Path) -> Result<T>) -> Result<Sound<T>> {
        let mut complaints = Vec::from_iter(self.complaint);
        for step in self.steps {
            let path = self.run.join(CHECKPOINTS).join(name(step));
            let checked = match path.join(CONFIG_JSON).is_file() {
                true => check(&path),
                false => Err(Error::BadCheckpoint {
                    path: path.join(CONFIG_JSON),
                    reason: "it is missing".to_owned(),
                }),
            };
            match checked {
                Ok(found) => {
                    let passed_over = complaints.iter().map(ToString::to_string).collect();
                    return Ok(Sound {
                        path,
                        found,
                        passed_over,
                    });
                }
                Err(error) => complaints.push(error),
            }
        }
        match complaints.into_iter().next() {
            Some(error) => Err(error),
            None => Err(Error::NothingToResume { path: self.run }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Existing;
    use crate::run_folder::folder::write_synced;

    #[test]
    fn the_last_and_the_best_are_kept() {
        let runs = tempfile::tempdir().unwrap();
        let run = RunFolder::create(&runs.path().join("r"), Existing::Refuse).unwrap();
        for step in 1..=6 {
            run.checkpoint(step, |aside| write_synced(&aside.join(CONFIG_JSON), b"1"))
                .unwrap();
        }
        fs::create_dir(run.checkpoints().join(".tmp-step-000007")).unwrap();
        run.point_best(Some(2)).unwrap();
        run.point_best(Some(9)).unwrap();
        run.prune(2, Some(2), 5).unwrap();
        let mut left = names(&run.checkpoints());
        left.sort();
        assert_eq!(left, [2, 4, 5, 6].map(name));
        let best = fs::read_to_string(run.path().join(BEST)).unwrap();
        assert_eq!(best, "checkpoints/step-000002\n");
    }

    #[test]
    fn the_newest_sound_one_is_found_and_the_others_named() {
        let runs = tempfile::tempdir().unwrap();
        let run = RunFolder::create(&runs.path().join("r"), Existing::Refuse).unwrap();
        let path = |step| run.checkpoints().join(name(step));
        for step in 1..=3 {
            run.checkpoint(step, |aside| write_synced(&aside.join(CONFIG_JSON), b"12"))
                .unwrap();
        }
        let open = || {
            let candidates = Candidates::of(run.path()).unwrap();
            candidates.first_sound(|path| manifest::verify(path, &[CONFIG_JSON]))
        };
        let sound = open().unwrap();
        assert_eq!((sound.path, sound.passed_over.len()), (path(3), 0));
        fs::write(path(3).join(CONFIG_JSON), b"1").unwrap();
        fs::remove_file(path(2).join(CONFIG_JSON)).unwrap();
        let sound = open().unwrap();
        assert_eq!((sound.path, sound.passed_over.len()), (path(1), 2));
        assert!(sound.passed_over[0].contains("it has 1 bytes, but 2 were"));
        assert!(sound.passed_over[1].contains("it is missing"));
        for text in ["checkpoints/step-000009\n", "../../etc\n", ""] {
            fs::write(run.path().join(LATEST), text).unwrap();
            let sound = open().unwrap();
            assert_eq!(
                (sound.path, sound.passed_over.len()),
                (path(1), 3),
                "{text}"
            );
        }
        fs::remove_dir_all(run.checkpoints()).unwrap();
        let lost = open().unwrap_err().to_string();
        assert!(lost.contains("latest is damaged"), "{lost}");
    }
}
