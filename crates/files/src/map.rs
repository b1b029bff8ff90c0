//! A file as bytes, mapped where the system can.
//!
//! The one module of this crate with unsafe code: mapping a file is unsafe because another process
//! may change it while it is read.
#![allow(unsafe_code, reason = "a file is mapped, see above")]

use memmap2::Mmap;
use std::fs::File;
use std::io::{Read, Result};
use std::ops::Deref;
use std::path::Path;

/// The bytes of a file. A plain file is mapped and takes no memory of its own; a pipe, and whatever
/// the system cannot map, is read. The file must not change while this lives: its bytes would, too.
#[derive(Debug)]
pub struct Mapped(Bytes);

#[derive(Debug)]
enum Bytes {
    Mapped(Mmap),
    Read(Vec<u8>),
}

impl Mapped {
    /// Maps or reads a file.
    ///
    /// # Errors
    /// What the system says.
    pub fn open(path: &Path) -> Result<Self> {
        let mut file = File::open(path)?;
        let is_plain = file
            .metadata()
            .is_ok_and(|data| data.is_file() && data.len() > 0);
        if is_plain {
            // SAFETY: the bytes are only read, and each is read as a plain `u8`; the documentation
            // asks the user not to change the file.
            if let Ok(map) = unsafe { Mmap::map(&file) } {
                return Ok(Self(Bytes::Mapped(map)));
            }
        }
        // A pipe can be opened only once.
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        Ok(Self(Bytes::Read(bytes)))
    }
}

impl Deref for Mapped {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match &self.0 {
            Bytes::Mapped(map) => map,
            Bytes::Read(bytes) => bytes,
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may fail wherever it stands")]

    use super::*;

    #[test]
    fn files_are_mapped_and_empty_ones_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        for (bytes, mapped) in [(&b""[..], false), (b"abc", true)] {
            std::fs::write(&path, bytes).unwrap();
            let map = Mapped::open(&path).unwrap();
            assert_eq!(&*map, bytes);
            assert_eq!(matches!(map.0, Bytes::Mapped(_)), mapped);
        }
        assert!(Mapped::open(&folder.path().join("none")).is_err());
    }
}
