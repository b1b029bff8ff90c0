//! `latimer data`: named corpora.

use crate::bar::Bar;
use crate::context::{Context, library, unknown};
use crate::download;
use crate::error::{Error, Result};
use crate::format::{count, thousands};
use crate::numbers::whole;
use crate::terminal;
use crate::texts::{self, Extensions};
use latimer_trainer::data::corpora::{Corpus, Library, Published};
use latimer_trainer::data::discard_unfinished;
use serde::Serialize;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

/// What to do with corpora.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, clap::Subcommand)]
enum What {
    /// Name every corpus, and say whether it is on this machine
    List,
    /// Download a corpus, unless it is on this machine
    Get {
        /// Its name
        name: String,
    },
    /// Write texts as files of tokens, which training does not read into memory
    Prepare(PrepareArgs),
}

/// Writes texts as files of tokens. The files must not change while a run trains on them.
#[derive(Debug, clap::Args)]
struct PrepareArgs {
    /// The texts: files, folders of text files, patterns such as 'src/**/*.py', named corpora
    #[arg(value_name = "NAME|FILE", required = true)]
    data: Vec<String>,
    #[command(flatten)]
    extensions: Extensions,
    /// Tokenizer, as for `latimer tokenizer`
    #[arg(long, value_name = "FILE")]
    tokenizer: PathBuf,
    /// Folder for the tokens, created if needed; train on it with --data DIR
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Tokens per file
    #[arg(long, value_name = "N", default_value_t = 100_000_000, value_parser = whole(1u64))]
    shard_tokens: u64,
}

/// The result of `prepare`.
#[derive(Serialize)]
struct Made {
    tokens: u64,
    shards: usize,
    bytes: u64,
    seconds: f64,
    out: String,
}

pub(crate) fn run(context: &Context, args: &Args) -> Result<ExitCode> {
    match &args.what {
        What::Get { name } => get(context, name)?,
        What::Prepare(args) => return prepare(context, args),
        What::List => list(context.terminal.json, &library())?,
    }
    Ok(ExitCode::SUCCESS)
}

/// The result of `list`, one for each corpus. A corpus that the program generates has no file.
#[derive(Serialize)]
struct Listed {
    name: &'static str,
    path: Option<String>,
    bytes: Option<u64>,
    sha256: Option<&'static str>,
    url: Option<&'static str>,
    cached: bool,
}

/// The result of `get`.
#[derive(Serialize)]
struct Got<'a> {
    name: &'static str,
    path: &'a str,
    bytes: u64,
    sha256: &'static str,
}

fn get(context: &Context, name: &str) -> Result<()> {
    let library = library();
    let Some(corpus) = library.find(name) else {
        let names: Vec<&str> = library.corpora().iter().map(|c| c.name).collect();
        return Err(unknown("corpus", name, &names));
    };
    let Some(published) = corpus.published() else {
        return Err(Error::Usage(format!(
            "the corpus {name} is built in: there is nothing to download"
        )));
    };
    let path = download::fetch(&published, library.cache(), &context.terminal)?;
    let path = path.display().to_string();
    let Published { bytes, sha256, .. } = published;
    if context.terminal.json {
        return terminal::json_result(&Got {
            name: corpus.name,
            path: &path,
            bytes,
            sha256,
        });
    }
    terminal::result(format_args!(
        "{name} is in {path}\n{} bytes, SHA-256 {sha256}",
        thousands(bytes)
    ))
}

fn prepare(context: &Context, args: &PrepareArgs) -> Result<ExitCode> {
    let terminal = &context.terminal;
    let files = texts::find(context, &args.data, &args.extensions)?;
    let tokenizer = latimer_trainer::load_tokenizer(&args.tokenizer, None)?;
    let begin = Instant::now();
    let mut bar = None;
    let out = args.out.clone();
    let stop = context
        .signals
        .defer_for_a_moment(move || discard_unfinished(&out));
    let made = latimer_trainer::data::prepare(
        &files,
        &*tokenizer,
        &args.out,
        args.shard_tokens,
        &stop,
        &mut |done, total| {
            bar.get_or_insert_with(|| Bar::new(terminal, "encoding bytes", total))
                .set(done);
        },
    );
    drop(bar);
    let made = match made {
        Err(latimer_trainer::Error::Stopped) => {
            terminal.note("stopped: nothing was written");
            return Ok(context.signals.status());
        }
        made => made?,
    };
    let made = Made {
        tokens: made.tokens,
        shards: made.shards,
        bytes: made.bytes,
        seconds: begin.elapsed().as_secs_f64(),
        out: args.out.display().to_string(),
    };
    if terminal.json {
        terminal::json_result(&made)?;
        return Ok(ExitCode::SUCCESS);
    }
    terminal::result(format_args!(
        "{} tokens of {} bytes in {}, {} bytes a token\nto train on them: {} train --data {}",
        thousands(made.tokens),
        thousands(made.bytes),
        count(made.shards, "file"),
        (made.bytes as f64 / made.tokens.max(1) as f64 * 100.0).round() / 100.0,
        terminal::called(),
        terminal::quoted(&args.out),
    ))?;
    Ok(ExitCode::SUCCESS)
}

fn list(json: bool, library: &Library) -> Result<()> {
    for corpus in library.corpora() {
        let Corpus { name, about, .. } = *corpus;
        let published = corpus.published();
        let path = published.map(|published| published.path(library.cache()));
        let cached = path.as_ref().is_none_or(|path| path.is_file());
        let path = path.map(|path| path.display().to_string());
        if json {
            terminal::json_result(&Listed {
                name,
                path,
                bytes: published.map(|p| p.bytes),
                sha256: published.map(|p| p.sha256),
                url: published.map(|p| p.url),
                cached,
            })?;
            continue;
        }
        let state = match (&path, cached) {
            (None, _) => "built in",
            (Some(_), true) => "cached",
            (Some(_), false) => "not cached",
        };
        terminal::result(format_args!("{name:<18} {state}: {about}"))?;
        if let (
            Some(Published {
                url, bytes, sha256, ..
            }),
            Some(path),
        ) = (published, path)
        {
            let bytes = thousands(bytes);
            for line in [
                format!("{bytes} bytes, SHA-256 {sha256}"),
                format!("from {url}"),
                format!("in   {path}"),
            ] {
                terminal::result(format_args!("{:<18} {line}", ""))?;
            }
        }
    }
    Ok(())
}
