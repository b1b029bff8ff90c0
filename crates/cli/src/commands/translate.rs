//! `latimer translate`: one sentence, by one of the tutorial's translators.

use super::{Context, unknown};
use crate::args::ModelArgs;
use crate::error::{Error, Result};
use crate::terminal;
use serde::Serialize;
use std::borrow::Cow;
use std::process::ExitCode;

/// The translators there are.
const METHODS: &[&str] = &["gpt"];
/// The preset whose runs translate.
const PHRASEBOOK: &str = "phrasebook";

/// What to translate, and how.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The translator: gpt
    #[arg(long, value_name = "NAME", default_value = "gpt")]
    method: String,
    #[command(flatten)]
    model: ModelArgs,
    /// A French sentence, in lower case and without punctuation
    #[arg(value_name = "TEXT", required = true)]
    text: Vec<String>,
}

/// The result.
#[derive(Serialize)]
struct Translation<'a> {
    method: &'a str,
    text: &'a str,
    /// The answer's tokens, each as text.
    tokens: Vec<Cow<'a, str>>,
}

pub(crate) fn run(context: &Context, args: &Args) -> Result<ExitCode> {
    if !METHODS.contains(&args.method.as_str()) {
        return Err(unknown("method", &args.method, METHODS));
    }
    let french = args.text.join(" ");
    if french.trim().is_empty() {
        return Err(Error::Usage("there is nothing to translate".to_owned()));
    }
    let model = context.model(&args.model, Some(PHRASEBOOK))?;
    let tokenizer = model.tokenizer()?;
    // Alone first, so that an unknown word's place is counted in what was typed.
    tokenizer.encode(french.trim())?;
    let english = latimer_trainer::translate(&model.gpt, &model.params, &**tokenizer, &french)?;
    if context.terminal.json {
        let ids = tokenizer.encode(&english)?;
        let tokens: Vec<_> = ids
            .iter()
            .filter_map(|&id| tokenizer.token_bytes(id))
            .map(String::from_utf8_lossy)
            .collect();
        terminal::json_result(&Translation {
            method: &args.method,
            text: &english,
            tokens,
        })?;
    } else {
        terminal::result(english)?;
    }
    Ok(ExitCode::SUCCESS)
}
