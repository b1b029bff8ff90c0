//! `latimer data`: corpora that have a name.

use super::{Context, cache};
use crate::error::Result;
use crate::format::thousands;
use crate::terminal;
use latimer_trainer::data::corpora::{CORPORA, Corpus, Published};
use serde::Serialize;
use std::path::Path;
use std::process::ExitCode;

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
}

pub(crate) fn run(context: &Context, args: &Args) -> Result<ExitCode> {
    match args.what {
        What::List => list(context.terminal.json, &cache())?,
    }
    Ok(ExitCode::SUCCESS)
}

/// The result: one a corpus. What the program makes itself has no file.
#[derive(Serialize)]
struct Listed {
    name: &'static str,
    path: Option<String>,
    bytes: Option<u64>,
    sha256: Option<&'static str>,
    url: Option<&'static str>,
    cached: bool,
}

fn list(json: bool, cache: &Path) -> Result<()> {
    for &Corpus {
        name,
        about,
        published,
        ..
    } in CORPORA
    {
        let path = published.map(|published| published.path(cache));
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
        terminal::result(format_args!("{name:<12} {state}: {about}"))?;
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
                terminal::result(format_args!("{:<12} {line}", ""))?;
            }
        }
    }
    Ok(())
}
