//! Mixing several corpora by weights, as a user does.

use crate::place::{Outcome, Place, TINY};
use std::fs;

/// Takes `text.txt` three times as often as `other`.
const MIXED: &str = "--data other --data-weights 3,1";

/// A place with a second text, in a folder.
fn place() -> Place {
    let place = Place::new();
    fs::create_dir(place.path("other")).unwrap();
    let text = "the question is: to bet or not to bet\n".repeat(20);
    fs::write(place.path("other/a.txt"), text).unwrap();
    place
}

fn refused(place: &Place, args: &str, status: i32, words: &str) -> Outcome {
    let outcome = place.run(args);
    assert_eq!(outcome.status, Some(status), "{args}: {outcome:?}");
    assert_eq!(outcome.stderr.matches("error:").count(), 1, "{outcome:?}");
    assert!(outcome.stderr.contains(words), "{args}: {outcome:?}");
    outcome
}

#[test]
fn shares_and_epochs_are_told_before_a_run_and_losses_after() {
    let place = place();
    let plan = &place.json(&format!("train {TINY} {MIXED} --dry-run"))[0];
    let parts = plan["parts"].as_array().unwrap();
    assert_eq!(parts.len(), 2);
    assert_eq!(
        (&parts[0]["data"], &parts[1]["data"]),
        (&"text.txt".into(), &"other".into())
    );
    assert_eq!(
        (&parts[0]["share"], &parts[1]["share"]),
        (&0.75.into(), &0.25.into())
    );
    let text = place.output(&format!("train {TINY} {MIXED} --dry-run"));
    assert!(
        text.contains("75.00 % from text.txt (1,476 training tokens, 0.16 epochs;"),
        "{text}"
    );
    assert!(text.contains("25.00 % from other ("), "{text}");

    let run = place.run(&format!("train {TINY} {MIXED} --out run"));
    assert_eq!(run.status, Some(0), "{run:?}");
    for words in ["75.00 % from text.txt", " (text.txt ", ", other "] {
        assert!(run.stderr.contains(words), "{words}: {run:?}");
    }
    assert!(run.stdout.contains(" (text.txt "), "{run:?}");
    let events = place.json(&format!("train {TINY} {MIXED} --out json"));
    for event in events
        .iter()
        .filter(|e| e["event"] == "eval" || e["event"] == "done")
    {
        let losses = event["val_losses"].as_array().unwrap();
        let (one, two) = (losses[0].as_f64().unwrap(), losses[1].as_f64().unwrap());
        let all = event["val_loss"].as_f64().unwrap();
        assert!(all >= one.min(two) && all <= one.max(two), "{event}");
    }
    // Without weights nothing of this is printed.
    let plain = place.json(&format!("train {TINY} --out plain"));
    let keys = ["parts", "val_losses"];
    assert!(
        plain
            .iter()
            .all(|event| keys.iter().all(|key| event.get(key).is_none()))
    );
}

/// Files of tokens can be mixed with texts, which are encoded with the tokenizer of the tokens.
#[test]
fn files_of_tokens_mix_with_texts() {
    let place = place();
    let all = "text.txt other --kind char --out t.json --quiet";
    place.output(&format!("tokenizer train --data {all}"));
    place.output("data prepare other --tokenizer t.json --out tokens --quiet");
    place.output(&format!("train {TINY} {MIXED} --quiet --out texts"));
    let args = format!("train {TINY} --data tokens --data-weights 3,1 --quiet");
    place.output(&format!("{args} --out mixed"));
    let of = |run: &str| fs::read(place.path(run).join("metrics.jsonl")).unwrap();
    assert!(of("texts") == of("mixed"));

    place.output("tokenizer train --kind bpe --vocab-size 300 --data other --out b.json --quiet");
    place.output("data prepare other --tokenizer b.json --out others --quiet");
    let args = format!("train {TINY} --data tokens others --data-weights 3,1,1");
    refused(&place, &args, 1, "others/shard-00000.bin");
    let args = format!("train {TINY} --data tokens");
    refused(
        &place,
        &args,
        1,
        "tokens is a folder of tokens, which cannot be joined with other data: give every name",
    );
}

#[test]
fn what_cannot_be_mixed_is_one_sentence() {
    let place = place();
    fs::write(place.path("short.txt"), "to be\n").unwrap();
    fs::write(place.path("greek.txt"), "Ω".repeat(400)).unwrap();
    for (args, status, words) in [
        (
            "--data-weights 1",
            2,
            "it must be empty unless data.data has several names",
        ),
        (
            "--data other --data-weights 1,2,3",
            2,
            "it must be a list of 2 weights, one for each name in data.data, not 3",
        ),
        (
            "--data other --data-weights 1,0",
            2,
            "it must be a list of numbers that are finite and above 0",
        ),
        (
            "--data other --data-weights 1,-2",
            2,
            "it must be a list of numbers that are finite and above 0",
        ),
        (
            "--data other --data-weights NaN,1",
            2,
            "it must be a list of numbers that are finite and above 0",
        ),
        (
            "--data other --data-weights a,1",
            2,
            "data.data_weights is a,1: it must be a list of numbers",
        ),
        (
            "--data short.txt --data-weights 1,1",
            1,
            "short.txt, one of the weighted corpora, cannot be trained on: the training split has",
        ),
        (
            "--data phrasebook --data-weights 1,1",
            1,
            "the phrasebook cannot be joined with other data",
        ),
        ("--data missing.txt --data-weights 1,1", 1, "missing.txt"),
    ] {
        refused(
            &place,
            &format!("train {TINY} {args} --out run"),
            status,
            words,
        );
        assert!(!place.path("run").exists(), "{args}");
    }
    place.output("tokenizer train --kind char --data text.txt --out t.json --quiet");
    let args = "--tokenizer t.json --data greek.txt --data-weights 1,1";
    refused(
        &place,
        &format!("train {TINY} {args}"),
        1,
        "greek.txt, one of the weighted corpora",
    );
}
