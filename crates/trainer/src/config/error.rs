//! What can be wrong with a configuration, and where it was written.

use std::fmt;
use std::io;
use std::path::PathBuf;

/// This module's `Result`.
pub type Result<T, E = ConfigError> = std::result::Result<T, E>;

/// Why a configuration was refused.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    // ---- names
    /// No preset has this name.
    #[error(
        "unknown preset `{name}`{origin}{} (presets: {known})",
        hint(*nearest)
    )]
    UnknownPreset {
        /// The name.
        name: String,
        /// The preset it most likely meant.
        nearest: Option<&'static str>,
        /// All presets, joined by commas.
        known: String,
        /// Where it was written.
        origin: Origin,
    },
    /// No key has this name.
    #[error("unknown key `{key}`{origin}{}", key_hint(nearest.as_deref()))]
    UnknownKey {
        /// The name, with its section if one was given.
        key: String,
        /// The key it most likely meant, as `section.name`.
        nearest: Option<String>,
        /// Where it was written.
        origin: Origin,
    },
    /// A file has a table that is no section.
    #[error(
        "unknown section `[{section}]`{origin}{} (sections: model, train, data)",
        hint(*nearest)
    )]
    UnknownSection {
        /// The name.
        section: String,
        /// The section it most likely meant.
        nearest: Option<&'static str>,
        /// Where it was written.
        origin: Origin,
    },

    // ---- values
    /// A value of another kind than the key takes.
    #[error("{key} is {}: it must be {expected}{origin}{}", shown(value), hint(*nearest))]
    BadValue {
        /// The key, as `section.name`.
        key: String,
        /// The value as it was written.
        value: String,
        /// What the key takes, to follow "it must be".
        expected: String,
        /// The choice it most likely meant.
        nearest: Option<&'static str>,
        /// Where it was written.
        origin: Origin,
    },
    /// A value of the right kind that means nothing.
    #[error("{key} is {value}: {reason}")]
    OutOfRange {
        /// The key, as `section.name`.
        key: String,
        /// The value.
        value: String,
        /// The requirement: "it must be" and so on.
        reason: String,
    },
    /// Two values that do not go together.
    #[error("{key} = {value} {relation} {other} = {other_value}: {reason}")]
    Conflict {
        /// One key, as `section.name`.
        key: &'static str,
        /// Its value.
        value: String,
        /// What the first is to the second.
        relation: &'static str,
        /// The other key.
        other: &'static str,
        /// Its value.
        other_value: String,
        /// The requirement that they break.
        reason: &'static str,
    },
    /// The keys together ask for more than any machine has.
    #[error("{quantity} comes to {value}, above the limit of {limit}: lower {keys}")]
    TooLarge {
        /// What is too large.
        quantity: &'static str,
        /// Its size.
        value: u64,
        /// The largest that is accepted.
        limit: u64,
        /// The keys that it is made of.
        keys: &'static str,
    },
    /// There is nothing to train on.
    #[error("preset `{preset}` has no data of its own: name a corpus or a text file with --data")]
    NoData {
        /// The preset.
        preset: String,
    },

    // ---- files
    /// The file cannot be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The file is not text in UTF-8.
    #[error(transparent)]
    Text(latimer_text::Error),
    /// The file is not TOML.
    #[error("{}, line {line}: not valid TOML", path.display())]
    Toml {
        /// The file.
        path: PathBuf,
        /// The line of the mistake, from 1.
        line: usize,
        /// Why, with the place marked.
        #[source]
        source: Box<toml::de::Error>,
    },
}

impl ConfigError {
    /// Whether the command was wrongly used (exit status 2) rather than failed (exit status 1).
    ///
    /// Wrong usage is a mistake on the command line, or a configuration that asks for something
    /// impossible, no matter who wrote it: the remedy is another command. A file that cannot be
    /// read, is not TOML, or holds unknown names or values of the wrong kind is a failure: the
    /// remedy is in the file.
    #[must_use]
    pub fn is_usage(&self) -> bool {
        match self {
            Self::UnknownPreset { origin, .. }
            | Self::UnknownKey { origin, .. }
            | Self::UnknownSection { origin, .. }
            | Self::BadValue { origin, .. } => !matches!(origin, Origin::File { .. }),
            Self::OutOfRange { .. }
            | Self::Conflict { .. }
            | Self::TooLarge { .. }
            | Self::NoData { .. } => true,
            Self::Read { .. } | Self::Text(_) | Self::Toml { .. } => false,
        }
    }
}

impl From<latimer_text::Error> for ConfigError {
    fn from(error: latimer_text::Error) -> Self {
        match error {
            latimer_text::Error::Read { path, source } => Self::Read { path, source },
            other => Self::Text(other),
        }
    }
}

/// Where a name or value was written. Displayed after it, with its own space and brackets.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Origin {
    /// In a call of this library.
    Call,
    /// On the command line; the flag as typed, such as `--n-layer` or `--set model.n_layer`.
    Flag(String),
    /// In a file.
    File {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
    },
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Call => Ok(()),
            Self::Flag(flag) => write!(f, " (from {flag})"),
            Self::File { path, line } => write!(f, " (from {}, line {line})", path.display()),
        }
    }
}

/// A value in a sentence.
fn shown(value: &str) -> &str {
    match value {
        "" => "empty",
        value => value,
    }
}

fn hint(nearest: Option<&str>) -> String {
    nearest.map_or_else(String::new, |name| format!(": did you mean `{name}`?"))
}

fn key_hint(nearest: Option<&str>) -> String {
    match nearest {
        None => ": `--print-config` lists every key".to_owned(),
        nearest => hint(nearest),
    }
}
