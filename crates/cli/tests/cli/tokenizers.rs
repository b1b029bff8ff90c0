//! Vocabularies on the command line: fitting, using, showing, converting, and training with them.

use crate::place::{Outcome, Place, TINY};
use serde_json::{Value, json};
use std::io::Write;
use std::process::Stdio;

impl Place {
    /// Runs a command with this stdin.
    pub(crate) fn fed(&self, args: &str, stdin: &str) -> Outcome {
        let mut child = self
            .command(args)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        child
            .stdin
            .take()
            .unwrap()
            .write_all(stdin.as_bytes())
            .unwrap();
        let output = child.wait_with_output().unwrap();
        Outcome {
            status: output.status.code(),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }

    /// Like `fed`, but expects success and lines of JSON.
    fn fed_json(&self, args: &str, stdin: &str) -> Vec<Value> {
        let outcome = self.fed(&format!("{args} --json"), stdin);
        assert_eq!(outcome.status, Some(0), "{outcome:?}");
        outcome
            .stdout
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }
}

const LINES: &str = "to be or not to be\n\nthat is, the question\n";

/// The kinds of ids that `tokenizer info` prints: numbers and names.
fn shares(shown: &str) -> Vec<(u64, String)> {
    let mut lines = shown
        .lines()
        .skip_while(|line| !line.starts_with("vocabulary"));
    let shares = lines.nth(1).unwrap().trim().split(", ");
    shares
        .map(|share| {
            let (count, name) = share.split_once(' ').unwrap();
            (count.replace(',', "").parse().unwrap(), name.to_owned())
        })
        .collect()
}

#[test]
fn what_the_ids_of_a_vocabulary_are_adds_up() {
    let place = Place::new();
    for (kind, flags, expected) in [
        ("char", "", "characters"),
        ("word", "--vocab-size 8", "words"),
        // The package reserves ids for words that this text does not have.
        ("ngram", "", "words, sub-words, unused ids"),
        ("ngram", "--lines", "words, sub-words"),
        ("ngram", "--vocab-size 10", "words, sub-words"),
        (
            "bpe",
            "--vocab-size 270 --special <|end|>",
            "bytes, merges, special",
        ),
    ] {
        let train = format!("tokenizer train --kind {kind} {flags} --data text.txt --out t.json");
        let trained = place.output(&train);
        let info = &place.json("tokenizer info --tokenizer t.json")[0];
        let shown = place.output("tokenizer info --tokenizer t.json");
        let shares = shares(&shown);
        let total: u64 = shares.iter().map(|(count, _)| count).sum();
        assert_eq!(info["vocab_size"], total, "{shown}");
        let names: Vec<&str> = shares.iter().map(|(_, name)| name.as_str()).collect();
        assert_eq!(names.join(", "), expected, "{shown}");
        let unused = info["unused"].as_u64().unwrap();
        assert_eq!(unused > 0, expected.contains("unused"), "{info}");
        assert_eq!(shown.contains("unused: among "), unused > 0, "{shown}");
        // A token has an id and a text.
        let tokens = total - unused;
        assert!(
            trained.starts_with(&format!("{kind}: {tokens} tokens")),
            "{trained}"
        );
    }
}

#[test]
fn every_kind_goes_to_ids_and_back() {
    let place = Place::new();
    for kind in ["char", "word", "ngram", "bpe"] {
        let trained = &place.json(&format!(
            "tokenizer train --kind {kind} --vocab-size 300 --data text.txt --out {kind}.json"
        ))[0];
        assert_eq!(trained["kind"], kind);
        assert!(trained["seconds"].is_number() && trained["vocab_size"].as_u64() <= Some(300));
        let info = &place.json(&format!("tokenizer info --tokenizer {kind}.json --vocab 3"))[0];
        assert_eq!(
            (&info["kind"], &info["vocab_size"]),
            (&trained["kind"], &trained["vocab_size"])
        );
        // For ngram the list has the pieces: this text has only the two marks around them.
        let listed = if kind == "ngram" { 2 } else { 3 };
        assert_eq!(
            info["vocab"].as_array().map(Vec::len),
            Some(listed),
            "{info}"
        );

        let ids = place.fed_json(&format!("tokenizer encode --tokenizer {kind}.json"), LINES);
        assert_eq!(ids.len(), 3);
        assert_eq!(ids[1], json!([]));
        let lines: String = ids.iter().map(|ids| format!("{ids}\n")).collect();
        let decode = format!("tokenizer decode --tokenizer {kind}.json");
        let texts = place.fed_json(&decode, &lines);
        if kind != "ngram" {
            assert_eq!(texts[2], "that is, the question", "{kind}");
        }
        assert_eq!(texts[0], "to be or not to be", "{kind}");
        // Plain ids can be read too, as well as output for people.
        let encode = format!("tokenizer encode --tokenizer {kind}.json");
        let plain = place.fed(&encode, LINES).stdout;
        assert_eq!(place.fed_json(&decode, &plain), texts);
        // Take the whole input as one text, line ends included.
        let whole = place.fed_json(&format!("{encode} --whole"), LINES);
        assert_eq!(whole.len(), 1);
        let text = &place.fed_json(&format!("{decode} --whole"), &whole[0].to_string())[0];
        if kind != "ngram" {
            let want = if kind == "word" {
                LINES.trim_end_matches(' ')
            } else {
                LINES
            };
            assert_eq!(text, want);
        }
    }
}

#[test]
fn special_tokens_are_text_unless_asked_for() {
    let place = Place::new();
    place.output(
        "tokenizer train --vocab-size 300 --special <|end|> --data text.txt --out bpe.json",
    );
    let encode = |flags: &str| {
        let args = format!("tokenizer encode --tokenizer bpe.json {flags}");
        place.fed_json(&args, "<|end|>")[0]
            .as_array()
            .unwrap()
            .len()
    };
    assert!(encode("") > 3);
    assert_eq!(encode("--special"), 1);
    let shown = place.fed(
        "tokenizer encode --tokenizer bpe.json --show --special",
        "to<|end|>",
    );
    assert_eq!(shown.stdout, "to|<|end|>\n");
    // The colours repeat after the sixth.
    let mut command = place.command("tokenizer encode --tokenizer bpe.json --show --special");
    let nine = "<|end|>".repeat(9);
    std::fs::write(place.path("nine.txt"), &nine).unwrap();
    command.stdin(std::fs::File::open(place.path("nine.txt")).unwrap());
    let coloured = Outcome::of(command.env("CLICOLOR_FORCE", "1"));
    assert_eq!(coloured.status, Some(0), "{coloured:?}");
    let tokens: Vec<&str> = coloured.stdout.split_inclusive("<|end|>").collect();
    let colours: Vec<&str> = tokens
        .iter()
        .filter_map(|t| t.split("\u{1b}[3").nth(1))
        .collect();
    assert_eq!(colours.len(), 9, "{coloured:?}");
    assert_eq!(colours[6..], colours[..3], "{coloured:?}");
    assert!((1..6).all(|i| colours[i] != colours[0]), "{coloured:?}");
}

#[test]
fn formats_of_others_hold_the_same_ids() {
    let place = Place::new();
    place.output("tokenizer train --pattern gpt2 --vocab-size 290 --data text.txt --out a.json");
    let ids = |tokenizer: &str| {
        place.fed_json(
            &format!("tokenizer encode --tokenizer {tokenizer}"),
            "to be, or",
        )[0]
        .clone()
    };
    for (format, out) in [("hf", "b.json"), ("latimer", "c.json")] {
        place.output(&format!(
            "tokenizer convert --tokenizer a.json --to {format} --out {out}"
        ));
        assert_eq!(ids(out), ids("a.json"), "{format}");
    }
    // A rank file does not state its pattern, but its name does.
    place.output("tokenizer convert --tokenizer a.json --to tiktoken --out r50k_base.tiktoken");
    assert_eq!(ids("r50k_base.tiktoken"), ids("a.json"));
    // GPT-2's two files do not state it either; their pattern is GPT-2's.
    place.output("tokenizer convert --tokenizer a.json --to gpt2 --out folder");
    assert_eq!(ids("folder"), ids("a.json"));
    place.output("tokenizer train --kind ngram --data text.txt --out n.json");
    place.output("tokenizer convert --tokenizer n.json --to python-bpe --out p.json");
    assert_eq!(ids("p.json"), ids("n.json"));
}

#[test]
fn prepared_tokens_train_as_the_text_does() {
    let place = Place::new();
    place.output("tokenizer train --vocab-size 280 --pattern gpt2 --data text.txt --out bpe.json");
    let made = &place.json(
        "data prepare text.txt text.txt --tokenizer bpe.json --out tokens --shard-tokens 300",
    )[0];
    let text = std::fs::read_to_string(place.path("text.txt"))
        .unwrap()
        .repeat(2);
    let encode = "tokenizer encode --whole --tokenizer bpe.json";
    let ids = place.fed_json(encode, &text)[0].as_array().unwrap().len();
    assert_eq!(made["tokens"], ids);
    assert_eq!(made["shards"], ids.div_ceil(300));
    let losses = |data: &str, out: &str| {
        // Without a validation split both train on all tokens; otherwise the split is made by
        // characters.
        let flags = format!("--tokenizer bpe.json --val-fraction 0 --out {out}");
        let train = format!("train {TINY} {flags}").replace("text.txt", data);
        let events = place.json(&train);
        let steps = events.iter().filter(|event| event["event"] == "step");
        steps
            .map(|event| event["loss"].as_f64().unwrap())
            .collect::<Vec<_>>()
    };
    let of_text = losses("text.txt text.txt", "a");
    assert_eq!(of_text.len(), 5);
    assert_eq!(losses("tokens", "b"), of_text);
    // Without `--tokenizer`, the tokenizer of the tokens is used.
    let events = place.json(&format!("train {TINY} --out c").replace("text.txt", "tokens"));
    assert_eq!(events[0]["vocab_size"], 280);
}

#[test]
fn what_cannot_be_is_said() {
    let place = Place::new();
    place.output("tokenizer train --kind char --data text.txt --out char.json");
    place.output("tokenizer train --kind word --data text.txt --out word.json");
    place.output("data prepare text.txt --tokenizer char.json --out tokens");
    std::fs::write(place.path("broken.json"), "{\"model\": {}}").unwrap();
    for (args, status, said) in [
        (
            "tokenizer train --kind ngrm --data text.txt --out x",
            2,
            "did you mean `ngram`?",
        ),
        (
            "tokenizer train --pattern gtp2 --data text.txt --out x",
            2,
            "did you mean `gpt2`?",
        ),
        (
            "tokenizer train --ties lowest --data text.txt --out x",
            2,
            "lowest-ids",
        ),
        (
            "tokenizer train --vocab-size 0 --data text.txt --out x",
            2,
            "--vocab-size is 0: it must be a whole number from 1",
        ),
        (
            "tokenizer train --vocab-size 100 --data text.txt --out x",
            1,
            "256",
        ),
        (
            "tokenizer train --data missing.txt --out x",
            1,
            "missing.txt",
        ),
        (
            "tokenizer train --data text.txt --out no/where.json",
            1,
            "no/where.json",
        ),
        (
            "tokenizer info --tokenizer missing.json",
            1,
            "cannot read missing.json",
        ),
        ("tokenizer info --tokenizer broken.json", 1, "broken.json"),
        ("tokenizer info --tokenizer text.txt", 1, "text.txt"),
        (
            "tokenizer convert --tokenizer char.json --to tiktokn --out x",
            2,
            "did you mean `tiktoken`?",
        ),
        (
            "tokenizer convert --tokenizer char.json --to hf --out x",
            2,
            "kind char",
        ),
        (
            "data prepare text.txt --tokenizer char.json --out tokens",
            1,
            "already holds",
        ),
        (
            "data prepare phrasebook --tokenizer char.json --out y",
            1,
            "phrasebook",
        ),
        (
            "data prepare text.txt --tokenizer char.json --out y --shard-tokens 0",
            2,
            "--shard-tokens is 0: it must be a whole number from 1",
        ),
        (
            "train --preset baby --data tokens --tokenizer word.json --max-iters 1 --warmup-iters 0",
            1,
            "another tokenizer",
        ),
        ("train --tokenizer bpe", 1, "an endless corpus"),
    ] {
        let outcome = place.run(args);
        assert_eq!(outcome.status, Some(status), "{args}: {outcome:?}");
        assert!(outcome.stderr.contains(said), "{args}: {outcome:?}");
        assert_eq!(
            outcome.stderr.trim_end().lines().count(),
            1,
            "{args}: {outcome:?}"
        );
        assert!(!outcome.stderr.contains("panicked"), "{args}: {outcome:?}");
    }
    for left in ["x", "y"] {
        assert!(!place.path(left).exists(), "{left} is left");
    }
    let bad = place.fed("tokenizer decode --tokenizer char.json", "0 1\n2 three\n");
    assert_eq!(bad.status, Some(1));
    assert!(bad.stderr.contains("line 2 of stdin: `three`"), "{bad:?}");
    let bad = place.fed("tokenizer encode --tokenizer char.json", "to be\nquiz\n");
    assert_eq!(bad.status, Some(1));
    assert!(
        bad.stderr
            .contains("line 2 of stdin: unknown character 'z'"),
        "{bad:?}"
    );
    // One file of tokens was cut short, the other is not a file of tokens.
    let shard = place.path("tokens/shard-00000.bin");
    let whole = std::fs::read(&shard).unwrap();
    for (bytes, said) in [
        (&whole[..whole.len() - 1], "announces"),
        (&whole[..10], "shorter than its header"),
        (
            &b"x".repeat(100)[..],
            "does not begin with the header of one",
        ),
    ] {
        std::fs::write(&shard, bytes).unwrap();
        let outcome = place.run("train --preset baby --data tokens --max-iters 1");
        assert_eq!(outcome.status, Some(1), "{outcome:?}");
        assert!(outcome.stderr.contains(said), "{outcome:?}");
    }
}
