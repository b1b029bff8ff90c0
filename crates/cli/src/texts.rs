//! The files that `--data` names: downloaded if needed, found, and reported.

use crate::context::{Context, library};
use crate::download;
use crate::error::Result;
use crate::format::{count, thousands};
use crate::terminal::Terminal;
use latimer_trainer::data::{DataFiles, NamedFiles, NotRead, is_ending};
use std::collections::HashMap;
use std::path::Path;

/// Which files of a folder are texts.
#[derive(Debug, clap::Args)]
pub(crate) struct Extensions {
    /// Endings of the files to read in a folder, such as py,rs [default: txt,text,md,markdown]
    #[arg(long, value_name = "EXT", value_delimiter = ',', value_parser = extension)]
    extensions: Vec<String>,
}

fn extension(text: &str) -> Result<String, String> {
    match is_ending(text) {
        true => Ok(text.to_owned()),
        false => Err("a file ending such as py or .txt".to_owned()),
    }
}

/// The files that names stand for, downloaded if needed. Reports which of a folder's files are read
/// and which are not.
pub(crate) fn find(
    context: &Context,
    names: &[String],
    extensions: &Extensions,
) -> Result<DataFiles> {
    let library = library();
    download::provide(names, &library, &context.terminal)?;
    let files = DataFiles::find(names, &extensions.extensions, library)?;
    tell(&context.terminal, &files);
    Ok(files)
}

/// Reports which files are read and which are not, for names that stand for other files than
/// themselves.
pub(crate) fn tell(terminal: &Terminal, data: &DataFiles) {
    for named in data.names() {
        if let Some(text) = told(named) {
            terminal.note(text);
        }
        for file in &named.files {
            terminal.detail(2, format_args!("reading {}", file.display()));
        }
    }
    if data.names().len() > 1 {
        let mut times = HashMap::new();
        for file in data.files() {
            let file = std::fs::canonicalize(file).unwrap_or_else(|_| file.to_owned());
            *times.entry(file).or_insert(0) += 1;
        }
        let repeated = times.values().filter(|&&n| n > 1).count();
        if repeated > 0 {
            terminal.warn(format_args!(
                "{} named more than once, and read that many times",
                match repeated {
                    1 => "1 file is".to_owned(),
                    n => format!("{} files are", thousands(n as u64)),
                }
            ));
        }
    }
}

/// `src: 69 files are read; not read: 1,203 .py, 12 without an extension`.
fn told(named: &NamedFiles) -> Option<String> {
    /// The number of kinds that are counted one by one; the others are counted together.
    const KINDS: usize = 8;
    let is_itself = matches!(&named.files[..], [file] if file == Path::new(&named.name));
    if named.is_tokens || named.not_read.is_empty() && (is_itself || named.files.len() == 1) {
        return None;
    }
    let read = count(named.files.len(), "file");
    let mut text = format!("{}: {read} to read", named.name);
    let mut kinds: Vec<(&NotRead, usize)> = named.not_read.iter().map(|(w, &n)| (w, n)).collect();
    kinds.sort_by_key(|&(_, count)| std::cmp::Reverse(count));
    let total: usize = kinds.iter().map(|(_, count)| count).sum();
    if total > 0 {
        let shown = kinds.iter().take(KINDS);
        let mut shown: Vec<_> = shown
            .map(|(why, count)| format!("{} {why}", thousands(*count as u64)))
            .collect();
        let others: usize = kinds.iter().skip(KINDS).map(|(_, count)| count).sum();
        if others > 0 {
            shown.push(format!("{} others", thousands(others as u64)));
        }
        text += &format!("; {} not: {}", thousands(total as u64), shown.join(", "));
    }
    let by_name = |(why, _): &(&NotRead, usize)| matches!(why, NotRead::Extension(_));
    if kinds.iter().any(by_name) {
        text += " (--extensions selects which files are read)";
    }
    Some(text)
}
