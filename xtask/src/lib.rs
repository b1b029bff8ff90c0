//! What the front door and the developers' tools share.

pub mod run;

use std::path::{Path, PathBuf};

/// The entries of a folder, sorted by name.
///
/// # Errors
/// The folder cannot be read.
pub fn entries(folder: &Path) -> Result<Vec<PathBuf>, String> {
    let failed = |error| format!("cannot read {}: {error}", folder.display());
    let mut found = std::fs::read_dir(folder)
        .and_then(|all| {
            all.map(|entry| Ok(entry?.path()))
                .collect::<Result<Vec<_>, _>>()
        })
        .map_err(failed)?;
    found.sort();
    Ok(found)
}
