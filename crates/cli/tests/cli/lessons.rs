//! The tutorial: `translate` by every method, and `lesson`.

use crate::place::{Outcome, Place};
use serde_json::Value;

const SENTENCE: &str = "le chat est sous la table";
const ENGLISH: &str = "the cat is under the table";

#[test]
fn six_translators_need_no_model() {
    let place = Place::new();
    for method in ["exact", "fuzzy", "matrix", "softmax", "attention", "head"] {
        let command = format!("translate --method {method} {SENTENCE}");
        assert_eq!(place.output(&command), format!("{ENGLISH}\n"), "{method}");
        let translated = &place.json(&command)[0];
        assert_eq!(translated["method"], method);
        assert_eq!(translated["text"], ENGLISH);
        let tokens: Vec<&str> = ENGLISH.split(' ').collect();
        assert_eq!(translated["tokens"], Value::from(tokens));
        assert_eq!(translated.as_object().unwrap().len(), 3);
    }
}

#[test]
fn a_sentence_is_translated_as_it_is_written_by_every_method() {
    let place = Place::new();
    for method in ["exact", "fuzzy", "matrix", "softmax", "attention", "head"] {
        for (written, english) in [
            ("Le chat est sous la table.", "The cat is under the table."),
            ("le chat est sous la table", ENGLISH),
            ("LE CHAT EST SOUS LA TABLE !", "The cat is under the table!"),
            (
                "Le\u{a0}chat  est\tsous la table\u{202f}?",
                "The cat is under the table?",
            ),
            (
                "Le chat est sous la table. La table est sous le chat.",
                "The cat is under the table. The table is under the cat.",
            ),
        ] {
            let outcome = place.run_args(&["translate", "--method", method, written]);
            assert_eq!(
                outcome.stdout,
                format!("{english}\n"),
                "{method}: {written:?}"
            );
            assert_eq!(outcome.stderr, "", "{method}: {written:?}");
        }
        let quoted = place.run_args(&[
            "translate",
            "--method",
            method,
            "«\u{a0}Le chat, est…\u{a0}»",
        ]);
        assert_eq!(quoted.stdout, "The cat is...\n", "{method}");
        let said = "note: the translation leaves out `«`, `,` and `»`\n";
        assert_eq!(quoted.stderr, said, "{method}");
        let nothing = place.run_args(&["translate", "--method", method, "« ... »"]);
        assert_eq!(nothing.status, Some(2), "{method}: {nothing:?}");
        assert!(
            nothing.stderr.contains("nothing to translate"),
            "{nothing:?}"
        );
    }
}

#[test]
fn unknown_words_are_taken_as_each_method_can_and_named() {
    let place = Place::new();
    for method in ["exact", "matrix"] {
        let refused = place.run(&format!("translate --method {method} les tables"));
        assert_eq!((refused.status, refused.stdout.as_str()), (Some(1), ""));
        for said in [
            "unknown word `les`, word 1 of the text, and `tables`, word 2: ",
            "the nearest are `le` and `table`, which the method `fuzzy` takes",
        ] {
            assert!(refused.stderr.contains(said), "{refused:?}");
        }
        let refused = place.run(&format!("translate --method {method} Le chat. Un chien."));
        assert!(
            refused
                .stderr
                .contains("unknown word `un`, word 3 of the text, and `chien`, word 4"),
            "{refused:?}"
        );
    }
    for (method, said) in [
        ("fuzzy", "the nearest key `table`, 1 edit away, was taken"),
        ("softmax", "the nearest key `table`, 1 edit away, was taken"),
        (
            "attention",
            "the nearest key `table`, 1 edit away, was taken",
        ),
        ("head", "the head never saw `tables`: its answer is a guess"),
    ] {
        let outcome = place.run(&format!("translate --method {method} tables --json"));
        assert!(outcome.stdout.contains("\"text\":\"table\""), "{outcome:?}");
        assert!(outcome.stderr.contains(said), "{method}: {outcome:?}");
        let quiet = place.run(&format!("translate --method {method} tables --quiet"));
        assert_eq!(
            (quiet.stdout.as_str(), quiet.stderr.as_str()),
            ("table\n", "")
        );
    }
}

#[test]
fn the_sentence_is_broken_and_mended() {
    let place = Place::new();
    for method in ["softmax", "attention"] {
        let broken = format!("translate --method {method} --scale formula {SENTENCE}");
        assert_eq!(place.output(&broken), "the the the the the the\n");
        let mended = format!("{broken} --temperature 0.3");
        assert_eq!(place.output(&mended), format!("{ENGLISH}\n"));
    }
    let hot = format!("translate --method head --temperature 1000 {SENTENCE}");
    assert_eq!(place.output(&hot), "the the the the the the\n");
}

#[test]
fn translate_explains() {
    let place = Place::new();
    let shown = place.output("translate --method attention --explain les chats");
    for said in ["Q\n", "0.9500", "weights", "answers", "→ cat"] {
        assert!(shown.contains(said), "{said}: {shown}");
    }
    assert!(shown.ends_with("\n\nthe cat\n"), "{shown}");
    assert!(!shown.contains('\x1b'), "no terminal, no colour: {shown}");
    let explained = &place.json("translate --method softmax --explain sous")[0];
    let weights = &explained["workings"]["weights"]["values"][0];
    let weights: Vec<String> = weights
        .as_array()
        .unwrap()
        .iter()
        .map(|w| format!("{:.4}", w.as_f64().unwrap()))
        .collect();
    assert_eq!(
        weights,
        ["0.1296", "0.1296", "0.1296", "0.3522", "0.1296", "0.1296"]
    );
}

#[test]
fn lessons_are_listed_and_given() {
    let place = Place::new();
    let listed = place.json("lesson list");
    assert_eq!(listed[0]["lesson"], 0);
    assert!(listed.len() >= 13, "{listed:?}");
    assert_eq!(place.output("lesson"), place.output("lesson list"));
    for lesson in &listed[..11] {
        let number = lesson["lesson"].as_u64().unwrap();
        let given = place.output(&format!("lesson {number}"));
        let title = lesson["title"].as_str().unwrap();
        assert!(
            given.starts_with(&format!("Lesson {number}: {title}\n")),
            "{given}"
        );
        assert!(given.contains("Try next"), "{given}");
    }
    let eight = &place.json("lesson 8")[0];
    let keys: Vec<&String> = eight.as_object().unwrap().keys().collect();
    assert_eq!(keys, ["lesson", "outputs", "title"]);
    assert_eq!(eight["lesson"], 8);
    assert_eq!(eight["outputs"]["translation"], ENGLISH);
    let scaled = "translation with the scale";
    assert_eq!(eight["outputs"][scaled], "the the the the the the");
}

#[test]
fn lessons_take_a_learners_words() {
    let place = Place::new();
    let three = &place.json("lesson 3 --try tabel sus")[0];
    assert_eq!(three["outputs"]["translation"], "table under");
    let two = place.output("lesson 2 --try le chien");
    assert!(two.contains("unknown word `chien`"), "{two}");
}

#[test]
fn words_that_change_nothing_are_said_to() {
    let place = Place::new();
    let outcome = place.run("lesson 0 --try le chat");
    let said = "lesson 0 has no words to change";
    assert!(outcome.stderr.contains(said), "{outcome:?}");
    let outcome = place.run("lesson 6 --try chats");
    assert_eq!(outcome.stderr, "");
    let said = "`chats` is not a key and has no vector";
    assert!(outcome.stdout.contains(said), "{outcome:?}");
}

#[test]
#[cfg(unix)]
fn commands_are_shown_as_they_must_be_typed() {
    use std::os::unix::process::CommandExt;
    let place = Place::new();
    for (args, typed) in [
        ("--help", "Start with `cargo xtask train`"),
        ("lesson --help", "Usage: cargo xtask lesson "),
        ("lesson list", "`cargo xtask lesson 2` is a good start"),
        ("lesson 2", "\n  cargo xtask lesson 3\n"),
        ("lesson 12", "`cargo xtask train` makes one"),
        ("translate le", "train one with `cargo xtask train`"),
        ("lesson --ful", "unknown flag `--ful`"),
        ("lesson 2 --latex --json", "see `cargo xtask lesson --help`"),
    ] {
        let outcome = Outcome::of(place.command(args).arg0("cargo xtask"));
        let shown = outcome.stdout + &outcome.stderr;
        assert!(shown.contains(typed), "{args}: {shown}");
        assert!(!shown.contains("`latimer "), "{args}: {shown}");
        let outcome = place.run(args);
        let shown = outcome.stdout + &outcome.stderr;
        assert!(!shown.contains("cargo xtask"), "{args}: {shown}");
    }
}

#[test]
fn lessons_without_shakespeare_train_on_a_text_made_here_and_say_so() {
    let place = Place::new();
    for (id, said) in [("11", "first sub-words"), ("lm1", "validation loss after")] {
        let outcome = place.run(&format!("lesson {id}"));
        assert_eq!(outcome.status, Some(0), "{outcome:?}");
        let warning = "warning: without Shakespeare's plays, this lesson trains on the phrasebook's English \
             sentences";
        assert!(outcome.stderr.contains(warning), "{outcome:?}");
        assert!(!outcome.stderr.contains("--data"), "{outcome:?}");
        for said in [
            "latimer data get shakespeare",
            "30,000 English sentences",
            said,
        ] {
            assert!(outcome.stdout.contains(said), "{said}: {outcome:?}");
        }
    }
}

#[test]
fn the_text_made_here_can_be_trained_on_without_a_network() {
    let place = Place::new();
    let tiny = "--max-iters 2 --eval-iters 1 --warmup-iters 0 --quiet";
    let refused = place.run(&format!("train --preset lm0 {tiny}"));
    assert_eq!(refused.status, Some(1), "{refused:?}");
    for said in [
        "put that file at",
        "--data FILE",
        "--data phrasebook-english",
    ] {
        assert!(refused.stderr.contains(said), "{refused:?}");
    }
    place.output(&format!(
        "train --preset lm0 --data phrasebook-english {tiny}"
    ));
    let listed = place.output("data list");
    assert!(
        listed.contains("phrasebook-english built in: 30,000 English"),
        "{listed}"
    );
    let fitted = place.output(
        "tokenizer train --kind bpe --vocab-size 300 --data phrasebook-english --out b.json",
    );
    assert!(fitted.starts_with("bpe: 300 tokens from 1,"), "{fitted}");
}

#[test]
fn the_tutorial_is_named_and_linked() {
    let place = Place::new();
    let url = "https://github.com/pcingola/llms_from_dummies";
    let listed = place.output("lesson list");
    assert!(
        listed.contains("LLMs from dummies, part 1") && listed.contains(url),
        "{listed}"
    );
    place.output("lesson 2 --html two.html");
    let page = std::fs::read_to_string(place.path("two.html")).unwrap();
    assert!(page.contains(&format!("<a href=\"{url}\">LLMs from dummies, part 1</a>")));
}

#[test]
fn lessons_become_latex_and_pages() {
    let place = Place::new();
    let latex = place.output("lesson 6 --latex");
    let product = "\\[ q K^\\top V = \\left[\\begin{matrix}\n  0 & 0 & 0 & 0 & 1\\\\\n";
    assert!(latex.contains(product), "{latex}");
    let written = &place.json("lesson all --quiet --html book.html")[0];
    assert_eq!(
        (&written["out"], &written["lessons"]),
        (&"book.html".into(), &20.into())
    );
    let book = std::fs::read_to_string(place.path("book.html")).unwrap();
    assert_eq!(book.len() as u64, written["bytes"].as_u64().unwrap());
    assert!(book.contains("<nav") && book.ends_with("</html>\n"));
    let said = place.output("lesson 8 --html eight.html");
    assert_eq!(said, "eight.html: open it in a browser\n");
    assert!(
        !std::fs::read_to_string(place.path("eight.html"))
            .unwrap()
            .contains("<nav")
    );
}

#[test]
fn what_no_lesson_and_no_translator_takes() {
    let place = Place::new();
    for (args, status, said) in [
        ("lesson 14", 2, "there is no lesson 14: there are 0, 1, 2,"),
        ("lesson lst", 2, "did you mean `list`?"),
        (
            "lesson 8 --html missing/x.html",
            1,
            "cannot write missing/x.html",
        ),
        ("lesson 8 --latex --json", 2, "cannot be used with"),
        (
            "lesson 12 --model missing",
            1,
            "cannot read missing: there is no such file or folder",
        ),
        ("translate --method softmx le", 2, "did you mean `softmax`?"),
        ("translate --method exact --scale 2 le", 2, "no softmax"),
        (
            "translate --method softmax --temperature 0 le",
            2,
            "--temperature is 0: it must be a finite number above 0",
        ),
        (
            "translate --method softmax --scale -1 le",
            2,
            "--scale is -1: it must be a finite number, 0 or more",
        ),
        ("translate --method softmax --scale big le", 2, "`formula`"),
        (
            "translate --method softmax --temperature hot le",
            2,
            "--temperature is hot: it must be a finite number above 0",
        ),
        ("translate le", 1, "the methods exact, fuzzy"),
    ] {
        let Outcome {
            status: got,
            stdout,
            stderr,
        } = place.run(args);
        assert_eq!(
            (got, stdout.as_str()),
            (Some(status), ""),
            "{args}: {stderr}"
        );
        assert!(
            stderr.contains(said) && stderr.lines().count() == 1,
            "{args}: {stderr}"
        );
    }
}
