//! `latimer tokenizer convert`: the same ids in another program's file.

use super::TokenizerArgs;
use crate::commands::{Context, unknown};
use crate::error::{Error, Result};
use crate::terminal;
use latimer_tokenizer::{BpeTokenizer, NgramTokenizer, Tokenizer};
use serde::Serialize;
use std::any::Any;
use std::path::PathBuf;

/// From what, to what.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    tokenizer: TokenizerArgs,
    /// hf: Hugging Face's tokenizer.json; gpt2: a folder with vocab.json and merges.txt; tiktoken: a
    /// rank file; python-bpe: the JSON of the package bpe; latimer: this program's own
    #[arg(long, value_name = "FORMAT")]
    to: String,
    /// Where to write it
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
}

/// The result.
#[derive(Serialize)]
struct Converted<'a> {
    kind: &'a str,
    vocab_size: usize,
    format: &'a str,
    out: String,
}

const FORMATS: [&str; 5] = ["hf", "gpt2", "tiktoken", "python-bpe", "latimer"];

pub(super) fn run(context: &Context, args: &Args) -> Result<()> {
    if !FORMATS.contains(&args.to.as_str()) {
        return Err(unknown("format", &args.to, &FORMATS));
    }
    let tokenizer = args.tokenizer.load()?;
    let any = &*tokenizer as &dyn Any;
    let wrong = |wanted: &str| {
        let (kind, to) = (tokenizer.kind(), &args.to);
        Error::Usage(format!(
            "a tokenizer of kind {kind} has no form in {to}, which is for {wanted}"
        ))
    };
    let bpe = || {
        any.downcast_ref::<BpeTokenizer>()
            .ok_or_else(|| wrong("bpe"))
    };
    let write = |path: &std::path::Path, text: &str| {
        std::fs::write(path, text).map_err(|source| {
            Error::from(latimer_tokenizer::Error::Io {
                action: "write",
                path: path.to_owned(),
                source,
            })
        })
    };
    match args.to.as_str() {
        "hf" => bpe()?.save(&args.out)?,
        "tiktoken" => write(&args.out, &bpe()?.to_tiktoken()?)?,
        "gpt2" => {
            let (vocab, merges) = bpe()?.to_vocab_and_merges();
            std::fs::create_dir_all(&args.out).map_err(|source| {
                Error::from(latimer_tokenizer::Error::Io {
                    action: "write",
                    path: args.out.clone(),
                    source,
                })
            })?;
            write(&args.out.join("vocab.json"), &vocab)?;
            write(&args.out.join("merges.txt"), &merges)?;
        }
        "python-bpe" => {
            let ngram = any.downcast_ref::<NgramTokenizer>();
            write(
                &args.out,
                &ngram.ok_or_else(|| wrong("ngram"))?.to_python_json()?,
            )?;
        }
        _ => tokenizer.save(&args.out)?,
    }
    let converted = Converted {
        kind: tokenizer.kind(),
        vocab_size: tokenizer.vocab_size(),
        format: &args.to,
        out: args.out.display().to_string(),
    };
    if context.terminal.json {
        return terminal::json_result(&converted);
    }
    terminal::result(format_args!(
        "saved {} as {}",
        converted.out, converted.format
    ))
}
