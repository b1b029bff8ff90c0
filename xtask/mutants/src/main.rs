//! Changes the source to see whether any test notices: `faults` plants mistakes that were written
//! by hand ([`planted`]), `mutants` small changes that cargo-mutants makes by rule ([`drawn`]).
//! `docs/checks.md` tells how to use them.

mod anchors;
mod drawn;
mod planted;

use std::ffi::OsString;
use std::process::ExitCode;
use xtask::run;

fn main() -> ExitCode {
    let args: Vec<OsString> = std::env::args_os().skip(1).collect();
    run::exit(run::to_root().and_then(|()| match args.split_first() {
        Some((task, names)) if task == "faults" => planted::faults(names),
        Some((task, names)) if task == "mutants" => drawn::mutants(names),
        _ => Err("usage: cargo xtask faults [NAME…]\n       cargo xtask mutants [CRATE]".into()),
    }))
}
