//! What each lesson prints, line by line. `LATIMER_BLESS=1` writes the snapshots anew.
//!
//! Where something was trained, digits are blotted out: they may change with the machine.

#![allow(clippy::unwrap_used, reason = "a test may fail wherever it stands")]

use latimer_backend_cpu::Cpu;
use latimer_lessons::course::{Entry, LESSONS, Setting};
use latimer_lessons::{Lesson, Part, render};
use latimer_tensor::Device;
use std::path::PathBuf;
use std::sync::LazyLock;

/// Lessons in which something is trained.
const TRAINED: [&str; 2] = ["10", "thread"];
/// Lessons that take too long on the reference device.
const LONG: [&str; 1] = ["thread"];

/// All of them, computed once.
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

/// Without what a machine may round differently: digits, and the marks that hang on them.
fn blotted(shown: &str) -> String {
    let blot = |c: char| match c {
        '0'..='9' => '#',
        '*' | '-' => ' ',
        other => other,
    };
    // A bar's height or length is a number too.
    let shown = shown.replace(|c| ('▁'..='█').contains(&c), "");
    let lines = shown.lines().map(|line| {
        let line: String = line.chars().map(blot).collect();
        let mut line = line.split_whitespace().collect::<Vec<_>>().join(" ");
        while line.contains("##") {
            line = line.replace("##", "#");
        }
        // What an untrained or a wondering head says is chance.
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
        let mut shown = render::terminal(lesson, false);
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
        // Every result has a name of its own, so none is lost in JSON.
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
        // The ladder's models go on from the words, where there are plays to train them on.
        if !entry.id.starts_with("lm") {
            assert_eq!(own.unwrap() != *usual, entry.takes_words, "{}", entry.id);
        }
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
    for outside in ["src=", "@import", "url(", "fetch(", "<link", "href=\"http"] {
        assert!(!book.contains(outside), "{outside}");
    }
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
