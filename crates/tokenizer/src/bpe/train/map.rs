//! A file as bytes, mapped where the system can.
//!
//! The one module of this crate with unsafe code: mapping a file is unsafe because another process
//! may change it while it is read.
#![allow(unsafe_code, reason = "a file is mapped, see above")]

use std::fs::{self, File};
use std::path::Path;

use memmap2::Mmap;

use crate::error::{Error, Result};

pub(super) enum Text {
    Mapped(Mmap),
    Read(Vec<u8>),
}

impl Text {
    pub(super) fn open(path: &Path) -> Result<Self> {
        let refused = |source| Error::Io {
            action: "read",
            path: path.to_owned(),
            source,
        };
        let file = File::open(path).map_err(refused)?;
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
        fs::read(path).map(Self::Read).map_err(refused)
    }

    pub(super) fn bytes(&self) -> &[u8] {
        match self {
            Self::Mapped(map) => map,
            Self::Read(bytes) => bytes,
        }
    }
}
