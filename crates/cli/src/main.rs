//! The command.

use std::process::ExitCode;

fn main() -> ExitCode {
    latimer::main_with(latimer::Registry::builtin())
}
