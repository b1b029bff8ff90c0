//! `latimer data`: corpora that have a name.

use super::{Context, cache, unknown};
use crate::download;
use crate::error::{Error, Result};
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
    /// Download a corpus, unless it is on this machine
    Get {
        /// Its name
        name: String,
    },
}

pub(crate) fn run(context: &Context, args: &Args) -> Result<ExitCode> {
    match &args.what {
        What::Get { name } => get(context, name)?,
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

/// The result of `get`.
#[derive(Serialize)]
struct Got<'a> {
    name: &'static str,
    path: &'a str,
    bytes: u64,
    sha256: &'static str,
}

fn get(context: &Context, name: &str) -> Result<()> {
    let Some(corpus) = Corpus::find(name) else {
        let names: Vec<&str> = CORPORA.iter().map(|corpus| corpus.name).collect();
        return Err(unknown("corpus", name, &names));
    };
    let Some(published) = corpus.published else {
        return Err(Error::Usage(format!(
            "the corpus {name} is built in: there is nothing to download"
        )));
    };
    let path = download::fetch(&published, &cache(), &context.terminal)?;
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
