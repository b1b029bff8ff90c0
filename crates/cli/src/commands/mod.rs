//! The command line: one file per command.

pub(crate) mod bench;
pub(crate) mod data;
pub(crate) mod devices;
pub(crate) mod eval;
pub(crate) mod generate;
pub(crate) mod lesson;
pub(crate) mod logits;
pub(crate) mod tokenizer;
pub(crate) mod train;
pub(crate) mod translate;

use crate::args::Common;
use crate::context::Context;
use crate::error::Result;
use std::process::ExitCode;

/// Trains a small GPT, generates text with it, and measures it.
#[derive(Debug, clap::Parser)]
#[command(name = "latimer", version, arg_required_else_help = true)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) common: Common,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What can be done.
#[derive(Debug, clap::Subcommand)]
#[command(disable_help_subcommand = true)]
pub(crate) enum Command {
    /// Train a model; by default a translator, on built-in data
    Train(train::Args),
    /// Generate text with a model
    Generate(generate::Args),
    /// Translate a French sentence by one of seven methods
    Translate(translate::Args),
    /// Learn step by step how a GPT works, starting from a dictionary
    Lesson(lesson::Args),
    /// Measure how well a model predicts a text
    Eval(eval::Args),
    /// Write a model's logits for some token ids to a file
    Logits(logits::Args),
    /// Fit, use, inspect and convert tokenizers
    Tokenizer(tokenizer::Args),
    /// List and download named corpora; write texts as files of tokens
    Data(data::Args),
    /// List backends and their devices, and why one is missing
    Devices(devices::Args),
    /// Measure speed
    Bench(bench::Args),
}

/// Runs a command.
pub(crate) fn run(context: &Context, command: Command) -> Result<ExitCode> {
    match command {
        Command::Train(args) => train::run(context, &args),
        Command::Generate(args) => generate::run(context, &args),
        Command::Translate(args) => translate::run(context, &args),
        Command::Lesson(args) => lesson::run(context, &args),
        Command::Eval(args) => eval::run(context, &args),
        Command::Logits(args) => logits::run(context, &args),
        Command::Tokenizer(args) => tokenizer::run(context, &args),
        Command::Data(args) => data::run(context, &args),
        Command::Devices(args) => devices::run(context, &args),
        Command::Bench(args) => bench::run(context, &args),
    }
}
