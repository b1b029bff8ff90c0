//! Encoding and files: nothing is lost, every method gives the same ids, and bad input is refused.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod texts;

use std::sync::OnceLock;

use latimer_tokenizer::{
    AllowedSpecial, BpeError, BpeTokenizer, BpeTrainer, Error, Pattern, StreamDecoder, TieRule,
    Tokenizer, from_json,
};
use proptest::prelude::*;

/// Merging by its definition: search all merges each time for the one of lowest rank, the leftmost
/// of equals.
fn naive(tokenizer: &BpeTokenizer, piece: &[u8]) -> Vec<u32> {
    let merges: Vec<_> = tokenizer.merges().collect();
    let mut ids: Vec<u32> = piece.iter().map(|b| tokenizer.id(&[*b]).unwrap()).collect();
    'merging: loop {
        for &(left, right, made) in &merges {
            if let Some(at) = ids.windows(2).position(|two| two == [left, right]) {
                ids[at] = made;
                ids.remove(at + 1);
                continue 'merging;
            }
        }
        return ids;
    }
}

/// A vocabulary from the lines of the tests, for every pattern.
fn trained(pattern: Pattern) -> &'static BpeTokenizer {
    static ALL: [OnceLock<BpeTokenizer>; 8] = [const { OnceLock::new() }; 8];
    let at = Pattern::ALL.iter().position(|p| *p == pattern).unwrap();
    ALL[at].get_or_init(|| {
        let lines = texts::lines(3, 2000);
        BpeTrainer::new(1500, pattern)
            .special_tokens(&["<|endoftext|>", "<|end|>"])
            .train(&lines, &mut |_| {})
            .unwrap()
    })
}

/// Arbitrary merges: chains, loops of ranks, tokens that merging never reaches.
fn any_merges() -> impl Strategy<Value = BpeTokenizer> {
    prop::collection::vec((0usize..1000, 0usize..1000), 0..40).prop_filter_map(
        "the same token by two merges",
        |pairs| {
            let mut merges: Vec<(u32, u32)> = Vec::new();
            for (left, right) in pairs {
                let id = |n: usize| match n % 4 {
                    0 if !merges.is_empty() => 256 + (n / 4 % merges.len()) as u32,
                    other => u32::from(b"abcd"[other]),
                };
                merges.push((id(left), id(right)));
            }
            BpeTokenizer::from_merges(Pattern::None, &merges, &[]).ok()
        },
    )
}

#[test]
fn long_pieces_are_merged_as_the_definition_has_it() {
    let tokenizer = trained(Pattern::None);
    for (name, text) in texts::odd(600) {
        let text = text.as_bytes();
        for len in [127, 128, 129, 255, 256, 257, 500, text.len()] {
            let text = &text[..len.min(text.len())];
            assert_eq!(
                tokenizer.encode_bytes(text),
                naive(tokenizer, text),
                "{name} {len}"
            );
        }
    }
}

#[test]
fn special_tokens_come_only_when_allowed() {
    for pattern in Pattern::ALL {
        let tokenizer = trained(pattern);
        let specials: Vec<u32> = tokenizer.special_tokens().map(|(_, id)| id).collect();
        // The training text contains this name many times, and one of the patterns does not cut
        // text at all.
        assert_eq!(tokenizer.id(b"<|endoftext|>"), None);
        let text = "a<|endoftext|> <|end|>b";
        let plain = tokenizer.encode(text).unwrap();
        assert!(plain.iter().all(|id| !specials.contains(id)));
        assert_eq!(
            tokenizer
                .encode_with_special(text, AllowedSpecial::None)
                .unwrap(),
            plain
        );
        let all = tokenizer
            .encode_with_special(text, AllowedSpecial::All)
            .unwrap();
        assert_eq!(all.iter().filter(|id| specials.contains(id)).count(), 2);
        assert_eq!(tokenizer.decode(&all).unwrap(), text);
    }
}

#[test]
fn counting_stops_at_the_limit() {
    let tokenizer = trained(Pattern::Cl100k);
    let text = texts::lines(9, 50).concat();
    let count = tokenizer.encode(&text).unwrap().len();
    assert_eq!(tokenizer.count(&text), count);
    assert_eq!(tokenizer.count_up_to(&text, count), Some(count));
    assert_eq!(tokenizer.count_up_to(&text, count - 1), None);
    assert_eq!(tokenizer.count_up_to(&text, 0), None);
    assert_eq!(tokenizer.count_up_to("", 0), Some(0));
    assert_eq!(tokenizer.count_up_to(&"a".repeat(10_000_000), 5), None);
}

proptest! {
    #[test]
    fn any_bytes_come_back(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        for pattern in Pattern::ALL {
            let tokenizer = trained(pattern);
            let ids = tokenizer.encode_bytes(&bytes);
            let mut back = Vec::new();
            tokenizer.decode_into(&ids, &mut back).unwrap();
            prop_assert_eq!(&back, &bytes);
        }
    }

    #[test]
    fn text_is_encoded_alike_in_every_way(seed: u64) {
        for pattern in Pattern::ALL {
            let tokenizer = trained(pattern);
            let lines = texts::lines(seed, 10);
            let one_by_one: Vec<_> = lines.iter().map(|l| tokenizer.encode(l).unwrap()).collect();
            prop_assert_eq!(tokenizer.encode_batch(&lines), one_by_one.as_slice());
            // A clone has remembered no pieces yet.
            let fresh = tokenizer.clone();
            for (line, ids) in lines.iter().zip(&one_by_one) {
                prop_assert_eq!(&fresh.encode(line).unwrap(), ids);
                prop_assert_eq!(&tokenizer.encode_bytes(line.as_bytes()), ids);
                prop_assert_eq!(tokenizer.count(line), ids.len());
                let mut end = 0;
                for (id, range) in tokenizer.encode_with_offsets(line) {
                    prop_assert_eq!(range.start, end);
                    end = range.end;
                    prop_assert_eq!(tokenizer.token_bytes(id).unwrap(), &line.as_bytes()[range]);
                }
                prop_assert_eq!(end, line.len());
                let mut stream = StreamDecoder::new(tokenizer);
                let mut text = String::new();
                for id in ids {
                    text += stream.push(*id).unwrap();
                }
                text += stream.finish();
                prop_assert_eq!(&text, line);
            }
        }
    }

    #[test]
    fn merging_is_the_naive_one(
        tokenizer in any_merges(),
        text in prop::collection::vec(prop::sample::select(b"aaabbcd".to_vec()), 0..400),
    ) {
        let ids = tokenizer.encode_bytes(&text);
        prop_assert_eq!(ids, naive(&tokenizer, &text));
    }

    #[test]
    fn files_lead_back(tokenizer in any_merges()) {
        let json = tokenizer.to_json();
        let hf = from_json(&json).unwrap();
        prop_assert_eq!(hf.to_json(), json.as_str());
        prop_assert_eq!(hf.kind(), "bpe");
        let (vocab, merges) = tokenizer.to_vocab_and_merges();
        let pair = BpeTokenizer::from_vocab_and_merges(&vocab, &merges, Pattern::None).unwrap();
        prop_assert_eq!(pair.to_json(), json.as_str());
        match tokenizer.to_tiktoken() {
            Ok(ranks) => {
                let again = BpeTokenizer::from_tiktoken(ranks.as_bytes(), Pattern::None, &[]).unwrap();
                prop_assert_eq!(again.to_json(), json);
            }
            Err(error) => {
                // The vocabulary has a token that merging its own bytes does not give.
                let is_not_ranks = matches!(error, Error::Bpe(BpeError::NotRanks { .. }));
                prop_assert!(is_not_ranks, "{}", error);
                let unmade = (0..tokenizer.vocab_size() as u32).any(|id| {
                    naive(&tokenizer, tokenizer.token_bytes(id).unwrap()) != [id]
                });
                prop_assert!(unmade);
            }
        }
    }

    #[test]
    fn damaged_files_are_errors_not_panics(
        at in any::<prop::sample::Index>(),
        with in prop::sample::select(b"0 9}\"[],\\aQ=\n\xff-e".to_vec()),
        cut: bool,
    ) {
        let tokenizer = small();
        let (vocab, merges) = tokenizer.to_vocab_and_merges();
        let damaged = |file: &str| {
            let mut bytes = file.as_bytes().to_vec();
            let at = at.index(bytes.len());
            if cut { bytes.truncate(at) } else { bytes[at] = with }
            bytes
        };
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap_or_default();
        let read = [
            BpeTokenizer::from_hf(&text(damaged(&tokenizer.to_json()))),
            BpeTokenizer::from_vocab_and_merges(&text(damaged(&vocab)), &merges, Pattern::Gpt2),
            BpeTokenizer::from_vocab_and_merges(&vocab, &text(damaged(&merges)), Pattern::Gpt2),
            BpeTokenizer::from_tiktoken(
                &damaged(&tokenizer.to_tiktoken().unwrap()), Pattern::Gpt2, &[],
            ),
        ];
        for tokenizer in read.into_iter().flatten() {
            let ids = tokenizer.encode("le chat est là").unwrap();
            prop_assert_eq!(tokenizer.decode(&ids).unwrap(), "le chat est là");
        }
    }
}

fn small() -> &'static BpeTokenizer {
    static SMALL: OnceLock<BpeTokenizer> = OnceLock::new();
    SMALL.get_or_init(|| {
        BpeTrainer::new(300, Pattern::Gpt2)
            .special_tokens(&["<s>"])
            .train(
                &["le chat est sur la table, le chien est sous la table"],
                &mut |_| {},
            )
            .unwrap()
    })
}

#[test]
fn rank_files_are_checked() {
    let bytes: String = small()
        .to_tiktoken()
        .unwrap()
        .lines()
        .take(256)
        .fold(String::new(), |all, line| all + line + "\n");
    let read = |more: &str| {
        BpeTokenizer::from_tiktoken(
            (bytes.clone() + more).as_bytes(),
            Pattern::Gpt2,
            &[("<s>", 900)],
        )
        .map(|t| t.vocab_size())
        .map_err(|e| e.to_string())
    };
    assert_eq!(read(""), Ok(901));
    assert_eq!(read("YWI= 256\r\n\n"), Ok(901));
    for (more, fault) in [
        (
            "YWI= 97\n",
            r#"the id 97 is given twice, to "a" and to "ab""#,
        ),
        (
            "YWI= 256\nYWI= 257\n",
            r#"the token "ab" occurs twice, as ids 256 and 257"#,
        ),
        (
            "YQ== 256\n",
            r#"the token "a" occurs twice, as ids 97 and 256"#,
        ),
        (
            "YWJj 256\n",
            "the token \"abc\" of rank 256 is 3 parts after the merges of lower rank, expected 2: \
             these ranks do not come from byte-pair training",
        ),
        (
            "YWI=256\n",
            "line 257: expected a token in base64, a space and its rank",
        ),
        (
            "YWI 256\n",
            "line 257: expected a token in base64, a space and its rank",
        ),
        (
            "YWK= 256\n",
            "line 257: expected a token in base64, a space and its rank",
        ),
        (
            " 256\n",
            "line 257: expected a token in base64, a space and its rank",
        ),
        (
            "YWI= 4000000000\n",
            "the id 4000000000 is too high for 258 tokens: ids may be at most 66568 here",
        ),
        (
            "YWI= 900\n",
            r#"the id 900 is given twice, to "ab" and to "<s>""#,
        ),
    ] {
        assert_eq!(read(more), Err(fault.to_owned()), "{more:?}");
    }
    assert_eq!(
        BpeTokenizer::from_tiktoken(b"YQ== 0\n", Pattern::None, &[])
            .unwrap_err()
            .to_string(),
        "the byte 0x00 has no token: a byte-level vocabulary needs all 256"
    );
}

#[test]
fn what_cannot_be_done_exactly_is_named() {
    let json = small().to_json();
    let null = |field: &str| format!("\"{field}\": null");
    for (part, with, field) in [
        (
            null("normalizer"),
            r#""normalizer": {"type": "NFKC"}"#,
            "normalizer",
        ),
        (null("truncation"), r#""truncation": {}"#, "truncation"),
        (
            null("post_processor"),
            r#""post_processor": {"type": "TemplateProcessing"}"#,
            "post_processor",
        ),
        (null("dropout"), r#""dropout": 0.1"#, "model.dropout"),
        (
            null("unk_token"),
            r#""unk_token": "<s>""#,
            "model.unk_token",
        ),
        (
            null("end_of_word_suffix"),
            r#""end_of_word_suffix": "</w>""#,
            "model.end_of_word_suffix",
        ),
        (
            r#""byte_fallback": false"#.to_owned(),
            r#""byte_fallback": true"#,
            "model.byte_fallback",
        ),
        (
            r#""type": "BPE""#.to_owned(),
            r#""type": "Unigram""#,
            "model.type",
        ),
        (
            r#""special": true"#.to_owned(),
            r#""special": 0"#,
            "added_tokens.special",
        ),
        (
            r#""lstrip": false"#.to_owned(),
            r#""lstrip": "left""#,
            "added_tokens.lstrip",
        ),
        (
            r#""add_prefix_space": false"#.to_owned(),
            r#""add_prefix_space": true"#,
            "pre_tokenizer.add_prefix_space",
        ),
        (
            r#""type": "ByteLevel""#.to_owned(),
            r#""type": "Whitespace""#,
            "pre_tokenizer",
        ),
    ] {
        assert!(json.contains(&part), "{part}");
        let error = from_json(&json.replacen(&part, with, 1))
            .unwrap_err()
            .to_string();
        assert!(
            error.starts_with(&format!("the field {field} is ")),
            "{error}"
        );
    }
    let gpt4 = trained(Pattern::Gpt4).to_json();
    let error = from_json(&gpt4.replace(r"\\p{N}{1,3}", r"\\p{N}{1,4}")).unwrap_err();
    assert!(
        error
            .to_string()
            .starts_with("the field pre_tokenizer.pattern is "),
        "{error}"
    );
}

#[test]
fn merges_may_be_pairs_and_tokens_may_be_whole() {
    let json = r#"{"pre_tokenizer":{"type":"ByteLevel","add_prefix_space":false},
        "model":{"type":"BPE","ignore_merges":false,"vocab":{VOCAB},"merges":[["a","b"]]}}"#;
    let bytes: Vec<String> = (0u32..=255)
        .map(|byte| {
            let c = match byte {
                0x21..=0x7e | 0xa1..=0xac | 0xae..=0xff => byte,
                0..=0x20 => 0x100 + byte,
                0x7f..=0xa0 => 0x121 + byte - 0x7f,
                _ => 0x143,
            };
            let c = char::from_u32(c).unwrap().to_string();
            format!("{}: {byte}", serde_json::Value::from(c))
        })
        .collect();
    let vocab = bytes.join(",") + r#","ab":256,"abc":257"#;
    let json = json.replace("VOCAB", &vocab);
    let tokenizer = BpeTokenizer::from_hf(&json).unwrap();
    assert_eq!(tokenizer.encode("abc ab").unwrap(), [256, 99, 32, 256]);
    assert!(tokenizer.to_tiktoken().is_err(), "no merges give abc");
    let whole = json.replace("\"ignore_merges\":false", "\"ignore_merges\":true");
    let tokenizer = BpeTokenizer::from_hf(&whole).unwrap();
    assert_eq!(tokenizer.encode("abc abc").unwrap(), [257, 32, 256, 99]);
    assert_eq!(
        from_json(&tokenizer.to_json())
            .unwrap()
            .encode("abc")
            .unwrap(),
        [257]
    );
}

#[test]
fn bytes_and_fingerprint_are_pinned() {
    // Checkpoints contain these bytes, and token files their hash.
    let tokenizer = BpeTrainer::new(300, Pattern::Nanochat)
        .ties(TieRule::HuggingFace)
        .special_tokens(&["<|bos|>"])
        .train(&["le chat est là, le chien est loin\n"], &mut |_| {})
        .unwrap();
    assert_eq!(
        format!("{:016x}", tokenizer.fingerprint()),
        "6e134cd7a4e88c35"
    );
}
