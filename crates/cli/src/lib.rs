#![doc = include_str!("../README.md")]

mod args;
mod bar;
mod commands;
mod dashes;
mod download;
mod error;
mod format;
mod numbers;
mod progress;
mod registry;
mod signals;
mod terminal;
mod texts;
mod usage;

pub use latimer_autograd as autograd;
pub use latimer_backend_cpu as backend_cpu;
#[cfg(feature = "cuda")]
pub use latimer_backend_cuda as backend_cuda;
pub use latimer_lessons as lessons;
pub use latimer_nn as nn;
pub use latimer_phrasebook as phrasebook;
pub use latimer_tensor as tensor;
pub use latimer_tokenizer as tokenizer;
pub use latimer_trainer as trainer;

pub use registry::{BackendError, Options, Registry, RegistryError};

use std::ffi::OsString;
use std::process::ExitCode;
use terminal::Terminal;

/// The whole command, with the backends of a registry: reads the process's arguments, runs the
/// command and returns the exit status.
///
/// ```no_run
/// use latimer::{Registry, backend_cpu::Cpu, main_with, tensor::Device};
///
/// main_with(Registry::builtin().with("mine", |options| {
///     Ok(Device::new(Cpu::new(options.threads)?)) // your own backend here
/// }));
/// ```
#[must_use]
pub fn main_with(registry: Registry) -> ExitCode {
    let args: Vec<OsString> = std::env::args_os().collect();
    let cli = match usage::parse(&registry, &args) {
        Ok(cli) => cli,
        Err(exit) => return exit,
    };
    let signals = match signals::Signals::listen() {
        Ok(signals) => signals,
        Err(error) => return error.report(),
    };
    let context = commands::Context {
        terminal: Terminal::new(&cli.common),
        signals,
        common: cli.common,
        registry,
    };
    match commands::run(&context, cli.command) {
        Ok(exit) => exit,
        Err(error) => error.report(),
    }
}
