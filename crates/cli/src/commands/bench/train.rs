//! `latimer bench train`: times training steps on random tokens.

use super::limits::{arithmetic, bandwidth, large_product};
use super::profile::Profile;
use super::{Times, Watch, measured, mib};
use crate::args::ConfigArgs;
use crate::context::Context;
use crate::error::Result;
use crate::format::{percent, speed, thousands};
use crate::numbers::whole;
use crate::terminal::{self, Terminal};
use latimer_phrasebook::Phrases;
use latimer_tensor::philox::Stream;
use latimer_trainer::config::Config;
use latimer_trainer::data::{RowKey, Source, Windows};
use latimer_trainer::{Training, check_memory, matmul_speed, peak_rss_mb, size};
use serde::Serialize;
use std::time::Instant;

/// Times training steps on random tokens. Each preset has a fixed vocabulary (65 characters for
/// Shakespeare); dropout is 0 unless --dropout sets it.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    config: ConfigArgs<false>,
    /// Steps to time
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = whole(1u64))]
    steps: u64,
    /// Steps to run first without timing them
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = whole(0u64))]
    warmup: u64,
    /// Enqueue every operation of every step, even if the device could repeat a recorded step
    #[arg(long)]
    plain_launches: bool,
    /// Also profile: list every operation of a few more steps, separated into forward, backward and
    /// update
    #[arg(long)]
    profile: bool,
    /// Tokens in a row [default: block_size; 64 for gpt2-124m]
    #[arg(long, value_name = "N", value_parser = whole(1usize))]
    seq_len: Option<usize>,
    /// Size of the vocabulary [default: the preset's]
    #[arg(long, value_name = "N", value_parser = whole(1usize))]
    vocab_size: Option<usize>,
}

/// The result of `bench train`.
#[derive(Serialize)]
struct Measured<'a> {
    preset: &'a str,
    dtype: &'static str,
    backend: String,
    device: String,
    threads: Option<usize>,
    params: usize,
    /// Rows of one optimizer step.
    batch_size: usize,
    seq_len: usize,
    vocab_size: usize,
    step_ms: Times,
    /// Time of a step outside operations: checks, requests to the pool, the tape, copying in the
    /// rows. `None` on a device with a queue, where it cannot be told from enqueueing.
    #[serde(skip_serializing_if = "Option::is_none")]
    dispatch_ms: Option<f64>,
    tokens_per_s: f64,
    /// Floating-point operations per second of a step as a share of the device's speed in one large
    /// product.
    mfu: Option<f64>,
    /// Peak of the machine in 10⁹ operations per second, and how it was measured.
    peak_gflops: f64,
    peak_by: String,
    /// Floating-point operations per second of a step as a share of that peak.
    peak_share: f64,
    /// Loss of the first step, warm-up included.
    loss_first: f32,
    loss_last: f32,
    /// Memory of the device's pool in MiB: as predicted before the first step, and as measured
    /// after the last.
    predicted_mb: f64,
    pool_mb: f64,
    /// Peak resident memory of the process at the end of the timed steps.
    peak_rss_mb: Option<f64>,
    /// Buffers that the device's pool requested from its backend, per timed step.
    allocations_per_step: f64,
    /// Products that steps enqueued by cuBLASLt and by our own kernels, on devices that have both.
    /// The products of a recorded step count once.
    #[serde(skip_serializing_if = "Option::is_none")]
    lt_products: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    own_products: Option<u64>,
    /// Reasons why some work was not done in the fastest way.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    notes: Vec<String>,
    /// Only with `--profile`.
    #[serde(skip_serializing_if = "Option::is_none")]
    profile: Option<Profile>,
}

/// A source of random ids. Its rows are cut from a supply, at a place that depends on the step and
/// the row, so that a row costs no more than one of a corpus.
#[derive(Debug)]
struct RandomIds(Vec<u32>);

impl RandomIds {
    /// Number of ids in the supply.
    const SUPPLY: usize = 1 << 17;

    fn new(vocab_size: usize) -> Self {
        let mut stream = Stream::new(0, 0xBE7C_0000, 0);
        let supply = (0..Self::SUPPLY).map(|_| stream.below(vocab_size as u64) as u32);
        Self(supply.collect())
    }
}

impl Source for RandomIds {
    fn row(&self, _seed: u64, key: RowKey, ids: &mut [u32]) {
        // The factor is odd, so that every place of the supply is reached.
        let row = key.step * u64::from(key.rows) + u64::from(key.row);
        let first = (row.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32) as usize;
        // A row that reaches the end of the supply continues at its beginning.
        let mut first = first % Self::SUPPLY;
        let mut left = ids;
        while !left.is_empty() {
            let n = left.len().min(Self::SUPPLY - first);
            let (now, later) = left.split_at_mut(n);
            now.copy_from_slice(&self.0[first..first + n]);
            (first, left) = (0, later);
        }
    }

    fn validation(&self) -> Windows<'_> {
        Box::new(std::iter::empty())
    }

    fn validation_tokens(&self) -> usize {
        0
    }

    fn training_tokens(&self) -> Option<usize> {
        None
    }
}

/// The vocabulary size of a preset, which normally depends on its data.
pub(super) fn vocab_size(preset: &str) -> Result<usize> {
    Ok(match preset {
        "phrasebook" => {
            use latimer_tokenizer::Tokenizer;
            Phrases::word_tokenizer()?.vocab_size()
        }
        "seed" => 256,
        "gpt2-124m" => 50257,
        // The characters of tiny Shakespeare.
        _ => 65,
    })
}

/// Results of the timed steps.
struct Timed {
    losses: Vec<f32>,
    /// Milliseconds of each step.
    times: Vec<f64>,
    /// Buffers that the pool requested during the timed steps.
    misses: u64,
    /// `None` on a device with a queue.
    dispatch_ms: Option<f64>,
}

fn time(
    training: &mut Training,
    source: &RandomIds,
    watch: &Watch,
    args: &Args,
    terminal: &Terminal,
) -> Result<Timed> {
    let device = training.params().device().clone();
    let (mut losses, mut times) = (Vec::new(), Vec::new());
    let mut misses = device.pool_stats().misses;
    for step in 0..args.warmup + args.steps {
        if step == args.warmup {
            misses = device.pool_stats().misses;
        }
        let start = Instant::now();
        let done = training.next_step(source)?;
        let ms = start.elapsed().as_secs_f64() * 1e3;
        losses.push(done.loss);
        if let Some(warning) = training.take_capture_failure() {
            terminal.warn(warning);
        }
        let timed = step >= args.warmup;
        if timed {
            times.push(ms);
        }
        let what = if timed { "step" } else { "warm-up" };
        terminal.detail(
            1,
            format_args!("{what} {}: {ms:.2} ms, loss {:.4}", step + 1, done.loss),
        );
    }
    Ok(Timed {
        losses,
        times,
        misses: device.pool_stats().misses - misses,
        dispatch_ms: match device.has_queue() {
            true => None,
            false => Some(dispatch_ms(training, source, watch, args.steps)?),
        },
    })
}

/// The median time outside operations, over a few more steps (a fifth of the number timed, rounded
/// up).
fn dispatch_ms(
    training: &mut Training,
    source: &RandomIds,
    watch: &Watch,
    steps: u64,
) -> Result<f64> {
    let times = (0..steps.div_ceil(5)).map(|_| watch.outside(|| step(training, source)));
    Ok(Times::of(&mut times.collect::<Result<Vec<_>>>()?).median)
}

/// Profiles some more steps (at least three, or a fifth of the number timed) and waits for each of
/// their operations; returns the median time outside operations.
fn profile(training: &mut Training, source: &RandomIds, watch: &Watch, steps: u64) -> Result<f64> {
    let mut outside = Vec::new();
    // The first step is a warm-up: it creates the ledger's rows and is not counted.
    for number in 0..=steps.div_ceil(5).max(3) {
        let ms = watch.step(number > 0, || step(training, source))?;
        if number > 0 {
            outside.push(ms);
        }
    }
    Ok(Times::of(&mut outside).median)
}

fn step(training: &mut Training, source: &RandomIds) -> Result<()> {
    training.next_step(source)?;
    Ok(())
}

/// The bandwidth is measured on as many bytes as a step's buffers hold, up to this many.
const MOST_COPIED: u64 = 128 << 20;

pub(crate) fn run(context: &Context, args: &Args) -> Result<()> {
    let config: Config = args.config.resolve(&[("model.dropout", "0")])?;
    let train = &config.train;
    let device = measured(context.device()?)?;
    let watch = Watch::new(&device);
    let info = device.info();
    context.warn_if_slow(&device, train.dtype);
    let terminal = &context.terminal;
    let vocab_size = match args.vocab_size {
        Some(n) => n,
        None => vocab_size(&config.preset)?,
    };
    let model = config.model.with_vocab(vocab_size);
    let seq_len = args.seq_len.unwrap_or(match config.preset.as_str() {
        "gpt2-124m" => model.block_size.min(64),
        _ => model.block_size,
    });
    let needs = Training::needs_with_seq_len(&device, &model, train, seq_len)?;
    check_memory(&needs, &device)?;
    let mut training = Training::with_seq_len(&device, &model, train, seq_len)?;
    // In a recorded step, operations cannot be observed.
    if args.plain_launches || args.profile {
        training.launch_plainly();
    }
    let tokens = train.batch_size * train.grad_accum * seq_len;
    terminal.note(format_args!(
        "{}: {} parameters, {}, [{}, {seq_len}] tokens, {} of memory predicted, on {} ({})",
        config.preset,
        thousands(training.params().num_parameters() as u64),
        train.dtype.name(),
        train.batch_size * train.grad_accum,
        size(needs.memory_bytes),
        info.backend,
        info.name,
    ));
    let product = large_product(&device);
    let before = matmul_speed(&device, product, train.dtype.dtype())?;
    let source = RandomIds::new(vocab_size);
    let products_before = device.backend().work_report().products;
    // Run inside the device's threads, as training does.
    let Timed {
        losses,
        mut times,
        misses,
        dispatch_ms,
    } = device.enter(|| time(&mut training, &source, &watch, args, terminal))?;
    let work = device.backend().work_report();
    let products = work.products.zip(products_before);
    let products = products.map(|(after, before)| [0, 1].map(|i| after[i] - before[i]));
    let (pool, resident) = (device.pool_stats().held_bytes, peak_rss_mb());
    let peak = before.max(matmul_speed(&device, product, train.dtype.dtype())?);
    let limit = arithmetic(&device, train.dtype.dtype())?;
    let profile = if args.profile {
        let outside_ms = device.enter(|| profile(&mut training, &source, &watch, args.steps))?;
        let bandwidth = bandwidth(&device, (pool as u64).min(MOST_COPIED))?;
        let ledger = watch.ledger();
        let outside_ms = dispatch_ms.unwrap_or(outside_ms);
        Some(Profile::of(&ledger, outside_ms, &limit, &bandwidth))
    } else {
        None
    };
    let step_ms = Times::of(&mut times);
    let Times { median, min, max } = step_ms;
    let tokens_per_s = tokens as f64 / (median * 1e-3);
    let flops_per_s = needs.flops as f64 / (median * 1e-3);
    let (mfu, peak_share) = (flops_per_s / peak, flops_per_s / limit.per_s);
    let allocations = misses as f64 / args.steps as f64;
    let (first, last) = (losses[0], losses[losses.len() - 1]);
    if terminal.json {
        return terminal::json_result(&Measured {
            preset: &config.preset,
            dtype: train.dtype.name(),
            backend: info.backend,
            device: info.name,
            threads: info.threads,
            params: training.params().num_parameters(),
            batch_size: train.batch_size * train.grad_accum,
            seq_len,
            vocab_size,
            step_ms,
            dispatch_ms,
            tokens_per_s,
            mfu: mfu.is_finite().then_some(mfu),
            peak_gflops: limit.per_s * 1e-9,
            peak_by: limit.by,
            peak_share,
            loss_first: first,
            loss_last: last,
            predicted_mb: mib(needs.memory_bytes),
            pool_mb: mib(pool as u64),
            peak_rss_mb: resident,
            allocations_per_step: allocations,
            lt_products: products.map(|[lt, _]| lt),
            own_products: products.map(|[_, own]| own),
            notes: work.notes,
            profile,
        });
    }
    let dispatch = dispatch_ms.map_or(String::new(), |ms| {
        let share = percent(ms / median);
        format!("dispatch  {ms:.3} ms of a step outside operations ({share})\n")
    });
    terminal::result(format_args!(
        "step      {median:.2} ms (median of {}; {min:.2} to {max:.2})\n\
         speed     {} tokens/s, {} of the device's speed in one matrix product ({:.1} GFLOP/s)\n\
         peak      {} of {:.1} GFLOP/s ({})\n\
         {dispatch}\
         loss      {first:.4} at first, {last:.4} at last\n\
         memory    {}, {} of it in buffers, {allocations} new ones a step",
        times.len(),
        speed(tokens_per_s),
        percent(mfu),
        peak * 1e-9,
        percent(peak_share),
        limit.per_s * 1e-9,
        limit.by,
        resident.map_or("unknown".to_owned(), |mb| format!("{mb:.0} MiB at most")),
        size(pool as u64),
    ))?;
    if let Some([lt, own]) = products {
        terminal::result(format_args!(
            "products  {lt} enqueued by cuBLASLt, {own} by own kernels"
        ))?;
    }
    for note in work.notes {
        terminal::result(format_args!("          {note}"))?;
    }
    match profile {
        Some(profile) => terminal::result(format_args!("\n{profile}")),
        None => Ok(()),
    }
}
