//! A text that is mapped where the system can.

use crate::error::{Error, Result};
use latimer_files::Mapped;
use std::path::Path;

/// The text of a file, without a byte-order mark. The caller of `train_files` promises that the
/// file does not change.
pub(super) struct Text {
    bytes: Mapped,
    /// Length of the byte-order mark in bytes.
    mark: usize,
}

impl Text {
    pub(super) fn open(path: &Path) -> Result<Self> {
        let bytes = Mapped::open(path).map_err(|source| Error::Io {
            action: "read",
            path: path.to_owned(),
            source,
        })?;
        let mark = bytes.len() - latimer_text::check(&bytes, path)?.len();
        Ok(Self { bytes, mark })
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes[self.mark..]
    }
}
