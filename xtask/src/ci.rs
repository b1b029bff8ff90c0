//! The checks a commit must pass. `.ci/run` runs the same on a bare machine.

use crate::tidy;
use std::ffi::OsString;
use std::path::Path;
use std::process::ExitCode;
use std::time::Instant;
use xtask::entries;
use xtask::run::{Outcome, cargo, succeed, target_folder, tool};

/// A check: what is printed for it, and how it is run.
type Part = (&'static str, fn() -> Result<(), String>);

/// Every check, quick ones first. Warnings are errors.
const PARTS: [Part; 8] = [
    ("tidy", || tidy::tidy().map(drop)),
    ("format", || {
        succeed(cargo().args(["fmt", "--all", "--check"]))
    }),
    ("lints", || lint(&["--workspace", "--all-targets"])),
    // Every feature apart; there is one, and it is on by default.
    ("lints without features", || {
        lint(&["--package", "latimer-cli", "--no-default-features"])
    }),
    ("kernels", || succeed(tool("kernels").arg("check"))),
    ("tests", || test(&[]).map(drop)),
    ("docs", || {
        let docs = ["doc", "--workspace", "--no-deps"];
        succeed(cargo().args(docs).env("RUSTDOCFLAGS", "--deny warnings"))
    }),
    ("outside", || outside().map(drop)),
];

/// Runs every check of [`PARTS`] up to the first that fails, and says how long each took.
pub(crate) fn ci() -> Outcome {
    let start = Instant::now();
    let mut took = Vec::new();
    for (name, check) in PARTS {
        let start = Instant::now();
        check()?;
        took.push(format!("{name} {:.0} s", start.elapsed().as_secs_f64()));
    }
    eprintln!(
        "all checks passed in {:.0} s: {}",
        start.elapsed().as_secs_f64(),
        took.join(", ")
    );
    Ok(ExitCode::SUCCESS)
}

/// Every test of the workspace, documentation examples included.
pub(crate) fn test(args: &[OsString]) -> Outcome {
    let start = Instant::now();
    succeed(
        cargo()
            .args(["test", "--workspace", "--no-fail-fast"])
            .args(args),
    )?;
    eprintln!(
        "all tests passed in {:.0} s, building included",
        start.elapsed().as_secs_f64()
    );
    Ok(ExitCode::SUCCESS)
}

fn lint(what: &[&str]) -> Result<(), String> {
    succeed(
        cargo()
            .arg("clippy")
            .args(what)
            .args(["--", "--deny", "warnings"]),
    )
}

/// Builds, runs and tests every project of `tests/outside`, each as a user's own: with its own
/// workspace, through public interfaces only. They share one target folder.
pub(crate) fn outside() -> Outcome {
    let folder = Path::new("tests/outside");
    let target = target_folder()?.join("outside");
    for project in entries(folder)? {
        let manifest = project.join("Cargo.toml");
        if !manifest.is_file() {
            continue;
        }
        // The workspace's versions, so that a new release elsewhere changes nothing here.
        std::fs::copy("Cargo.lock", project.join("Cargo.lock"))
            .map_err(|error| format!("cannot write to {}: {error}", project.display()))?;
        for task in ["run", "test"] {
            eprintln!("{}: cargo {task}", project.display());
            let command = [task, "--quiet", "--manifest-path"];
            succeed(
                cargo()
                    .args(command)
                    .arg(&manifest)
                    .env("CARGO_TARGET_DIR", &target),
            )?;
        }
    }
    Ok(ExitCode::SUCCESS)
}
