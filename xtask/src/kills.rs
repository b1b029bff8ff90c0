//! More kills than the ordinary tests have time for: a training run killed at random moments, again
//! and again, must leave the bytes of a run never killed.

use std::ffi::OsString;
use std::process::ExitCode;
use xtask::run::{Outcome, cargo, succeed};

/// Unless another number is asked for.
const KILLS: u32 = 500;

/// Runs the tests' own harness (`crates/cli/tests/cli/kills.rs`) for the given number of kills.
pub(crate) fn kills(args: &[OsString]) -> Outcome {
    let kills = match args {
        [] => KILLS,
        [number] => number
            .to_str()
            .and_then(|number| number.replace('_', "").parse().ok())
            .filter(|&number| number > 0)
            .ok_or_else(|| format!("kills wants a number above 0, not {number:?}"))?,
        [_, rest, ..] => return Err(format!("kills takes one number, and not {rest:?} besides")),
    };
    let mut command = cargo();
    command
        .args([
            "test",
            "--quiet",
            "--package",
            "latimer-cli",
            "--test",
            "cli",
        ])
        .args(["--", "--nocapture", "kills::"])
        .env("LATIMER_KILLS", kills.to_string());
    succeed(&mut command)?;
    Ok(ExitCode::SUCCESS)
}
