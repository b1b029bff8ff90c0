//! A file as bytes, mapped where the system can.
//!
//! The one module of this crate with unsafe code: mapping a file is unsafe because another process
//! may change it while it is read.
#![allow(unsafe_code, reason = "a file is mapped, see above")]

use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use memmap2::Mmap;

use crate::error::{Error, Result};

/// The text of a file, without a byte-order mark.
pub(super) struct Text {
    bytes: Bytes,
    /// Bytes of the mark.
    mark: usize,
}

enum Bytes {
    Mapped(Mmap),
    Read(Vec<u8>),
}

impl Text {
    pub(super) fn open(path: &Path) -> Result<Self> {
        let mut text = Self {
            bytes: Bytes::open(path)?,
            mark: 0,
        };
        let all = text.bytes();
        text.mark = all.len() - latimer_text::check(all, path)?.len();
        Ok(text)
    }

    pub(super) fn bytes(&self) -> &[u8] {
        let all = match &self.bytes {
            Bytes::Mapped(map) => map,
            Bytes::Read(bytes) => bytes.as_slice(),
        };
        &all[self.mark..]
    }
}

impl Bytes {
    fn open(path: &Path) -> Result<Self> {
        let refused = |source| Error::Io {
            action: "read",
            path: path.to_owned(),
            source,
        };
        let mut file = File::open(path).map_err(refused)?;
        let is_plain = file
            .metadata()
            .is_ok_and(|data| data.is_file() && data.len() > 0);
        if is_plain {
            // SAFETY: the bytes are only read, and each is read as a plain `u8`. The caller of
            // `train_files` promises that the file does not change.
            if let Ok(map) = unsafe { Mmap::map(&file) } {
                return Ok(Self::Mapped(map));
            }
        }
        // A pipe can be opened only once.
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).map_err(refused)?;
        Ok(Self::Read(bytes))
    }
}
