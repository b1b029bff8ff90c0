//! Output: results go to stdout, everything else to stderr.

use crate::error::{BROKEN_PIPE, Error, Result, sentence};
use console::{StyledObject, style};
use serde::Serialize;
use std::fmt::Display;
use std::io::{IsTerminal, Write, stderr, stdout};
use std::process::ExitCode;

/// The output that the user asked for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Terminal {
    /// Whether results are printed as JSON.
    pub(crate) json: bool,
    quiet: bool,
    verbosity: u8,
}

impl Terminal {
    pub(crate) fn new(json: bool, quiet: bool, verbosity: u8) -> Self {
        Self {
            json,
            quiet,
            verbosity,
        }
    }

    /// A terminal that prints nothing, for tests of code that reports progress.
    #[cfg(test)]
    pub(crate) fn silent() -> Self {
        Self {
            json: false,
            quiet: true,
            verbosity: 0,
        }
    }

    /// Whether progress is shown as a bar that is redrawn.
    pub(crate) fn has_bar(&self) -> bool {
        !self.quiet && stderr().is_terminal()
    }

    /// Whether a person types at stdin.
    pub(crate) fn is_interactive(&self) -> bool {
        std::io::stdin().is_terminal()
    }

    /// Prints a line for a person.
    pub(crate) fn note(&self, text: impl Display) {
        if !self.quiet {
            line(text);
        }
    }

    /// Prints a line for a person who asked for more, with `-v` (1) or `-vv` (2).
    pub(crate) fn detail(&self, verbosity: u8, text: impl Display) {
        if !self.quiet && self.verbosity >= verbosity {
            line(dim(text));
        }
    }

    /// Prints a warning: something allowed that was probably not meant.
    pub(crate) fn warn(&self, text: impl Display) {
        if !self.quiet {
            line(format_args!(
                "{} {text}",
                style("warning:").for_stderr().yellow().bold()
            ));
        }
    }

    /// Prints text without a line end, and flushes.
    pub(crate) fn ask(&self, text: impl Display) {
        if !self.quiet {
            let mut stderr = stderr().lock();
            let _ = write!(stderr, "{text}").and_then(|()| stderr.flush());
        }
    }
}

/// The command that the user typed to start this program: `latimer`, or `cargo xtask` if that
/// started it and said so.
pub(crate) fn called() -> &'static str {
    const FROM_A_CLONE: &str = "cargo xtask";
    match std::env::args_os().next() {
        Some(name) if name == FROM_A_CLONE => FROM_A_CLONE,
        _ => "latimer",
    }
}

/// A path as a shell reads it: quoted if it contains characters with a special meaning.
pub(crate) fn quoted(path: &std::path::Path) -> String {
    let text = path.display().to_string();
    let is_plain = |c: char| c.is_alphanumeric() || "/._-+:,@%=".contains(c);
    match !text.is_empty() && text.chars().all(is_plain) {
        true => text,
        false => format!("'{}'", text.replace('\'', r"'\''")),
    }
}

/// Text in which commands between backticks, written as `latimer …`, are replaced by what the user
/// can type.
pub(crate) fn typed(text: &str) -> String {
    text.replace("`latimer ", &format!("`{} ", called()))
}

/// Text that is less important than its surroundings, shown dim.
pub(crate) fn dim(text: impl Display) -> StyledObject<String> {
    style(text.to_string()).for_stderr().dim()
}

/// Whether stdout is a terminal that shows colours, and `NO_COLOR` does not forbid it.
pub(crate) fn has_colour() -> bool {
    stdout().is_terminal() && console::colors_enabled()
}

/// Prints a line to stderr. Failing to write it is ignored.
pub(crate) fn line(text: impl Display) {
    let _ = writeln!(stderr().lock(), "{text}");
}

/// Prints a line to stdout.
pub(crate) fn result(text: impl Display) -> Result<()> {
    writeln!(stdout().lock(), "{text}").map_err(Error::Stdout)
}

/// Prints a JSON object to stdout, with keys in the order of the fields.
pub(crate) fn json_result(value: &impl Serialize) -> Result<()> {
    // Writing plain structs of numbers and strings cannot fail.
    result(serde_json::to_string(value).unwrap_or_default())
}

/// Prints text to stdout and flushes.
pub(crate) fn stream(text: &str) -> Result<()> {
    let mut stdout = stdout().lock();
    let written = stdout
        .write_all(text.as_bytes())
        .and_then(|()| stdout.flush());
    written.map_err(Error::Stdout)
}

impl Error {
    /// Prints the error, unless nobody reads it, and returns the exit status.
    pub(crate) fn report(&self) -> ExitCode {
        let status = self.exit_status();
        if status != BROKEN_PIPE {
            complain(&sentence(self));
        }
        ExitCode::from(status)
    }
}

/// Prints `error: …` to stderr.
pub(crate) fn complain(sentence: &str) {
    line(format_args!(
        "{} {}",
        style("error:").for_stderr().red().bold(),
        typed(sentence)
    ));
}
