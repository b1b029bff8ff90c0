//! `cargo xtask`: the developers' tasks, and the front door to the `latimer` command.
//!
//! A door, not a room: it is built in the dev profile, so anything that computes is built in
//! release mode and then takes this process's place.

mod bench;
mod ci;
mod faults;
mod fuzz;
mod kernels;
mod kills;
mod miri;
mod mutants;
mod run;
mod tidy;

use std::process::ExitCode;

const HELP: &str = "\
usage: cargo xtask COMMAND [ARGS]

developers' tasks:
  test [ARGS]   build and run every test of the workspace; ARGS go to cargo test
  ci            what must hold before a commit: tidy, kernels, format, lints, features, tests, docs,
                outside, packages
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
                measures training steps or decoding, alternately with PyTorch's, and puts them on
                record (`bench --help`); `bench train`, `generate` and `op` are the latimer command's
  kernels build [NAME] | check | list | sanitize
                compiles the CUDA kernels (fetches a compiler: 51 MB, once), says whether what is
                committed is what they make, lists them

everything else is the latimer command, built in release mode:
";

fn main() -> ExitCode {
    let mut args = std::env::args_os().skip(1);
    let command = args.next();
    let rest: Vec<_> = args.collect();
    let outcome = match command.as_ref().and_then(|c| c.to_str()) {
        Some("test") => ci::test(&rest),
        Some("ci") => run::to_root().and_then(|()| ci::ci()),
        Some("bench") => bench::bench(&rest),
        Some("tidy") => run::to_root().and_then(|()| tidy::tidy()),
        Some("faults") => run::to_root().and_then(|()| faults::faults(&rest)),
        Some("fuzz") => run::to_root().and_then(|()| fuzz::fuzz(&rest)),
        Some("kills") => run::to_root().and_then(|()| kills::kills(&rest)),
        Some("miri") => run::to_root().and_then(|()| miri::miri(&rest)),
        Some("mutants") => run::to_root().and_then(|()| mutants::mutants(&rest)),
        Some("kernels") => kernels::kernels(&rest),
        Some("outside") => run::to_root().and_then(|()| ci::outside()),
        None | Some("help" | "--help" | "-h") => {
            eprint!("{HELP}");
            run::latimer(["--help".into()])
        }
        Some(_) => run::latimer(command.into_iter().chain(rest)),
    };
    outcome.unwrap_or_else(|message| {
        eprintln!("error: {message}");
        ExitCode::FAILURE
    })
}
