//! `latimer tokenizer train`: from texts to a vocabulary.

use crate::bar::Bar;
use crate::context::{Context, unknown};
use crate::error::{Error, Result};
use crate::format::{duration, thousands};
use crate::numbers::{part, whole};
use crate::terminal;
use crate::texts::{self, Extensions};
use latimer_tokenizer::{
    BpeTrainer, CharTokenizer, NgramOptions, NgramTokenizer, TieRule, Tokenizer, TrainProgress,
    WordOptions, WordTokenizer,
};
use latimer_trainer::peak_rss_mb;
use serde::Serialize;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

/// What to fit, and to what.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// char: one token per character; word: one per word; ngram: frequent words, and pieces of one
    /// or two letters for the others, like the Python package bpe; bpe: byte-pair encoding
    #[arg(long, value_name = "NAME", default_value = "bpe")]
    kind: String,
    /// Largest size of the vocabulary [default: no limit for char and word, 8192 for ngram and bpe]
    #[arg(long, value_name = "N", value_parser = whole(1usize))]
    vocab_size: Option<usize>,
    /// The texts: files, folders of text files, patterns such as 'src/**/*.py', named corpora
    #[arg(long, value_name = "NAME|FILE", required = true, num_args = 1..)]
    data: Vec<String>,
    #[command(flatten)]
    extensions: Extensions,
    /// Where to write it
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// bpe: pattern that cuts text before merging: gpt2, gpt4, cl100k, o200k, nanochat, qwen2,
    /// smollm, none
    #[arg(long, value_name = "NAME", default_value = "gpt4")]
    pattern: String,
    /// bpe: which of equally frequent pairs is merged first: lowest-ids (as rustbpe), huggingface,
    /// first-seen (as minbpe)
    #[arg(long, value_name = "RULE", default_value = "lowest-ids")]
    ties: String,
    /// bpe: times that a pair must occur in the texts to be merged
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = whole(0u64))]
    min_frequency: u64,
    /// bpe: a special token, such as <|endoftext|>; may be repeated
    #[arg(long, value_name = "TOKEN")]
    special: Vec<String>,
    /// ngram: keep line ends as the token __line, as a language model needs
    #[arg(long)]
    lines: bool,
    /// ngram: the share of pieces in the vocabulary
    #[arg(long, value_name = "X", default_value_t = 0.2, value_parser = part)]
    pct_bpe: f64,
    /// ngram: letters in the shortest counted piece (single letters are always there)
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = whole(1usize))]
    ngram_min: usize,
    /// ngram: letters in the longest counted piece
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = whole(1usize))]
    ngram_max: usize,
}

/// The result of `train`.
#[derive(Serialize)]
struct Trained<'a> {
    kind: &'a str,
    vocab_size: usize,
    bytes: u64,
    seconds: f64,
    peak_rss_mb: Option<f64>,
    out: String,
}

const KINDS: [&str; 4] = ["char", "word", "ngram", "bpe"];
/// The default of the package `bpe`.
const VOCAB_SIZE: usize = 8192;

pub(super) fn run(context: &Context, args: &Args) -> Result<()> {
    if !KINDS.contains(&args.kind.as_str()) {
        return Err(unknown("kind of tokenizer", &args.kind, &KINDS));
    }
    let pattern = super::pattern(&args.pattern)?;
    let ties = TieRule::from_name(&args.ties).map_err(|_| {
        let names: Vec<_> = TieRule::ALL.iter().map(|rule| rule.name()).collect();
        unknown("rule for ties", &args.ties, &names)
    })?;
    if args.ngram_min > args.ngram_max {
        let (min, max) = (args.ngram_min, args.ngram_max);
        return Err(Error::Usage(format!(
            "--ngram-min is {min}: it must be at most --ngram-max, which is {max}"
        )));
    }
    let data = texts::find(context, &args.data, &args.extensions)?;
    let begin = Instant::now();
    let mut bytes = 0;
    let tokenizer: Arc<dyn Tokenizer> = if args.kind == "bpe" {
        let trainer = BpeTrainer::new(args.vocab_size.unwrap_or(VOCAB_SIZE), pattern)
            .ties(ties)
            .min_frequency(args.min_frequency)
            .special_tokens(&args.special);
        let (mut counting, mut merging) = (None, None);
        let files = data.text_files()?;
        Arc::new(trainer.train_files(&files, &mut |progress| {
            match progress {
                TrainProgress::Counting { bytes: done, total } => {
                    bytes = total;
                    counting
                        .get_or_insert_with(|| Bar::new(&context.terminal, "counting bytes", total))
                        .set(done);
                }
                TrainProgress::Merging { merges, total } => merging
                    .get_or_insert_with(|| {
                        Bar::new(&context.terminal, "merging pairs", total as u64)
                    })
                    .set(merges as u64),
                _ => {}
            }
        })?)
    } else {
        let text = data.text()?;
        bytes = text.len() as u64;
        fit(args, &text)?
    };
    let seconds = begin.elapsed().as_secs_f64();
    tokenizer.save(&args.out)?;
    let trained = Trained {
        kind: tokenizer.kind(),
        vocab_size: tokenizer.vocab_size(),
        bytes,
        seconds,
        peak_rss_mb: peak_rss_mb(),
        out: args.out.display().to_string(),
    };
    if context.terminal.json {
        return terminal::json_result(&trained);
    }
    let unused = super::info::unused(&*tokenizer).map_or(0, |unused| unused.count);
    let ids = match unused {
        0 => String::new(),
        _ => format!(
            " ({} ids, {} of them unused)",
            thousands(trained.vocab_size as u64),
            thousands(unused as u64)
        ),
    };
    terminal::result(format_args!(
        "{}: {} tokens{ids} from {} bytes in {}\nsaved {}",
        trained.kind,
        thousands((trained.vocab_size - unused) as u64),
        thousands(bytes),
        duration(seconds),
        trained.out,
    ))
}

/// Fits a tokenizer of one of the kinds that hold their text in memory.
fn fit(args: &Args, text: &str) -> Result<Arc<dyn Tokenizer>> {
    Ok(match args.kind.as_str() {
        "char" => Arc::new(CharTokenizer::fit_at_most(
            [text],
            args.vocab_size.unwrap_or(usize::MAX),
        )?),
        "word" => Arc::new(WordTokenizer::fit_with(
            [text],
            WordOptions {
                max_vocab_size: args.vocab_size,
                unknown: args.vocab_size.is_some(),
            },
        )?),
        _ => Arc::new(NgramTokenizer::fit_with(
            text.split('\n'),
            NgramOptions {
                vocab_size: args.vocab_size.unwrap_or(VOCAB_SIZE),
                pct_bpe: args.pct_bpe,
                ngram_min: args.ngram_min,
                ngram_max: args.ngram_max,
                lines: args.lines,
                ..NgramOptions::default()
            },
        )?),
    })
}
