//! `latimer eval`: how well a model predicts a text.

use crate::args::{ModelArgs, ModelTokenizer};
use crate::bar::Bar;
use crate::context::Context;
use crate::error::Result;
use crate::format::{duration, thousands};
use crate::numbers::whole;
use crate::terminal;
use crate::texts::{self, Extensions};
use latimer_trainer::text_loss;
use serde::Serialize;
use std::process::ExitCode;
use std::time::Instant;

/// What to measure on.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    model: ModelArgs,
    #[command(flatten)]
    tokenizer: ModelTokenizer,
    /// The text: files, folders of text files, patterns such as 'src/**/*.py', named corpora
    #[arg(long, value_name = "NAME|FILE", required = true, num_args = 1..)]
    data: Vec<String>,
    #[command(flatten)]
    extensions: Extensions,
    /// Predict at most this many tokens, from the beginning of the text
    #[arg(long, value_name = "N", value_parser = whole(1usize))]
    max_tokens: Option<usize>,
    /// Tokens from one window to the next; below block_size the windows overlap, and each
    /// prediction sees at least block_size - stride tokens before it [default: block_size]
    #[arg(long, value_name = "N", value_parser = whole(1usize))]
    stride: Option<usize>,
}

/// The result of `eval`.
#[derive(Serialize)]
struct Measured {
    /// Mean cross-entropy in nats a token.
    loss: f32,
    /// `exp(loss)`.
    perplexity: f64,
    /// The same loss in bits per byte of text, which is comparable between tokenizers.
    bits_per_byte: f64,
    /// Tokens predicted.
    tokens: usize,
    /// Bytes of the text that these tokens stand for.
    bytes: usize,
    seconds: f64,
}

pub(crate) fn run(context: &Context, args: &Args) -> Result<ExitCode> {
    let model = context.model_with(&args.model, None, args.tokenizer.tokenizer.as_deref())?;
    let tokenizer = model.tokenizer()?;
    let text = texts::find(context, &args.data, &args.extensions)?.text()?;
    let mut ids = tokenizer.encode(&text).map_err(|source| {
        let name = args.data.join(", ");
        latimer_trainer::Error::Unreadable {
            name,
            source: source.into(),
        }
    })?;
    ids.truncate(args.max_tokens.map_or(usize::MAX, |n| n.saturating_add(1)));
    let block_size = model.gpt.config().block_size;
    let stride = args.stride.unwrap_or(block_size);
    let tokens = ids.len().saturating_sub(1);

    let start = Instant::now();
    let mut bar = Bar::new(&context.terminal, "predicting", tokens as u64);
    let mut tell = |done| bar.set(done as u64);
    let loss = text_loss(&model.gpt, &model.params, &ids, stride, &mut tell)?;
    drop(bar);
    let seconds = start.elapsed().as_secs_f64();

    // The first token is given and not predicted.
    let (mut whole, mut first) = (Vec::new(), Vec::new());
    tokenizer.decode_into(&ids, &mut whole)?;
    tokenizer.decode_into(&ids[..1], &mut first)?;
    let bytes = whole.len() - first.len();
    let nats = f64::from(loss) * tokens as f64;
    let measured = Measured {
        loss,
        perplexity: f64::from(loss).exp(),
        bits_per_byte: nats / std::f64::consts::LN_2 / bytes.max(1) as f64,
        tokens,
        bytes,
        seconds,
    };
    if context.terminal.json {
        terminal::json_result(&measured)?;
    } else {
        terminal::result(format_args!(
            "loss           {loss:.4} nats a token\n\
             perplexity     {:.4}\n\
             bits per byte  {:.4}\n\
             over           {} tokens, {} bytes, in {}",
            measured.perplexity,
            measured.bits_per_byte,
            thousands(tokens as u64),
            thousands(bytes as u64),
            duration(seconds),
        ))?;
    }
    Ok(ExitCode::SUCCESS)
}
