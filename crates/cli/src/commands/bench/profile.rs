//! Where a step's time is spent: every kind of operation, and what limits it.

use super::Times;
use super::limits::Limit;
use latimer_tensor::Phase;
use latimer_tensor::op::{Cost, MatmulSizes, Op};
use serde::Serialize;
use std::fmt;

/// The properties of a product that decide its speed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Product {
    sizes: MatmulSizes,
    trans_a: bool,
    trans_b: bool,
}

/// Key of a row: operations that share it are added up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Key {
    phase: Phase,
    op: &'static str,
    product: Option<Product>,
}

impl Key {
    /// The key of an operation in this phase.
    pub(super) fn of(op: &Op<'_>, phase: Phase) -> Self {
        let product = match op {
            Op::Matmul(product) => Some(Product {
                sizes: product.sizes(),
                trans_a: product.trans_a,
                trans_b: product.trans_b,
            }),
            _ => None,
        };
        Self {
            phase,
            op: op.name(),
            product,
        }
    }

    /// A product's shape, such as `64x128x512 nt` for a product of `[64, 128]` and the transpose of
    /// `[512, 128]`: M, K, N.
    fn shape(&self) -> Option<String> {
        self.product.map(|product| {
            let MatmulSizes { batch, m, n, k } = product.sizes;
            let letter = |transposed| if transposed { 't' } else { 'n' };
            let batch = match batch {
                1 => String::new(),
                batch => format!("{batch} of "),
            };
            let (a, b) = (letter(product.trans_a), letter(product.trans_b));
            format!("{batch}{m}x{k}x{n} {a}{b}")
        })
    }
}

/// The operations that share a key.
#[derive(Debug)]
struct Entry {
    key: Key,
    /// Calls in the current step.
    calls: u64,
    cost: Cost,
    nanoseconds: u64,
    /// Calls and cost in the last whole step.
    per_step: (u64, Cost),
    /// Time in each whole step.
    milliseconds: Vec<f64>,
}

/// Operations as they were recorded, in the order in which each kind first occurred.
#[derive(Debug, Default)]
pub(super) struct Ledger(Vec<Entry>);

impl Ledger {
    pub(super) fn enter(&mut self, key: Key, cost: Cost, nanoseconds: u64) {
        let at = self.0.iter().position(|entry| entry.key == key);
        let at = at.unwrap_or_else(|| {
            self.0.push(Entry {
                key,
                calls: 0,
                cost: Cost::default(),
                nanoseconds: 0,
                per_step: (0, Cost::default()),
                milliseconds: Vec::new(),
            });
            self.0.len() - 1
        });
        let entry = &mut self.0[at];
        entry.calls += 1;
        entry.cost.flops += cost.flops;
        entry.cost.bytes += cost.bytes;
        entry.nanoseconds += nanoseconds;
    }

    /// Closes a step; it is discarded unless it `counts`.
    pub(super) fn end_step(&mut self, counts: bool) {
        for entry in &mut self.0 {
            if counts {
                entry.per_step = (entry.calls, entry.cost);
                entry.milliseconds.push(entry.nanoseconds as f64 * 1e-6);
            }
            (entry.calls, entry.cost, entry.nanoseconds) = (0, Cost::default(), 0);
        }
    }
}

/// One kind of operation in a step.
#[derive(Debug, Serialize)]
struct Row {
    phase: &'static str,
    op: &'static str,
    /// Shape, if it is a product.
    #[serde(skip_serializing_if = "Option::is_none")]
    shape: Option<String>,
    calls: u64,
    /// Median over the steps.
    ms: f64,
    /// Share of the whole step's time.
    share: f64,
    gflops: f64,
    peak_share: f64,
    /// 10⁶ bytes if every operand is touched once, which is the minimum.
    least_mb: f64,
    gb_s: f64,
    bandwidth_share: f64,
    /// Bytes that memory could have moved in this time, divided by the minimum.
    bytes_ratio: f64,
    /// The time divided by the least that the peak and the bandwidth allow.
    limit_ratio: f64,
}

impl Row {
    fn of(entry: &Entry, peak: f64, bandwidth: f64) -> Option<Self> {
        if entry.milliseconds.is_empty() {
            return None;
        }
        let ms = Times::of(&mut entry.milliseconds.clone()).median;
        let (calls, Cost { flops, bytes }) = entry.per_step;
        let seconds = (ms * 1e-3).max(1e-12);
        let (flops, bytes) = (flops as f64, bytes as f64);
        Some(Self {
            phase: entry.key.phase.name(),
            op: entry.key.op,
            shape: entry.key.shape(),
            calls,
            ms,
            share: 0.0,
            gflops: flops / seconds * 1e-9,
            peak_share: flops / seconds / peak,
            least_mb: bytes * 1e-6,
            gb_s: bytes / seconds * 1e-9,
            bandwidth_share: bytes / seconds / bandwidth,
            bytes_ratio: seconds * bandwidth / bytes.max(1.0),
            limit_ratio: seconds / (flops / peak).max(bytes / bandwidth).max(1e-12),
        })
    }
}

/// A step's operations, the longest first, compared with the machine's limits.
#[derive(Debug, Serialize)]
pub(super) struct Profile {
    steps: usize,
    /// Time of all rows together, and time outside operations.
    ops_ms: f64,
    dispatch_ms: f64,
    forward_ms: f64,
    backward_ms: f64,
    update_ms: f64,
    peak_gflops: f64,
    peak_by: String,
    bandwidth_gb_s: f64,
    bandwidth_by: String,
    rows: Vec<Row>,
}

impl Profile {
    pub(super) fn of(ledger: &Ledger, dispatch_ms: f64, peak: &Limit, bandwidth: &Limit) -> Self {
        let rows = ledger.0.iter();
        let rows = rows.filter_map(|entry| Row::of(entry, peak.per_s, bandwidth.per_s));
        let mut rows: Vec<Row> = rows.collect();
        let ms = |rows: &[Row], phase: Phase| {
            let of_phase = rows.iter().filter(|row| row.phase == phase.name());
            of_phase.map(|row| row.ms).sum::<f64>()
        };
        let [forward_ms, backward_ms, update_ms] =
            [Phase::Forward, Phase::Backward, Phase::Update].map(|phase| ms(&rows, phase));
        let ops_ms = forward_ms + backward_ms + update_ms;
        for row in &mut rows {
            row.share = row.ms / (ops_ms + dispatch_ms);
        }
        rows.sort_by(|a, b| b.ms.total_cmp(&a.ms));
        let steps = ledger.0.iter().map(|entry| entry.milliseconds.len()).max();
        Self {
            steps: steps.unwrap_or(0),
            ops_ms,
            dispatch_ms,
            forward_ms,
            backward_ms,
            update_ms,
            peak_gflops: peak.per_s * 1e-9,
            peak_by: peak.by.clone(),
            bandwidth_gb_s: bandwidth.per_s * 1e-9,
            bandwidth_by: bandwidth.by.clone(),
            rows,
        }
    }
}

impl fmt::Display for Profile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let whole = self.ops_ms + self.dispatch_ms;
        writeln!(
            f,
            "{:<8} {:<44} {:>5} {:>9} {:>6} {:>8} {:>6} {:>7} {:>6} {:>9} {:>7} {:>7}",
            "pass",
            "operation",
            "calls",
            "ms",
            "share",
            "GFLOP/s",
            "peak",
            "GB/s",
            "memory",
            "least MB",
            "bytes x",
            "limit x",
        )?;
        for row in &self.rows {
            let shape = row.shape.as_deref().unwrap_or_default();
            let name = format!("{} {shape}", row.op);
            writeln!(
                f,
                "{:<8} {name:<44} {:>5} {:>9.3} {:>5.1}% {:>8.1} {:>5.1}% {:>7.1} {:>5.1}% {:>9.3} {:>7.1} {:>7.1}",
                row.phase,
                row.calls,
                row.ms,
                row.share * 100.0,
                row.gflops,
                row.peak_share * 100.0,
                row.gb_s,
                row.bandwidth_share * 100.0,
                row.least_mb,
                row.bytes_ratio,
                row.limit_ratio,
            )?;
        }
        let rest = [
            ("forward", self.forward_ms),
            ("backward", self.backward_ms),
            ("update", self.update_ms),
            ("outside operations", self.dispatch_ms),
        ];
        for (name, ms) in rest {
            writeln!(
                f,
                "{:<8} {name:<44} {:>5} {ms:>9.3} {:>5.1}%",
                "all",
                "",
                ms / whole * 100.0
            )?;
        }
        write!(
            f,
            "peak: {:.1} GFLOP/s, {}; memory: {:.1} GB/s, {}; medians of {} steps.\n\
             least MB: bytes of the operands, each touched once. bytes x: bytes that memory could have \
             moved in this time, divided by that.\nlimit x: the time divided by the shortest time that peak and memory allow.",
            self.peak_gflops, self.peak_by, self.bandwidth_gb_s, self.bandwidth_by, self.steps,
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(phase: Phase, op: &'static str) -> Key {
        Key {
            phase,
            op,
            product: None,
        }
    }

    #[test]
    fn a_row_is_held_against_the_limit_that_binds_it() {
        let mut ledger = Ledger::default();
        let cost = |flops, bytes| Cost { flops, bytes };
        for (step, ms) in [(0, 9), (1, 2), (2, 2), (3, 4)] {
            // Two calls a step, each half the time.
            for _ in 0..2 {
                let product = key(Phase::Backward, "matmul");
                ledger.enter(product, cost(1_000_000, 1_000), ms * 500_000);
            }
            let update = key(Phase::Update, "adamw");
            ledger.enter(update, cost(10, 4_000_000), 1_000_000);
            ledger.end_step(step > 0);
        }
        let limit = |per_s| Limit {
            per_s,
            by: "decree".to_owned(),
        };
        // 2 GFLOP/s and 16 GB/s.
        let profile = Profile::of(&ledger, 1.0, &limit(2e9), &limit(16e9));
        assert_eq!((profile.steps, profile.ops_ms), (3, 3.0));
        assert_eq!((profile.backward_ms, profile.update_ms), (2.0, 1.0));
        let [product, update] = &profile.rows[..] else {
            panic!("{profile}")
        };
        // 2 MFLOP in 2 ms are half of the peak; 4 MB in 1 ms are a quarter of the bandwidth.
        assert_eq!((product.op, product.calls), ("matmul", 2));
        for (got, expected) in [
            (product.share, 0.5),
            (product.gflops, 1.0),
            (product.peak_share, 0.5),
            (product.limit_ratio, 2.0),
            (update.gb_s, 4.0),
            (update.bandwidth_share, 0.25),
            (update.bytes_ratio, 4.0),
            (update.limit_ratio, 4.0),
        ] {
            assert!((got - expected).abs() < 1e-9, "{got} {expected}: {profile}");
        }
        // The table has a header, rows, four sums and three lines of notes, in columns.
        let text = profile.to_string();
        assert_eq!(text.lines().count(), 1 + 2 + 4 + 3, "{text}");
    }

    #[test]
    fn products_are_told_apart_by_shape() {
        let product = Product {
            sizes: MatmulSizes {
                batch: 1,
                m: 64,
                n: 512,
                k: 128,
            },
            trans_a: false,
            trans_b: true,
        };
        let key = Key {
            product: Some(product),
            ..key(Phase::Forward, "matmul")
        };
        assert_eq!(key.shape().as_deref(), Some("64x128x512 nt"));
    }
}
