//! Training: the merges equal those of other programs on Shakespeare, and of a naive trainer on any
//! text.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod texts;

use std::collections::HashMap;
use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use latimer_tokenizer::{
    BpeError, BpeTokenizer, BpeTrainer, Error, Pattern, TieRule, Tokenizer, TrainProgress,
};
use proptest::prelude::*;
use serde_json::Value;

fn silent(_: TrainProgress) {}

fn fnv1a(bytes: &[u8]) -> String {
    let hash = bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash: u64, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
    });
    format!("{hash:016x}")
}

/// The path of the plays in the program's folder of downloads.
fn shakespeare() -> Option<PathBuf> {
    let folder = match std::env::var_os("LATIMER_CACHE") {
        Some(folder) => PathBuf::from(folder),
        None => match std::env::var_os("XDG_CACHE_HOME") {
            Some(folder) => PathBuf::from(folder).join("latimer"),
            None => PathBuf::from(std::env::var_os("HOME")?).join(".cache/latimer"),
        },
    };
    Some(folder.join("shakespeare.txt")).filter(|path| path.is_file())
}

fn lines(tokenizer: &BpeTokenizer) -> Vec<String> {
    let hex = |id: u32| -> String {
        let bytes = tokenizer.token_bytes(id).unwrap();
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    };
    tokenizer
        .merges()
        .map(|(left, right, _)| format!("{} {}", hex(left), hex(right)))
        .collect()
}

#[test]
fn shakespeares_merges_are_those_of_the_other_programs() {
    let Some(path) = shakespeare() else {
        println!("skipped: shakespeare.txt is not in the cache (latimer data get shakespeare)");
        return;
    };
    let golden: Value = serde_json::from_str(include_str!("peers/merges.json")).unwrap();
    assert_eq!(golden["text_fnv1a"], fnv1a(&fs::read(&path).unwrap()));
    let cases = golden["cases"].as_array().unwrap();
    assert_eq!(cases.len(), 18);
    for case in cases {
        let size = case["vocab_size"].as_u64().unwrap() as usize;
        let pattern = Pattern::from_name(case["pattern"].as_str().unwrap()).unwrap();
        let rule = TieRule::from_name(case["rule"].as_str().unwrap()).unwrap();
        let tokenizer = BpeTrainer::new(size, pattern)
            .ties(rule)
            .train_files(&[&path], &mut silent)
            .unwrap();
        let lines = lines(&tokenizer);
        let last: Vec<Value> = lines[lines.len() - 8..]
            .iter()
            .map(|line| Value::from(line.as_str()))
            .collect();
        assert_eq!(case["last"], Value::from(last), "{case}");
        let all: String = lines.iter().map(|line| format!("{line}\n")).collect();
        assert_eq!(case["fnv1a"], fnv1a(all.as_bytes()), "{case}");
    }
}

/// The bytes of both tokens.
type Merge = (Vec<u8>, Vec<u8>);

/// Training by its definition: count all pairs of all pieces again for every merge.
fn naive(pieces: &[Vec<u8>], rule: TieRule, most: usize, least: u64) -> Vec<Merge> {
    // Hugging Face numbers the bytes by their printable characters: visible ones first.
    let visible = |b: u8| matches!(b, 0x21..=0x7e | 0xa1..=0xac | 0xae..=0xff);
    let mut bytes: Vec<u8> = (0..=255).collect();
    if rule == TieRule::HuggingFace {
        bytes.sort_by_key(|b| !visible(*b));
    }
    let mut ids: HashMap<Vec<u8>, usize> = bytes
        .iter()
        .enumerate()
        .map(|(id, b)| (vec![*b], id))
        .collect();
    let mut pieces: Vec<Vec<Vec<u8>>> = pieces
        .iter()
        .map(|piece| piece.iter().map(|b| vec![*b]).collect())
        .collect();
    let mut merges = Vec::new();
    while merges.len() < most {
        let mut counts: Vec<(Merge, u64)> = Vec::new();
        let mut places = HashMap::new();
        for pair in pieces.iter().flat_map(|piece| piece.windows(2)) {
            let pair = (pair[0].clone(), pair[1].clone());
            let place = *places.entry(pair.clone()).or_insert(counts.len());
            if place == counts.len() {
                counts.push((pair, 0));
            }
            counts[place].1 += 1;
        }
        let key = |at: usize| {
            let ((left, right), count) = &counts[at];
            let tie = match rule {
                TieRule::FirstSeen => (at, 0),
                _ => (ids[left], ids[right]),
            };
            (u64::MAX - count, tie)
        };
        let Some(best) = (0..counts.len()).min_by_key(|at| key(*at)) else {
            break;
        };
        let ((left, right), count) = counts[best].clone();
        if count < least {
            break;
        }
        let whole = [left.clone(), right.clone()].concat();
        for piece in &mut pieces {
            let mut at = 0;
            while at + 1 < piece.len() {
                if piece[at] == left && piece[at + 1] == right {
                    piece[at].clone_from(&whole);
                    piece.remove(at + 1);
                }
                at += 1;
            }
        }
        ids.insert(whole, 256 + merges.len());
        merges.push((left, right));
    }
    merges
}

fn merges(tokenizer: &BpeTokenizer) -> Vec<Merge> {
    let bytes = |id: u32| tokenizer.token_bytes(id).unwrap().to_vec();
    tokenizer
        .merges()
        .map(|(left, right, _)| (bytes(left), bytes(right)))
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]
    #[test]
    fn merges_are_the_naive_ones(
        texts in prop::collection::vec(
            prop::collection::vec(
                prop::sample::select(b"aaabbc  \n\xc3\xa9\xff'.".to_vec()), 0..80,
            ),
            0..4,
        ),
        most in 0usize..40,
        least in 1u64..4,
        split: bool,
    ) {
        let pattern = if split { Pattern::Gpt2 } else { Pattern::None };
        let pieces: Vec<Vec<u8>> = if split {
            // Patterns have tests of their own. The tokens of a vocabulary without merges are not
            // pieces, so the pieces are found with an expression here.
            let regex = fancy_regex::Regex::new(pattern.regex().unwrap()).unwrap();
            let mut pieces = Vec::new();
            for chunk in texts.iter().flat_map(|text| text.utf8_chunks()) {
                pieces.extend(
                    regex.find_iter(chunk.valid()).map(|m| m.unwrap().as_str().as_bytes().to_vec()),
                );
                pieces.push(chunk.invalid().to_vec());
            }
            pieces
        } else {
            texts.clone()
        };
        for rule in TieRule::ALL {
            let trained = BpeTrainer::new(256 + most, pattern)
                .ties(rule)
                .min_frequency(least)
                .train(&texts, &mut silent)
                .unwrap();
            // A file proves nothing about its tokens; still each token must be the result of its
            // merges.
            let read = BpeTokenizer::from_hf(&trained.to_json()).unwrap();
            prop_assert_eq!(read.to_tiktoken().unwrap(), trained.to_tiktoken().unwrap());
            prop_assert_eq!(merges(&trained), naive(&pieces, rule, most, least), "{:?}", rule);
        }
    }
}

#[test]
fn one_piece_of_many_megabytes_is_no_trouble() {
    // Quadratic work on these would take days; the time limit only detects that.
    let start = Instant::now();
    let len = 500_000;
    for (name, text) in texts::odd(len) {
        let tokenizer = BpeTrainer::new(1000, Pattern::None)
            .train(&[&text], &mut silent)
            .unwrap();
        assert_eq!(
            tokenizer.decode(&tokenizer.encode(&text).unwrap()).unwrap(),
            text,
            "{name}"
        );
    }
    assert!(start.elapsed() < Duration::from_secs(120));
}

#[test]
fn training_stops_at_the_last_pair() {
    let train = |least| {
        BpeTrainer::new(10_000, Pattern::Gpt2)
            .min_frequency(least)
            .special_tokens(&["<|endoftext|>"])
            .train(&["low low lower"], &mut silent)
            .unwrap()
    };
    // l-o, lo-w, " "-low, " low"-e, " lowe"-r
    assert_eq!(train(1).vocab_size(), 256 + 5 + 1);
    assert_eq!(train(2).vocab_size(), 256 + 3 + 1);
    assert_eq!(train(4).vocab_size(), 256 + 1);
    assert_eq!(train(1).special("<|endoftext|>"), Some(261));
    let mut merging = Vec::new();
    BpeTrainer::new(258, Pattern::None)
        .train(&["abababab"], &mut |progress| {
            if let TrainProgress::Merging { merges, total } = progress {
                merging.push((merges, total));
            }
        })
        .unwrap();
    assert_eq!(merging, [(0, 2), (2, 2)]);
}

#[test]
fn hugging_face_numbers_special_tokens_and_characters_first() {
    let tokenizer = BpeTrainer::new(300, Pattern::Gpt2)
        .ties(TieRule::HuggingFace)
        .special_tokens(&["<s>", "</s>"])
        .train(&["!! \""], &mut silent)
        .unwrap();
    assert_eq!(tokenizer.special("<s>"), Some(0));
    assert_eq!(tokenizer.token_bytes(2), Some(b"!".as_slice()));
    assert_eq!(tokenizer.token_bytes(3), Some(b"\"".as_slice()));
    assert_eq!(tokenizer.token_bytes(258), Some(b"!!".as_slice()));
}

#[test]
fn bad_options_are_named_before_the_work() {
    let fault = |trainer: BpeTrainer| {
        let error = trainer
            .train::<&str>(&[], &mut |_| panic!("no work"))
            .unwrap_err();
        error.to_string()
    };
    assert_eq!(
        fault(BpeTrainer::new(256, Pattern::Gpt2).special_tokens(&["<s>"])),
        "a vocabulary of 256 is too small: 256 bytes and 1 special tokens need 257"
    );
    assert_eq!(
        fault(BpeTrainer::new(300, Pattern::Gpt2).special_tokens(&["<s>", "<s>"])),
        "the special token \"<s>\" is given twice"
    );
    assert_eq!(
        fault(BpeTrainer::new(300, Pattern::Gpt2).special_tokens(&["a"])),
        "the token \"a\" occurs twice, as ids 97 and 256"
    );
    assert!(matches!(
        BpeTrainer::new(300, Pattern::Gpt2).train_files(&["/no/such/file"], &mut silent),
        Err(Error::Io { action: "read", .. })
    ));
    assert!(matches!(
        TieRule::from_name("lowest"),
        Err(BpeError::UnknownTieRule { .. })
    ));
}
