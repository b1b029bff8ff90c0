//! The CUDA backend's tests under AddressSanitizer: the CPU shim is compiled with it, so a kernel's
//! access outside of a buffer's own bytes stops the test, with the line of the kernel.

use std::process::Command;
use xtask::run::{Outcome, cargo, succeed};

/// Runs the conformance suite, or the test programs of these names.
pub(crate) fn sanitize(programs: &[&str]) -> Outcome {
    let library =
        said(cargo().args(["run", "--quiet", "-p", "latimer-cuda-shim", "--", "--asan"]))?;
    // The sanitizer must be the first library of a process, ahead of a program that knows nothing
    // of it.
    let runtime = said(Command::new("g++").arg("-print-file-name=libasan.so"))?;
    let runner = format!("env LD_PRELOAD={runtime} ASAN_OPTIONS=detect_leaks=0");
    let programs = if programs.is_empty() {
        &["conformance"][..]
    } else {
        programs
    };
    let mut tests = cargo();
    tests.args(["test", "--package", "latimer-backend-cuda"]);
    for program in programs {
        tests.args(["--test", program]);
    }
    succeed(
        tests
            .env("LATIMER_CUDA_DRIVER", library)
            .env("CARGO_TARGET_X86_64_UNKNOWN_LINUX_GNU_RUNNER", runner),
    )?;
    Ok(std::process::ExitCode::SUCCESS)
}

/// A command's only line.
fn said(command: &mut Command) -> Result<String, String> {
    let name = format!("{command:?}");
    let output = command
        .output()
        .map_err(|error| format!("cannot start {name}: {error}"))?;
    if !output.status.success() {
        let errors = String::from_utf8_lossy(&output.stderr).into_owned();
        return Err(format!("{name} ended with {}: {errors}", output.status));
    }
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}
