//! Published corpora, from the network into the cache.
//!
//! A download is written beside its final place as `NAME.part` and renamed when its SHA-256 is
//! right. If a download breaks off, its part stays, and the next download continues from there.

use crate::bar::Bar;
use crate::terminal::Terminal;
use latimer_files::sha256_of_file;
use latimer_trainer::data::corpora::{Library, Published};
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;
use ureq::http::StatusCode;
use ureq::http::header::{CONTENT_RANGE, RANGE};
use ureq::{Agent, Body};

/// A server that has not answered after this time counts as unreachable.
const CONNECT: Duration = Duration::from_secs(15);
/// A server that has sent nothing for this time counts as gone.
const SILENCE: Duration = Duration::from_secs(60);

/// Alternatives to a download, for a corpus that was asked for by name.
pub(crate) const OTHER_TEXT: &str = ", or use your own text with --data FILE, or \
    --data phrasebook-english, which needs no download";

impl From<DownloadError> for crate::error::Error {
    fn from(error: DownloadError) -> Self {
        Self::Download(Box::new(error))
    }
}

/// Why a corpus could not be downloaded.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DownloadError {
    /// The server did not answer.
    #[error(
        "cannot download {url} (without a network, put that file at {}{OTHER_TEXT})",
        path.display()
    )]
    NoAnswer {
        url: String,
        path: PathBuf,
        #[source]
        source: Box<ureq::Error>,
    },
    /// The server refused.
    #[error(
        "{url} answered {status} (put the file at {} yourself{OTHER_TEXT})",
        path.display()
    )]
    Refused {
        url: String,
        path: PathBuf,
        status: StatusCode,
    },
    /// The transfer broke off.
    #[error(
        "the download of {url} broke off after {got} of {expected} bytes: run the same command \
         again to continue from there"
    )]
    BrokenOff {
        url: String,
        got: u64,
        expected: u64,
        #[source]
        source: Option<io::Error>,
    },
    /// The file received is not the published one.
    #[error(
        "the file that {url} sent is not the published one: its SHA-256 is {got}, not {expected}; \
         it was deleted"
    )]
    WrongHash {
        url: String,
        got: String,
        expected: &'static str,
    },
    /// Another process is downloading this file.
    #[error("another process is writing {}: wait for it, and try again", path.display())]
    Busy { path: PathBuf },
    /// A file could not be read or written.
    #[error("cannot {action} {}", path.display())]
    File {
        action: &'static str,
        path: PathBuf,
        #[source]
        source: io::Error,
    },
}

type Result<T, E = DownloadError> = std::result::Result<T, E>;

/// Downloads those of `names` that are published corpora and not in the cache, and reports it.
///
/// # Errors
/// [`DownloadError`].
pub(crate) fn provide(names: &[String], library: &Library, terminal: &Terminal) -> Result<()> {
    let (corpora, cache) = (library.corpora(), library.cache());
    for corpus in corpora.iter().filter(|c| names.iter().any(|n| n == c.name)) {
        if let Some(published) = corpus.published()
            && !published.path(cache).exists()
        {
            terminal.note(format_args!(
                "{} is not in the cache yet: downloading {}",
                corpus.name, published.url
            ));
            fetch(&published, cache, terminal)?;
        }
    }
    Ok(())
}

/// The path of a corpus in the cache. It is downloaded unless a correct copy is there.
///
/// # Errors
/// [`DownloadError`].
pub(crate) fn fetch(published: &Published, cache: &Path, terminal: &Terminal) -> Result<PathBuf> {
    let agent = Agent::config_builder()
        .http_status_as_error(false)
        .user_agent(concat!("latimer/", env!("CARGO_PKG_VERSION")))
        .timeout_connect(Some(CONNECT))
        .timeout_recv_response(Some(SILENCE))
        .timeout_per_read(Some(SILENCE))
        .build();
    let download = Download {
        agent: agent.into(),
        url: published.url,
        published,
        path: published.path(cache),
        terminal,
    };
    download.run()
}

/// One download. Its address is separate from the published one, so that tests can serve it.
struct Download<'a> {
    agent: Agent,
    url: &'a str,
    published: &'a Published,
    path: PathBuf,
    terminal: &'a Terminal,
}

impl Download<'_> {
    fn run(&self) -> Result<PathBuf> {
        if self.path.exists() {
            if hash_of(&self.path)? == self.published.sha256 {
                return Ok(self.path.clone());
            }
            self.terminal.warn(format_args!(
                "{} is damaged and will be replaced",
                self.path.display()
            ));
        }
        let part = self.part();
        if length(&part) != self.published.bytes {
            self.transfer(&part)?;
        }
        let got = hash_of(&part)?;
        if got != self.published.sha256 {
            fs::remove_file(&part).map_err(failed("delete", &part))?;
            return Err(DownloadError::WrongHash {
                url: self.url.to_owned(),
                got,
                expected: self.published.sha256,
            });
        }
        fs::rename(&part, &self.path).map_err(failed("write", &self.path))?;
        Ok(self.path.clone())
    }

    /// The path of the part, beside the final place, so that renaming is one step.
    fn part(&self) -> PathBuf {
        let mut name = self.path.clone().into_os_string();
        name.push(".part");
        name.into()
    }

    /// Downloads until the part has its full length.
    fn transfer(&self, part: &Path) -> Result<()> {
        let expected = self.published.bytes;
        // A part that is too long does not belong to this file.
        let have = Some(length(part)).filter(|&n| n < expected).unwrap_or(0);
        let mut answer = self.ask(have)?;
        let goes_on =
            have > 0 && answer.status() == StatusCode::PARTIAL_CONTENT && starts_at(&answer, have);
        if have > 0 && !goes_on && answer.status() != StatusCode::OK {
            // The server cannot continue from there, so start from the beginning.
            answer = self.ask(0)?;
        }
        if !goes_on && answer.status() != StatusCode::OK {
            return Err(DownloadError::Refused {
                url: self.url.to_owned(),
                path: self.path.clone(),
                status: answer.status(),
            });
        }
        let begin = if goes_on { have } else { 0 };
        let mut file = open(part, begin)?;
        let mut bar = Bar::new(self.terminal, "downloading", expected).after(begin);
        // Reading one byte more than expected is enough to see that the file is too long.
        let mut body = answer.body_mut().as_reader().take(expected + 1 - begin);
        let (mut got, mut buffer) = (begin, vec![0; 1 << 16]);
        let broken = loop {
            match body.read(&mut buffer) {
                Ok(0) => break None,
                Ok(n) => {
                    file.write_all(&buffer[..n])
                        .map_err(failed("write", part))?;
                    got += n as u64;
                    bar.set(got);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => break Some(error),
            }
        };
        file.sync_all().map_err(failed("write", part))?;
        // If the data ended early without an error, it is not the published file but perhaps its
        // beginning.
        if got < expected {
            return Err(DownloadError::BrokenOff {
                url: self.url.to_owned(),
                got,
                expected,
                source: broken,
            });
        }
        Ok(())
    }

    /// Requests the file from byte `first` on.
    fn ask(&self, first: u64) -> Result<ureq::http::Response<Body>> {
        let mut request = self.agent.get(self.url);
        if first > 0 {
            request = request.header(RANGE, format!("bytes={first}-"));
        }
        request.call().map_err(|source| DownloadError::NoAnswer {
            url: self.url.to_owned(),
            path: self.path.clone(),
            source: Box::new(source),
        })
    }
}

/// Whether a partial answer begins at the byte that was requested.
fn starts_at(answer: &ureq::http::Response<Body>, first: u64) -> bool {
    let range = answer.headers().get(CONTENT_RANGE);
    let range = range.and_then(|range| range.to_str().ok());
    range.is_some_and(|range| range.starts_with(&format!("bytes {first}-")))
}

/// Opens the part, keeps `len` bytes of it, and locks it against other processes if the system can.
fn open(part: &Path, len: u64) -> Result<File> {
    if let Some(folder) = part.parent() {
        fs::create_dir_all(folder).map_err(failed("create", folder))?;
    }
    let file = OpenOptions::new()
        .create(true)
        .append(true)
        .open(part)
        .map_err(failed("write", part))?;
    let busy = matches!(file.try_lock(), Err(TryLockError::WouldBlock));
    if busy || (len > 0 && length(part) != len) {
        return Err(DownloadError::Busy {
            path: part.to_owned(),
        });
    }
    if length(part) != len {
        file.set_len(len).map_err(failed("write", part))?;
    }
    Ok(file)
}

fn length(path: &Path) -> u64 {
    fs::metadata(path).map_or(0, |metadata| metadata.len())
}

fn hash_of(path: &Path) -> Result<String> {
    let (_, sha256) = sha256_of_file(path).map_err(failed("read", path))?;
    Ok(sha256)
}

fn failed(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> DownloadError {
    let path = path.to_owned();
    move |source| DownloadError::File {
        action,
        path,
        source,
    }
}

#[cfg(test)]
mod tests;
