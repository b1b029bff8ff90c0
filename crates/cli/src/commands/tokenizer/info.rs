//! `latimer tokenizer info`: what a tokenizer is.

use super::TokenizerArgs;
use crate::context::Context;
use crate::error::Result;
use crate::format::thousands;
use crate::numbers::whole;
use crate::terminal;
use latimer_tokenizer::{BpeTokenizer, NgramTokenizer, Tokenizer, UNKNOWN};
use serde::Serialize;
use serde_json::{Map, Value};
use std::any::Any;
use std::collections::HashSet;

/// Which tokenizer, and how much of it.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    tokenizer: TokenizerArgs,
    /// List the first N tokens of the vocabulary with their ids (of ngram, the first N pieces)
    #[arg(long, value_name = "N", value_parser = whole(0usize))]
    vocab: Option<usize>,
}

/// The result of `info`.
#[derive(Serialize)]
struct Info<'a> {
    kind: &'a str,
    vocab_size: usize,
    /// Names and ids of special tokens.
    special: Map<String, Value>,
    lossless: bool,
    fingerprint: String,
    /// Only for kind bpe: the pattern and the number of merges.
    #[serde(skip_serializing_if = "Option::is_none")]
    pattern: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    merges: Option<usize>,
    /// Only for kind ngram.
    #[serde(skip_serializing_if = "Option::is_none")]
    words: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    subwords: Option<usize>,
    /// Number of ids below `vocab_size` without a token.
    unused: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    vocab: Option<Vec<(String, u32)>>,
}

pub(super) fn run(context: &Context, args: &Args) -> Result<()> {
    let tokenizer = args.tokenizer.load()?;
    let any = &*tokenizer as &dyn Any;
    let bpe = any.downcast_ref::<BpeTokenizer>();
    let ngram = any.downcast_ref::<NgramTokenizer>();
    let mut special = Map::new();
    match (bpe, ngram) {
        (Some(bpe), _) => {
            special.extend(
                bpe.special_tokens()
                    .map(|(name, id)| (name.to_owned(), id.into())),
            );
        }
        (_, Some(ngram)) => {
            let options = ngram.options();
            let names = [&options.unk, &options.pad, &options.sow, &options.eow];
            let names = names
                .into_iter()
                .map(String::as_str)
                .chain([latimer_tokenizer::LINE]);
            for name in names {
                let id = ngram.special(name).or_else(|| ngram.subword_id(name));
                if let Some(id) = id {
                    special.insert(name.to_owned(), id.into());
                }
            }
        }
        _ => {
            if let Some(id) = tokenizer.special(UNKNOWN) {
                special.insert(UNKNOWN.to_owned(), id.into());
            }
        }
    }
    let shares = shares(&*tokenizer, &special);
    let unused = unused(&*tokenizer);
    let vocab = args.vocab.map(|n| listed(&*tokenizer, ngram, n));
    let info = Info {
        kind: tokenizer.kind(),
        vocab_size: tokenizer.vocab_size(),
        special,
        lossless: tokenizer.is_lossless(),
        fingerprint: format!("{:016x}", tokenizer.fingerprint()),
        pattern: bpe.map(|bpe| bpe.pattern().name()),
        merges: bpe.map(|bpe| bpe.merges().len()),
        words: ngram.map(|ngram| ngram.words().len()),
        subwords: ngram.map(|ngram| ngram.subwords().len()),
        unused: unused.as_ref().map_or(0, |unused| unused.count),
        vocab,
    };
    if context.terminal.json {
        return terminal::json_result(&info);
    }
    let Info {
        kind, vocab_size, ..
    } = info;
    terminal::result(format_args!("kind         {kind}"))?;
    terminal::result(format_args!(
        "vocabulary   {} ids",
        thousands(vocab_size as u64)
    ))?;
    terminal::result(format_args!("             {shares}"))?;
    if let Some(Unused { first, last, .. }) = unused {
        let why = match ngram {
            Some(_) => {
                "sub-words begin after the last id reserved for words, as in the package \
                        `bpe`"
            }
            None => "the file has no token for them",
        };
        terminal::result(format_args!(
            "             unused: among {} to {} ({why})",
            thousands(u64::from(first)),
            thousands(u64::from(last))
        ))?;
    }
    if let Some(pattern) = info.pattern {
        terminal::result(format_args!("pattern      {pattern}"))?;
    }
    if !info.special.is_empty() {
        let names: Vec<_> = info
            .special
            .iter()
            .map(|(name, id)| format!("{name} {id}"))
            .collect();
        terminal::result(format_args!("special      {}", names.join(", ")))?;
    }
    let lossless = if info.lossless {
        "every encoded text decodes to itself"
    } else {
        "an encoded text decodes to a normalised form"
    };
    terminal::result(format_args!("decoding     {lossless}"))?;
    terminal::result(format_args!("fingerprint  {}", info.fingerprint))?;
    if let Some(vocab) = info.vocab {
        let tokens: Vec<_> = vocab
            .iter()
            .map(|(token, id)| format!("{token} {id}"))
            .collect();
        terminal::result(tokens.join(", "))?;
    }
    Ok(())
}

/// Ids without a token: their number, the first and the last.
pub(super) struct Unused {
    pub(super) count: usize,
    first: u32,
    last: u32,
}

/// The ids of a vocabulary without a token, if there are any.
pub(super) fn unused(tokenizer: &dyn Tokenizer) -> Option<Unused> {
    let ids = 0..tokenizer.vocab_size() as u32;
    let mut empty = ids.filter(|&id| tokenizer.token_bytes(id).is_none());
    let first = empty.next()?;
    let (count, last) = empty.fold((1, first), |(count, _), id| (count + 1, id));
    Some(Unused { count, first, last })
}

/// Counts the kinds of ids in a vocabulary. Each id is counted once, so the numbers add up to its
/// size.
fn shares(tokenizer: &dyn Tokenizer, special: &Map<String, Value>) -> String {
    let any = tokenizer as &dyn Any;
    let bpe = any.downcast_ref::<BpeTokenizer>();
    let merged: HashSet<u32> = bpe
        .into_iter()
        .flat_map(|bpe| bpe.merges().map(|(_, _, id)| id))
        .collect();
    let subwords: HashSet<u32> = any
        .downcast_ref::<NgramTokenizer>()
        .into_iter()
        .flat_map(|ngram| ngram.subwords().map(|(_, id)| id))
        .collect();
    let special: HashSet<u64> = special.values().filter_map(Value::as_u64).collect();
    let other = match tokenizer.kind() {
        "char" => ["character", "characters"],
        "bpe" => ["byte", "bytes"],
        _ => ["word", "words"],
    };
    let names = [
        other,
        ["merge", "merges"],
        ["sub-word", "sub-words"],
        ["special", "special"],
        ["token of no merge", "tokens of no merge"],
        ["unused id", "unused ids"],
    ];
    let mut counts = [0u64; 6];
    for id in 0..tokenizer.vocab_size() as u32 {
        let share = match tokenizer.token_bytes(id) {
            None => 5,
            // If a word and a sub-word share an id, it counts as a sub-word.
            Some(_) if subwords.contains(&id) => 2,
            Some(_) if bpe.is_some() && special.contains(&u64::from(id)) => 3,
            Some(_) if merged.contains(&id) => 1,
            Some(bytes) if bpe.is_some() && bytes.len() > 1 => 4,
            Some(_) => 0,
        };
        counts[share] += 1;
    }
    let shown = names.iter().zip(counts).filter(|&(_, count)| count > 0);
    let shown = shown.map(|([one, many], count)| {
        let name = if count == 1 { one } else { many };
        format!("{} {name}", thousands(count))
    });
    shown.collect::<Vec<_>>().join(", ")
}

/// Tokens with their ids; invisible characters are escaped.
fn listed(
    tokenizer: &dyn Tokenizer,
    ngram: Option<&NgramTokenizer>,
    n: usize,
) -> Vec<(String, u32)> {
    if let Some(ngram) = ngram {
        let first = ngram.subwords().take(n);
        return first.map(|(token, id)| (token.to_owned(), id)).collect();
    }
    (0..tokenizer.vocab_size() as u32)
        .take(n)
        .filter_map(|id| Some((shown(tokenizer.token_bytes(id)?), id)))
        .collect()
}

/// Bytes as text; white space, control characters and invalid UTF-8 are escaped.
fn shown(bytes: &[u8]) -> String {
    match std::str::from_utf8(bytes) {
        Ok(text) if !text.contains(|c: char| c.is_whitespace() || c.is_control()) => {
            text.to_owned()
        }
        Ok(text) => format!("{text:?}"),
        Err(_) => bytes.iter().map(|byte| format!("\\x{byte:02x}")).collect(),
    }
}
