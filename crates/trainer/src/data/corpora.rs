//! Corpora that have a name: published and cached, or made by the program.

use super::DataFiles;
use crate::config::Config;
use crate::task::Task;
use crate::{Error, Result};
use std::path::{Path, PathBuf};

/// A corpus with a name.
#[derive(Clone, Copy, Debug)]
pub struct Corpus {
    /// What `--data` calls it.
    pub name: &'static str,
    /// One line about it.
    pub about: &'static str,
    /// What it is.
    pub kind: CorpusKind,
}

/// What a name stands for.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum CorpusKind {
    /// A text to be downloaded.
    Published(Published),
    /// A text that the program makes, the same each time.
    Text(fn() -> String),
    /// Rows without an end, with a purpose.
    Task(fn(&Config) -> Result<Box<dyn Task>>),
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

/// Every corpus that is published under a name.
pub const PUBLISHED: &[Corpus] = &[Corpus {
    name: "shakespeare",
    about: "tiny Shakespeare: 40,000 lines of the plays, as collected by Karpathy",
    kind: CorpusKind::Published(Published {
        url: "https://raw.githubusercontent.com/karpathy/char-rnn/master/data/tinyshakespeare/input.txt",
        bytes: 1_115_394,
        sha256: "86c4e6aa9db7c042ec79f339dcb96d42b0075e16b8fc2e86bf0ca57e2dc565ed",
        file: "shakespeare.txt",
    }),
}];

impl Corpus {
    /// Where it is published; none for what the program makes itself.
    #[must_use]
    pub fn published(&self) -> Option<Published> {
        match self.kind {
            CorpusKind::Published(published) => Some(published),
            _ => None,
        }
    }
}

/// The corpora that a program knows by name, and the folder where their files are kept.
#[derive(Clone, Debug)]
pub struct Library {
    cache: PathBuf,
    corpora: Vec<Corpus>,
}

impl Library {
    /// The published corpora, whose files lie in `cache`.
    #[must_use]
    pub fn new(cache: impl Into<PathBuf>) -> Self {
        Self {
            cache: cache.into(),
            corpora: PUBLISHED.to_vec(),
        }
    }

    /// These corpora, then the others.
    #[must_use]
    pub fn with(mut self, corpora: &[Corpus]) -> Self {
        self.corpora.splice(0..0, corpora.iter().copied());
        self
    }

    /// Every corpus, in order.
    #[must_use]
    pub fn corpora(&self) -> &[Corpus] {
        &self.corpora
    }

    /// The folder of files.
    #[must_use]
    pub fn cache(&self) -> &Path {
        &self.cache
    }

    /// The corpus of that name.
    #[must_use]
    pub fn find(&self, name: &str) -> Option<&Corpus> {
        self.corpora.iter().find(|corpus| corpus.name == name)
    }

    /// The corpus of that name, if it is a task: its name, and what makes it.
    pub(crate) fn task(&self, name: &str) -> Option<(&'static str, MakeTask)> {
        match self.find(name)? {
            Corpus {
                name,
                kind: CorpusKind::Task(make),
                ..
            } => Some((name, *make)),
            _ => None,
        }
    }
}

type MakeTask = fn(&Config) -> Result<Box<dyn Task>>;

impl From<&Library> for Library {
    fn from(library: &Library) -> Self {
        library.clone()
    }
}

/// Published corpora alone.
impl From<&Path> for Library {
    fn from(cache: &Path) -> Self {
        Self::new(cache)
    }
}

/// Published corpora alone.
impl From<&PathBuf> for Library {
    fn from(cache: &PathBuf) -> Self {
        Self::new(cache)
    }
}

impl Published {
    /// Where it lies in a cache.
    #[must_use]
    pub fn path(&self, cache: &Path) -> PathBuf {
        cache.join(self.file)
    }
}

/// The file of a corpus that is a text; nothing for an unknown name.
///
/// # Errors
/// [`Error::NotCached`], [`Error::Damaged`], [`Error::ReadData`], [`Error::WriteData`],
/// [`Error::EndlessCorpus`].
pub(super) fn file_of(name: &str, library: &Library) -> Result<Option<PathBuf>> {
    let Some(corpus) = library.find(name) else {
        return Ok(None);
    };
    match corpus.kind {
        CorpusKind::Published(published) => cached(corpus.name, &published, &library.cache),
        CorpusKind::Text(text) => made(corpus.name, &text(), &library.cache),
        CorpusKind::Task(_) => Err(Error::EndlessCorpus { name: corpus.name }),
    }
    .map(Some)
}

/// The file of a published corpus in the cache.
fn cached(name: &'static str, published: &Published, cache: &Path) -> Result<PathBuf> {
    let path = published.path(cache);
    if !path.exists() {
        return Err(Error::NotCached {
            name,
            url: published.url,
            path,
        });
    }
    let bytes = std::fs::read(&path).map_err(|source| Error::ReadData {
        path: path.clone(),
        source,
    })?;
    let got = latimer_files::sha256(&bytes);
    if got != published.sha256 {
        return Err(Error::Damaged {
            path,
            expected: published.sha256,
            got,
        });
    }
    Ok(path)
}

/// The file of a made text in the cache, written there if it is missing or another.
///
/// # Errors
/// [`Error::WriteData`].
fn made(name: &str, text: &str, cache: &Path) -> Result<PathBuf> {
    let path = cache.join(name).with_extension("txt");
    if std::fs::read(&path).is_ok_and(|bytes| bytes == text.as_bytes()) {
        return Ok(path);
    }
    std::fs::create_dir_all(cache)
        .and_then(|()| latimer_files::replace(&path, text.as_bytes()))
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
pub fn load_text(name: &str, library: impl Into<Library>) -> Result<String> {
    let library = library.into();
    // No file is needed for what is made here.
    if let Some(Corpus {
        kind: CorpusKind::Text(text),
        ..
    }) = library.find(name)
    {
        return Ok(text());
    }
    DataFiles::find(&[name.to_owned()], &[], library)?.text()
}

/// The refusal of a name that is neither a corpus nor a file. One that looks like a path is a
/// missing file; any other may be a misspelt corpus.
pub(super) fn unknown(name: &str, library: &Library) -> Error {
    let looks_like_path = name.contains(['/', '\\', '.']);
    if looks_like_path {
        let source = std::io::ErrorKind::NotFound.into();
        return Error::ReadData {
            path: name.into(),
            source,
        };
    }
    let names = library.corpora.iter().map(|corpus| corpus.name);
    let nearest = crate::config::nearest(name, names);
    let hint = nearest.map_or(String::new(), |n| format!(": did you mean {n}?"));
    Error::UnknownData {
        name: name.to_owned(),
        hint,
    }
}
