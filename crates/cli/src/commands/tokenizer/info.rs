//! `latimer tokenizer info`: what a tokenizer is.

use super::TokenizerArgs;
use crate::commands::Context;
use crate::error::Result;
use crate::format::thousands;
use crate::terminal;
use latimer_tokenizer::{BpeTokenizer, NgramTokenizer, Tokenizer, UNKNOWN};
use serde::Serialize;
use serde_json::{Map, Value};
use std::any::Any;

/// Which tokenizer, and how much of it.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    tokenizer: TokenizerArgs,
    /// List so many tokens with their ids: the first of the vocabulary, of ngram the first pieces
    #[arg(long, value_name = "N")]
    vocab: Option<usize>,
}

/// The result.
#[derive(Serialize)]
struct Info<'a> {
    kind: &'a str,
    vocab_size: usize,
    /// Names and ids of special tokens.
    special: Map<String, Value>,
    lossless: bool,
    fingerprint: String,
    /// Of kind bpe: how text is cut, and merges.
    #[serde(skip_serializing_if = "Option::is_none")]
    pattern: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    merges: Option<usize>,
    /// Of kind ngram.
    #[serde(skip_serializing_if = "Option::is_none")]
    words: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    subwords: Option<usize>,
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
    if let (Some(words), Some(subwords)) = (info.words, info.subwords) {
        let (words, subwords) = (thousands(words as u64), thousands(subwords as u64));
        terminal::result(format_args!(
            "             {words} words, {subwords} sub-words"
        ))?;
    }
    if let (Some(pattern), Some(merges)) = (info.pattern, info.merges) {
        let merges = thousands(merges as u64);
        terminal::result(format_args!(
            "             {merges} merges, pattern {pattern}"
        ))?;
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
        "gives back every text that it encodes"
    } else {
        "gives back a normal form of a text"
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

/// Tokens with their ids, what cannot be seen escaped.
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

/// Bytes as text where they are some, without white space that would not be seen.
fn shown(bytes: &[u8]) -> String {
    match std::str::from_utf8(bytes) {
        Ok(text) if !text.contains(|c: char| c.is_whitespace() || c.is_control()) => {
            text.to_owned()
        }
        Ok(text) => format!("{text:?}"),
        Err(_) => bytes.iter().map(|byte| format!("\\x{byte:02x}")).collect(),
    }
}
