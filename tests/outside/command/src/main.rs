//! The whole command with one more backend: `cargo run -- train --backend exact`. Without arguments
//! it says what that backend is.

use latimer_cli::{Options, Registry, main_with};
use latimer_tensor::{Device, Reference};
use std::process::ExitCode;

fn main() -> ExitCode {
    let registry = Registry::builtin().with("exact", |_| Ok(Device::new(Reference)));
    if std::env::args().len() > 1 {
        return main_with(registry);
    }
    match registry.open("exact", &Options::new(1)) {
        Ok(device) => println!("--backend exact: {}", device.info().name),
        Err(error) => {
            eprintln!("{error}");
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}
