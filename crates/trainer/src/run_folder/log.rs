//! The files a run appends to, and how they are cut back to a checkpoint.

use super::folder::{CONFIG_TOML, METRICS, RunFolder, SAMPLES, TIMINGS, replace_synced};
use super::resume::State;
use crate::config::Config;
use crate::event::{Event, Sample};
use crate::run::Observe;
use crate::{Error, Result};
use std::fs::File;
use std::io::Write;
use std::path::PathBuf;

/// The files a run appends to.
pub(crate) struct Files {
    metrics: Log,
    timings: Log,
    samples: Log,
}

/// Bytes of the files that the same run always repeats.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Lengths {
    pub(crate) metrics: u64,
    pub(crate) samples: u64,
}

/// One of them.
pub(crate) struct Log {
    path: PathBuf,
    file: File,
    /// Bytes in it.
    len: u64,
}

impl Log {
    fn create(path: PathBuf) -> Result<Self> {
        Self::open(path, Some(0))
    }

    /// A file to append to, of which the first `kept` bytes are kept; all without a number.
    fn open(path: PathBuf, kept: Option<u64>) -> Result<Self> {
        let failed = |source| Error::Write {
            path: path.clone(),
            source,
        };
        let file = File::options()
            .create(true)
            .append(true)
            .open(&path)
            .map_err(failed)?;
        let got = file.metadata().map_err(failed)?.len();
        let len = kept.unwrap_or(got);
        if got < len {
            return Err(Error::CutShort {
                path,
                expected: len,
                got,
            });
        }
        file.set_len(len).map_err(failed)?;
        Ok(Self { path, file, len })
    }

    fn write(&mut self, text: &str) -> Result<()> {
        let written = self.file.write_all(text.as_bytes());
        written.map_err(|source| Error::Write {
            path: self.path.clone(),
            source,
        })?;
        self.len += text.len() as u64;
        Ok(())
    }

    /// Waits until all is on the disk.
    fn sync(&self) -> Result<()> {
        let synced = self.file.sync_data();
        synced.map_err(|source| Error::Write {
            path: self.path.clone(),
            source,
        })
    }
}

impl Files {
    pub(crate) fn create(folder: &RunFolder, config: &Config) -> Result<Self> {
        folder.begin()?;
        let path = folder.path();
        // First: with it, what was stopped before its first checkpoint can be begun again.
        write_config(folder, config)?;
        Ok(Self {
            metrics: Log::create(path.join(METRICS))?,
            timings: Log::create(path.join(TIMINGS))?,
            samples: Log::create(path.join(SAMPLES))?,
        })
    }

    /// The files of a resumed run, cut to what they were at a checkpoint. What the clock said
    /// of the steps that are done again is kept.
    pub(crate) fn go_on(folder: &RunFolder, config: &Config, state: &State) -> Result<Self> {
        let path = folder.path();
        let files = Self {
            metrics: Log::open(path.join(METRICS), Some(state.metrics_bytes))?,
            timings: Log::open(path.join(TIMINGS), None)?,
            samples: Log::open(path.join(SAMPLES), Some(state.samples_bytes))?,
        };
        write_config(folder, config)?;
        Ok(files)
    }

    /// Writes an event to the files it belongs to and hands it on.
    pub(crate) fn emit(&mut self, event: &Event, observe: &mut Observe<'_>) -> Result<()> {
        self.write(event)?;
        observe(event);
        Ok(())
    }

    /// Bytes of the files that the same run always repeats.
    pub(crate) fn lengths(&self) -> Lengths {
        Lengths {
            metrics: self.metrics.len,
            samples: self.samples.len,
        }
    }

    /// Waits until what those files hold is on the disk.
    pub(crate) fn sync(&self) -> Result<()> {
        self.metrics.sync()?;
        self.samples.sync()
    }

    /// Writes an event to the files it belongs to.
    pub(crate) fn write(&mut self, event: &Event) -> Result<()> {
        if let Some(line) = event.metrics() {
            self.metrics.write(&format!("{line}\n"))?;
        }
        if let Some(line) = event.timings() {
            self.timings.write(&format!("{line}\n"))?;
        }
        if let Event::Sample(Sample { step, prompt, text }) = event {
            self.samples
                .write(&format!("--- step {step}, after {prompt:?}\n{text}\n\n"))?;
        }
        Ok(())
    }
}

fn write_config(folder: &RunFolder, config: &Config) -> Result<()> {
    let text = config.to_commented_toml();
    replace_synced(&folder.path().join(CONFIG_TOML), text.as_bytes())
}
