//! What the files of a checkpoint are: how long, and their SHA-256.
//!
//! `manifest.json` is written last into a checkpoint, and read before anything else of it: a file
//! that was cut short, changed by a bit, taken from elsewhere or lost is named before a weight of
//! it is used.

use super::folder::write_synced;
use crate::{Error, Result};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

/// A checkpoint's file.
pub(crate) const MANIFEST: &str = "manifest.json";
const FORMAT: &str = "latimer-manifest";
const VERSION: u32 = 1;
/// Bytes that a manifest has at most; ours have about 600.
const LONGEST: u64 = 1 << 16;

#[derive(Debug, Serialize, Deserialize)]
struct Manifest {
    format: String,
    version: u32,
    files: BTreeMap<String, Entry>,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Entry {
    bytes: u64,
    sha256: String,
}

impl Entry {
    fn of(path: &Path) -> std::io::Result<Self> {
        let (bytes, sha256) = latimer_files::sha256_of_file(path)?;
        Ok(Self { bytes, sha256 })
    }
}

/// Writes the manifest of every file of a folder.
pub(crate) fn write(folder: &Path) -> Result<()> {
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |source| Error::Read { path, source }
    };
    let mut files = BTreeMap::new();
    for entry in fs::read_dir(folder).map_err(failed(folder))? {
        let path = entry.map_err(failed(folder))?.path();
        let name = path.file_name().and_then(|name| name.to_str());
        if let Some(name) = name.filter(|&name| name != MANIFEST) {
            files.insert(name.to_owned(), Entry::of(&path).map_err(failed(&path))?);
        }
    }
    let manifest = Manifest {
        format: FORMAT.to_owned(),
        version: VERSION,
        files,
    };
    let path = folder.join(MANIFEST);
    let text = serde_json::to_string_pretty(&manifest).map_err(|error| Error::Write {
        path: path.clone(),
        source: error.into(),
    })?;
    write_synced(&path, format!("{text}\n").as_bytes())
}

/// Whether files of a checkpoint are those that were written. One without a manifest passes: a
/// model from elsewhere has none.
///
/// # Errors
/// [`Error::BadCheckpoint`] names the first file that is not.
pub(crate) fn verify(folder: &Path, names: &[&str]) -> Result<()> {
    let path = folder.join(MANIFEST);
    let bad = |name: &str, reason: String| Error::BadCheckpoint {
        path: folder.join(name),
        reason,
    };
    let length = match fs::metadata(&path) {
        Ok(metadata) => metadata.len(),
        Err(_) => return Ok(()),
    };
    if length > LONGEST {
        return Err(bad(
            MANIFEST,
            format!("it has {length} bytes, more than any manifest"),
        ));
    }
    let text = latimer_text::read(&path).map_err(|error| bad(MANIFEST, error.to_string()))?;
    let manifest: Manifest =
        serde_json::from_str(&text).map_err(|error| bad(MANIFEST, error.to_string()))?;
    if manifest.format != FORMAT || manifest.version != VERSION {
        let (format, version) = (manifest.format, manifest.version);
        return Err(bad(
            MANIFEST,
            format!("it is {format:?}, version {version}, not {FORMAT:?}, version {VERSION}"),
        ));
    }
    for name in names {
        let Some(written) = manifest.files.get(*name) else {
            return Err(bad(MANIFEST, format!("it does not list {name}")));
        };
        let file = folder.join(name);
        // The length says more to a person than a hash, and is free.
        let length = match fs::metadata(&file) {
            Ok(metadata) => metadata.len(),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return Err(bad(name, "it is missing".to_owned()));
            }
            Err(error) => return Err(bad(name, error.to_string())),
        };
        if length != written.bytes {
            let expected = written.bytes;
            return Err(bad(
                name,
                format!("it has {length} bytes, but {expected} were written"),
            ));
        }
        let now = Entry::of(&file).map_err(|error| bad(name, error.to_string()))?;
        if now != *written {
            let [now, then] = [&now, written].map(|entry| entry.sha256.get(..12).unwrap_or("?"));
            return Err(bad(
                name,
                format!("its SHA-256 is {now}…, but {then}… was written"),
            ));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_changed_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        for name in ["a", "b"] {
            fs::write(path(name), name.repeat(100)).unwrap();
        }
        let verify = || verify(folder.path(), &["a", "b"]);
        verify().unwrap();
        write(folder.path()).unwrap();
        verify().unwrap();
        let refused = |words: &str| {
            let error = verify().unwrap_err().to_string();
            assert!(error.contains(words), "{error}");
        };
        fs::write(path("b"), "b".repeat(99)).unwrap();
        refused("b is damaged: it has 99 bytes, but 100 were written");
        fs::write(path("b"), "b".repeat(99) + "c").unwrap();
        refused("b is damaged: its SHA-256 is ");
        fs::remove_file(path("b")).unwrap();
        refused("b is damaged: it is missing");
        let whole = fs::read_to_string(path(MANIFEST)).unwrap();
        for (broken, words) in [
            (whole[..40].to_owned(), "manifest.json is damaged: EOF"),
            (whole.replace("\"b\"", "\"c\""), "does not list b"),
            (
                whole.replace("\"version\": 1", "\"version\": 9"),
                "version 9",
            ),
            (
                whole.clone() + &" ".repeat(1 << 16),
                "more than any manifest",
            ),
        ] {
            fs::write(path(MANIFEST), broken).unwrap();
            refused(words);
        }
    }
}
