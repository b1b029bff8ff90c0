//! Tests of the memory code, run by an interpreter that sees undefined behaviour: pointers out of
//! bounds, references that alias, uninitialised or misaligned reads, races between threads.
//!
//! What is run, and why no more than that (an interpreter is some thousand times slower):
//!
//! - the unit tests of `latimer-tensor`: views, the pool, element types, the host's side; but for
//!   two that draw many thousands of numbers;
//! - `latimer-backend-cpu`'s own memory, transposes and dropout masks, by its unit tests, but for
//!   those of `math`: a million values, no pointer;
//! - its operations in small sizes on one to three threads (`tests/small.rs`): slices from views,
//!   strided heads, tiles, shared outputs, scratch memory. Under Miri work is split at a hundredth
//!   of the usual length, so that threads meet; and results are held to each other only, as the f64
//!   meaning would take most of the time.
//!
//! Miri has no AVX, so kernels take their portable paths; those with intrinsics are held by masks
//! that the conformance suite checks with guards around every operand.
//!
//! Aliasing is judged by Tree Borrows: the stricter Stacked Borrows objects to intrusive lists like
//! those of rayon's `crossbeam-epoch`, which also makes pointers from integers; that is let pass.
//! Threads of rayon's pools live to the end of the process, and are no leak.

use std::ffi::OsString;
use std::process::{Command, ExitCode, Stdio};
use std::time::Instant;
use xtask::run::{Outcome, succeed, target_folder};

/// Floats are computed as everywhere else: Miri would otherwise change last bits at random, to show
/// who relies on them, and these tests do.
const FLAGS: &str = "-Zmiri-disable-isolation -Zmiri-tree-borrows -Zmiri-ignore-leaks \
    -Zmiri-permissive-provenance -Zmiri-deterministic-floats";

/// What `cargo miri test` gets, one line a process.
const RUNS: [&[&str]; 3] = [
    &[
        "--package",
        "latimer-tensor",
        "--lib",
        "--",
        "--skip",
        "normal",
        "--skip",
        "derivatives",
    ],
    &[
        "--package",
        "latimer-backend-cpu",
        "--lib",
        "--",
        "--skip",
        "math::",
    ],
    &["--package", "latimer-backend-cpu", "--test", "small"],
];

/// Runs them; `args` go to the tests.
pub(crate) fn miri(args: &[OsString]) -> Outcome {
    has_tools()?;
    let start = Instant::now();
    for run in RUNS {
        let shown = run.join(" ");
        eprintln!("miri: {shown}");
        let begin = Instant::now();
        let mut command = nightly();
        command.args(["miri", "test"]).args(run);
        if !run.contains(&"--") {
            command.arg("--");
        }
        command
            .args(args)
            .env("MIRIFLAGS", FLAGS)
            .env("CARGO_TARGET_DIR", target_folder()?.join("miri"));
        succeed(&mut command)?;
        let seconds = begin.elapsed().as_secs_f64();
        eprintln!("miri: {shown}: nothing found in {seconds:.0} s");
    }
    let seconds = start.elapsed().as_secs_f64();
    eprintln!("miri: nothing found in {seconds:.0} s");
    Ok(ExitCode::SUCCESS)
}

fn nightly() -> Command {
    let mut command = Command::new("rustup");
    command.args(["run", "nightly", "cargo"]);
    command
}

/// Says what to install.
fn has_tools() -> Result<(), String> {
    let found = nightly()
        .args(["miri", "--version"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    match found {
        Ok(status) if status.success() => Ok(()),
        _ => Err("this needs Miri: \
             rustup toolchain install nightly --component miri --component rust-src"
            .into()),
    }
}
