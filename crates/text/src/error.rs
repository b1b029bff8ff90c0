//! Errors for input that is not read as text.

use crate::encoding::Encoding;
use std::io;
use std::path::{Path, PathBuf};

/// This crate's `Result`.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// The reason why input is not read as text.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The file system reported an error.
    #[error("cannot read {}", path.display())]
    Read {
        /// The file, or `stdin`.
        path: PathBuf,
        /// The system's reason.
        #[source]
        source: io::Error,
    },
    /// The text is in an encoding that is not read.
    #[error(
        "{} is {encoding} text (detected at byte {offset}), but this program reads UTF-8: convert \
         it with {}",
        path.display(),
        command(encoding.name(), path)
    )]
    Encoding {
        /// The file, or `stdin`.
        path: PathBuf,
        /// The encoding.
        encoding: Encoding,
        /// Where it was recognised, counted from 0.
        offset: u64,
    },
    /// The bytes are not UTF-8 text.
    #[error(
        "{} is not UTF-8 text: byte {offset} does not belong to a character (it is 0x{byte:02x}); if \
         the file is text in another encoding, such as Latin-1, convert it with {}",
        path.display(),
        command("LATIN1", path)
    )]
    NotUtf8 {
        /// The file, or `stdin`.
        path: PathBuf,
        /// The first byte that is wrong, from 0.
        offset: u64,
        /// The byte.
        byte: u8,
    },
}

impl Error {
    pub(crate) fn encoding(path: &Path, encoding: Encoding, offset: u64) -> Self {
        Self::Encoding {
            path: path.to_owned(),
            encoding,
            offset,
        }
    }

    pub(crate) fn not_utf8(path: &Path, offset: u64, byte: u8) -> Self {
        Self::NotUtf8 {
            path: path.to_owned(),
            offset,
            byte,
        }
    }
}

/// The command that converts a file, ready to paste into a shell.
fn command(from: &str, path: &Path) -> String {
    let iconv = format!("iconv -f {from} -t UTF-8");
    let name = path.display().to_string();
    let is_plain = |c: char| c.is_alphanumeric() || "/._-+,@".contains(c);
    match name.as_str() {
        "stdin" => format!("`{iconv}` in front of this command"),
        name if name.chars().all(is_plain) => format!("`{iconv} {name} > NEW`"),
        name => format!("`{iconv} '{}' > NEW`", name.replace('\'', r"'\''")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_can_be_pasted() {
        let command = |name: &str| command("UTF-16LE", Path::new(name));
        let iconv = "iconv -f UTF-16LE -t UTF-8";
        assert_eq!(command("a/b.txt"), format!("`{iconv} a/b.txt > NEW`"));
        assert_eq!(command("l'été 1"), format!(r"`{iconv} 'l'\''été 1' > NEW`"));
        assert_eq!(
            command("stdin"),
            format!("`{iconv}` in front of this command")
        );
    }
}
