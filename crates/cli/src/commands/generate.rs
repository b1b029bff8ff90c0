//! `latimer generate`: text from a model, shown while it is generated.

use crate::args::{ModelArgs, ModelTokenizer};
use crate::context::Context;
use crate::error::{Error, Result};
use crate::format::{count, speed};
use crate::numbers::{not_negative, probability, whole};
use crate::terminal::{self, Terminal, dim};
use latimer_nn::{Generator, Sampling};
use latimer_text::{Reader, without_mark};
use latimer_tokenizer::{StreamDecoder, Tokenizer};
use latimer_trainer::{Model, beginning, sampler};
use serde::Serialize;
use std::io::stdin;
use std::path::Path;
use std::process::ExitCode;
use std::time::Instant;

/// The prompt, and how tokens are chosen.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    model: ModelArgs,
    #[command(flatten)]
    tokenizer: ModelTokenizer,
    /// Text to continue [default: a new line]
    #[arg(long, value_name = "TEXT")]
    prompt: Option<String>,
    /// Tokens to add
    #[arg(long, value_name = "N", default_value_t = 200, value_parser = whole(0usize))]
    max_new_tokens: usize,
    /// Number that divides the logits; 0 always takes the likeliest token
    #[arg(long, value_name = "X", default_value_t = 1.0, value_parser = not_negative)]
    temperature: f64,
    /// Draw only from the N likeliest tokens
    #[arg(long, value_name = "N", value_parser = whole(1usize))]
    top_k: Option<usize>,
    /// Draw only from the likeliest tokens that together reach this probability
    #[arg(long, value_name = "X", value_parser = probability)]
    top_p: Option<f64>,
    /// Number of texts to generate
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = whole(1u32))]
    num_samples: u32,
    /// Seed of the random draws
    #[arg(long, value_name = "N", default_value_t = 1337, value_parser = whole(0u64))]
    seed: u64,
    /// Read prompts from stdin, one per line, until it ends
    #[arg(long, conflicts_with = "prompt")]
    interactive: bool,
}

/// The result, one for each sample.
#[derive(Serialize)]
struct Sample<'a> {
    /// The prompt and the text that was added.
    text: String,
    /// The ids of prompt and added text.
    ids: &'a [u32],
    prompt_tokens: usize,
    new_tokens: usize,
    tokens_per_s: f64,
}

pub(crate) fn run(context: &Context, args: &Args) -> Result<ExitCode> {
    let sampling = Sampling {
        temperature: args.temperature,
        top_k: args.top_k,
        top_p: args.top_p,
        seed: args.seed,
    };
    sampling
        .check()
        .map_err(|error| Error::Usage(error.to_string()))?;
    let model = context.model_with(&args.model, None, args.tokenizer.tokenizer.as_deref())?;
    let writer = Writer {
        tokenizer: &**model.tokenizer()?,
        model: &model,
        terminal: &context.terminal,
        sampling,
        args,
    };
    if args.interactive {
        writer.converse()?;
    } else {
        writer.write(args.prompt.as_deref())?;
    }
    Ok(ExitCode::SUCCESS)
}

struct Writer<'a> {
    model: &'a Model,
    tokenizer: &'a dyn Tokenizer,
    terminal: &'a Terminal,
    sampling: Sampling,
    args: &'a Args,
}

impl Writer<'_> {
    /// Reads prompts from stdin until it ends. A prompt that the model cannot read does not end the
    /// loop.
    fn converse(&self) -> Result<()> {
        let ask = self.terminal.is_interactive();
        if ask {
            self.terminal.note("A line is a prompt; Ctrl-D ends.");
        }
        let mut lines = Reader::new(stdin().lock(), Path::new("stdin"));
        loop {
            if ask {
                self.terminal.ask("> ");
            }
            let Some(prompt) = lines.next_line()? else {
                return Ok(());
            };
            match self.write(Some(prompt).filter(|prompt| !prompt.is_empty())) {
                Err(error @ Error::Tokenizer(_)) => {
                    error.report();
                }
                other => other?,
            }
        }
    }

    /// Writes all samples of one prompt.
    fn write(&self, prompt: Option<&str>) -> Result<()> {
        let ids = match prompt {
            Some(prompt) => self.tokenizer.encode(without_mark(prompt))?,
            None => beginning(self.tokenizer)?,
        };
        for sample in 0..self.args.num_samples {
            if sample > 0 && !self.terminal.json {
                terminal::result("\n---\n")?;
            }
            self.write_sample(&ids, sample, prompt.is_some())?;
        }
        Ok(())
    }

    fn write_sample(&self, prompt: &[u32], sample: u32, show_prompt: bool) -> Result<()> {
        let json = self.terminal.json;
        let show = |text: &str| match json {
            true => Ok(()),
            false => terminal::stream(text),
        };
        if show_prompt {
            show(&self.tokenizer.decode(prompt)?)?;
        }
        let start = Instant::now();
        let mut generator = Generator::new(&self.model.gpt, &self.model.params, prompt)?;
        let mut sampler = sampler(self.tokenizer, &self.model.gpt, self.sampling, sample)?;
        let mut decoder = StreamDecoder::after(self.tokenizer, prompt.last().copied());
        let device = self.model.params.device();
        for _ in 0..self.args.max_new_tokens {
            let id = device.enter(|| generator.next_id(&mut sampler))?;
            show(decoder.push(id)?)?;
        }
        show(decoder.finish())?;
        let new_tokens = self.args.max_new_tokens;
        let tokens_per_s = new_tokens as f64 / start.elapsed().as_secs_f64().max(1e-9);
        if json {
            return terminal::json_result(&Sample {
                text: self.tokenizer.decode(generator.ids())?,
                ids: generator.ids(),
                prompt_tokens: prompt.len(),
                new_tokens,
                tokens_per_s,
            });
        }
        terminal::stream("\n")?;
        self.terminal.note(dim(format_args!(
            "({}, {} a second)",
            count(new_tokens, "token"),
            speed(tokens_per_s)
        )));
        Ok(())
    }
}
