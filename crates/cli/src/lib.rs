#![doc = include_str!("../README.md")]

mod args;
mod bar;
mod commands;
mod context;
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

pub use registry::{BackendError, Options, Registry, RegistryError};

use std::ffi::OsString;
use std::process::ExitCode;
use terminal::Terminal;

/// The whole command, with the backends of a registry: reads the process's arguments, runs the
/// command and returns the exit status.
///
/// ```no_run
/// use latimer::prelude::*;
/// use latimer_cli::{Registry, main_with};
///
/// main_with(Registry::builtin().with("mine", |options| {
///     Ok(Device::cpu(options.threads)?) // your own backend here
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
    let context = context::Context {
        terminal: Terminal::new(cli.common.json, cli.common.quiet, cli.common.verbose),
        signals,
        common: cli.common,
        registry,
    };
    match commands::run(&context, cli.command) {
        Ok(exit) => exit,
        Err(error) => error.report(),
    }
}
