//! Reads text: UTF-8 without its byte-order mark. Everything else is refused with a one-sentence
//! error.
//!
//! | look in | for |
//! |---|---|
//! | [`read`], [`from_bytes`] | a whole text |
//! | [`check`] | bytes that stay where they are, such as a mapped file |
//! | [`Reader`] | a text in parts or by lines: large files, pipes, stdin |
//! | [`Error`], [`Encoding`] | what is refused, and the command that converts it |
//!
//! The rules:
//!
//! * A byte-order mark at the start is left out, in UTF-8.
//! * UTF-16 and UTF-32 are refused, with or without a mark. Without a mark they are recognised by
//!   their zero bytes, which stand at every second byte or more; a single zero byte is a character.
//! * Bytes that are not UTF-8 are refused, and the error says where they are.
//! * Line ends stay as they are; [`Reader::next_line`] leaves out `\n` and `\r\n`.

mod encoding;
mod error;
mod reader;

pub use crate::encoding::Encoding;
pub use crate::error::{Error, Result};
pub use crate::reader::Reader;

use crate::encoding::{MARK, Start, examine, start};
use std::fs::File;
use std::path::Path;

/// Reads a whole file. It is opened once, so that pipes and process substitutions can be read too.
///
/// # Errors
/// [`Error::Read`], [`Error::Encoding`], [`Error::NotUtf8`].
pub fn read(path: &Path) -> Result<String> {
    let file = File::open(path).map_err(|source| Error::Read {
        path: path.to_owned(),
        source,
    })?;
    Reader::new(file, path).rest()
}

/// The text that these bytes are. `name` is what errors call them, a path for example.
///
/// # Errors
/// [`Error::Encoding`], [`Error::NotUtf8`].
pub fn from_bytes(mut bytes: Vec<u8>, name: &Path) -> Result<String> {
    let skipped = bytes.len() - check(&bytes, name)?.len();
    bytes.drain(..skipped);
    String::from_utf8(bytes).map_err(|error| {
        // `check` has seen them; a second look costs little and needs no unsafe code.
        let at = error.utf8_error().valid_up_to();
        Error::not_utf8(name, at as u64, error.as_bytes()[at])
    })
}

/// These bytes as text, without a byte-order mark. `name` is what errors call them.
///
/// # Errors
/// [`Error::Encoding`], [`Error::NotUtf8`].
pub fn check<'b>(bytes: &'b [u8], name: &Path) -> Result<&'b str> {
    let skip = match start(bytes, true) {
        Start::Text(skip) => skip,
        Start::Foreign(encoding) => return Err(Error::encoding(name, encoding, 0)),
        Start::Unknown => 0,
    };
    let bytes = &bytes[skip..];
    if let (_, Some(fault)) = examine(bytes, 0, skip as u64, true) {
        return Err(fault.of(name));
    }
    std::str::from_utf8(bytes).map_err(|error| {
        // `examine` has seen them; a second look costs little and needs no unsafe code.
        let at = error.valid_up_to();
        Error::not_utf8(name, (skip + at) as u64, bytes[at])
    })
}

/// A text without byte-order marks at its start: for text that was read by others, such as an
/// argument made by `"$(cat FILE)"`.
///
/// ```
/// assert_eq!(latimer_text::without_mark("\u{feff}le chat"), "le chat");
/// ```
#[must_use]
pub fn without_mark(text: &str) -> &str {
    text.trim_start_matches(MARK)
}

/// Runs the README's examples as tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
#[derive(Debug)]
pub struct Readme;
