//! Where text goes: results to stdout, everything else to stderr.

use crate::args::Common;
use crate::error::{Error, Result};
use console::{StyledObject, style};
use serde::Serialize;
use std::fmt::Display;
use std::io::{IsTerminal, Write, stderr, stdout};

/// What a person asked to see, and how.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Terminal {
    /// Results are JSON.
    pub(crate) json: bool,
    quiet: bool,
    verbosity: u8,
}

impl Terminal {
    pub(crate) fn new(common: &Common) -> Self {
        Self {
            json: common.json,
            quiet: common.quiet,
            verbosity: common.verbose,
        }
    }

    /// For tests of what speaks on the way.
    #[cfg(test)]
    pub(crate) fn silent() -> Self {
        Self {
            json: false,
            quiet: true,
            verbosity: 0,
        }
    }

    /// Whether progress is shown as a bar that is drawn over and over.
    pub(crate) fn has_bar(&self) -> bool {
        !self.quiet && stderr().is_terminal()
    }

    /// Whether a person types at stdin.
    pub(crate) fn is_interactive(&self) -> bool {
        std::io::stdin().is_terminal()
    }

    /// A line for a person.
    pub(crate) fn note(&self, text: impl Display) {
        if !self.quiet {
            line(text);
        }
    }

    /// A line for a person who asked for more, with `-v` (1) or `-vv` (2).
    pub(crate) fn detail(&self, verbosity: u8, text: impl Display) {
        if !self.quiet && self.verbosity >= verbosity {
            line(dim(text));
        }
    }

    /// What is allowed and probably not meant.
    pub(crate) fn warn(&self, text: impl Display) {
        if !self.quiet {
            line(format_args!(
                "{} {text}",
                style("warning:").for_stderr().yellow().bold()
            ));
        }
    }

    /// Text without a line's end, now.
    pub(crate) fn ask(&self, text: impl Display) {
        if !self.quiet {
            let mut stderr = stderr().lock();
            let _ = write!(stderr, "{text}").and_then(|()| stderr.flush());
        }
    }
}

/// What a person types to start this: `latimer`, or `cargo xtask` where that became this program and
/// said so.
pub(crate) fn called() -> &'static str {
    const FROM_A_CLONE: &str = "cargo xtask";
    match std::env::args_os().next() {
        Some(name) if name == FROM_A_CLONE => FROM_A_CLONE,
        _ => "latimer",
    }
}

/// A path as a shell takes it: in quotes where it holds what a shell reads in a way of its own.
pub(crate) fn quoted(path: &std::path::Path) -> String {
    let text = path.display().to_string();
    let is_plain = |c: char| c.is_alphanumeric() || "/._-+:,@%=".contains(c);
    match !text.is_empty() && text.chars().all(is_plain) {
        true => text,
        false => format!("'{}'", text.replace('\'', r"'\''")),
    }
}

/// Text whose commands, written as `latimer …` between backticks, can be typed as they stand.
pub(crate) fn typed(text: &str) -> String {
    text.replace("`latimer ", &format!("`{} ", called()))
}

/// Less important than what stands around it.
pub(crate) fn dim(text: impl Display) -> StyledObject<String> {
    style(text.to_string()).for_stderr().dim()
}

/// Whether stdout is a terminal that shows colours, and `NO_COLOR` does not forbid it.
pub(crate) fn has_colour() -> bool {
    stdout().is_terminal() && console::colors_enabled()
}

/// A line on stderr. That nobody reads it is no reason to stop.
pub(crate) fn line(text: impl Display) {
    let _ = writeln!(stderr().lock(), "{text}");
}

/// A line on stdout.
pub(crate) fn result(text: impl Display) -> Result<()> {
    writeln!(stdout().lock(), "{text}").map_err(Error::Stdout)
}

/// A JSON object on stdout, its keys in the order of the fields.
pub(crate) fn json_result(value: &impl Serialize) -> Result<()> {
    // Plain structs of numbers and strings cannot fail to be written.
    result(serde_json::to_string(value).unwrap_or_default())
}

/// Text on stdout that is to be seen at once.
pub(crate) fn stream(text: &str) -> Result<()> {
    let mut stdout = stdout().lock();
    let written = stdout
        .write_all(text.as_bytes())
        .and_then(|()| stdout.flush());
    written.map_err(Error::Stdout)
}
