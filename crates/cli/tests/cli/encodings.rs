//! Text as other programs write it: byte-order marks, UTF-16, `\r\n`, and pipes instead of files.

use crate::place::{Outcome, Place, TINY};
use serde_json::Value;
use std::io::Write;
use std::process::Stdio;

const MARK: &[u8] = b"\xef\xbb\xbf";
const TEXT: &str = "to be or not to be, that is the question\n";

fn utf16(text: &str) -> Vec<u8> {
    text.encode_utf16().flat_map(u16::to_le_bytes).collect()
}

impl Place {
    fn write(&self, name: &str, bytes: impl AsRef<[u8]>) {
        std::fs::write(self.path(name), bytes).unwrap();
    }

    fn fed_bytes(&self, args: &str, stdin: &[u8]) -> Outcome {
        let mut child = self
            .command(args)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // A command that refuses its input may not read all of it.
        let _: std::io::Result<()> = child.stdin.take().unwrap().write_all(stdin);
        let output = child.wait_with_output().unwrap();
        Outcome {
            status: output.status.code(),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }

    #[track_caller]
    fn refused(&self, args: &str, said: &str) {
        let outcome = self.run(args);
        assert_eq!(outcome.status, Some(1), "{args}: {outcome:?}");
        assert!(outcome.stderr.contains(said), "{args}: {outcome:?}");
        assert!(outcome.stderr.contains("iconv -f"), "{args}: {outcome:?}");
    }
}

#[test]
fn a_mark_changes_no_vocabulary_and_no_loss() {
    let place = Place::new();
    let text = TEXT.repeat(40);
    place.write("text.txt", &text);
    place.write("marked.txt", [MARK, text.as_bytes()].concat());
    for kind in ["char", "word", "ngram", "bpe"] {
        let train = |data: &str| {
            place.output(&format!(
                "tokenizer train --kind {kind} --vocab-size 300 --data {data} --out {data}.json"
            ));
            std::fs::read(place.path(format!("{data}.json"))).unwrap()
        };
        assert_eq!(train("marked.txt"), train("text.txt"), "{kind}");
    }
    let losses = |data: &str| {
        let train = format!("train {TINY} --out run-{data}").replace("text.txt", data);
        let events = place.json(&train);
        events.last().unwrap()["val_loss"].clone()
    };
    assert_eq!(losses("marked.txt"), losses("text.txt"));
    let eval = |data: &str| {
        let measured = &place.json(&format!("eval --model run-text.txt --data {data}"))[0];
        (measured["loss"].clone(), measured["bytes"].clone())
    };
    assert_eq!(eval("marked.txt"), eval("text.txt"));
    let prepared = |data: &str| {
        let prepare = format!("data prepare {data} --tokenizer text.txt.json --out p-{data}");
        place.json(&prepare)[0]["tokens"].clone()
    };
    assert_eq!(prepared("marked.txt"), prepared("text.txt"));
}

#[test]
fn other_encodings_are_refused_wherever_text_is_read() {
    let place = Place::new();
    let text = TEXT.repeat(40);
    place.output("tokenizer train --kind bpe --vocab-size 280 --data text.txt --out bpe.json");
    place.output(&format!("train {TINY} --out run"));
    place.write("wide.txt", utf16(&text));
    place.write("marked.txt", utf16(&format!("\u{feff}{text}")));
    place.write("latin.txt", b"a caf\xe9\n".repeat(40));
    for (data, said) in [
        ("wide.txt", "wide.txt is UTF-16LE text (detected at byte 1)"),
        (
            "marked.txt",
            "marked.txt is UTF-16LE text (detected at byte 0)",
        ),
        (
            "latin.txt",
            "latin.txt is not UTF-8 text: byte 5 does not belong",
        ),
    ] {
        for kind in ["char", "word", "ngram", "bpe"] {
            place.refused(
                &format!("tokenizer train --kind {kind} --vocab-size 300 --data {data} --out x"),
                said,
            );
        }
        place.refused(
            &format!("train {TINY} --out no").replace("text.txt", data),
            said,
        );
        place.refused(&format!("eval --model run --data {data}"), said);
        place.refused(
            &format!("data prepare {data} --tokenizer bpe.json --out no"),
            said,
        );
    }
    assert!(!place.path("x").exists());
    // Also test files other than data.
    let json = std::fs::read_to_string(place.path("bpe.json")).unwrap();
    place.write("wide.json", utf16(&json));
    place.write("gpt2.tiktoken", utf16("IQ== 0\n"));
    place.write("wide.toml", utf16("[train]\nmax_iters = 1\n"));
    for args in [
        "tokenizer info --tokenizer wide.json",
        "tokenizer info --tokenizer gpt2.tiktoken",
        "train --config wide.toml",
    ] {
        place.refused(args, "is UTF-16LE text");
    }
    std::fs::create_dir(place.path("pair")).unwrap();
    place.write("pair/vocab.json", utf16("{\"a\": 0}"));
    place.write("pair/merges.txt", "#version: 0.2\n");
    place.refused("tokenizer info --tokenizer pair", "vocab.json is UTF-16LE");
    for flags in ["", "--whole"] {
        let encode = format!("tokenizer encode --tokenizer bpe.json {flags}");
        let outcome = place.fed_bytes(&encode, &utf16(&text));
        assert_eq!((outcome.status, outcome.stdout.as_str()), (Some(1), ""));
        assert!(
            outcome.stderr.contains("stdin is UTF-16LE text"),
            "{outcome:?}"
        );
    }
}

#[test]
fn marks_and_line_ends_of_files_that_are_not_data() {
    let place = Place::new();
    place.output("tokenizer train --pattern gpt2 --vocab-size 280 --data text.txt --out bpe.json");
    place.output("tokenizer convert --tokenizer bpe.json --to gpt2 --out pair");
    place.output("tokenizer convert --tokenizer bpe.json --to tiktoken --out gpt2.tiktoken");
    let info = |tokenizer: &str| place.output(&format!("tokenizer info --tokenizer {tokenizer}"));
    let before = info("bpe.json");
    for name in [
        "bpe.json",
        "pair/vocab.json",
        "pair/merges.txt",
        "gpt2.tiktoken",
    ] {
        let text = std::fs::read_to_string(place.path(name)).unwrap();
        let text = text.replace('\n', "\r\n");
        place.write(name, [MARK, text.as_bytes()].concat());
    }
    for tokenizer in ["bpe.json", "pair", "gpt2.tiktoken"] {
        assert_eq!(info(tokenizer), before, "{tokenizer}");
    }
    place.write(
        "run.toml",
        [MARK, b"preset = \"baby\"\r\n[train]\r\nmax_iters = 7\r\n"].concat(),
    );
    let printed = place.output("train --config run.toml --print-config");
    assert!(printed.contains("max_iters = 7"), "{printed}");
    // Read stdin line by line.
    let encode = "tokenizer encode --tokenizer bpe.json";
    let plain = place.fed_bytes(encode, b"to be\nor\n");
    assert_eq!(plain.stdout.lines().count(), 2, "{plain:?}");
    let marked = place.fed_bytes(encode, &[MARK, b"to be\r\nor\r\n"].concat());
    assert_eq!(marked.stdout, plain.stdout);
    let decode = "tokenizer decode --tokenizer bpe.json";
    let ids = plain.stdout.replace('\n', "\r\n");
    let text = place.fed_bytes(decode, &[MARK, ids.as_bytes()].concat());
    assert_eq!(text.stdout, "to be\nor\n", "{text:?}");
    // In a whole text, line ends are data.
    let whole = place.fed_bytes(&format!("{encode} --whole"), b"to be\r\nor");
    let text = place.fed_bytes(&format!("{decode} --whole"), whole.stdout.as_bytes());
    assert_eq!(text.stdout, "to be\r\nor", "{text:?}");
}

#[cfg(unix)]
#[test]
fn pipes_are_read_as_files_are_and_their_bytes_counted() {
    let place = Place::new();
    let text = std::fs::read(place.path("text.txt")).unwrap();
    let json = |args: &str| -> Vec<Value> {
        let outcome = place.fed_bytes(&format!("{args} --json"), &text);
        assert_eq!(outcome.status, Some(0), "{args}: {outcome:?}");
        let lines = outcome.stdout.lines();
        lines
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    };
    for kind in ["char", "word", "ngram", "bpe"] {
        let train = |data: &str| {
            let flags = format!("--kind {kind} --vocab-size 300 --out {kind}.json");
            let made = json(&format!("tokenizer train --data {data} {flags}"))[0].clone();
            assert_eq!(made["bytes"], text.len(), "{kind} {data}");
            std::fs::read(place.path(format!("{kind}.json"))).unwrap()
        };
        assert_eq!(train("/dev/stdin"), train("text.txt"), "{kind}");
    }
    let prepare = |data: &str, out: &str| {
        let made = json(&format!(
            "data prepare {data} --tokenizer bpe.json --out {out}"
        ));
        assert_eq!(made[0]["bytes"], text.len());
        made[0]["tokens"].clone()
    };
    assert_eq!(prepare("/dev/stdin", "a"), prepare("text.txt", "b"));
    let loss = |data: &str, flags: &str, out: &str| {
        let train = format!("train {TINY} {flags} --out {out}").replace("text.txt", data);
        json(&train).last().unwrap()["val_loss"].clone()
    };
    assert_eq!(loss("/dev/stdin", "", "c"), loss("text.txt", "", "d"));
    std::fs::write(place.path("other.txt"), TEXT.repeat(30)).unwrap();
    let weights = "--data other.txt --data-weights 1,2";
    assert_eq!(
        loss("/dev/stdin", weights, "e"),
        loss("text.txt", weights, "f")
    );
    let eval = |data: &str| json(&format!("eval --model c --data {data}"))[0]["loss"].clone();
    assert_eq!(eval("/dev/stdin"), eval("text.txt"));
}
