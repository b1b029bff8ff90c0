//! `latimer bench`: speed measurements.

mod generate;
mod limits;
mod op;
mod operands;
mod profile;
mod train;
mod watched;

use crate::context::Context;
use crate::error::{Error, Result};
use latimer_tensor::Device;
use serde::Serialize;
use std::process::ExitCode;
use watched::Watch;

/// What to measure.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, clap::Subcommand)]
enum What {
    /// Time training steps on random tokens
    Train(train::Args),
    /// Time decoding, token by token, on random weights
    Generate(generate::Args),
    /// Time a single operation
    Op(op::Args),
}

pub(crate) fn run(context: &Context, args: &Args) -> Result<ExitCode> {
    match &args.what {
        What::Train(args) => train::run(context, args)?,
        What::Generate(args) => generate::run(context, args)?,
        What::Op(args) => op::run(context, args)?,
    }
    Ok(ExitCode::SUCCESS)
}

/// Refuses a device that only simulates a GPU: its times would mean nothing.
fn measured(device: Device) -> Result<Device> {
    let name = device.info().name;
    if name == "cpu-shim" {
        return Err(Error::NoMeasurement { device: name });
    }
    Ok(device)
}

/// Statistics of repeated measurements.
#[derive(Clone, Copy, Debug, Serialize)]
struct Times {
    median: f64,
    min: f64,
    max: f64,
}

impl Times {
    /// The statistics of `times`, which must not be empty.
    fn of(times: &mut [f64]) -> Self {
        times.sort_by(f64::total_cmp);
        Self {
            median: f64::midpoint(times[(times.len() - 1) / 2], times[times.len() / 2]),
            min: times[0],
            max: times[times.len() - 1],
        }
    }
}

/// Bytes in MiB.
fn mib(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}
