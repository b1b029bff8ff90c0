//! Wrong input: the exit status, one sentence, and nothing left behind.

use crate::place::{Outcome, Place, TINY};
use std::fs;
use std::time::{Duration, Instant};

/// Runs each command and checks its status, that it prints one sentence containing these words, and
/// that no file appeared or disappeared.
fn refused(place: &Place, cases: &[(&str, i32, &str)]) {
    let before = place.listing();
    for &(args, status, words) in cases {
        let start = Instant::now();
        let outcome = place.run(args);
        one_sentence(&outcome, args, status, words);
        assert_eq!(place.listing(), before, "{args} left something behind");
        // A command that cannot work must not compute or take memory first: that would take
        // minutes.
        assert!(start.elapsed() < Duration::from_secs(60), "{args}");
    }
}

fn one_sentence(outcome: &Outcome, args: &str, status: i32, words: &str) {
    assert_eq!(outcome.status, Some(status), "{args}: {outcome:?}");
    assert_eq!(outcome.stdout, "", "{args}");
    let stderr = &outcome.stderr;
    assert!(
        stderr.starts_with("error: ") && stderr.contains(words),
        "{args}: {stderr}"
    );
    assert_eq!(stderr.trim_end().lines().count(), 1, "{args}: {stderr}");
}

#[test]
fn what_is_misspelt_is_guessed() {
    refused(
        &Place::new(),
        &[
            ("trian", 2, "did you mean `train`?"),
            ("data lst", 2, "did you mean `list`?"),
            ("data get shakespere", 2, "did you mean `shakespeare`?"),
            ("train --n-layers 2", 2, "did you mean `--n-layer`?"),
            ("train --lr 0.1", 2, "did you mean `--learning-rate`?"),
            ("train --steps 3", 2, "did you mean `--max-iters`?"),
            (
                "generate --temprature 0",
                2,
                "did you mean `--temperature`?",
            ),
            ("train --preset babby", 2, "did you mean `baby`?"),
            ("bench train --preset gpt2", 2, "did you mean `gpt2-124m`?"),
            ("train --backend cpuu", 2, "did you mean `cpu`?"),
            (
                "train --set train.learning_rat=1",
                2,
                "did you mean `train.learning_rate`?",
            ),
            ("train --schedule cosin", 2, "did you mean `cosine`?"),
            (
                "train --data shakespere --preset baby",
                1,
                "did you mean shakespeare?",
            ),
            (
                "train --tokenizer chra --data text.txt",
                1,
                "did you mean char?",
            ),
            ("translate --method gpt2 bonjour", 2, "did you mean `gpt`?"),
            (
                "translate --method bert bonjour",
                2,
                "there is: exact, fuzzy",
            ),
        ],
    );
}

#[test]
fn wrong_usage_is_status_2() {
    refused(
        &Place::new(),
        &[
            ("train --n-embd 97", 2, "must be divisible by n_head = 4"),
            ("train --n-layer 0", 2, "must be from 1"),
            ("train --batch-size 0", 2, "must be from 1"),
            ("train --learning-rate nan", 2, "must be finite"),
            ("train --learning-rate -1", 2, "above 0"),
            ("train --dropout 1", 2, "[0, 1)"),
            ("train --max-iters many", 2, "it must be a whole number"),
            ("train --tie perhaps", 2, "true or false"),
            ("train --set oops", 2, "section.key=value"),
            ("train --preset gpt2-124m", 2, "--data"),
            ("train extra", 2, "unexpected argument"),
            ("train --threads some", 2, "--threads"),
            ("logits --ids 1,x --out l", 2, "--ids"),
            ("logits", 2, "not provided"),
            ("generate --temperature -1", 2, "temperature"),
            ("generate --top-p 0", 2, "--top-p is 0: it must be"),
            ("bench train --steps 0", 2, "--steps is 0: it must be"),
            (
                "bench train --preset baby --vocab-size 0",
                2,
                "--vocab-size is 0: it must be",
            ),
            (
                "bench generate --new-tokens 1",
                2,
                "--new-tokens is 1: it must be",
            ),
            (
                "bench generate --preset baby --new-tokens 66",
                2,
                "block_size is 64",
            ),
            (
                "bench generate --preset lm0 --new-tokens 4",
                2,
                "not causal",
            ),
            ("bench op matmull", 2, "did you mean `matmul`?"),
            ("bench op matmul --dtype f31", 2, "there is: f32"),
            (
                "bench op matmul --shape 3,4",
                2,
                "matmul takes --shape M,K,N",
            ),
            (
                "bench op matmul --shape 3,0,4",
                2,
                "--shape is 0: it must be",
            ),
            (
                "bench op adamw --shape 999999999999",
                1,
                "give smaller sizes with --shape",
            ),
            ("bench op matmul --runs 0", 2, "--runs is 0: it must be"),
        ],
    );
}

#[test]
fn data_that_cannot_be_trained_on_says_why() {
    let place = Place::new();
    fs::write(place.path("empty.txt"), "").unwrap();
    fs::write(place.path("short.txt"), "to be").unwrap();
    fs::write(place.path("latin1.txt"), b"caf\xe9 au lait").unwrap();
    fs::create_dir(place.path("folder")).unwrap();
    refused(
        &place,
        &[
            ("train --preset baby --data missing.txt", 1, "missing.txt"),
            ("train --preset baby --data empty.txt", 1, "is empty"),
            ("train --preset baby --data short.txt", 1, "split has"),
            (
                "train --preset baby --data latin1.txt",
                1,
                "not UTF-8 text: byte 3",
            ),
            ("train --preset baby --data folder", 1, "holds no text"),
            ("train --preset baby --quiet", 1, "cannot download https"),
            ("data get shakespeare", 1, "without a network"),
            ("data get phrasebook", 2, "is built in"),
        ],
    );
}

#[test]
fn absurd_sizes_are_refused_before_memory_is_taken() {
    refused(
        &Place::new(),
        &[
            (
                "train --n-layer 1000 --n-embd 8192 --n-head 8",
                1,
                "of memory",
            ),
            (
                "train --batch-size 1000000 --block-size 1000",
                1,
                "of memory",
            ),
            ("train --n-layer 1000 --n-embd 65536", 2, "above the limit"),
            ("train --n-layer 99999999999999999999", 2, "a whole number"),
            ("train --block-size 1000000000", 2, "must be from 1"),
            ("train --threads 100000", 1, "1024"),
        ],
    );
}

#[test]
fn folders_that_cannot_be_used_say_why() {
    let place = Place::new();
    place.output(&format!("train {TINY} --quiet --out run"));
    fs::create_dir(place.path("foreign")).unwrap();
    fs::write(
        place.path("foreign/config.json"),
        "{\"model_type\": \"bert\"}",
    )
    .unwrap();
    fs::write(place.path("foreign/model.safetensors"), "not a model").unwrap();
    let cut = place.path("cut");
    fs::create_dir(&cut).unwrap();
    let whole = place.path("run/checkpoints/step-000005");
    for file in ["config.json", "tokenizer.json", "model.safetensors"] {
        let bytes = fs::read(whole.join(file)).unwrap();
        let kept = if file.starts_with("model") {
            bytes.len() / 2
        } else {
            bytes.len()
        };
        fs::write(cut.join(file), &bytes[..kept]).unwrap();
    }
    fs::write(place.path("one.txt"), "t").unwrap();
    fs::write(place.path("foreign.txt"), "to be\nou né").unwrap();
    refused(
        &place,
        &[
            (
                "eval --model run --data foreign.txt",
                1,
                "cannot read foreign.txt: unknown character",
            ),
            ("eval --model run --data one.txt", 1, "at least 2"),
            ("eval --model run --data none.txt", 1, "none.txt"),
            (
                "eval --model run --data text.txt --stride 17",
                2,
                "from 1 to block_size = 16",
            ),
            (
                "eval --model run --data text.txt --max-tokens 0",
                2,
                "--max-tokens is 0: it must be",
            ),
            ("eval --model run --data phrasebook", 1, "is endless"),
            (
                &format!("train {TINY} --out text.txt/run"),
                1,
                "cannot write text.txt/run",
            ),
            (&format!("train {TINY} --out run"), 1, "--overwrite"),
            (
                "generate --model missing",
                1,
                "cannot read missing: there is no such file or folder",
            ),
            ("generate --model foreign", 1, "config.json"),
            ("generate --model cut", 1, "model.safetensors"),
            ("generate", 1, "there is no run in runs"),
            ("translate bonjour", 1, "there is no phrasebook run"),
            (
                "generate --model run --prompt é",
                1,
                "unknown character 'é'",
            ),
            ("logits --model run --ids 1,999 --out l", 1, "id 999"),
            (
                "logits --model run --ids 1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1 --out l",
                1,
                "17 positions",
            ),
            (
                "logits --model run --ids 1 --out missing/l",
                1,
                "cannot write missing/l",
            ),
        ],
    );
}

#[test]
fn a_broken_configuration_file_is_one_line() {
    let place = Place::new();
    fs::write(place.path("a.toml"), "[model]\nn_layer = = 2\n").unwrap();
    fs::write(place.path("b.toml"), "[model]\nn_layers = 2\n").unwrap();
    refused(
        &place,
        &[
            ("train --config a.toml", 1, "a.toml, line 2"),
            ("train --config b.toml", 1, "did you mean `model.n_layer`?"),
            (
                "train --config c.toml",
                1,
                "cannot read c.toml: there is no such file or folder",
            ),
        ],
    );
}

#[test]
fn a_backend_that_is_not_there_names_the_cause() {
    let place = Place::new();
    let devices = place.json("devices");
    let cuda = devices.iter().find(|d| d["backend"] == "cuda").unwrap();
    if let Some(reason) = cuda["reason"].as_str() {
        refused(
            &place,
            &[(&format!("train {TINY} --backend cuda"), 1, reason)],
        );
    }
}
