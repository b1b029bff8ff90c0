//! `latimer bench op`: times a single operation.

use super::operands::{Bound, TIMED, Timed};
use super::{Times, measured};
use crate::context::{Context, unknown};
use crate::error::{Error, Result};
use crate::format::{count, thousands};
use crate::numbers::whole;
use crate::terminal;
use latimer_tensor::{DType, Device};
use latimer_trainer::size;
use serde::Serialize;
use std::time::{Duration, Instant};

/// Times an operation on normally distributed operands. Without a name, lists the operations and
/// what their sizes mean.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The operation's name
    name: Option<String>,
    /// Its sizes, separated by commas [default: those of GPT-2's smallest model]
    #[arg(long, value_name = "N,N…", value_delimiter = ',', value_parser = whole(1usize))]
    shape: Vec<usize>,
    /// Element type of its main operands: f32, bf16, f16, f64
    #[arg(long, value_name = "NAME", default_value = "f32")]
    dtype: String,
    /// Number of measurements [default: as many as take about a second, at least 10]; on a device
    /// that queues its work, each measures many launches between two waits
    #[arg(long, value_name = "N", value_parser = whole(1usize))]
    runs: Option<usize>,
    /// Runs before the measurements, not timed
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = whole(0usize))]
    warmup: usize,
}

/// The result of `bench op`.
#[derive(Serialize)]
struct Measured<'a> {
    op: &'a str,
    shape: &'a [usize],
    dtype: &'a str,
    backend: String,
    device: String,
    threads: Option<usize>,
    /// Whether the backend ran the operation itself; otherwise its f64 meaning ran on the host.
    native: bool,
    runs: usize,
    /// Launches between two waits. Each time is their mean.
    launches: usize,
    /// Sets of operands used in turn, so that they are not found in a cache.
    sets: usize,
    median_us: f64,
    min_us: f64,
    max_us: f64,
    /// 10⁹ floating-point operations per second, by the median.
    gflops: f64,
    /// 10⁹ bytes per second, by the median, if each operand is touched once.
    gb_s: f64,
}

/// Element types that can be timed.
const DTYPES: [(&str, DType); 4] = [
    ("f32", DType::F32),
    ("bf16", DType::Bf16),
    ("f16", DType::F16),
    ("f64", DType::F64),
];

/// Without `--runs`: how long to measure, and the fewest and most runs.
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
    let sets = sets(&device, memory_bytes);
    let bound = (0..sets).map(|_| timed.bind(&device, dtype, &sizes));
    let bound = bound.collect::<Result<Vec<_>>>()?;
    // Making the operands may have used fallbacks too.
    let fallbacks = device.fallbacks();
    let (launches, mut times) = time(&device, bound, args)?;
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
        launches,
        sets,
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
    let mut how = String::new();
    if launches > 1 {
        how = format!(
            "\nthe mean of {launches} launches a time, over {}",
            count(sets, "set of operands")
        );
    }
    if !native {
        how += "\ncomputed by its f64 meaning on the host: this backend has no version of its own";
    }
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

/// Prints the operations as a table.
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

/// The sizes by name, such as `M=256 K=768 N=768`.
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
    // More elements than this exceed any memory, and products of such sizes would overflow.
    let elements = given.iter().map(|&n| n as f64).product::<f64>();
    if elements > 1e12 {
        return Err(Error::Usage(format!(
            "--shape is {}: it must be {wanted}, whose product is at most 10^12",
            joined(given)
        )));
    }
    Ok(given.to_vec())
}

/// The sizes joined by commas, such as `2,3,4`.
fn joined(sizes: &[usize]) -> String {
    let sizes: Vec<_> = sizes.iter().map(usize::to_string).collect();
    sizes.join(",")
}

/// Total size in bytes of the operands that a device with a queue is timed on: several times its
/// cache, since a step's operands were not just used either.
const BEYOND_CACHES: u64 = 256 << 20;
/// The most sets. If this many sets still fit a cache, the operands are so small that launching
/// takes longest.
const MOST_SETS: u64 = 16;

/// Number of sets of operands used in turn. Without a queue it is one; otherwise so that they
/// exceed any cache but take at most half of the memory.
fn sets(device: &Device, bytes_of_one: u64) -> usize {
    if !device.has_queue() {
        return 1;
    }
    let bytes = bytes_of_one.max(1);
    let room = device.info().memory_bytes.unwrap_or(u64::MAX) / 2 / bytes;
    let wanted = BEYOND_CACHES.div_ceil(bytes).min(MOST_SETS);
    wanted.min(room).max(1) as usize
}

/// On a device with a queue, the seconds that the launches between two waits take together. The
/// wait itself, some 10 microseconds, then hardly counts.
const BETWEEN_WAITS: f64 = 0.02;

/// Whether enough runs were made: as many as were asked for, or enough in number and time.
fn enough(runs: usize, time: Duration, asked: Option<usize>) -> bool {
    match asked {
        Some(asked) => runs >= asked,
        None => runs >= *RUNS.end() || (runs >= *RUNS.start() && time > LONG_ENOUGH),
    }
}

/// Launches between two waits, and the mean seconds of each such group, run inside the device's
/// threads.
fn time(device: &Device, mut bound: Vec<Bound>, args: &Args) -> Result<(usize, Vec<f64>)> {
    Ok(
        device.enter(|| -> latimer_tensor::Result<(usize, Vec<f64>)> {
            let (mut turn, sets) = (0, bound.len());
            let mut group = |launches: usize| {
                device.synchronize()?;
                let start = Instant::now();
                for _ in 0..launches {
                    bound[turn % sets](device)?;
                    turn += 1;
                }
                device.synchronize()?;
                latimer_tensor::Result::Ok(start.elapsed().as_secs_f64() / launches as f64)
            };
            // Run every set at least once, since memory is slower on its first use.
            for _ in 0..args.warmup.max(sets - 1) {
                group(1)?;
            }
            let launches = if device.has_queue() {
                let one = group(sets.max(3))?;
                ((BETWEEN_WAITS / one.max(1e-9)) as usize).clamp(sets, *RUNS.end())
            } else {
                1
            };
            let (begin, mut times) = (Instant::now(), Vec::new());
            loop {
                times.push(group(launches)?);
                if enough(times.len(), begin.elapsed(), args.runs) {
                    return Ok((launches, times));
                }
            }
        })?,
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use latimer_tensor::{Backend, Buffer, DeviceInfo, Handled, Op, View, ViewMut};
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::{Arc, Mutex};

    /// A device that does nothing, with or without a queue. It records the piece of memory that
    /// each `fill` would write, and `None` for each wait.
    #[derive(Clone, Debug, Default)]
    struct Idle {
        queued: bool,
        memory: u64,
        pieces: Arc<AtomicUsize>,
        asked: Arc<Mutex<Vec<Option<usize>>>>,
    }

    #[derive(Debug)]
    struct Piece(usize);

    impl Buffer for Piece {}

    impl Backend for Idle {
        fn info(&self) -> DeviceInfo {
            let mut info = DeviceInfo::default();
            info.memory_bytes = Some(self.memory);
            info
        }

        fn alloc(&self, _bytes: usize) -> latimer_tensor::Result<Box<dyn Buffer>> {
            let number = self.pieces.fetch_add(1, Ordering::Relaxed);
            Ok(Box::new(Piece(number)))
        }

        fn upload(&self, _src: &[u8], _dst: ViewMut<'_>) -> latimer_tensor::Result<()> {
            Ok(())
        }

        fn download(&self, _src: View<'_>, _dst: &mut [u8]) -> latimer_tensor::Result<()> {
            Ok(())
        }

        fn run(&self, op: &mut Op<'_>) -> latimer_tensor::Result<Handled> {
            if let Op::Fill(fill) = op {
                let Piece(number) = fill.y.as_view().buffer()?;
                self.asked.lock().unwrap().push(Some(*number));
            }
            Ok(Handled::Done)
        }

        fn has_queue(&self) -> bool {
            self.queued
        }

        fn synchronize(&self) -> latimer_tensor::Result<()> {
            self.asked.lock().unwrap().push(None);
            Ok(())
        }
    }

    /// The requests to a device while `fill` of 1 MiB is timed 3 times: the pieces between waits.
    fn asked(queued: bool, memory: u64) -> (usize, Vec<Vec<usize>>) {
        let idle = Idle {
            queued,
            memory,
            ..Idle::default()
        };
        let device = Device::new(idle.clone());
        let fill = TIMED.iter().find(|timed| timed.name == "fill").unwrap();
        let (_, bytes) = fill.needs(DType::F32, &[1 << 18]).unwrap();
        let sets = sets(&device, bytes);
        let bound = (0..sets).map(|_| fill.bind(&device, DType::F32, &[1 << 18]).unwrap());
        let bound = bound.collect();
        idle.asked.lock().unwrap().clear();
        let args = Args {
            name: None,
            shape: Vec::new(),
            dtype: "f32".to_owned(),
            runs: Some(3),
            warmup: 3,
        };
        let (launches, times) = time(&device, bound, &args).unwrap();
        assert_eq!(times.len(), 3);
        let asked = idle.asked.lock().unwrap();
        let groups = asked
            .split(Option::is_none)
            .filter(|group| !group.is_empty());
        let groups: Vec<Vec<usize>> = groups
            .map(|group| group.iter().flatten().copied().collect())
            .collect();
        let timed = groups[groups.len() - 3..].to_vec();
        assert!(timed.iter().all(|group| group.len() == launches));
        (sets, timed)
    }

    #[test]
    fn a_queue_is_filled_between_waits_with_launches_on_sets_that_take_turns() {
        let (sets, groups) = asked(true, 1 << 37);
        assert_eq!(sets, 16, "of 1 MiB, so that 256 MiB would be 256");
        for group in groups {
            assert!(group.len() >= sets, "{}", group.len());
            for pair in group.windows(2) {
                assert_ne!(pair[0], pair[1], "a piece just used is in the cache");
            }
        }
        // Half of the memory limits the number of sets.
        assert_eq!(asked(true, 8 << 20).0, 4);
    }

    #[test]
    fn without_a_queue_each_launch_is_waited_for() {
        let (sets, groups) = asked(false, 1 << 37);
        assert_eq!(sets, 1);
        assert_eq!(groups, vec![vec![groups[0][0]]; 3]);
    }

    #[test]
    fn runs_go_on_until_they_say_enough() {
        let (short, long) = (LONG_ENOUGH / 2, LONG_ENOUGH * 2);
        let (fewest, most) = (*RUNS.start(), *RUNS.end());
        for (runs, time, expected) in [
            (fewest, short, false),
            (fewest - 1, long, false),
            (fewest, long, true),
            (most - 1, short, false),
            (most, short, true),
        ] {
            assert_eq!(enough(runs, time, None), expected, "{runs} {time:?}");
        }
        assert!(enough(3, short, Some(3)) && !enough(most, long, Some(most + 1)));
    }
}
