//! Arguments that begin with a dash: which of them are flags, and which are values.
//!
//! A text or a number may begin with a dash, as `- to be` and `-1` do. The parser of the command
//! line would take either for a flag, or, told not to, everything after it for text. So arguments are
//! put into a form that has one reading before they are parsed: an option that takes a value has it
//! in the same argument (`--prompt=- to be`), and what belongs to no option comes last, after `--`.
//!
//! A value that is a flag of the command, letter by letter, is most likely a value that was
//! forgotten: that is refused, and the refusal says how to give such a value.

use clap::{Arg, Command};
use std::ffi::{OsStr, OsString};

/// Ends the flags of a command line.
const END: &str = "--";

/// The arguments in a form with one reading. `root` is a command that is built.
///
/// # Errors
/// One sentence, where an option has a flag for a value.
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

/// An option without `=`, and the values that follow it.
fn settle_option(
    command: &Command,
    option: &Arg,
    arg: &OsStr,
    rest: &mut std::slice::Iter<'_, OsString>,
    settled: &mut Vec<OsString>,
) -> Result<(), String> {
    let values = option.get_num_args().unwrap_or_default();
    let Some(first) = rest.as_slice().first().filter(|_| values.takes_values()) else {
        // A flag; or a value is missing, and the parser says so.
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
        // Later ones are values as long as they cannot be a flag, misspelt ones included.
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

/// The option that an argument names in full, without a value of its own.
fn option<'c>(command: &'c Command, arg: &OsStr) -> Option<&'c Arg> {
    let name = arg.to_str()?.strip_prefix("--")?;
    command
        .get_arguments()
        .find(|arg| arg.get_long() == Some(name))
}

fn subcommand<'c>(command: &'c Command, arg: &OsStr) -> Option<&'c Command> {
    command.find_subcommand(arg)
}

/// Whether a command has arguments that belong to no option.
fn takes_words(command: &Command) -> bool {
    command.get_positionals().next().is_some()
}

/// Whether it might be taken for a flag. A dash alone is none.
fn begins_with_dash(arg: &OsStr) -> bool {
    let bytes = arg.as_encoded_bytes();
    bytes.len() > 1 && bytes[0] == b'-'
}

/// Whether an argument is a flag of the command, letter by letter, maybe with a value.
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

/// Whether an argument that begins with a dash is text: no flag, not even a misspelt one, which has
/// two dashes, a letter, and no space.
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
    use crate::args::Cli;
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
            // Misspelt flags stay where the parser finds them.
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
