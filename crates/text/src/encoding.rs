//! Decides whether bytes are UTF-8, another encoding of Unicode, or neither.

use crate::error::Error;
use std::fmt;
use std::path::Path;

/// U+FEFF, which some programs write at the start of a text.
pub(crate) const MARK: char = '\u{feff}';
const UTF8_MARK: &[u8] = b"\xef\xbb\xbf";

/// An encoding of Unicode that is recognised but not read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Encoding {
    /// Two bytes a character, or four; the lower byte first.
    Utf16Le,
    /// Two bytes a character, or four; the higher byte first.
    Utf16Be,
    /// Four bytes a character, the lowest first.
    Utf32Le,
    /// Four bytes a character, the highest first.
    Utf32Be,
}

impl Encoding {
    /// The name that `iconv` uses, for example `UTF-16LE`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Utf16Le => "UTF-16LE",
            Self::Utf16Be => "UTF-16BE",
            Self::Utf32Le => "UTF-32LE",
            Self::Utf32Be => "UTF-32BE",
        }
    }

    /// The marks of the encodings. Longer ones come first, since that of `UTF-32LE` begins like
    /// that of `UTF-16LE`.
    const MARKS: [(&'static [u8], Self); 4] = [
        (b"\xff\xfe\0\0", Self::Utf32Le),
        (b"\0\0\xfe\xff", Self::Utf32Be),
        (b"\xff\xfe", Self::Utf16Le),
        (b"\xfe\xff", Self::Utf16Be),
    ];
}

impl fmt::Display for Encoding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// How a text begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Start {
    /// UTF-8, after this many bytes of marks.
    Text(usize),
    /// The mark of another encoding.
    Foreign(Encoding),
    /// More bytes are needed to decide.
    Unknown,
}

/// Determines how a text begins; `whole` means that no more bytes follow.
pub(crate) fn start(bytes: &[u8], whole: bool) -> Start {
    let mut skip = 0;
    // A program that adds a mark to a text with a mark makes it two.
    while bytes[skip..].starts_with(UTF8_MARK) {
        skip += UTF8_MARK.len();
    }
    let rest = &bytes[skip..];
    let is_begun = |mark: &[u8]| rest.len() < mark.len() && mark.starts_with(rest);
    let marks = Encoding::MARKS;
    if !whole && (is_begun(UTF8_MARK) || skip == 0 && marks.iter().any(|(mark, _)| is_begun(mark)))
    {
        return Start::Unknown;
    }
    let foreign = marks.iter().find(|(mark, _)| bytes.starts_with(mark));
    match foreign {
        Some((_, encoding)) => Start::Foreign(*encoding),
        None => Start::Text(skip),
    }
}

/// An error in the bytes, and where it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Fault {
    pub(crate) offset: u64,
    pub(crate) kind: FaultKind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FaultKind {
    Foreign(Encoding),
    NotUtf8(u8),
}

impl Fault {
    pub(crate) fn of(self, name: &Path) -> Error {
        match self.kind {
            FaultKind::Foreign(encoding) => Error::encoding(name, encoding, self.offset),
            FaultKind::NotUtf8(byte) => Error::not_utf8(name, self.offset, byte),
        }
    }
}

/// Returns how many of the bytes are text, and the error that ends it, if any. The first `known`
/// bytes are already known to be text. `offset` is the position of `bytes` in the whole input. With
/// `whole` no more bytes follow; otherwise undecided bytes at the end count neither as text nor as
/// an error.
pub(crate) fn examine(
    bytes: &[u8],
    known: usize,
    offset: u64,
    whole: bool,
) -> (usize, Option<Fault>) {
    let at = |i: usize| offset + i as u64;
    let (mut text, mut fault) = match std::str::from_utf8(&bytes[known..]) {
        Ok(_) => (bytes.len(), None),
        Err(error) => {
            let valid = known + error.valid_up_to();
            // The following bytes show which encoding it is.
            let is_clear = error.error_len().is_some() && bytes.len() >= valid + WINDOW;
            let fault = (whole || is_clear).then(|| Fault {
                offset: at(valid),
                kind: match start(&bytes[valid..], true) {
                    // A text in another encoding was appended to this one.
                    Start::Foreign(encoding) => FaultKind::Foreign(encoding),
                    _ => FaultKind::NotUtf8(bytes[valid]),
                },
            });
            (valid, fault)
        }
    };
    let is_settled = fault.is_some_and(|fault| matches!(fault.kind, FaultKind::Foreign(_)));
    // Zero bytes may also come after the first byte that is not UTF-8: "é" in UTF-16 is such a
    // byte.
    let to = match fault {
        Some(_) if !is_settled => bytes.len(),
        _ => text,
    };
    match zero_bytes(&bytes[..to], known, offset, whole || fault.is_some()) {
        Zeros::Plain => {}
        Zeros::Undecided(first) => text = first,
        Zeros::Foreign(first, encoding) => {
            text = text.min(first);
            fault = Some(Fault {
                offset: at(first),
                kind: FaultKind::Foreign(encoding),
            });
        }
    }
    (text, fault)
}

/// The number of bytes that are examined from a zero byte on.
const WINDOW: usize = 256;

/// The meaning of the zero bytes.
enum Zeros {
    /// There are no zero bytes, or they are characters.
    Plain,
    /// The zero byte at this place cannot be judged before more bytes come.
    Undecided(usize),
    /// The byte at this place is the first of a text in another encoding.
    Foreign(usize, Encoding),
}

/// Looks for text in UTF-16 or UTF-32 without a mark. In these encodings the higher bytes of
/// characters are below 0x20 in almost all scripts except Chinese, and zero for ASCII.
fn zero_bytes(bytes: &[u8], known: usize, offset: u64, whole: bool) -> Zeros {
    let mut from = known;
    while let Some(found) = bytes[from..].iter().position(|byte| *byte == 0) {
        let at = from + found;
        if !whole && bytes.len() < at + WINDOW {
            return Zeros::Undecided(at);
        }
        if let Some(encoding) = wide(bytes, at, offset).or_else(|| double(bytes, at, offset)) {
            return Zeros::Foreign(at, encoding);
        }
        from = (at + WINDOW).min(bytes.len());
    }
    Zeros::Plain
}

/// UTF-32: every four bytes around `at` are a character, and most of these are not U+0000.
fn wide(bytes: &[u8], at: usize, offset: u64) -> Option<Encoding> {
    let back = ((offset + at as u64) % 4) as usize;
    // The first bytes of the character may have been examined before.
    let first = at.checked_sub(back).unwrap_or(at + 4 - back);
    let units = || {
        bytes[first.min(bytes.len())..]
            .chunks_exact(4)
            .take(WINDOW / 4)
    };
    let count = units().count();
    let is = |read: fn([u8; 4]) -> u32| {
        let mut zeros = 0;
        let all = units().all(|four| {
            let code = read([four[0], four[1], four[2], four[3]]);
            zeros += usize::from(code == 0);
            char::from_u32(code).is_some()
        });
        all && count >= 2 && 4 * zeros <= count
    };
    if is(u32::from_le_bytes) {
        return Some(Encoding::Utf32Le);
    }
    is(u32::from_be_bytes).then_some(Encoding::Utf32Be)
}

/// UTF-16: from `at` on, every second byte is (at least twice, and in at least three quarters of
/// cases) a control character that no text has, and the bytes between them are hardly ever zero.
fn double(bytes: &[u8], at: usize, offset: u64) -> Option<Encoding> {
    let window = &bytes[at..bytes.len().min(at + WINDOW)];
    let is_strange = |byte: u8| byte < 0x20 && !matches!(byte, b'\t' | b'\n' | b'\r');
    let high = || window.iter().step_by(2);
    let strange = high().filter(|byte| is_strange(**byte)).count();
    let zeros = high().filter(|byte| **byte == 0).count();
    let between = window.iter().skip(1).step_by(2);
    let others = between.filter(|byte| **byte == 0).count();
    if strange < 2 || 4 * strange < 3 * high().count() || 8 * others > zeros {
        return None;
    }
    // In UTF-16LE the higher byte comes second.
    Some(match (offset + at as u64) % 2 {
        1 => Encoding::Utf16Le,
        _ => Encoding::Utf16Be,
    })
}
