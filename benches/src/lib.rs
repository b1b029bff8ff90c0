//! A timer for the benchmarks in `benches/`: the median and the least time of some samples, and a
//! rate.
//!
//! `cargo bench -p latimer-benches` runs all of them, `cargo bench -p latimer-benches -- matmul`
//! those with `matmul` in their name. `docs/measuring.md` says what to compare them with.

use std::fmt::Write as _;
use std::io::Write as _;
use std::time::{Duration, Instant};

/// Samples of each measurement.
const SAMPLES: usize = 15;
/// A sample repeats its work until it takes about this long.
const SAMPLE: Duration = Duration::from_millis(40);

/// Which measurements to make, as the command line asks for.
#[derive(Debug)]
pub struct Bench {
    /// Only names that contain this.
    filter: Option<String>,
    /// Without `--bench`, which `cargo bench` adds and `cargo test` does not: each work is then
    /// done once, untimed.
    once: bool,
}

/// How long some work takes, in seconds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Times {
    /// The middle sample.
    pub median: f64,
    /// The quickest sample.
    pub least: f64,
}

impl Bench {
    /// Reads the command line.
    #[must_use]
    pub fn from_args() -> Self {
        Self::new(std::env::args().skip(1))
    }

    fn new(args: impl Iterator<Item = String>) -> Self {
        let mut bench = Self {
            filter: None,
            once: true,
        };
        for arg in args {
            match &*arg {
                "--bench" => bench.once = false,
                // Other flags of cargo's.
                _ if arg.starts_with('-') => {}
                _ => bench.filter = Some(arg),
            }
        }
        bench
    }

    /// Times `work` and prints a line: the name, milliseconds, and `amount` of `unit` a second by
    /// the median.
    pub fn measure(&self, name: &str, amount: f64, unit: &str, work: impl FnMut()) {
        if let Some(times) = self.times(name, work) {
            let mut line = format!("{name:<44} {:>10.3} ms", times.median * 1e3);
            let _ = write!(line, "  least {:>10.3} ms", times.least * 1e3);
            let _ = writeln!(line, "  {:>10.2} {unit}/s", amount / times.median);
            // A reader that stops reading is no reason to stop measuring.
            let _ = std::io::stdout().write_all(line.as_bytes());
        }
    }

    /// Times `work`; `None` if nobody asked for it, or it was only to be tried.
    fn times(&self, name: &str, mut work: impl FnMut()) -> Option<Times> {
        if self
            .filter
            .as_ref()
            .is_some_and(|part| !name.contains(part))
        {
            return None;
        }
        let mut sample = |repeats: u32| {
            let start = Instant::now();
            (0..repeats).for_each(|_| work());
            start.elapsed() / repeats
        };
        let first = sample(1);
        if self.once {
            return None;
        }
        // The first is slower than the rest, so the repeats follow from a second.
        let one = sample(1).min(first).max(Duration::from_nanos(1));
        let repeats = (SAMPLE.as_nanos() / one.as_nanos()).clamp(1, 1 << 20) as u32;
        let samples: Vec<Duration> = (0..SAMPLES).map(|_| sample(repeats)).collect();
        Some(Times::of(samples))
    }
}

impl Times {
    fn of(mut samples: Vec<Duration>) -> Self {
        samples.sort_unstable();
        Self {
            median: samples[samples.len() / 2].as_secs_f64(),
            least: samples[0].as_secs_f64(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bench(args: &[&str]) -> Bench {
        Bench::new(args.iter().map(ToString::to_string))
    }

    #[test]
    fn only_what_is_asked_for_runs() {
        let runs = |args: &[&str]| {
            let mut runs = 0;
            bench(args).times("matmul f32", || runs += 1);
            runs
        };
        assert_eq!(runs(&["matmul"]), 1);
        assert_eq!(runs(&["attention"]), 0);
        assert!(runs(&["--bench"]) > SAMPLES);
    }

    #[test]
    fn the_middle_and_the_quickest_sample_count() {
        let samples = [5, 1, 9, 2, 7].map(Duration::from_secs);
        let times = Times::of(samples.to_vec());
        assert_eq!((times.median, times.least), (5.0, 1.0));
    }
}
