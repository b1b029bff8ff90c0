//! Reads a text in parts: files larger than memory, pipes, the lines of stdin.

use crate::encoding::{Fault, Start, examine, start};
use crate::error::{Error, Result};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

/// Number of bytes read at a time.
const ASKED: usize = 64 << 10;
/// Number of bytes that are kept after they were returned: a character of UTF-32 may begin in them.
const KEPT: usize = 3;

/// Reads a text in parts, each of whole characters. The parts, or whole lines, before an error are
/// returned first.
///
/// A line is returned as soon as it is complete, so that a pipe can be answered line by line.
///
/// ```
/// use latimer_text::Reader;
/// use std::path::Path;
///
/// let mut lines = Reader::new(&b"le chat\r\nthe cat"[..], Path::new("stdin"));
/// assert_eq!(lines.next_line()?, Some("le chat"));
/// assert_eq!(lines.next_line()?, Some("the cat"));
/// assert_eq!(lines.next_line()?, None);
/// # Ok::<(), latimer_text::Error>(())
/// ```
#[derive(Debug)]
pub struct Reader<R> {
    from: R,
    name: PathBuf,
    buffer: Vec<u8>,
    /// Number of bytes of `buffer` that were returned, and number that are known to be text.
    given: usize,
    known: usize,
    /// Number of bytes that were read, and number that stood before `buffer`.
    read: u64,
    before: u64,
    begun: bool,
    ended: bool,
    fault: Option<Fault>,
}

impl<R: Read> Reader<R> {
    /// Reads from `from`; `name` is its name in errors.
    pub fn new(from: R, name: &Path) -> Self {
        Self {
            from,
            name: name.to_owned(),
            buffer: Vec::new(),
            given: 0,
            known: 0,
            read: 0,
            before: 0,
            begun: false,
            ended: false,
            fault: None,
        }
    }

    /// The number of bytes read so far, a byte-order mark included.
    pub fn bytes_read(&self) -> u64 {
        self.read
    }

    /// The next part, of about `most` bytes; `None` at the end.
    ///
    /// # Errors
    /// [`Error::Read`], [`Error::Encoding`], [`Error::NotUtf8`].
    pub fn next_part(&mut self, most: usize) -> Result<Option<&str>> {
        while self.known - self.given < most && self.more()? {}
        let end = self.known;
        self.give(end, end)
    }

    /// The next line without its end, `\n` or `\r\n`; `None` at the end.
    ///
    /// # Errors
    /// As [`next_part`](Self::next_part).
    pub fn next_line(&mut self) -> Result<Option<&str>> {
        let mut seen = 0;
        loop {
            let pending = &self.buffer[self.given..self.known];
            if let Some(found) = pending[seen..].iter().position(|byte| *byte == b'\n') {
                let end = seen + found;
                let line = pending[..end]
                    .strip_suffix(b"\r")
                    .unwrap_or(&pending[..end]);
                let (line, end) = (self.given + line.len(), self.given + end + 1);
                return self.give(line, end);
            }
            seen = pending.len();
            if !self.more()? {
                if let Some(fault) = self.fault {
                    return Err(fault.of(&self.name));
                }
                let end = self.known;
                return self.give(end, end);
            }
        }
    }

    /// The rest of the text.
    ///
    /// # Errors
    /// As [`next_part`](Self::next_part).
    pub fn rest(mut self) -> Result<String> {
        while self.more()? {}
        if let Some(fault) = self.fault {
            return Err(fault.of(&self.name));
        }
        let mut bytes = self.buffer;
        bytes.drain(..self.given);
        // The bytes are known to be text; a second check costs little and needs no unsafe code.
        String::from_utf8(bytes).map_err(|error| {
            let at = error.utf8_error().valid_up_to();
            Error::not_utf8(&self.name, self.before + at as u64, error.as_bytes()[at])
        })
    }

    /// Returns the bytes up to `text` and skips those up to `end`. At the end returns `None`, or
    /// the error once everything before it was returned.
    fn give(&mut self, text: usize, end: usize) -> Result<Option<&str>> {
        let from = self.given;
        if from == end {
            return match self.fault {
                Some(fault) => Err(fault.of(&self.name)),
                None => Ok(None),
            };
        }
        self.given = end;
        Ok(Some(
            std::str::from_utf8(&self.buffer[from..text]).unwrap_or_default(),
        ))
    }

    /// Reads once; returns `false` if nothing more can be returned.
    fn more(&mut self) -> Result<bool> {
        if self.ended || self.fault.is_some() {
            return Ok(false);
        }
        let gone = self.given.saturating_sub(KEPT);
        self.buffer.drain(..gone);
        self.before += gone as u64;
        self.known -= gone;
        self.given -= gone;

        let len = self.buffer.len();
        self.buffer.resize(len + ASKED.max(len), 0);
        let got = loop {
            match self.from.read(&mut self.buffer[len..]) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                other => break other,
            }
        };
        self.buffer
            .truncate(len + got.as_ref().copied().unwrap_or(0));
        let got = got.map_err(|source| Error::Read {
            path: self.name.clone(),
            source,
        })?;
        self.read += got as u64;
        self.ended = got == 0;
        if !self.begun {
            match start(&self.buffer, self.ended) {
                Start::Unknown => return Ok(true),
                Start::Foreign(encoding) => {
                    self.buffer.clear();
                    return Err(Error::encoding(&self.name, encoding, 0));
                }
                Start::Text(skip) => {
                    self.buffer.drain(..skip);
                    self.before = skip as u64;
                    self.begun = true;
                }
            }
        }
        (self.known, self.fault) = examine(&self.buffer, self.known, self.before, self.ended);
        Ok(!self.ended)
    }
}
