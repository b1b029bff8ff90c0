//! `latimer bench op`: one operation, alone.

use super::operands::{Bound, TIMED, Timed};
use super::{Times, measured};
use crate::commands::{Context, unknown};
use crate::error::{Error, Result};
use crate::format::thousands;
use crate::terminal;
use latimer_tensor::{DType, Device};
use latimer_trainer::size;
use serde::Serialize;
use std::time::{Duration, Instant};

/// Which operation to time, on normally distributed operands. Without a name, the operations and
/// what their sizes mean.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The operation's name
    name: Option<String>,
    /// Its sizes, separated by commas [default: those of GPT-2's smallest model]
    #[arg(long, value_name = "N,N…", value_delimiter = ',')]
    shape: Vec<usize>,
    /// Element type of its main operands: f32, bf16, f16, f64
    #[arg(long, value_name = "NAME", default_value = "f32")]
    dtype: String,
    /// Runs to time [default: as many as take about a second, at least 10]
    #[arg(long, value_name = "N")]
    runs: Option<usize>,
    /// Runs before, which are not timed
    #[arg(long, value_name = "N", default_value_t = 3)]
    warmup: usize,
}

/// The result.
#[derive(Serialize)]
struct Measured<'a> {
    op: &'a str,
    shape: &'a [usize],
    dtype: &'a str,
    backend: String,
    device: String,
    threads: Option<usize>,
    /// Whether the backend ran it itself; else its f64 meaning ran on the host.
    native: bool,
    runs: usize,
    median_us: f64,
    min_us: f64,
    max_us: f64,
    /// 10⁹ floating-point operations a second, by the median.
    gflops: f64,
    /// 10⁹ bytes a second, by the median, each operand touched once.
    gb_s: f64,
}

/// Types that can be timed.
const DTYPES: [(&str, DType); 4] = [
    ("f32", DType::F32),
    ("bf16", DType::Bf16),
    ("f16", DType::F16),
    ("f64", DType::F64),
];

/// How long to go on without `--runs`, and how often at least and at most.
const LONG_ENOUGH: Duration = Duration::from_secs(1);
const RUNS: std::ops::RangeInclusive<usize> = 10..=10_000;

pub(crate) fn run(context: &Context, args: &Args) -> Result<()> {
    let Some(name) = &args.name else {
        return list(context);
    };
    let Some(timed) = TIMED.iter().find(|timed| timed.name == name) else {
        let names: Vec<_> = TIMED.iter().map(|timed| timed.name).collect();
        return Err(unknown("operation", name, &names));
    };
    let Some(&(dtype_name, dtype)) = DTYPES.iter().find(|(name, _)| *name == args.dtype) else {
        let names = DTYPES.map(|(name, _)| name);
        return Err(unknown("number type", &args.dtype, &names));
    };
    let sizes = sizes(timed, &args.shape)?;
    if args.runs == Some(0) {
        return Err(Error::Usage("--runs 0 leaves nothing to time".to_owned()));
    }
    let (cost, memory_bytes) = timed.needs(dtype, &sizes)?;
    let device = measured(context.device()?)?;
    let info = device.info();
    if let Some(available) = info.memory_bytes.filter(|&has| memory_bytes > has) {
        return Err(Error::OperandsTooLarge {
            needed: size(memory_bytes),
            device: info.name,
            available: size(available),
        });
    }
    let once = timed.bind(&device, dtype, &sizes)?;
    // Making the operands may have taken some.
    let fallbacks = device.fallbacks();
    let mut times = time(&device, once, args)?;
    let native = device.fallbacks() == fallbacks;
    let Times { median, min, max } = Times::of(&mut times);
    let measured = Measured {
        op: timed.name,
        shape: &sizes,
        dtype: dtype_name,
        backend: info.backend,
        device: info.name,
        threads: info.threads,
        native,
        runs: times.len(),
        median_us: median * 1e6,
        min_us: min * 1e6,
        max_us: max * 1e6,
        gflops: cost.flops as f64 / median * 1e-9,
        gb_s: cost.bytes as f64 / median * 1e-9,
    };
    if context.terminal.json {
        return terminal::json_result(&measured);
    }
    let Measured {
        median_us,
        min_us,
        max_us,
        gflops,
        gb_s,
        ..
    } = measured;
    let how = if native {
        ""
    } else {
        "\nby its f64 meaning on the host: this backend has no version of its own"
    };
    terminal::result(format_args!(
        "{name} {} {dtype_name} on {} ({})\n\
         {median_us:.1} us (median of {}; {min_us:.1} to {max_us:.1})\n\
         {gflops:.1} GFLOP/s, {gb_s:.1} GB/s{how}",
        shown(timed, &sizes),
        measured.backend,
        measured.device,
        thousands(measured.runs as u64),
    ))
}

/// The operations as a table.
fn list(context: &Context) -> Result<()> {
    #[derive(Serialize)]
    struct Row<'a> {
        op: &'a str,
        shape: &'a [&'a str],
        usual: &'a [usize],
        note: &'a str,
    }
    for timed in TIMED {
        if context.terminal.json {
            terminal::json_result(&Row {
                op: timed.name,
                shape: timed.sizes,
                usual: timed.usual,
                note: timed.note,
            })?;
        } else {
            let line = format!(
                "{:<20} --shape {:<12} {:<28} {}",
                timed.name,
                timed.sizes.join(","),
                shown(timed, timed.usual),
                timed.note,
            );
            terminal::result(line.trim_end())?;
        }
    }
    Ok(())
}

/// `M=256 K=768 N=768`.
fn shown(timed: &Timed, sizes: &[usize]) -> String {
    let pairs = timed.sizes.iter().zip(sizes);
    let pairs: Vec<_> = pairs.map(|(name, n)| format!("{name}={n}")).collect();
    pairs.join(" ")
}

fn sizes(timed: &Timed, given: &[usize]) -> Result<Vec<usize>> {
    if given.is_empty() {
        return Ok(timed.usual.to_vec());
    }
    let wanted = timed.sizes.join(",");
    if given.len() != timed.sizes.len() {
        let (name, usual) = (timed.name, shown(timed, timed.usual));
        return Err(Error::Usage(format!(
            "{name} takes --shape {wanted} ({usual} if not given), not {} sizes",
            given.len()
        )));
    }
    // More elements than this are more than any memory holds, and products of sizes would overflow.
    let elements = given.iter().map(|&n| n as f64).product::<f64>();
    if given.contains(&0) || elements > 1e12 {
        return Err(Error::Usage(format!(
            "--shape {wanted}: each size must be at least 1, and all together at most 10^12"
        )));
    }
    Ok(given.to_vec())
}

/// Seconds of each run, inside the device's threads.
fn time(device: &Device, mut once: Bound, args: &Args) -> Result<Vec<f64>> {
    Ok(device.enter(|| -> latimer_tensor::Result<Vec<f64>> {
        for _ in 0..args.warmup {
            once(device)?;
        }
        device.synchronize()?;
        let (begin, mut times) = (Instant::now(), Vec::new());
        loop {
            let start = Instant::now();
            once(device)?;
            device.synchronize()?;
            times.push(start.elapsed().as_secs_f64());
            let enough = match args.runs {
                Some(runs) => times.len() >= runs,
                None => {
                    times.len() >= *RUNS.end()
                        || (times.len() >= *RUNS.start() && begin.elapsed() > LONG_ENOUGH)
                }
            };
            if enough {
                return Ok(times);
            }
        }
    })?)
}
