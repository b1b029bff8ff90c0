//! The checks a commit must pass.

use crate::run::{Outcome, cargo, succeed};
use std::ffi::OsString;
use std::process::ExitCode;
use std::time::Instant;

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

/// Format, lints, tests, docs; warnings are errors.
pub(crate) fn ci() -> Outcome {
    succeed(cargo().args(["fmt", "--all", "--check"]))?;
    let lints = [
        "clippy",
        "--workspace",
        "--all-targets",
        "--",
        "--deny",
        "warnings",
    ];
    succeed(cargo().args(lints))?;
    test(&[])?;
    let docs = ["doc", "--workspace", "--no-deps"];
    succeed(cargo().args(docs).env("RUSTDOCFLAGS", "--deny warnings"))?;
    Ok(ExitCode::SUCCESS)
}
