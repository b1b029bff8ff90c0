//! Spawning cargo, and becoming the command it built.

use std::ffi::{OsStr, OsString};
use std::path::PathBuf;
use std::process::{Command, ExitCode};

/// A task's outcome: the status to exit with, or a sentence that says why the task failed.
pub type Outcome = Result<ExitCode, String>;

/// The cargo that started this.
pub fn cargo() -> Command {
    Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
}

/// Enters the workspace's root folder, so that tasks find its files from any folder below it.
///
/// # Errors
/// The folder cannot be entered.
pub fn to_root() -> Result<(), String> {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/..");
    std::env::set_current_dir(root).map_err(|error| format!("cannot enter {root}: {error}"))
}

/// Runs a command to its end.
///
/// # Errors
/// It cannot be started, or it ends with a status other than 0.
pub fn succeed(command: &mut Command) -> Result<(), String> {
    let name = format!("{command:?}");
    let status = command
        .status()
        .map_err(|error| format!("cannot start {name}: {error}"))?;
    if status.success() {
        Ok(())
    } else {
        Err(format!("{name} ended with {status}"))
    }
}

/// The developers' tool in `xtask/NAME`, which cargo builds if need be; the caller adds its
/// arguments.
pub fn tool(name: &str) -> Command {
    let mut command = cargo();
    // From any folder of the workspace, and without changing it: paths in arguments are relative to
    // it.
    let manifest = concat!(env!("CARGO_MANIFEST_DIR"), "/../Cargo.toml");
    command.args(["run", "--manifest-path", manifest]);
    command.args(["--package", &format!("xtask-{name}"), "--"]);
    command
}

/// Becomes the developers' tool in `xtask/NAME`: arguments, signals and exit status are its own.
///
/// # Errors
/// Cargo cannot be started.
pub fn become_tool(name: &str, args: impl IntoIterator<Item = OsString>) -> Outcome {
    let mut command = tool(name);
    command.args(args);
    become_it(command, None)
}

/// Runs a tool's `main`: prints an error and turns it into an exit status.
pub fn exit(outcome: Outcome) -> ExitCode {
    outcome.unwrap_or_else(|message| {
        eprintln!("error: {message}");
        ExitCode::FAILURE
    })
}

/// Builds `latimer` in release mode and becomes it: arguments, signals and exit status are its own.
///
/// # Errors
/// It does not compile or cannot be started.
pub fn latimer(args: impl IntoIterator<Item = OsString>) -> Outcome {
    let mut command = Command::new(build_latimer()?);
    command.args(args);
    // By this name it knows what a person has to type to start it again.
    become_it(command, Some("cargo xtask"))
}

/// What building `latimer` from nothing takes, in seconds on one core of an Intel Xeon with AMX,
/// when nothing else runs.
const BUILD: usize = 150;

/// Builds `latimer` in release mode and returns the program's path. Cargo shows its own progress,
/// and says so when it waits for another.
///
/// # Errors
/// It does not compile.
pub fn build_latimer() -> Result<PathBuf, String> {
    let program = target_folder()?.join("release").join(binary("latimer"));
    if !program.exists() {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        eprintln!("{}", announced(cores));
    }
    succeed(cargo().args(["build", "--release", "--package", "latimer-cli"]))?;
    Ok(program)
}

/// That a first build begins, and how long it takes on `cores` cores: beyond four there are not
/// enough crates to build side by side.
fn announced(cores: usize) -> String {
    let minutes = BUILD.div_ceil(60 * cores.clamp(1, 4));
    let plural = if minutes == 1 { "" } else { "s" };
    format!("building latimer, once: about {minutes} minute{plural}")
}

#[cfg(unix)]
fn become_it(mut command: Command, name: Option<&str>) -> Outcome {
    use std::os::unix::process::CommandExt;
    if let Some(name) = name {
        command.arg0(name);
    }
    let error = command.exec();
    Err(format!("cannot start {command:?}: {error}"))
}

#[cfg(not(unix))]
fn become_it(mut command: Command, _name: Option<&str>) -> Outcome {
    let status = command
        .status()
        .map_err(|error| format!("cannot start {command:?}: {error}"))?;
    Ok(ExitCode::from(
        u8::try_from(status.code().unwrap_or(1)).unwrap_or(1),
    ))
}

fn binary(name: &str) -> impl AsRef<OsStr> + AsRef<std::path::Path> {
    format!("{name}{}", std::env::consts::EXE_SUFFIX)
}

/// Cargo's target folder: this program lies in `<target>/debug`.
///
/// # Errors
/// This program's own path is unknown or has no such folder.
pub fn target_folder() -> Result<PathBuf, String> {
    let own = std::env::current_exe().map_err(|error| format!("cannot find myself: {error}"))?;
    let folder = own.parent().and_then(|profile| profile.parent());
    folder
        .map(PathBuf::from)
        .ok_or_else(|| format!("{} lies in no target folder", own.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_first_build_is_announced_with_its_length() {
        assert_eq!(announced(1), "building latimer, once: about 3 minutes");
        assert_eq!(announced(2), "building latimer, once: about 2 minutes");
        for cores in [4, 64] {
            assert_eq!(announced(cores), "building latimer, once: about 1 minute");
        }
    }

    /// What cargo says of its work, and of the lock that it waits for, is not to be held back.
    #[test]
    fn cargo_is_not_told_to_be_quiet() {
        let alias = include_str!("../../.cargo/config.toml");
        let command = alias.lines().find(|line| line.starts_with("xtask"));
        assert!(
            command.is_some_and(|line| !line.contains("quiet")),
            "{alias}"
        );
    }
}
