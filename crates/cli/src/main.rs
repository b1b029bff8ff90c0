//! The command.

use std::process::ExitCode;

fn main() -> ExitCode {
    latimer_cli::main_with(latimer_cli::Registry::builtin())
}
