//! Steps of a run that went wrong, and those that are left out for it: `faults.json`, which only a
//! run that had such has.

use super::folder::{BAD_STEPS, RunFolder, replace_synced};
use crate::{Error, Result};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::fs;

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct BadSteps {
    /// The step that stopped the run.
    pub(crate) not_finite: Option<u64>,
    /// Whether the steps after that one cannot be computed either: leaving it out does not help.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) beyond_help: bool,
    /// Steps that are counted, but whose rows are not trained on.
    pub(crate) skipped: BTreeSet<u64>,
}

impl BadSteps {
    pub(crate) fn read(folder: &RunFolder) -> Result<Self> {
        let path = folder.path().join(BAD_STEPS);
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return Ok(Self::default());
            }
            Err(source) => return Err(Error::Read { path, source }),
        };
        serde_json::from_str(&text).map_err(|error| Error::BadState {
            path,
            reason: error.to_string(),
        })
    }

    pub(crate) fn write(&self, folder: &RunFolder) -> Result<()> {
        let path = folder.path().join(BAD_STEPS);
        let text = serde_json::to_string(self).map_err(|error| Error::Write {
            path: path.clone(),
            source: error.into(),
        })?;
        replace_synced(&path, format!("{text}\n").as_bytes())
    }
}
