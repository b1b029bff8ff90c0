//! Arguments that begin with a dash: which of them are flags, and which are values.
//!
//! A text or a number may begin with a dash, as `- to be` and `-1` do. The parser of the command
//! line would take either for a flag or, if told not to, everything after it for text. So the
//! arguments are first rewritten into a form that can be read in only one way: an option and its
//! value become one argument (`--prompt=- to be`), and arguments that belong to no option come
//! last, after `--`.
//!
//! If a value is exactly a flag of the command, the real value was most likely forgotten. That is
//! refused, and the error says how to give such a value.

use clap::{Arg, Command};
use std::ffi::{OsStr, OsString};

/// Ends the flags of a command line.
const END: &str = "--";

/// Rewrites the arguments so that they can be read in only one way. `root` must be a built command.
///
/// # Errors
/// One sentence, if an option has a flag in the place of a value.
pub(crate) fn settle(root: &Command, args: &[OsString]) -> Result<Vec<OsString>, String> {
    let (mut settled, mut words) = (Vec::new(), Vec::new());
    let mut command = root;
    let mut rest = args.iter();
    settled.extend(rest.next().cloned());
    while let Some(arg) = rest.next() {
        if arg == END {
            if !takes_words(command) {
                settled.push(arg.clone());
            }
            words.extend(rest.by_ref().cloned());
        } else if let Some(option) = option(command, arg) {
            settle_option(command, option, arg, &mut rest, &mut settled)?;
        } else if let Some(inner) = subcommand(command, arg).filter(|_| words.is_empty()) {
            command = inner;
            settled.push(arg.clone());
        } else if takes_words(command) && (!begins_with_dash(arg) || is_text(command, arg)) {
            words.push(arg.clone());
        } else {
            settled.push(arg.clone());
        }
    }
    if !words.is_empty() && takes_words(command) {
        settled.push(END.into());
    }
    settled.append(&mut words);
    Ok(settled)
}

/// Rewrites an option without `=` and the values that follow it.
fn settle_option(
    command: &Command,
    option: &Arg,
    arg: &OsStr,
    rest: &mut std::slice::Iter<'_, OsString>,
    settled: &mut Vec<OsString>,
) -> Result<(), String> {
    let values = option.get_num_args().unwrap_or_default();
    let Some(first) = rest.as_slice().first().filter(|_| values.takes_values()) else {
        // It is a flag, or its value is missing, which the parser reports.
        settled.push(arg.to_owned());
        return Ok(());
    };
    if values.min_values() == 0 {
        settled.push(arg.to_owned());
        if !is_flag(command, first) && !begins_with_dash(first) {
            settled.extend(rest.next().cloned());
        }
        return Ok(());
    }
    if first == END || is_flag(command, first) {
        let (arg, first) = (arg.to_string_lossy(), first.to_string_lossy());
        return Err(format!(
            "{arg} needs a value, but `{first}` follows it: give it one, or write `{arg}={first}` \
             if that is the value"
        ));
    }
    let mut left = values.max_values();
    while left > 0 {
        let Some(value) = rest.as_slice().first() else {
            break;
        };
        // Later arguments are values unless they could be a flag, misspelt ones included.
        let begins = left == values.max_values();
        if !begins && begins_with_dash(value) && !is_text(command, value) {
            break;
        }
        let mut joined = arg.to_owned();
        joined.push("=");
        joined.push(value);
        settled.push(joined);
        rest.next();
        left -= 1;
    }
    Ok(())
}

/// The option that an argument names in full and without a value.
fn option<'c>(command: &'c Command, arg: &OsStr) -> Option<&'c Arg> {
    let name = arg.to_str()?.strip_prefix("--")?;
    command
        .get_arguments()
        .find(|arg| arg.get_long() == Some(name))
}

fn subcommand<'c>(command: &'c Command, arg: &OsStr) -> Option<&'c Command> {
    command.find_subcommand(arg)
}

/// Whether a command takes positional arguments.
fn takes_words(command: &Command) -> bool {
    command.get_positionals().next().is_some()
}

/// Whether an argument could be a flag: it begins with a dash and is longer than that.
fn begins_with_dash(arg: &OsStr) -> bool {
    let bytes = arg.as_encoded_bytes();
    bytes.len() > 1 && bytes[0] == b'-'
}

/// Whether an argument is exactly a flag of the command, with or without a value.
fn is_flag(command: &Command, arg: &OsStr) -> bool {
    let arg = arg.to_string_lossy();
    if let Some(long) = arg.strip_prefix("--") {
        let name = long.split_once('=').map_or(long, |(name, _)| name);
        return command
            .get_arguments()
            .any(|arg| arg.get_long() == Some(name));
    }
    match arg.strip_prefix('-') {
        None | Some("") => false,
        Some(shorts) => shorts.chars().all(|short| {
            command
                .get_arguments()
                .any(|arg| arg.get_short() == Some(short))
        }),
    }
}

/// Whether an argument that begins with a dash is text: neither a flag nor a misspelt one. A
/// misspelt flag has two dashes, then a letter, and no space.
fn is_text(command: &Command, arg: &OsStr) -> bool {
    let text = arg.to_string_lossy();
    let misspelt = text.strip_prefix("--").is_some_and(|name| {
        name.starts_with(char::is_alphabetic) && !name.contains(char::is_whitespace)
    });
    !misspelt && !is_flag(command, arg)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::Cli;
    use clap::CommandFactory;

    fn settled(args: &[&str]) -> Result<String, String> {
        let mut command = Cli::command();
        command.build();
        let args: Vec<OsString> = [&["latimer"], args]
            .concat()
            .iter()
            .map(Into::into)
            .collect();
        let settled = settle(&command, &args)?;
        let shown: Vec<_> = settled[1..]
            .iter()
            .map(|arg| arg.to_string_lossy())
            .collect();
        Ok(shown.join("|"))
    }

    #[test]
    fn every_argument_has_one_reading() {
        for (args, want) in [
            (
                &["generate", "--prompt", "- to be"][..],
                "generate|--prompt=- to be",
            ),
            (
                &["generate", "--prompt", "-chat"],
                "generate|--prompt=-chat",
            ),
            (
                &["generate", "--top-k", "-1", "--json"],
                "generate|--top-k=-1|--json",
            ),
            (
                &["generate", "--prompt=--seed", "-q"],
                "generate|--prompt=--seed|-q",
            ),
            (&["generate", "--prompt", "-"], "generate|--prompt=-"),
            (&["generate", "--prompt"], "generate|--prompt"),
            (&["generate", "--quiet", "x"], "generate|--quiet|x"),
            (&["translate", "-chat"], "translate|--|-chat"),
            (
                &["translate", "le", "-chat", "--json"],
                "translate|--json|--|le|-chat",
            ),
            (&["translate", "-- le", "-vv"], "translate|-vv|--|-- le"),
            (&["translate", "--", "--json"], "translate|--|--json"),
            (
                &["translate", "--method", "exact", "le"],
                "translate|--method=exact|--|le",
            ),
            // Misspelt flags stay where the parser reports them.
            (
                &["translate", "--methd", "exact"],
                "translate|--methd|--|exact",
            ),
            (
                &["train", "--data", "a", "-b", "--n-layers", "2"],
                "train|--data=a|--data=-b|--n-layers|2",
            ),
            (&["train", "--tie", "--json"], "train|--tie|--json"),
            (
                &["train", "--tie", "false", "--json"],
                "train|--tie|false|--json",
            ),
            (&["train", "extra", "-z"], "train|extra|-z"),
            (
                &["--backend", "cpu", "data", "get", "-x"],
                "--backend=cpu|data|get|--|-x",
            ),
            (&["trian", "--help"], "trian|--help"),
        ] {
            assert_eq!(settled(args).as_deref(), Ok(want), "{args:?}");
        }
    }

    #[test]
    fn a_flag_is_no_value_unless_that_is_said() {
        for flag in ["--seed", "--seed=1", "--json", "-q", "-vv", "--help", "--"] {
            let refused = settled(&["generate", "--prompt", flag, "1"]).unwrap_err();
            let want = format!(
                "--prompt needs a value, but `{flag}` follows it: give it one, or write \
                 `--prompt={flag}` if that is the value"
            );
            assert_eq!(refused, want);
            assert!(settled(&["generate", &format!("--prompt={flag}")]).is_ok());
        }
        assert!(settled(&["train", "--data", "--preset", "baby"]).is_err());
    }
}
