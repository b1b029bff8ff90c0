//! Turns arguments into a command, or into one sentence that says what is wrong with them.

use crate::commands::Cli;
use crate::dashes::settle;
use crate::error::{Error, USAGE};
use crate::registry::{AUTO, Registry};
use crate::terminal::{called, complain, typed};
use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Command, CommandFactory, FromArgMatches};
use console::Term;
use latimer_trainer::config::{Key, nearest};
use std::error::Error as _;
use std::ffi::OsString;
use std::io::{self, Write};
use std::process::ExitCode;

/// The end of `--help`.
const BEGIN: &str = "\
Start with `latimer train`: built-in data, no network, about two minutes on two cores.
Then `latimer translate \"le chat est sous la table\"`, and `latimer lesson 2` to see how it is done.";

/// Parses the arguments. If they only ask for help or are wrong, prints that and returns the exit
/// status.
pub(crate) fn parse(registry: &Registry, args: &[OsString]) -> Result<Cli, ExitCode> {
    let backends: Vec<&str> = registry.names().chain([AUTO]).collect();
    let help = format!(
        "Backend to compute on: {}; auto uses cuda if a GPU answers, otherwise cpu",
        backends.join(", ")
    );
    let mut command = Cli::command()
        .mut_arg("backend", |arg| arg.help(help))
        .after_help(typed(BEGIN))
        .term_width(width());
    command.build();
    let args = settle(&command, args).map_err(|wrong| {
        complain(&wrong);
        ExitCode::from(USAGE)
    })?;
    let parsed = command
        .try_get_matches_from_mut(&args)
        .and_then(|matches| Cli::from_arg_matches(&matches));
    parsed.map_err(|error| {
        use ErrorKind::{
            DisplayHelp, DisplayHelpOnMissingArgumentOrSubcommand, DisplayVersion,
            MissingSubcommand,
        };
        match error.kind() {
            DisplayHelp | DisplayVersion => {
                let printed = error.print().and_then(|()| io::stdout().flush());
                match printed {
                    Ok(()) => ExitCode::SUCCESS,
                    Err(error) => Error::Stdout(error).report(),
                }
            }
            DisplayHelpOnMissingArgumentOrSubcommand | MissingSubcommand => {
                let _ = error.print();
                ExitCode::from(USAGE)
            }
            _ => {
                complain(&sentence(&error, &command, &args));
                ExitCode::from(USAGE)
            }
        }
    })
}

/// Width of the help in columns: the terminal's, else that of `COLUMNS`, but at most 100, which is
/// still easy to read. A width of 0 means unknown.
fn width() -> usize {
    const WIDEST: usize = 100;
    let terminals = [Term::stdout(), Term::stderr()];
    let terminal = terminals
        .iter()
        .filter_map(|terminal| Some(usize::from(terminal.size_checked()?.1)));
    let named = std::env::var("COLUMNS")
        .ok()
        .and_then(|n| n.trim().parse().ok());
    let width = terminal.chain(named).find(|&columns| columns > 0);
    width.map_or(WIDEST, |columns| columns.min(WIDEST))
}

/// One line that says what is wrong and where to look.
fn sentence(error: &clap::Error, root: &Command, args: &[OsString]) -> String {
    let (path, command) = innermost(root, args);
    let context = |kind| match error.get(kind) {
        Some(ContextValue::String(text)) => Some(text.as_str()),
        _ => None,
    };
    let unknown = |what: &str, name: &str, meant: Option<String>| match meant {
        Some(meant) => format!("unknown {what} `{name}`: did you mean `{meant}`?"),
        None => format!("unknown {what} `{name}`: `{path} --help` lists them"),
    };
    let takes_words = command.get_positionals().next().is_some();
    match (
        error.kind(),
        context(ContextKind::InvalidArg),
        context(ContextKind::InvalidSubcommand),
    ) {
        (ErrorKind::UnknownArgument, Some(name), _) if name.starts_with('-') => {
            let text = unknown("flag", name, nearest_flag(name, root, command));
            match takes_words {
                true => format!("{text} (put a text that begins with dashes after `--`)"),
                false => text,
            }
        }
        (ErrorKind::UnknownArgument, Some(name), _) => {
            format!("unexpected argument `{name}`: `{path} --help` shows what {path} takes")
        }
        (ErrorKind::InvalidSubcommand, _, Some(name)) => {
            let names = command.get_subcommands().map(Command::get_name);
            unknown("command", name, nearest(name, names).map(str::to_owned))
        }
        (ErrorKind::ValueValidation, Some(option), _) => {
            let option = option.split(' ').next().unwrap_or(option);
            let value = match context(ContextKind::InvalidValue) {
                None | Some("") => "empty",
                Some(value) => value,
            };
            let must = error.source().map_or_else(String::new, ToString::to_string);
            format!("{option} is {value}: it must be {must}")
        }
        _ => {
            let text = error.render().to_string();
            let text = text.strip_prefix("error: ").unwrap_or(&text);
            let first = text.split("\n\n").next().unwrap_or(text);
            let words: Vec<&str> = first.split_whitespace().collect();
            format!("{} (see `{path} --help`)", words.join(" "))
        }
    }
}

/// The flag that a misspelt one was most likely meant to be.
fn nearest_flag(name: &str, root: &Command, command: &Command) -> Option<String> {
    let name = name.trim_start_matches('-');
    let longs = || {
        let all = command.get_arguments().chain(root.get_arguments());
        all.filter_map(clap::Arg::get_long)
    };
    let elsewhere = Key::called_elsewhere(name)
        .map(|key| key.name.replace('_', "-"))
        .filter(|ours| longs().any(|long| long == ours));
    let ours = elsewhere.or_else(|| nearest(name, longs()).map(str::to_owned));
    ours.map(|ours| format!("--{ours}"))
}

/// The innermost command that the arguments name, with the words that lead to it.
fn innermost<'c>(root: &'c Command, args: &[OsString]) -> (String, &'c Command) {
    let (mut path, mut command) = (called().to_owned(), root);
    for arg in args.iter().skip(1).filter_map(|arg| arg.to_str()) {
        if let Some(inner) = command.find_subcommand(arg) {
            path = format!("{path} {arg}");
            command = inner;
        }
    }
    (path, command)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }
}
