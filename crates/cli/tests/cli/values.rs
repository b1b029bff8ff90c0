//! Values that look like flags, and numbers out of range.

use crate::place::{Outcome, Place, TINY};

/// Runs the command with these arguments, which may hold spaces.
fn run(place: &Place, args: &[&str]) -> Outcome {
    Outcome::of(&mut place.command_of(args.iter().copied()))
}

#[test]
fn a_text_may_begin_with_a_dash() {
    let place = Place::new();
    let text = "- to be, or -chat\n-- not --seed -1 --\n".repeat(40);
    std::fs::write(place.path("text.txt"), text).unwrap();
    place.output(&format!("train {TINY} --quiet"));
    for prompt in ["- to be", "-chat", "-", "-1", "--", "--seed", "-- not"] {
        let known = matches!(prompt, "--" | "--seed");
        let joined = format!("--prompt={prompt}");
        let rest = ["--max-new-tokens", "4", "--json"];
        let outcome = run(&place, &[&["generate", &joined], &rest[..]].concat());
        assert_eq!(outcome.status, Some(0), "{prompt}: {outcome:?}");
        let begin = format!("{{\"text\":\"{prompt}");
        assert!(outcome.stdout.starts_with(&begin), "{outcome:?}");
        let apart = run(
            &place,
            &[&["generate", "--prompt", prompt], &rest[..]].concat(),
        );
        if !known {
            let ids = |outcome: &Outcome| {
                let json: serde_json::Value = serde_json::from_str(&outcome.stdout).unwrap();
                json["ids"].clone()
            };
            assert_eq!(ids(&apart), ids(&outcome), "{prompt}: {apart:?}");
            continue;
        }
        assert_eq!(apart.status, Some(2), "{apart:?}");
        let refused = format!(
            "error: --prompt needs a value, but `{prompt}` follows it: give it one, or write \
             `--prompt={prompt}` if that is the value\n"
        );
        assert_eq!(apart.stderr, refused);
    }
    // A value was forgotten, for any option that takes one.
    for args in [
        &["generate", "--prompt", "--seed", "1"][..],
        &["generate", "--model", "-q"],
        &["train", "--data", "--preset", "baby"],
        &["train", "--n-layer", "--n-head=2"],
        &["train", "--set", "--json"],
        &["tokenizer", "train", "--out", "--data", "text.txt"],
        &["lesson", "2", "--try", "--latex"],
    ] {
        let outcome = run(&place, args);
        assert_eq!(outcome.status, Some(2), "{args:?}: {outcome:?}");
        assert!(
            outcome.stderr.contains("needs a value, but `-"),
            "{outcome:?}"
        );
    }
}

#[test]
fn words_may_begin_with_a_dash() {
    let place = Place::new();
    let exact = |words: &[&str]| {
        run(
            &place,
            &[&["translate", "--method", "fuzzy"], words].concat(),
        )
    };
    for words in [
        &["-chat"][..],
        &["le", "-chat", "--json"],
        &["--", "-chat"],
        &["-- chat"],
    ] {
        let outcome = exact(words);
        assert_eq!(outcome.status, Some(0), "{words:?}: {outcome:?}");
        assert!(outcome.stdout.contains("cat"), "{words:?}: {outcome:?}");
        assert_eq!(
            outcome.stdout.starts_with('{'),
            words.contains(&"--json"),
            "{outcome:?}"
        );
    }
    let outcome = exact(&["--chat"]);
    assert_eq!(outcome.status, Some(2), "{outcome:?}");
    assert!(
        outcome.stderr.contains("unknown flag `--chat`"),
        "{outcome:?}"
    );
    assert!(outcome.stderr.contains("after `--`"), "{outcome:?}");
    for (args, words) in [
        (&["lesson", "-1"][..], "there is no lesson -1"),
        (&["data", "get", "-x"], "unknown corpus `-x`"),
        (&["bench", "op", "-x"], "unknown operation `-x`"),
        (
            &["train", "--data", "-x", "--preset", "baby"],
            "cannot read -x",
        ),
    ] {
        let outcome = run(&place, args);
        assert!(outcome.stderr.contains(words), "{args:?}: {outcome:?}");
    }
}

/// Every option of every command that takes a number.
const NUMBERS: &[(&str, &[&str])] = &[
    (
        "train --preset baby --data text.txt --dry-run",
        &[
            "n-layer",
            "n-head",
            "n-embd",
            "block-size",
            "norm-eps",
            "ff-width",
            "ff-factor",
            "dropout",
            "max-iters",
            "batch-size",
            "grad-accum",
            "learning-rate",
            "min-lr",
            "warmup-iters",
            "decay-iters",
            "weight-decay",
            "beta1",
            "beta2",
            "eps",
            "grad-clip",
            "skip-outliers",
            "patience",
            "eval-interval",
            "eval-iters",
            "val-fraction",
            "sample-interval",
            "checkpoint-interval",
            "keep-last",
            "seed",
            "max-vocab-size",
            "threads",
        ],
    ),
    (
        "generate",
        &[
            "max-new-tokens",
            "temperature",
            "top-k",
            "top-p",
            "num-samples",
            "seed",
            "threads",
        ],
    ),
    (
        "translate --method head chat",
        &["temperature", "scale", "seed"],
    ),
    ("eval --data text.txt", &["max-tokens", "stride"]),
    ("logits --out l", &["ids"]),
    (
        "tokenizer train --data text.txt --out t",
        &[
            "vocab-size",
            "min-frequency",
            "pct-bpe",
            "ngram-min",
            "ngram-max",
        ],
    ),
    ("tokenizer info --tokenizer t", &["vocab"]),
    (
        "data prepare text.txt --tokenizer t --out o",
        &["shard-tokens"],
    ),
    (
        "bench train --preset baby",
        &["steps", "warmup", "seq-len", "vocab-size", "n-layer"],
    ),
    (
        "bench generate --preset baby",
        &["new-tokens", "prompt-tokens", "runs", "warmup"],
    ),
    ("bench op matmul", &["shape", "runs", "warmup"]),
];

#[test]
fn a_number_out_of_range_says_what_it_must_be() {
    let place = Place::new();
    let before = place.listing();
    for &(command, options) in NUMBERS {
        for option in options {
            for value in [
                "-1",
                "nan",
                "many",
                "",
                "0x10",
                "1e999",
                "99999999999999999999999",
            ] {
                if value.starts_with("999") && matches!(*option, "temperature" | "scale") {
                    // The temperature has no upper limit.
                    continue;
                }
                let words: Vec<&str> = command.split(' ').collect();
                let option = format!("--{option}");
                let outcome = run(&place, &[&words[..], &[&option, value]].concat());
                let case = format!("{command} {option} {value}: {outcome:?}");
                if is_sound(&option, value) {
                    assert!(!outcome.stderr.contains(": it must be "), "{case}");
                    continue;
                }
                assert_eq!(outcome.status, Some(2), "{case}");
                // A key is shown with its section, and the value as the program read it.
                let name = option.trim_start_matches('-');
                let key = name.replace('-', "_");
                let named = outcome.stderr.contains(&format!("{name} is "))
                    || outcome.stderr.contains(&format!("{key} is "));
                assert!(named && outcome.stderr.contains(": it must be "), "{case}");
            }
        }
    }
    assert_eq!(place.listing(), before);
}

/// Whether these keys accept this large number.
fn is_sound(option: &str, value: &str) -> bool {
    let large = [
        "--grad-clip",
        "--skip-outliers",
        "--weight-decay",
        "--learning-rate",
        "--eps",
        "--norm-eps",
        "--min-lr",
    ];
    value.starts_with("999") && large.contains(&option)
}

#[test]
fn ranges_are_told() {
    let place = Place::new();
    let cases = [
        (
            "generate --num-samples 0",
            "--num-samples is 0: it must be a whole number from 1 to",
        ),
        (
            "generate --temperature -0.5",
            "--temperature is -0.5: it must be a finite number, 0 or",
        ),
        (
            "generate --top-p 1.5",
            "--top-p is 1.5: it must be a number above 0 and at most 1",
        ),
        (
            "generate --max-new-tokens 1e9",
            "--max-new-tokens is 1e9: it must be a whole number",
        ),
        (
            "eval --data text.txt --stride 0",
            "--stride is 0: it must be a whole number from 1",
        ),
        (
            "train --set train.max_iters=-3",
            "train.max_iters is -3: it must be a whole number",
        ),
        (
            "train --set train.beta1=1",
            "train.beta1 is 1: it must be in [0, 1)",
        ),
        (
            "train --learning-rate inf",
            "train.learning_rate is inf: it must be finite and above 0",
        ),
        (
            "train --threads 1025",
            "threads is 1025: it must be at most 1024",
        ),
        (
            "tokenizer train --data text.txt --out t --ngram-min 3",
            "--ngram-min is 3: it must be at most --ngram-max, which is 2",
        ),
    ];
    for (args, words) in cases {
        let outcome = place.run(args);
        assert_ne!(outcome.status, Some(0), "{args}: {outcome:?}");
        assert!(outcome.stderr.contains(words), "{args}: {outcome:?}");
    }
    for (line, words) in [
        (
            "max_iters = -1",
            "train.max_iters is -1: it must be a whole number from 1 to",
        ),
        (
            "max_iters = 1e3",
            "train.max_iters is 1e3: it must be a whole number from 1 to",
        ),
        ("beta2 = nan", "train.beta2 is NaN: it must be in [0, 1)"),
        (
            "seed = 18446744073709551616",
            "train.seed is 18446744073709551616: it must be a whole",
        ),
    ] {
        std::fs::write(place.path("c.toml"), format!("[train]\n{line}\n")).unwrap();
        let outcome = place.run("train --config c.toml");
        assert!(outcome.stderr.contains(words), "{line}: {outcome:?}");
    }
}

/// Limits that exclude nothing change nothing: the same seed gives the same text.
#[test]
fn limits_that_cut_nothing_change_nothing() {
    let place = Place::new();
    place.output(&format!("train {TINY} --quiet"));
    let write =
        |flags: &str| place.output(&format!("generate --prompt to --max-new-tokens 40 {flags}"));
    let free = write("");
    for flags in [
        "--top-p 1",
        "--top-k 1000000",
        "--top-k 1000 --top-p 1.0",
        "--temperature 1",
    ] {
        assert_eq!(write(flags), free, "{flags}");
    }
    assert_ne!(write("--seed 2"), free);
}
