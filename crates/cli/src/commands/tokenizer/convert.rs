//! `latimer tokenizer convert`: the same ids in another program's file.

use super::TokenizerArgs;
use crate::context::{Context, unknown};
use crate::error::{Error, Result};
use crate::terminal;
use latimer_tokenizer::{
    BpeTokenizer, Encoding, NgramTokenizer, Pattern, Tokenizer, differences, from_json,
};
use serde::Serialize;
use std::any::Any;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// From what, to what.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    tokenizer: TokenizerArgs,
    /// hf: Hugging Face's tokenizer.json; gpt2: a folder with vocab.json and merges.txt; tiktoken:
    /// a rank file; python-bpe: the JSON of the package bpe; latimer: this program's own
    #[arg(long, value_name = "FORMAT")]
    to: String,
    /// Where to write it
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// Write it even if the format cannot hold everything; prints what is lost
    #[arg(long)]
    lossy: bool,
}

impl Args {
    /// The encoding of tiktoken that the file is named after.
    fn encoding(&self) -> Option<Encoding> {
        let stem = self.out.file_stem().unwrap_or_default();
        Encoding::from_name(&stem.to_string_lossy()).ok()
    }
}

/// The result of `convert`.
#[derive(Serialize)]
struct Converted<'a> {
    kind: &'a str,
    vocab_size: usize,
    format: &'a str,
    /// Everything that the file does not keep, one phrase each.
    lost: &'a [String],
    out: String,
}

const FORMATS: [&str; 5] = ["hf", "gpt2", "tiktoken", "python-bpe", "latimer"];

pub(super) fn run(context: &Context, args: &Args) -> Result<()> {
    if !FORMATS.contains(&args.to.as_str()) {
        return Err(unknown("format", &args.to, &FORMATS));
    }
    let tokenizer = args.tokenizer.load()?;
    let written = Written::new(&*tokenizer, args)?;
    let lost = differences(&*tokenizer, &*written.read_back);
    if !lost.is_empty() {
        let what = lost.join(", and ");
        if !args.lossy {
            return Err(Error::Lossy {
                format: args.to.clone(),
                what,
            });
        }
        context
            .terminal
            .warn(format_args!("{} does not keep {what}", args.out.display()));
    }
    written.save(&args.out)?;
    written.tell_pattern(context, args);
    let converted = Converted {
        kind: tokenizer.kind(),
        vocab_size: tokenizer.vocab_size(),
        format: &args.to,
        lost: &lost,
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

/// The files to write, and the tokenizer that reading them gives.
struct Written {
    /// File names in a folder, or one empty name for a single file, with their contents.
    files: Vec<(&'static str, String)>,
    read_back: Arc<dyn Tokenizer>,
    /// The pattern, if the file does not state it.
    pattern: Option<Pattern>,
}

impl Written {
    fn new(tokenizer: &dyn Tokenizer, args: &Args) -> Result<Self> {
        let to = args.to.as_str();
        let any = tokenizer as &dyn Any;
        let wrong = |wanted: &str| {
            let kind = tokenizer.kind();
            Error::Usage(format!(
                "a tokenizer of kind {kind} cannot be written as {to}, which is for {wanted}"
            ))
        };
        let bpe = || {
            any.downcast_ref::<BpeTokenizer>()
                .ok_or_else(|| wrong("bpe"))
        };
        let one = |text: String, read_back: Arc<dyn Tokenizer>| Self {
            files: vec![("", text)],
            read_back,
            pattern: None,
        };
        Ok(match to {
            "tiktoken" => {
                let bpe = bpe()?;
                let text = bpe.to_tiktoken()?;
                let back = BpeTokenizer::from_ranks(
                    text.as_bytes(),
                    args.encoding(),
                    Some(bpe.pattern()),
                )?;
                Self {
                    pattern: Some(bpe.pattern()),
                    ..one(text, Arc::new(back))
                }
            }
            "gpt2" => {
                let (vocab, merges) = bpe()?.to_vocab_and_merges();
                let back = BpeTokenizer::from_vocab_and_merges(&vocab, &merges, Pattern::Gpt2)?;
                Self {
                    files: vec![("vocab.json", vocab), ("merges.txt", merges)],
                    read_back: Arc::new(back),
                    pattern: None,
                }
            }
            "python-bpe" => {
                let ngram = any.downcast_ref::<NgramTokenizer>();
                let text = ngram.ok_or_else(|| wrong("ngram"))?.to_python_json()?;
                let back = NgramTokenizer::from_python_json(&text)?;
                one(text, Arc::new(back))
            }
            _ => {
                if to == "hf" {
                    bpe()?;
                }
                let text = tokenizer.to_json();
                let back = from_json(&text)?;
                one(text, back)
            }
        })
    }

    fn save(&self, out: &Path) -> Result<()> {
        let failed = |path: &Path| {
            let path = path.to_owned();
            move |source| Error::WriteFile { path, source }
        };
        for (name, text) in &self.files {
            let path = if name.is_empty() {
                out.to_owned()
            } else {
                std::fs::create_dir_all(out).map_err(failed(out))?;
                out.join(name)
            };
            std::fs::write(&path, text).map_err(failed(&path))?;
        }
        Ok(())
    }

    /// Tells how to read the file, if its name does not select the pattern.
    fn tell_pattern(&self, context: &Context, args: &Args) {
        let Some(pattern) = self.pattern else { return };
        let named = args.encoding().map(Encoding::pattern);
        if named == Some(pattern) {
            return;
        }
        let is_read = match named {
            Some(other) => format!("its name means the pattern {other}"),
            None => "a rank file does not say how text is cut".to_owned(),
        };
        context
            .terminal
            .warn(format_args!("{is_read}: read it with --pattern {pattern}"));
    }
}
