//! `cargo xtask`: the front door. It forwards to the `latimer` command, to cargo, and to the
//! developers' tools in `xtask/bench`, `xtask/kernels` and `xtask/mutants`, which are built when
//! they are asked for.
//!
//! Everybody who types `cargo xtask train` compiles this program first, so it stays small and
//! depends on nothing. What it forwards to takes its place in the process.

mod ci;
mod fuzz;
mod kills;
mod miri;
mod tidy;

use std::ffi::OsString;
use std::process::ExitCode;
use xtask::run;

const HELP: &str = "\
usage: cargo xtask COMMAND [ARGS]

developers' tasks:
  test [ARGS]   build and run every test of the workspace; ARGS go to cargo test
  ci            what must hold before a commit, as `.ci/run` checks it: tidy, format, lints, kernels,
                tests, docs, outside
  tidy          finds long files, notes left in sources, missing READMEs, paths of one machine
  outside       builds, runs and tests the projects of tests/outside, one for each crate alone
  faults [NAME|cpu|kernels|around]
                plants faults in the CPU backend, the CUDA kernels and around them, each of which its
                suite or test must catch (minutes)
  fuzz [TARGET] [--runs N]
                gives every file reader, or one, a million made-up files (minutes each; nightly)
  kills [N]     kills a training run N times (500) at random moments, resumes it, and compares every
                byte with a run never killed (minutes)
  miri          runs tests of the CPU's memory code in an interpreter that sees undefined
                behaviour (minutes; nightly)
  mutants [CRATE] [--sample N] [--seed S]
                changes the source of a crate, or of six, in N places (40) that the seed draws, and
                says which changes no test notices (hours; cargo-mutants)
  bench [--against pytorch] [--generate] [--instructions OP]
                measures training steps or decoding, alternately with PyTorch, and records the
                results (`bench --help`); `bench train`, `generate` and `op` are latimer's own
  kernels build [NAME] | check | list | show NAME | sanitize
                compiles the CUDA kernels (downloads a compiler of 51 MB once), compares the
                committed PTX with the sources, lists the kernels, prints the PTX of one

everything else is the latimer command, built in release mode:
";

fn main() -> ExitCode {
    let mut args = std::env::args_os().skip(1);
    let command = args.next();
    let rest: Vec<_> = args.collect();
    let outcome = match command.as_ref().and_then(|c| c.to_str()) {
        Some("test") => ci::test(&rest),
        Some("ci") => run::to_root().and_then(|()| ci::ci()),
        Some("bench") if !is_latimers_bench(&rest) => run::become_tool("bench", rest),
        Some("tidy") => run::to_root().and_then(|()| tidy::tidy()),
        Some("faults" | "mutants") => run::become_tool("mutants", command.into_iter().chain(rest)),
        Some("fuzz") => run::to_root().and_then(|()| fuzz::fuzz(&rest)),
        Some("kills") => run::to_root().and_then(|()| kills::kills(&rest)),
        Some("miri") => run::to_root().and_then(|()| miri::miri(&rest)),
        Some("kernels") => run::become_tool("kernels", rest),
        Some("outside") => run::to_root().and_then(|()| ci::outside()),
        None | Some("help" | "--help" | "-h") => {
            eprint!("{HELP}");
            run::latimer(["--help".into()])
        }
        Some(_) => run::latimer(command.into_iter().chain(rest)),
    };
    run::exit(outcome)
}

/// Whether `bench` is the latimer command's own: `bench train`, `bench generate`, `bench op`.
fn is_latimers_bench(args: &[OsString]) -> bool {
    let first = args.first().and_then(|arg| arg.to_str());
    first.is_some_and(|word| !word.starts_with('-'))
}
