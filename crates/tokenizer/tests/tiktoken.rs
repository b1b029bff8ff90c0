//! Ids equal to tiktoken's, with OpenAI's own ranks, against the crate `tiktoken-rs`.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod texts;

use std::collections::HashSet;
use std::fmt::Write as _;
use std::sync::OnceLock;

use latimer_tokenizer::{
    AllowedSpecial, BpeError, BpeTokenizer, Encoding, Error, Pattern, Tokenizer,
};
use tiktoken_rs::CoreBPE;

struct Both {
    ours: BpeTokenizer,
    theirs: &'static CoreBPE,
}

/// A rank file made from the tokens that the other crate decodes.
fn rank_file(theirs: &CoreBPE, specials: &[(&str, u32)]) -> String {
    let mut file = String::new();
    for id in 0..300_000u32 {
        if specials.iter().any(|(_, special)| *special == id) {
            continue;
        }
        if let Ok(token) = theirs.decode_bytes(&[id]) {
            writeln!(file, "{} {id}", base64(&token)).unwrap();
        }
    }
    file
}

fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    bytes
        .chunks(3)
        .flat_map(|three| {
            let all = (0..3).fold(0u32, |all, i| {
                all << 8 | u32::from(three.get(i).copied().unwrap_or(0))
            });
            (0..4).map(move |i| match i <= three.len() {
                true => char::from(DIGITS[(all >> (18 - 6 * i)) as usize & 63]),
                false => '=',
            })
        })
        .collect()
}

fn both(encoding: Encoding) -> &'static Both {
    static ALL: [OnceLock<Both>; 4] = [const { OnceLock::new() }; 4];
    let (cell, theirs): (_, fn() -> &'static CoreBPE) = match encoding {
        Encoding::R50kBase => (&ALL[0], tiktoken_rs::r50k_base_singleton),
        Encoding::P50kEdit => (&ALL[1], tiktoken_rs::p50k_edit_singleton),
        Encoding::Cl100kBase => (&ALL[2], tiktoken_rs::cl100k_base_singleton),
        _ => (&ALL[3], tiktoken_rs::o200k_base_singleton),
    };
    cell.get_or_init(|| {
        let theirs = theirs();
        let specials = encoding.special_tokens();
        let file = rank_file(theirs, specials);
        let ours =
            BpeTokenizer::from_tiktoken(file.as_bytes(), encoding.pattern(), specials).unwrap();
        assert!(
            ours.to_tiktoken().unwrap() == file,
            "written as it was read"
        );
        Both { ours, theirs }
    })
}

#[track_caller]
fn same(both: &Both, text: &str) {
    let ids = both.ours.encode(text).unwrap();
    let expected = both.theirs.encode_ordinary(text);
    if ids != expected {
        let at = ids
            .iter()
            .zip(&expected)
            .take_while(|(a, b)| a == b)
            .count();
        panic!(
            "token {at} is {:?}, expected {:?}",
            ids.get(at..(at + 4).min(ids.len())),
            expected.get(at..(at + 4).min(expected.len()))
        );
    }
}

fn all_lines_are_the_same(encoding: Encoding) {
    let both = both(encoding);
    let lines = texts::lines(1, 10_000);
    for line in &lines {
        same(both, line);
        assert_eq!(both.ours.count(line), both.ours.encode(line).unwrap().len());
    }
    same(both, &lines.concat());
    for (_, text) in texts::odd(100_000) {
        same(both, &text);
        // The text stands neither at the start nor at the end.
        same(both, &format!("x {text} y"));
    }
}

#[test]
fn r50k_base_ids_are_tiktokens() {
    all_lines_are_the_same(Encoding::R50kBase);
}

#[test]
fn p50k_edit_ids_are_tiktokens() {
    all_lines_are_the_same(Encoding::P50kEdit);
}

#[test]
fn cl100k_base_ids_are_tiktokens() {
    all_lines_are_the_same(Encoding::Cl100kBase);
}

#[test]
fn o200k_base_ids_are_tiktokens() {
    all_lines_are_the_same(Encoding::O200kBase);
}

#[test]
fn special_tokens_are_tiktokens() {
    let both = both(Encoding::Cl100kBase);
    let text = "a <|endoftext|> b<|fim_prefix|>\n\n<|endoftext|><|endofprompt|> <|endoftex";
    for allowed in [
        &[] as &[&str],
        &["<|endoftext|>"],
        &["<|endoftext|>", "<|fim_prefix|>", "<|endofprompt|>"],
    ] {
        let set: HashSet<&str> = allowed.iter().copied().collect();
        let (expected, _) = both.theirs.encode(text, &set).unwrap();
        let ids = both
            .ours
            .encode_with_special(text, AllowedSpecial::Only(allowed))
            .unwrap();
        assert_eq!(ids, expected);
        assert_eq!(both.ours.decode(&ids).unwrap(), text);
    }
    let ids = both.ours.encode(text).unwrap();
    assert!(
        ids.iter().all(|id| *id < 100_256),
        "text yields no special token"
    );
    assert_eq!(both.ours.special("<|endoftext|>"), Some(100_257));
    assert_eq!(both.ours.vocab_size(), 100_277);
    assert!(matches!(
        both.ours
            .encode_with_special("", AllowedSpecial::Only(&["<|end|>"])),
        Err(Error::Bpe(BpeError::UnknownSpecial { .. }))
    ));
}

#[test]
fn conversions_there_and_back_give_the_same_ids() {
    let both = both(Encoding::R50kBase);
    let lines = texts::lines(2, 500);
    let hf = BpeTokenizer::from_hf(&both.ours.to_json()).unwrap();
    assert!(hf.to_json() == both.ours.to_json());
    let (vocab, merges) = hf.to_vocab_and_merges();
    let pair = BpeTokenizer::from_vocab_and_merges(&vocab, &merges, Pattern::Gpt2).unwrap();
    assert!(pair.to_json() == both.ours.to_json());
    let ranks = pair.to_tiktoken().unwrap();
    assert!(ranks == both.ours.to_tiktoken().unwrap());
    for line in &lines {
        assert_eq!(pair.encode(line).unwrap(), both.ours.encode(line).unwrap());
    }
}
