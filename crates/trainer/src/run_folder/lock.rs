//! One process a run: a lock that the system takes back however its holder ends.

use crate::{Error, Result};
use std::fs::{File, TryLockError};
use std::path::Path;

/// The file that is locked; empty, and left where it is: its absence would say nothing.
pub(crate) const LOCK: &str = ".lock";

/// Locks a run's folder for as long as the file stays open.
///
/// # Errors
/// [`Error::InUse`] when another process, or another handle of this one, has it.
pub(crate) fn lock(folder: &Path) -> Result<Option<File>> {
    let path = folder.join(LOCK);
    let file = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(&path)
        .map_err(|source| Error::Write { path, source })?;
    match file.try_lock() {
        Ok(()) => Ok(Some(file)),
        Err(TryLockError::WouldBlock) => Err(Error::InUse {
            path: folder.to_owned(),
        }),
        // A file system without locks: two processes there are the user's to avoid.
        Err(TryLockError::Error(_)) => Ok(None),
    }
}
