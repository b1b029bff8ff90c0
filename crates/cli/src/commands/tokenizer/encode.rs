//! `latimer tokenizer encode` and `decode`: stdin to stdout, line by line.

use super::TokenizerArgs;
use crate::context::Context;
use crate::error::{Error, Result};
use crate::terminal;
use console::{Color, style};
use latimer_text::Reader;
use latimer_tokenizer::{AllowedSpecial, BpeTokenizer, Tokenizer};
use std::any::Any;
use std::io::{Write, stdin, stdout};
use std::path::Path;

/// How to encode.
#[derive(Debug, clap::Args)]
pub(super) struct EncodeArgs {
    #[command(flatten)]
    tokenizer: TokenizerArgs,
    /// Encode stdin as one text, with its line ends
    #[arg(long)]
    whole: bool,
    /// Turn names of special tokens in the text into these tokens
    #[arg(long)]
    special: bool,
    /// Show the text with each token in its own colour, or between bars where there are no colours
    #[arg(long, conflicts_with = "json")]
    show: bool,
}

/// How to decode.
#[derive(Debug, clap::Args)]
pub(super) struct DecodeArgs {
    #[command(flatten)]
    tokenizer: TokenizerArgs,
    /// Decode all ids as one text, and add no line end
    #[arg(long)]
    whole: bool,
}

pub(super) fn encode(context: &Context, args: &EncodeArgs) -> Result<()> {
    let tokenizer = args.tokenizer.load()?;
    let mut ids = Vec::new();
    texts(args.whole, |number, text| {
        ids.clear();
        encode_one(&*tokenizer, text, args.special, &mut ids)
            .map_err(|error| at_line(number, error))?;
        if args.show {
            return show(&*tokenizer, &ids);
        }
        if context.terminal.json {
            return terminal::json_result(&ids);
        }
        let ids: Vec<String> = ids.iter().map(u32::to_string).collect();
        terminal::result(ids.join(" "))
    })
}

fn encode_one(
    tokenizer: &dyn Tokenizer,
    text: &str,
    special: bool,
    ids: &mut Vec<u32>,
) -> Result<()> {
    match (tokenizer as &dyn Any).downcast_ref::<BpeTokenizer>() {
        Some(bpe) if special => *ids = bpe.encode_with_special(text, AllowedSpecial::All)?,
        _ => tokenizer.encode_into(text, ids)?,
    }
    Ok(())
}

/// Shows the text of the ids, token by token.
fn show(tokenizer: &dyn Tokenizer, ids: &[u32]) -> Result<()> {
    const COLOURS: [Color; 6] = [
        Color::Cyan,
        Color::Yellow,
        Color::Green,
        Color::Magenta,
        Color::Blue,
        Color::Red,
    ];
    let coloured = console::colors_enabled();
    let mut line = String::new();
    for (number, &id) in ids.iter().enumerate() {
        let bytes = tokenizer.token_bytes(id).unwrap_or_default();
        let text = String::from_utf8_lossy(bytes);
        // A line end is shown as a sign and also ends the line.
        let text = text.replace('\n', "⏎\n");
        if coloured {
            let colour = COLOURS[number % COLOURS.len()];
            line += &style(text).fg(colour).reverse().to_string();
        } else {
            line += &format!("{}{text}", if number == 0 { "" } else { "|" });
        }
    }
    terminal::result(line)
}

pub(super) fn decode(context: &Context, args: &DecodeArgs) -> Result<()> {
    let tokenizer = args.tokenizer.load()?;
    texts(args.whole, |number, text| {
        let ids = ids_of(text).map_err(|what| {
            let line = if args.whole { "" } else { " of that line" };
            at_line(
                number,
                Error::Usage(format!(
                    "{what} is not a token id: the ids{line} cannot be read"
                )),
            )
        })?;
        let text = tokenizer
            .decode(&ids)
            .map_err(|error| at_line(number, error.into()))?;
        if context.terminal.json {
            return terminal::json_result(&text);
        }
        let mut stdout = stdout().lock();
        let end = if args.whole { "" } else { "\n" };
        write!(stdout, "{text}{end}")
            .and_then(|()| stdout.flush())
            .map_err(Error::Stdout)
    })
}

/// Parses ids separated by any of `[], ` and white space; the error is the first word that is not
/// an id.
fn ids_of(text: &str) -> Result<Vec<u32>, String> {
    text.split(|c: char| c.is_whitespace() || "[],".contains(c))
        .filter(|word| !word.is_empty())
        .map(|word| word.parse().map_err(|_| format!("`{word}`")))
        .collect()
}

/// Calls `work` with every line of stdin without its end, or with all of stdin at once.
fn texts(whole: bool, mut work: impl FnMut(Option<usize>, &str) -> Result<()>) -> Result<()> {
    let mut stdin = Reader::new(stdin().lock(), Path::new("stdin"));
    if whole {
        return work(None, &stdin.rest()?);
    }
    let mut number = 0;
    while let Some(line) = stdin.next_line()? {
        number += 1;
        work(Some(number), line)?;
    }
    Ok(())
}

fn at_line(number: Option<usize>, error: Error) -> Error {
    match number {
        Some(line) => Error::InLine {
            line,
            source: Box::new(error),
        },
        None => error,
    }
}
