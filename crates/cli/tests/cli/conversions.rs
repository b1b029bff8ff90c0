//! Vocabularies written in other programs' formats and read back, and tokenizers for models without
//! one.

use crate::place::{Outcome, Place, TINY};
use serde_json::Value;

impl Place {
    /// The ids of a line.
    fn ids(&self, flags: &str) -> String {
        let outcome = self.fed(&format!("tokenizer encode {flags}"), "to be, or  not\n");
        assert_eq!(outcome.status, Some(0), "{flags}: {outcome:?}");
        outcome.stdout
    }

    fn convert(&self, flags: &str) -> Outcome {
        self.run(&format!("tokenizer convert {flags}"))
    }

    #[track_caller]
    fn loses(&self, flags: &str, out: &str, said: &[&str]) {
        let flags = format!("{flags} --out {out}");
        let refused = self.convert(&flags);
        assert_eq!(refused.status, Some(1), "{flags}: {refused:?}");
        let written = self.convert(&format!("{flags} --lossy --json"));
        assert_eq!(written.status, Some(0), "{flags}: {written:?}");
        let result: Value = serde_json::from_str(&written.stdout).unwrap();
        assert_eq!(result["lost"].as_array().map(Vec::len), Some(1), "{result}");
        for said in said {
            assert!(refused.stderr.contains(said), "{refused:?}");
            assert!(written.stderr.contains(said), "{written:?}");
        }
        assert!(refused.stderr.contains("--lossy"), "{refused:?}");
    }
}

#[test]
fn what_a_format_does_not_keep_is_said_and_asked_for() {
    let place = Place::new();
    let train = |flags: &str, out: &str| {
        place.output(&format!(
            "tokenizer train --vocab-size 290 --data text.txt {flags} --out {out}"
        ));
    };
    train("--pattern gpt2", "plain.json");
    train("--pattern gpt4", "gpt4.json");
    train(
        "--pattern gpt2 --special <|a|> --special <|b|>",
        "special.json",
    );
    place.loses(
        "--tokenizer gpt4.json --to gpt2",
        "lost",
        &["the pattern gpt4, read back as gpt2"],
    );
    place.loses(
        "--tokenizer special.json --to tiktoken",
        "lost.tiktoken",
        &["2 special tokens (<|a|>, <|b|>)"],
    );
    place.output("tokenizer train --kind ngram --lines --data text.txt --out lines.json");
    place.loses(
        "--tokenizer lines.json --to python-bpe",
        "lost.json",
        &["line ends"],
    );
    // Everything else is the same.
    assert_eq!(
        place.ids("--tokenizer lost --pattern gpt4"),
        place.ids("--tokenizer gpt4.json")
    );
    assert_eq!(
        place.ids("--tokenizer lost.tiktoken --pattern gpt2"),
        place.ids("--tokenizer special.json")
    );
    // Nothing is written if something would be lost.
    let refused = place.convert("--tokenizer gpt4.json --to gpt2 --out none");
    assert!(refused.status == Some(1) && !place.path("none").exists());
    // Formats that keep everything need no flag: test every kind and every pattern.
    for (tokenizer, to, out) in [
        ("plain.json", "gpt2", "kept"),
        ("special.json", "gpt2", "kept-special"),
        ("special.json", "hf", "kept.json"),
        ("gpt4.json", "hf", "kept-gpt4.json"),
        ("gpt4.json", "latimer", "kept-latimer.json"),
        ("lines.json", "latimer", "kept-lines.json"),
    ] {
        place.output(&format!(
            "tokenizer convert --tokenizer {tokenizer} --to {to} --out {out}"
        ));
        let info =
            |tokenizer: &str| place.output(&format!("tokenizer info --tokenizer {tokenizer}"));
        assert_eq!(info(out), info(tokenizer), "{out}");
    }
}

#[test]
fn a_rank_file_is_read_back_whatever_it_is_called() {
    let place = Place::new();
    for (pattern, name) in [
        ("cl100k", "cl100k_base.tiktoken"),
        ("gpt2", "r50k_base.tiktoken"),
        ("gpt2", "gpt2.tiktoken"),
        ("o200k", "o200k_base"),
    ] {
        place.output(&format!(
            "tokenizer train --vocab-size 280 --pattern {pattern} --data text.txt --out a.json"
        ));
        let outcome = place.convert(&format!("--tokenizer a.json --to tiktoken --out {name}"));
        assert_eq!(
            (outcome.status, outcome.stderr.as_str()),
            (Some(0), ""),
            "{name}"
        );
        // A name alone is not a vocabulary: it adds no special tokens and no ids of an encoding.
        let info = &place.json(&format!("tokenizer info --tokenizer {name}"))[0];
        assert_eq!(info["vocab_size"], 280, "{info}");
        assert_eq!(info["pattern"], pattern, "{info}");
        assert_eq!(
            place.ids(&format!("--tokenizer {name}")),
            place.ids("--tokenizer a.json")
        );
    }
    // Other names do not select a pattern.
    place.output("tokenizer train --vocab-size 280 --pattern gpt4 --data text.txt --out a.json");
    for name in ["mine.tiktoken", "ranks.txt", "cl100k_base.tiktoken"] {
        let outcome = place.convert(&format!("--tokenizer a.json --to tiktoken --out {name}"));
        assert!(outcome.stderr.contains("--pattern gpt4"), "{outcome:?}");
        assert_eq!(
            place.ids(&format!("--tokenizer {name} --pattern gpt4")),
            place.ids("--tokenizer a.json")
        );
    }
    let asked = place.run("tokenizer info --tokenizer mine.tiktoken");
    assert_eq!(asked.status, Some(1));
    assert!(asked.stderr.contains("--pattern NAME"), "{asked:?}");
    let needless = place.run("tokenizer info --tokenizer a.json --pattern gpt2");
    assert_eq!(needless.status, Some(1));
    assert!(needless.stderr.contains("pattern"), "{needless:?}");
}

#[test]
fn a_tokenizer_is_found_in_every_folder_by_one_rule() {
    let place = Place::new();
    place.output("tokenizer train --vocab-size 280 --pattern gpt2 --data text.txt --out a.json");
    place.output(&format!("train {TINY} --tokenizer a.json --out run"));
    place.output("tokenizer convert --tokenizer a.json --to gpt2 --out pair");
    // Take the tokenizer of a run, and of a checkpoint.
    let checkpoint = std::fs::read_to_string(place.path("run/latest")).unwrap();
    let checkpoint = format!("run/{}", checkpoint.trim());
    for tokenizer in ["run", &checkpoint, "pair"] {
        assert_eq!(
            place.ids(&format!("--tokenizer {tokenizer}")),
            place.ids("--tokenizer a.json"),
            "{tokenizer}"
        );
    }
    // The model's folder has only the pair of files.
    let model = place.path("model");
    std::fs::create_dir(&model).unwrap();
    for name in ["config.json", "model.safetensors"] {
        std::fs::copy(place.path(&checkpoint).join(name), model.join(name)).unwrap();
    }
    let generate = "generate --prompt be --max-new-tokens 4 --seed 1";
    let text = |flags: &str| place.json(&format!("{generate} {flags}"))[0]["text"].clone();
    let whole = text("--model run");
    let without = place.run(&format!("{generate} --model model"));
    assert_eq!(without.status, Some(1));
    assert!(without.stderr.contains("--tokenizer"), "{without:?}");
    for tokenizer in ["a.json", "pair", "run"] {
        assert_eq!(
            text(&format!("--model model --tokenizer {tokenizer}")),
            whole
        );
    }
    for name in ["vocab.json", "merges.txt"] {
        std::fs::copy(place.path("pair").join(name), model.join(name)).unwrap();
    }
    assert_eq!(text("--model model"), whole);
    let loss =
        |flags: &str| place.json(&format!("eval --data text.txt {flags}"))[0]["loss"].clone();
    assert_eq!(loss("--model model"), loss("--model run"));
    // Use another tokenizer in place of the model's own: a smaller one is used, a larger one
    // refused, and the model's own is not read even if it is broken.
    std::fs::write(
        model.join("tokenizer.json"),
        "{\"model\": {\"type\": \"WordPiece\"}}",
    )
    .unwrap();
    let broken = place.run(&format!("{generate} --model model"));
    assert!(broken.stderr.contains("WordPiece"), "{broken:?}");
    assert_eq!(text("--model model --tokenizer a.json"), whole);
    let specials: String = (0..60).map(|i| format!(" --special <|{i}|>")).collect();
    place.output(&format!(
        "tokenizer train --vocab-size 340 --data text.txt --out large.json{specials}"
    ));
    place.output("tokenizer train --vocab-size 260 --data text.txt --out small.json");
    let large = place.run(&format!("{generate} --model run --tokenizer large.json"));
    assert_eq!(large.status, Some(1));
    assert!(
        large.stderr.contains("tokens, but the model has"),
        "{large:?}"
    );
    place.output(&format!("{generate} --model run --tokenizer small.json"));
    // For folders without a tokenizer, the error says what they contain.
    std::fs::create_dir(place.path("half")).unwrap();
    std::fs::copy(place.path("pair/vocab.json"), place.path("half/vocab.json")).unwrap();
    let half = place.run("tokenizer info --tokenizer half");
    assert!(
        half.stderr
            .contains("it has vocab.json, but not merges.txt"),
        "{half:?}"
    );
}

#[test]
fn what_lies_beside_the_pair_is_used_or_named() {
    let place = Place::new();
    place.output("tokenizer train --vocab-size 280 --pattern gpt2 --data text.txt --out a.json");
    place.output("tokenizer convert --tokenizer a.json --to gpt2 --out pair");
    std::fs::write(place.path("pair/added_tokens.json"), "{\"<pad>\": 280}").unwrap();
    let info = &place.json("tokenizer info --tokenizer pair")[0];
    assert_eq!(
        (&info["vocab_size"], &info["special"]["<pad>"]),
        (&281.into(), &280.into())
    );
    for (config, status, said) in [
        (
            "{\"tokenizer_class\": \"GPT2TokenizerFast\", \"add_prefix_space\": false}",
            0,
            "",
        ),
        (
            "{\"tokenizer_class\": \"CLIPTokenizer\"}",
            1,
            "CLIPTokenizer",
        ),
        ("{\"add_prefix_space\": true}", 1, "add_prefix_space"),
    ] {
        std::fs::write(place.path("pair/tokenizer_config.json"), config).unwrap();
        let outcome = place.run("tokenizer info --tokenizer pair");
        assert_eq!(outcome.status, Some(status), "{config}: {outcome:?}");
        assert!(outcome.stderr.contains(said), "{config}: {outcome:?}");
    }
}
