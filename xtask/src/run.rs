//! Spawning cargo, and becoming the command it built.

use std::ffi::{OsStr, OsString};
use std::path::PathBuf;
use std::process::{Command, ExitCode};

/// A task's outcome: the status to exit with, or why it could not run.
pub(crate) type Outcome = Result<ExitCode, String>;

/// The cargo that started this.
pub(crate) fn cargo() -> Command {
    Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
}

/// Goes to the workspace's root: tasks that look at files work from any folder below it.
pub(crate) fn to_root() -> Result<(), String> {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/..");
    std::env::set_current_dir(root).map_err(|error| format!("cannot enter {root}: {error}"))
}

/// Runs a command to its end; an error unless it succeeds.
pub(crate) fn succeed(command: &mut Command) -> Result<(), String> {
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

/// Builds `latimer` in release mode and becomes it: arguments, signals and exit status are its own.
pub(crate) fn latimer(args: impl IntoIterator<Item = OsString>) -> Outcome {
    let mut command = Command::new(build_latimer()?);
    command.args(args);
    become_it(command)
}

/// Builds `latimer` in release mode and says where it lies.
pub(crate) fn build_latimer() -> Result<PathBuf, String> {
    succeed(cargo().args(["build", "--quiet", "--release", "--package", "latimer"]))?;
    Ok(target_folder()?.join("release").join(binary("latimer")))
}

#[cfg(unix)]
fn become_it(mut command: Command) -> Outcome {
    use std::os::unix::process::CommandExt;
    // By this name it knows what a person has to type to start it again.
    let error = command.arg0("cargo xtask").exec();
    Err(format!("cannot start {command:?}: {error}"))
}

#[cfg(not(unix))]
fn become_it(mut command: Command) -> Outcome {
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

/// This program lies in `<target>/debug`.
pub(crate) fn target_folder() -> Result<PathBuf, String> {
    let own = std::env::current_exe().map_err(|error| format!("cannot find myself: {error}"))?;
    let folder = own.parent().and_then(|profile| profile.parent());
    folder
        .map(PathBuf::from)
        .ok_or_else(|| format!("{} lies in no target folder", own.display()))
}
