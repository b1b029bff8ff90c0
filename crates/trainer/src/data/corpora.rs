//! Corpora that have a name: built in, or published and cached.

use super::DataFiles;
use super::phrasebook::english_text;
use crate::{Error, Result};
use sha2::{Digest, Sha256};
use std::path::{Path, PathBuf};

/// Name of the built-in corpus.
pub const PHRASEBOOK: &str = "phrasebook";
/// Name of the text that the program makes itself, of the phrasebook's English sentences.
pub const ENGLISH: &str = "phrasebook-english";

/// A corpus with a name.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Corpus {
    /// What `--data` calls it.
    pub name: &'static str,
    /// One line about it.
    pub about: &'static str,
    /// Where it is published; none for what the program makes itself.
    pub published: Option<Published>,
}

/// A published text.
#[derive(Clone, Copy, Debug)]
pub struct Published {
    /// Its address.
    pub url: &'static str,
    /// Its length.
    pub bytes: u64,
    /// Its SHA-256, in hexadecimal.
    pub sha256: &'static str,
    /// Its name in the cache.
    pub file: &'static str,
}

/// Every corpus with a name.
pub const CORPORA: &[Corpus] = &[
    Corpus {
        name: PHRASEBOOK,
        about: "French sentences with their English translations, made by a grammar; endless",
        published: None,
    },
    Corpus {
        name: ENGLISH,
        about: "30,000 English sentences of that grammar, one a line, the same each time",
        published: None,
    },
    Corpus {
        name: "shakespeare",
        about: "tiny Shakespeare: 40,000 lines of the plays, as collected by Karpathy",
        published: Some(Published {
            url: "https://raw.githubusercontent.com/karpathy/char-rnn/master/data/tinyshakespeare/input.txt",
            bytes: 1_115_394,
            sha256: "86c4e6aa9db7c042ec79f339dcb96d42b0075e16b8fc2e86bf0ca57e2dc565ed",
            file: "shakespeare.txt",
        }),
    },
];

impl Corpus {
    /// The corpus of that name.
    #[must_use]
    pub fn find(name: &str) -> Option<&'static Self> {
        CORPORA.iter().find(|corpus| corpus.name == name)
    }
}

impl Published {
    /// Where it lies in a cache.
    #[must_use]
    pub fn path(&self, cache: &Path) -> PathBuf {
        cache.join(self.file)
    }
}

/// The file of a published corpus; nothing for a name that is none's.
///
/// # Errors
/// [`Error::NotCached`], [`Error::Damaged`], [`Error::ReadData`], [`Error::WriteData`].
pub(super) fn published(name: &str, cache: &Path) -> Result<Option<PathBuf>> {
    if name == ENGLISH {
        return made(cache).map(Some);
    }
    let Some((corpus, published)) = Corpus::find(name).and_then(|c| Some((c, c.published?))) else {
        return Ok(None);
    };
    let path = published.path(cache);
    if !path.exists() {
        return Err(Error::NotCached {
            name: corpus.name,
            url: published.url,
            path,
        });
    }
    let bytes = std::fs::read(&path).map_err(|source| Error::ReadData {
        path: path.clone(),
        source,
    })?;
    let got = sha256(&bytes);
    if got != published.sha256 {
        return Err(Error::Damaged {
            path,
            expected: published.sha256,
            got,
        });
    }
    Ok(Some(path))
}

/// The file of [`ENGLISH`] in the cache, written there if it is missing or is not what is made.
///
/// # Errors
/// [`Error::WriteData`].
fn made(cache: &Path) -> Result<PathBuf> {
    let path = cache.join(ENGLISH).with_extension("txt");
    let text = english_text();
    if std::fs::read(&path).is_ok_and(|bytes| bytes == text.as_bytes()) {
        return Ok(path);
    }
    // Beside its place, so that another process never reads half of it.
    let part = path.with_extension(format!("{}.part", std::process::id()));
    std::fs::create_dir_all(cache)
        .and_then(|()| std::fs::write(&part, text))
        .and_then(|()| std::fs::rename(&part, &path))
        .map_err(|source| Error::WriteData {
            path: path.clone(),
            source,
        })?;
    Ok(path)
}

/// The text of what a name means, as [`DataFiles::find`] has it, without extensions of one's own.
///
/// # Errors
/// As [`DataFiles::find`] and [`DataFiles::text`].
pub fn load_text(name: &str, cache: &Path) -> Result<String> {
    if name == ENGLISH {
        return Ok(english_text());
    }
    DataFiles::find(&[name.to_owned()], &[], cache)?.text()
}

/// The texts of several, in this order, each beginning on a line of its own.
///
/// # Errors
/// As [`load_text`].
pub fn load_texts(names: &[String], cache: &Path) -> Result<String> {
    // No file is needed for what is made here.
    if let [name] = names {
        return load_text(name, cache);
    }
    DataFiles::find(names, &[], cache)?.text()
}

/// A name that looks like a path is a missing file; any other may be a misspelt corpus.
pub(super) fn unknown(name: &str) -> Error {
    let looks_like_path = name.contains(['/', '\\', '.']);
    if looks_like_path {
        let source = std::io::ErrorKind::NotFound.into();
        return Error::ReadData {
            path: name.into(),
            source,
        };
    }
    let names = CORPORA.iter().map(|corpus| corpus.name);
    let nearest = crate::config::nearest(name, names);
    let hint = nearest.map_or(String::new(), |n| format!(": did you mean {n}?"));
    Error::UnknownData {
        name: name.to_owned(),
        hint,
    }
}

/// SHA-256 in hexadecimal.
#[must_use]
pub fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}
