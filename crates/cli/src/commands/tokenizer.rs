//! `latimer tokenizer`: makes and uses vocabularies.

mod convert;
mod encode;
mod info;
mod train;

use crate::context::{Context, unknown};
use crate::error::Result;
use latimer_tokenizer::{Pattern, Tokenizer};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

/// What to do with tokenizers.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, clap::Subcommand)]
enum What {
    /// Fit a tokenizer to texts
    Train(train::Args),
    /// Turn lines from stdin into ids
    Encode(encode::EncodeArgs),
    /// Turn ids from stdin into text, one list per line
    Decode(encode::DecodeArgs),
    /// Describe a tokenizer and list its vocabulary
    Info(info::Args),
    /// Write a tokenizer in another program's format
    Convert(convert::Args),
}

/// Which tokenizer.
#[derive(Debug, clap::Args)]
struct TokenizerArgs {
    /// Tokenizer: a tokenizer.json of Latimer, Hugging Face or the package bpe; a folder with one,
    /// or with vocab.json and merges.txt; a run; or a tiktoken rank file such as
    /// cl100k_base.tiktoken
    #[arg(long, value_name = "FILE")]
    tokenizer: PathBuf,
    /// Pattern that cuts text, for files that do not name one: gpt2, gpt4, cl100k, o200k, nanochat,
    /// qwen2, smollm, none [default: by name for a rank file; gpt2 for vocab.json and merges.txt]
    #[arg(long, value_name = "NAME")]
    pattern: Option<String>,
}

impl TokenizerArgs {
    fn load(&self) -> Result<Arc<dyn Tokenizer>> {
        let pattern = self.pattern.as_deref().map(pattern).transpose()?;
        Ok(latimer_trainer::load_tokenizer(&self.tokenizer, pattern)?)
    }
}

/// The pattern of this name.
fn pattern(name: &str) -> Result<Pattern> {
    Pattern::from_name(name).map_err(|_| {
        let names: Vec<_> = Pattern::ALL.iter().map(|p| p.name()).collect();
        unknown("pattern", name, &names)
    })
}

pub(crate) fn run(context: &Context, args: &Args) -> Result<ExitCode> {
    match &args.what {
        What::Train(args) => train::run(context, args)?,
        What::Encode(args) => encode::encode(context, args)?,
        What::Decode(args) => encode::decode(context, args)?,
        What::Info(args) => info::run(context, args)?,
        What::Convert(args) => convert::run(context, args)?,
    }
    Ok(ExitCode::SUCCESS)
}
