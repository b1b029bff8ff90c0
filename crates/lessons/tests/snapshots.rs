//! The output of each lesson, line by line. `LATIMER_BLESS=1` writes the snapshots anew.
//!
//! If something was trained, digits are masked: they may differ between machines.

#![allow(clippy::unwrap_used, reason = "a test may fail wherever it stands")]

use latimer_backend_cpu::Cpu;
use latimer_lessons::course::{Entry, LESSONS, Setting, TUTORIAL_URL};
use latimer_lessons::{Lesson, Part, render};
use latimer_tensor::Device;
use std::path::PathBuf;
use std::sync::LazyLock;

/// Lessons in which something is trained.
const TRAINED: [&str; 2] = ["10", "thread"];
/// Lessons that take too long on the reference device.
const LONG: [&str; 8] = ["12", "lm0", "lm1", "lm2", "lm3", "lm4", "lm5", "thread"];

/// All lessons, computed once.
fn lessons() -> &'static [Lesson] {
    static LESSONS_OF_ALL: LazyLock<Vec<Lesson>> = LazyLock::new(computed);
    &LESSONS_OF_ALL
}

fn computed() -> Vec<Lesson> {
    let device = Device::reference();
    let setting = Setting::new(&device);
    let fast = Device::new(Cpu::new(2).unwrap());
    let build = |entry: &Entry| match LONG.contains(&entry.id) {
        true => entry.build(&Setting::new(&fast)).unwrap(),
        false => entry.build(&setting).unwrap(),
    };
    LESSONS.iter().map(build).collect()
}

/// Removes everything that may be rounded differently by another machine: digits, and marks that
/// depend on them.
fn blotted(shown: &str) -> String {
    let blot = |c: char| match c {
        '0'..='9' => '#',
        '*' | '-' => ' ',
        other => other,
    };
    // The height or length of a bar is a number too.
    let shown = shown.replace(|c| ('▁'..='█').contains(&c), "");
    let lines = shown.lines().map(|line| {
        let line: String = line.chars().map(blot).collect();
        let mut line = line.split_whitespace().collect::<Vec<_>>().join(" ");
        while line.contains("##") {
            line = line.replace("##", "#");
        }
        // The answers of an untrained or an unsure head are random.
        line.split('→')
            .next()
            .unwrap_or_default()
            .trim_end()
            .to_owned()
    });
    lines.collect::<Vec<_>>().join("\n")
}

#[test]
fn every_lesson_prints_what_it_printed() {
    let bless = std::env::var_os("LATIMER_BLESS").is_some();
    for lesson in lessons() {
        let mut lesson = lesson.clone();
        // Remove the result of a training if it is a part of the lesson.
        for part in &mut lesson.parts {
            match part {
                Part::Output { name, value }
                    if name.starts_with("sample ") || name.starts_with("validation loss ") =>
                {
                    "(trained)".clone_into(value);
                }
                Part::Curve(curve) if curve.name == "training loss" => curve.points.clear(),
                _ => {}
            }
        }
        let mut shown = render::terminal(&lesson, false);
        if TRAINED.contains(&lesson.id) {
            shown = blotted(&shown);
        }
        let name = format!("tests/snapshots/lesson-{}.txt", lesson.id);
        let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(&name);
        if bless {
            std::fs::write(&path, &shown).unwrap();
        }
        let kept = std::fs::read_to_string(&path).unwrap();
        assert!(
            kept == shown,
            "{name} has changed; if it should have, run with LATIMER_BLESS=1. Now it is:\n{shown}"
        );
    }
}

#[test]
fn every_lesson_explains_shows_and_goes_on() {
    for lesson in lessons() {
        let id = lesson.id;
        let has = |is: fn(&Part) -> bool| lesson.parts.iter().any(is);
        assert!(has(|p| matches!(p, Part::Text(_))), "{id}: no text");
        assert!(has(|p| p.output().is_some()), "{id}: no result");
        assert!(has(|p| matches!(p, Part::Try(_))), "{id}: nothing to try");
        let equation = |p: &Part| matches!(p, Part::Equation { .. });
        assert!(lesson.parts.iter().any(equation), "{id}: no equation");
        let mut codes = 0;
        for part in &lesson.parts {
            if let Part::Code { file, text } = part {
                codes += 1;
                assert!(!text.trim().is_empty(), "{id}: no such lines in {file}");
                assert!(text.lines().count() <= 16, "{id}: {file} shows too much");
                assert!(!text.contains("lesson:"), "{id}: {file} shows a mark");
            }
        }
        assert!(codes > 0, "{id}: no Rust");
        // Every result has a unique name, so none is lost in JSON.
        let outputs: Vec<_> = lesson.parts.iter().filter_map(Part::output).collect();
        assert_eq!(
            outputs.len(),
            lesson.outputs().len(),
            "{id}: two results of one name"
        );
        for (matrix, name) in lesson.parts.iter().filter_map(|part| match part {
            Part::Matrix(matrix) => Some((matrix, &matrix.name)),
            _ => None,
        }) {
            assert_eq!(matrix.rows.len(), matrix.values.len(), "{id}: {name}");
            let widths = matrix.values.iter().map(Vec::len);
            assert!(
                widths.into_iter().all(|n| n == matrix.columns.len()),
                "{id}: {name}"
            );
        }
    }
}

#[test]
fn a_learners_own_words_are_taken_known_or_not() {
    let device = Device::reference();
    for (entry, usual) in LESSONS.iter().zip(lessons()) {
        if LONG.contains(&entry.id) {
            continue;
        }
        let text = Some("la chaise");
        let own = entry.build(&Setting {
            text,
            ..Setting::new(&device)
        });
        assert_eq!(own.unwrap() != *usual, entry.takes_words, "{}", entry.id);
        for text in ["la table", "tables chien été", "<b>&\"", "  "] {
            let setting = Setting {
                text: Some(text),
                ..Setting::new(&device)
            };
            let lesson = entry.build(&setting).unwrap();
            assert!(!render::terminal(&lesson, true).is_empty());
            let page = render::page(&[lesson]);
            assert!(
                !page.contains("<b>&\""),
                "{}: {text} is not escaped",
                entry.id
            );
        }
    }
}

/// Without the plays the lessons are still complete: they train, and say on which text.
#[test]
fn lessons_without_the_plays_train_on_a_text_made_here() {
    for lesson in lessons() {
        let (id, outputs) = (lesson.id, lesson.outputs());
        let trains = id == "12" || id.starts_with("lm");
        if !trains && id != "11" {
            continue;
        }
        let shown = render::terminal(lesson, false);
        let shown = shown.split_whitespace().collect::<Vec<_>>().join(" ");
        for said in [
            "a text that the program makes itself: 30,000 English sentences",
            "`latimer data get shakespeare` downloads the plays",
        ] {
            assert!(shown.contains(said), "{id}: {shown}");
        }
        if !trains {
            assert_eq!(
                (&outputs["words"], &outputs["sub-words"]),
                (&"128".into(), &"32".into())
            );
            continue;
        }
        let loss = |name: &str| -> f64 { outputs[name].as_str().unwrap().parse().unwrap() };
        let (before, after) = (
            loss("validation loss before"),
            loss("validation loss after"),
        );
        assert!(after < before - 0.5, "{id}: {before} to {after}");
        let sample = outputs["sample after"].as_str().unwrap();
        assert!(sample.starts_with("the cat is"), "{id}: {sample}");
        assert_eq!(sample.chars().count(), 10 + 60, "{id}: {sample}");
    }
}

/// If a learner's words change what is true, the text changes with it.
#[test]
fn what_a_lesson_says_follows_from_what_it_computes() {
    let device = Device::new(Cpu::new(2).unwrap());
    let shown = |id: &str, text: Option<&str>| {
        let setting = Setting {
            text,
            steps: Some(20),
            ..Setting::new(&device)
        };
        let lesson = Entry::find(id).unwrap().build(&setting).unwrap();
        let shown = render::terminal(&lesson, false);
        shown.split_whitespace().collect::<Vec<_>>().join(" ")
    };
    for (id, text, said, not) in [
        (
            "8",
            None,
            "The sentence still comes out right:",
            "comes out as",
        ),
        (
            "8",
            Some("Le chien dort sous la tables"),
            "With `chat` for `chien`, `chat` for `dort` and `table` for `tables`, the sentence comes \
             out as:",
            "comes out right",
        ),
        (
            "9",
            None,
            "the right words come out by luck",
            "other words come out",
        ),
        (
            "9",
            Some("le le le le chat"),
            "For this sentence the same words come out, by luck:",
            "the right words come out",
        ),
        (
            "9",
            Some("chat"),
            "For this sentence other words come out:",
            "by luck",
        ),
        ("7", Some("la chaise"), "these are the products for", "@"),
        ("12", None, "It is never shown this one.", "may show"),
        (
            "12",
            Some("le roi dort"),
            "`le roi dort` is one that training may show.",
            "never shown",
        ),
        (
            "12",
            Some("table la sous"),
            "`table la sous` is not a sentence of that grammar.",
            "never shown",
        ),
    ] {
        let shown = shown(id, text);
        assert!(shown.contains(said), "{id} {text:?}: {shown}");
        assert!(!shown.contains(not), "{id} {text:?}: {shown}");
    }
}

/// Every recommendation leads elsewhere, or to the same lesson with other words or in full.
#[test]
fn no_lesson_recommends_itself() {
    for lesson in lessons() {
        for part in &lesson.parts {
            let Part::Try(commands) = part else { continue };
            for (command, _) in commands {
                let itself = format!("latimer lesson {}", lesson.id);
                let rest = command.strip_prefix(&itself);
                let is_other = |rest: &str| {
                    rest.starts_with(|c: char| c.is_ascii_digit())
                        || ["--try", "--full", "--latex", "--html"]
                            .iter()
                            .any(|flag| rest.trim_start().starts_with(flag))
                };
                assert!(rest.is_none_or(is_other), "{}: {command}", lesson.id);
            }
        }
    }
    // A page is what `--html` makes, and after the last lesson nothing follows.
    let book = render::page(lessons());
    assert!(!book.contains("--html"), "a page recommends a page");
}

/// Backticks are our own notation: a page shows code, never backticks.
#[test]
fn no_page_shows_a_backtick() {
    let mut page = render::page(lessons());
    for (begin, end) in [
        ("<script", "</script>"),
        ("<style", "</style>"),
        ("<pre", "</pre>"),
    ] {
        while let Some(at) = page.find(begin) {
            let length = page[at..].find(end).unwrap() + end.len();
            page.replace_range(at..at + length, "");
        }
    }
    let at = page
        .find('`')
        .map(|at| page[at..].chars().take(80).collect::<String>());
    assert_eq!(at, None);
}

#[test]
fn the_book_holds_every_lesson_and_nothing_from_outside() {
    let book = render::page(lessons());
    for entry in LESSONS {
        assert!(book.contains(&format!("<section id=\"lesson-{}\">", entry.id)));
        assert!(book.contains(&format!("href=\"#lesson-{}\"", entry.id)));
    }
    for kind in ["attention", "levenshtein", "merges", "steps"] {
        assert!(book.contains(&format!("data-kind=\"{kind}\"")), "{kind}");
    }
    // A page may name an address but loads nothing.
    for outside in ["src=", "@import", "url(", "fetch(", "<link"] {
        assert!(!book.contains(outside), "{outside}");
    }
    let addresses: Vec<&str> = book.split("href=\"http").skip(1).collect();
    assert_eq!(addresses.len(), 1);
    let published = addresses[0].split('"').next().unwrap_or_default();
    assert_eq!(format!("http{published}"), TUTORIAL_URL);
    assert!(book.contains("prefers-color-scheme: dark"));
}

#[test]
fn the_course_is_in_order() {
    let ids: Vec<&str> = LESSONS.iter().map(|entry| entry.id).collect();
    let numbers: Vec<String> = (0..=12).map(|n: u32| n.to_string()).collect();
    assert_eq!(ids[..13], numbers[..]);
    let error = Entry::find("13")
        .map(|entry| entry.id)
        .unwrap_err()
        .to_string();
    assert!(error.starts_with("there is no lesson `13`"), "{error}");
}
