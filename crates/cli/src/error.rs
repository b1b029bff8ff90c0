//! The errors of commands, with their sentences and exit statuses.

use crate::registry::RegistryError;
use std::io;

pub(crate) type Result<T, E = Error> = std::result::Result<T, E>;

/// Exit status of a command that failed.
const FAILED: u8 = 1;
/// Exit status of wrong usage.
pub(crate) const USAGE: u8 = 2;
/// Exit status when the reader of the result is gone: 128 and SIGPIPE.
pub(crate) const BROKEN_PIPE: u8 = 128 + 13;

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// The command line is wrong.
    #[error("{0}")]
    Usage(String),
    /// The operands are too large for the device.
    #[error(
        "these operands need {needed}, but {device} has {available}: give smaller sizes with --shape"
    )]
    OperandsTooLarge {
        needed: String,
        device: String,
        available: String,
    },
    /// The device is a stand-in for tests.
    #[error("{device} runs GPU kernels on the CPU for tests: there is nothing to measure on it")]
    NoMeasurement { device: String },
    /// One line of stdin is wrong.
    #[error("line {line} of stdin")]
    InLine { line: usize, source: Box<Error> },
    #[error(transparent)]
    Backend(#[from] RegistryError),
    #[error(transparent)]
    Trainer(Box<latimer_trainer::Error>),
    #[error(transparent)]
    Lessons(Box<latimer_lessons::Error>),
    /// The user has no model that can translate.
    #[error("{cause}; the methods {others} need no model")]
    NoTranslator {
        cause: Box<latimer_trainer::Error>,
        others: String,
    },
    /// The format cannot hold all of a tokenizer.
    #[error("the format {format} does not keep {what}: give --lossy to write the rest")]
    Lossy { format: String, what: String },
    /// A file could not be written.
    #[error("cannot write {}", path.display())]
    WriteFile {
        path: std::path::PathBuf,
        source: io::Error,
    },
    #[error(transparent)]
    Model(#[from] latimer_nn::Error),
    #[error(transparent)]
    Tokenizer(#[from] latimer_tokenizer::Error),
    #[error(transparent)]
    Download(Box<dyn std::error::Error + Send + Sync>),
    #[error("cannot write to stdout")]
    Stdout(#[source] io::Error),
    #[error(transparent)]
    Text(#[from] latimer_text::Error),
    #[error("cannot listen for Ctrl-C")]
    Signals(#[source] io::Error),
}

impl From<latimer_trainer::Error> for Error {
    fn from(error: latimer_trainer::Error) -> Self {
        Self::Trainer(Box::new(error))
    }
}

impl From<latimer_lessons::Error> for Error {
    fn from(error: latimer_lessons::Error) -> Self {
        Self::Lessons(Box::new(error))
    }
}

impl From<latimer_trainer::config::ConfigError> for Error {
    fn from(error: latimer_trainer::config::ConfigError) -> Self {
        latimer_trainer::Error::from(error).into()
    }
}

impl From<latimer_tensor::Error> for Error {
    fn from(error: latimer_tensor::Error) -> Self {
        latimer_trainer::Error::from(error).into()
    }
}

impl Error {
    /// The status that a program ends with for this error.
    pub(crate) fn exit_status(&self) -> u8 {
        match self {
            Self::Usage(_) | Self::Backend(RegistryError::Unknown { .. }) => USAGE,
            Self::Trainer(error) => match &**error {
                latimer_trainer::Error::Config(error) if error.is_usage() => USAGE,
                latimer_trainer::Error::BadStride { .. } => USAGE,
                _ => FAILED,
            },
            Self::Stdout(source) if source.kind() == io::ErrorKind::BrokenPipe => BROKEN_PIPE,
            _ => FAILED,
        }
    }
}

/// An error and its causes in one line, each cause only once.
pub(crate) fn sentence(error: &dyn std::error::Error) -> String {
    let mut text = one_line(&error.to_string());
    let mut next = error.source();
    while let Some(cause) = next {
        let part = match cause.downcast_ref::<io::Error>() {
            // Systems word this differently and add a number, so we use our own words.
            Some(error) if error.kind() == io::ErrorKind::NotFound => {
                "there is no such file or folder".to_owned()
            }
            _ => one_line(&cause.to_string()),
        };
        if !text.ends_with(&part) {
            text = format!("{text}: {part}");
        }
        next = cause.source();
    }
    text
}

/// A message on one line, without the excerpt that some parsers draw:
///
/// ```text
///   |
/// 3 | n_layer = = 2
///   |           ^
/// ```
fn one_line(message: &str) -> String {
    let is_picture = |line: &str| {
        let rest = line.trim_start_matches(|c: char| c == ' ' || c.is_ascii_digit());
        rest.starts_with('|')
    };
    let lines: Vec<&str> = message
        .lines()
        .filter(|line| !is_picture(line))
        .map(str::trim)
        .filter(|line| !line.is_empty())
        .collect();
    lines.join(": ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn causes_are_chained_once_and_on_one_line() {
        #[derive(Debug, thiserror::Error)]
        #[error("cannot read x.toml")]
        struct Outer(#[source] Inner);
        #[derive(Debug, thiserror::Error)]
        #[error("TOML parse error at line 3\n  |\n3 | a = = 2\n  |     ^\ninvalid value\n")]
        struct Inner;
        assert_eq!(
            sentence(&Outer(Inner)),
            "cannot read x.toml: TOML parse error at line 3: invalid value"
        );
        let repeated = latimer_trainer::Error::Write {
            path: "x".into(),
            source: io::Error::other("cannot write x"),
        };
        assert_eq!(sentence(&repeated), "cannot write x");
    }
}
