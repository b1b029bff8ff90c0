//! `latimer bench generate`: decoding over the cache, on random weights.

use super::limits::{arithmetic, bandwidth};
use super::profile::Profile;
use super::train::vocab_size;
use super::{Times, Watch, measured};
use crate::args::ConfigArgs;
use crate::context::Context;
use crate::error::{Error, Result};
use crate::format::{count, percent, thousands};
use crate::numbers::whole;
use crate::terminal;
use latimer_autograd::{Params, Pass};
use latimer_nn::{Gpt, GptConfig, KvCache, Sampler, Sampling};
use latimer_tensor::Tensor;
use latimer_tensor::philox::Stream;
use latimer_trainer::config::{Config, Dtype};
use latimer_trainer::peak_rss_mb;
use serde::Serialize;
use std::time::Instant;

/// Decodes greedily on random weights, `--batch-size` texts side by side [default: 1]. Each preset
/// has a fixed vocabulary.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    config: ConfigArgs<false>,
    /// Tokens to add to each text, at least 2: the first belongs to the prompt
    #[arg(long, value_name = "N", default_value_t = 64, value_parser = whole(2usize))]
    new_tokens: usize,
    /// Tokens of each prompt
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = whole(1usize))]
    prompt_tokens: usize,
    /// Texts to time, one after another
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = whole(1usize))]
    runs: usize,
    /// Texts to generate first without timing them
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = whole(0usize))]
    warmup: usize,
    /// Also profile: list every operation of the last token of a few more texts
    #[arg(long)]
    profile: bool,
}

/// The result of `bench generate`.
#[derive(Serialize)]
struct Measured<'a> {
    preset: &'a str,
    dtype: &'static str,
    backend: String,
    device: String,
    threads: Option<usize>,
    params: usize,
    batch_size: usize,
    prompt_tokens: usize,
    new_tokens: usize,
    runs: usize,
    /// New tokens of all rows per second, by the median token.
    tokens_per_s: f64,
    /// Times of every token after the first of its text, over all runs. With several rows, the time
    /// in which each row gets one token.
    ms_per_token: Times,
    /// Time from a prompt to the first token, median over the runs.
    first_token_ms: f64,
    /// Bytes of the weights that a token must read.
    weight_bytes: u64,
    /// Memory bandwidth for that many bytes, in 10⁹ bytes per second, and how it was measured.
    bandwidth_gb_s: f64,
    bandwidth_by: String,
    /// Bandwidth at which the median token reads the weights, as a share of the measured one.
    bandwidth_share: f64,
    /// Peak resident memory of the process after the last token.
    peak_rss_mb: Option<f64>,
    /// Only with `--profile`.
    #[serde(skip_serializing_if = "Option::is_none")]
    profile: Option<Profile>,
}

/// Bytes of the parameters that decoding a token reads: all of them, except the embedding rows that
/// are not looked up. If the head is tied, it reads the whole token embedding.
fn weight_bytes(params: &Params, gpt: &Gpt) -> u64 {
    let tied = gpt.head.weight == gpt.wte;
    let looked_up = |param| params.info(param).shape().numel();
    let skipped = gpt.wpe.map_or(0, looked_up) + if tied { 0 } else { looked_up(gpt.wte) };
    ((params.num_parameters() - skipped) * params.dtype().size()) as u64
}

/// Texts that are generated side by side.
struct Writer<'m> {
    gpt: &'m Gpt,
    params: &'m Params,
    cache: KvCache,
    sampler: Sampler,
    prompt: Vec<u32>,
    /// The logits of one token for each row.
    logits: Vec<f32>,
    rows: usize,
}

impl<'m> Writer<'m> {
    fn new(gpt: &'m Gpt, params: &'m Params, rows: usize, prompt_tokens: usize) -> Result<Self> {
        let config = gpt.config();
        let mut stream = Stream::new(0, 0xBE7C_0001, 0);
        let ids = (0..rows * prompt_tokens).map(|_| stream.below(config.vocab_size as u64) as u32);
        Ok(Self {
            gpt,
            params,
            cache: KvCache::with_batch_size(params, config, rows)?,
            sampler: Sampler::new(Sampling::greedy(), 0)?,
            prompt: ids.collect(),
            logits: vec![0.0; rows * config.padded_vocab_size],
            rows,
        })
    }

    /// The likeliest next token of each row, after `ids` are read at the next positions.
    fn next(&mut self, ids: &[u32]) -> Result<Vec<u32>> {
        let config = self.gpt.config();
        let pass = Pass::evaluate(self.params);
        let shape = [self.rows, ids.len() / self.rows];
        let ids = Tensor::from_slice(self.params.device(), ids, shape)?; // [B, T]
        let logits = self.gpt.decode(&pass, &ids, &mut self.cache)?; // [B, Vp]
        logits.copy_to_slice(&mut self.logits)?;
        let rows = self.logits.chunks_exact(config.padded_vocab_size);
        rows.map(|row| Ok(self.sampler.sample(&row[..config.vocab_size])?))
            .collect()
    }

    /// Generates one text; returns the milliseconds that each token took.
    fn write(&mut self, new_tokens: usize) -> Result<Vec<f64>> {
        self.cache.clear();
        let mut ids = self.prompt.clone();
        let mut times = Vec::with_capacity(new_tokens);
        for _ in 0..new_tokens {
            let start = Instant::now();
            ids = self.next(&ids)?;
            times.push(start.elapsed().as_secs_f64() * 1e3);
        }
        Ok(times)
    }
}

/// Checks that the sizes fit each other and the model.
fn check(args: &Args, model: &GptConfig) -> Result<()> {
    let usage = |message: String| Err(Error::Usage(message));
    // The last new token is not fed back to the model.
    let positions = args.prompt_tokens.saturating_add(args.new_tokens - 1);
    if positions > model.block_size {
        return usage(format!(
            "--prompt-tokens {} and --new-tokens {} take {positions} positions, but block_size is {}: \
             give fewer, or a larger --block-size",
            args.prompt_tokens, args.new_tokens, model.block_size
        ));
    }
    if !model.causal {
        return usage(
            "this model is not causal, so it cannot decode with a cache: add --causal".to_owned(),
        );
    }
    Ok(())
}

pub(crate) fn run(context: &Context, args: &Args) -> Result<()> {
    let before = [("model.dropout", "0"), ("train.batch_size", "1")];
    let config: Config = args.config.resolve(&before)?;
    let (rows, dtype) = (config.train.batch_size, config.train.dtype);
    let model = config.model.with_vocab(vocab_size(&config.preset)?);
    check(args, &model)?;
    let device = measured(context.device()?)?;
    let watch = Watch::new(&device);
    let info = device.info();
    context.warn_if_slow(&device, dtype);
    let (gpt, declarations) = Gpt::new(&model)?;
    let mut params =
        Params::new(&device, declarations, config.train.seed).map_err(latimer_nn::Error::from)?;
    if dtype == Dtype::Bf16 {
        params.enable_bf16().map_err(latimer_nn::Error::from)?;
    }
    context.terminal.note(format_args!(
        "{}: {} parameters, {}, {} of {} and {} new tokens, on {} ({})",
        config.preset,
        thousands(params.num_parameters() as u64),
        dtype.name(),
        count(rows, "prompt"),
        args.prompt_tokens,
        args.new_tokens,
        info.backend,
        info.name,
    ));
    let (mut first, mut later) = device.enter(|| time(&gpt, &params, rows, args))?;
    let resident = peak_rss_mb();
    let outside_ms = match args.profile {
        true => Some(device.enter(|| profile(&gpt, &params, rows, args, &watch))?),
        false => None,
    };
    let ms_per_token = Times::of(&mut later);
    let weight_bytes = weight_bytes(&params, &gpt);
    let num_parameters = params.num_parameters();
    // Free the memory that measuring the bandwidth needs.
    drop(params);
    device.trim();
    let limit = bandwidth(&device, weight_bytes)?;
    let profile = match outside_ms {
        Some(ms) => {
            let peak = arithmetic(&device, dtype.dtype())?;
            Some(Profile::of(&watch.ledger(), ms, &peak, &limit))
        }
        None => None,
    };
    let Times { median, min, max } = ms_per_token;
    let measured = Measured {
        preset: &config.preset,
        dtype: dtype.name(),
        backend: info.backend,
        device: info.name,
        threads: info.threads,
        params: num_parameters,
        batch_size: rows,
        prompt_tokens: args.prompt_tokens,
        new_tokens: args.new_tokens,
        runs: args.runs,
        tokens_per_s: rows as f64 / (median * 1e-3),
        ms_per_token,
        first_token_ms: Times::of(&mut first).median,
        weight_bytes,
        bandwidth_gb_s: limit.per_s * 1e-9,
        bandwidth_by: limit.by.clone(),
        bandwidth_share: weight_bytes as f64 / (median * 1e-3) / limit.per_s,
        peak_rss_mb: resident,
        profile,
    };
    if context.terminal.json {
        return terminal::json_result(&measured);
    }
    terminal::result(format_args!(
        "token     {median:.3} ms (median of {}; {min:.3} to {max:.3}), the first {:.3} ms\n\
         speed     {:.1} tokens/s\n\
         weights   {:.1} MB a token, {} of memory's speed ({:.1} GB/s, {})\n\
         memory    {}",
        thousands(later.len()),
        measured.first_token_ms,
        measured.tokens_per_s,
        weight_bytes as f64 * 1e-6,
        percent(measured.bandwidth_share),
        measured.bandwidth_gb_s,
        limit.by,
        resident.map_or("unknown".to_owned(), |mb| format!("{mb:.0} MiB at most")),
    ))?;
    match measured.profile {
        Some(profile) => terminal::result(format_args!("\n{profile}")),
        None => Ok(()),
    }
}

/// Milliseconds of the first token of every timed text, and of all other tokens.
fn time(gpt: &Gpt, params: &Params, rows: usize, args: &Args) -> Result<(Vec<f64>, Vec<f64>)> {
    let mut writer = Writer::new(gpt, params, rows, args.prompt_tokens)?;
    let (mut first, mut later) = (Vec::new(), Vec::new());
    for run in 0..args.warmup + args.runs {
        let times = writer.write(args.new_tokens)?;
        if run >= args.warmup {
            first.push(times[0]);
            later.extend_from_slice(&times[1..]);
        }
    }
    Ok((first, later))
}

/// Records the operations of the last token of some texts; returns the median time outside
/// operations.
fn profile(gpt: &Gpt, params: &Params, rows: usize, args: &Args, watch: &Watch) -> Result<f64> {
    let mut writer = Writer::new(gpt, params, rows, args.prompt_tokens)?;
    let mut outside = Vec::new();
    // The first text is a warm-up: it creates the ledger's rows and is not counted.
    for text in 0..=args.runs.max(3) {
        writer.write(args.new_tokens - 1)?;
        let ids = vec![0; rows];
        let ms = watch.step(text > 0, || writer.next(&ids).map(|_| ()))?;
        if text > 0 {
            outside.push(ms);
        }
    }
    Ok(Times::of(&mut outside).median)
}
