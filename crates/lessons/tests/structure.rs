//! What the page tells a screen reader: language, headings in order, names of drawings and tables,
//! headers of columns and rows.

#![allow(clippy::unwrap_used, reason = "a test may fail wherever it stands")]

use latimer_backend_cpu::Cpu;
use latimer_lessons::course::{LESSONS, Setting};
use latimer_lessons::{Lesson, render};
use latimer_tensor::Device;
use std::sync::LazyLock;

/// All lessons, computed once.
fn lessons() -> &'static [Lesson] {
    static LESSONS_OF_ALL: LazyLock<Vec<Lesson>> = LazyLock::new(computed);
    &LESSONS_OF_ALL
}

fn computed() -> Vec<Lesson> {
    let device = Device::new(Cpu::new(2).unwrap());
    let setting = Setting {
        steps: Some(20),
        ..Setting::new(&device)
    };
    let built = LESSONS.iter().map(|entry| entry.build(&setting).unwrap());
    built.collect()
}

/// The tags that begin with `tag`: their attributes, and the content up to their end.
fn elements<'a>(page: &'a str, tag: &str) -> Vec<(&'a str, &'a str)> {
    let (begin, end) = (format!("<{tag}"), format!("</{tag}>"));
    let mut found = Vec::new();
    for rest in page.split(&begin).skip(1) {
        // `<th` also begins `<thead`.
        if rest.starts_with(['>', ' ']) {
            let (attributes, rest) = rest.split_once('>').unwrap();
            found.push((attributes, rest.split(&end).next().unwrap()));
        }
    }
    found
}

#[test]
fn lessons_leave_nothing_in_the_folder_that_they_are_read_in() {
    lessons();
    let left = std::path::Path::new("phrasebook-english.txt");
    assert!(!left.exists(), "{} was left", left.display());
}

#[test]
fn headings_go_down_by_one_from_the_first() {
    let lessons = lessons();
    let alone = lessons[8..9].to_vec();
    for (page, expected) in [
        (render::page(lessons), 1 + 2 * LESSONS.len()),
        (render::page(&alone), 2),
    ] {
        let body = page
            .split("<main>")
            .nth(1)
            .unwrap()
            .split("<script>")
            .next()
            .unwrap();
        let levels: Vec<u32> = body
            .split("<h")
            .skip(1)
            .filter_map(|rest| rest.chars().next()?.to_digit(10))
            .collect();
        assert_eq!(levels.len(), expected);
        assert_eq!(levels[0], 1);
        assert_eq!(levels.iter().filter(|&&level| level == 1).count(), 1);
        assert!(
            levels.windows(2).all(|two| two[1] <= two[0] + 1),
            "{levels:?}"
        );
    }
}

#[test]
fn everything_drawn_has_a_name() {
    let page = render::page(lessons());
    assert!(page.starts_with("<!doctype html>\n<html lang=\"en\">"));
    let named = |attributes: &str| {
        let name = attributes.split("aria-label=\"").nth(1);
        name.is_some_and(|name| !name.starts_with('"'))
    };
    let drawings = elements(&page, "svg");
    assert!(!drawings.is_empty());
    for (attributes, _) in drawings {
        assert!(
            attributes.contains("role=\"img\"") && named(attributes),
            "{attributes}"
        );
    }
    for (attributes, _) in elements(&page, "nav") {
        assert!(named(attributes), "{attributes}");
    }
    let widgets = page.matches("class=\"widget\"").count();
    let grouped = page.matches("role=\"group\" aria-label=\"").count();
    assert_eq!((widgets, widgets > 4), (grouped, true));
    for (_, figure) in elements(&page, "figure") {
        let caption = &elements(figure, "figcaption")[0];
        assert!(!caption.1.trim().is_empty(), "{figure}");
    }
}

#[test]
fn tables_have_captions_and_headers() {
    let page = render::page(lessons());
    let tables = elements(&page, "table");
    assert!(tables.len() > 40, "{}", tables.len());
    for (_, table) in tables {
        assert!(!elements(table, "caption")[0].1.is_empty(), "{table}");
        let headers = elements(table, "th");
        assert!(headers.len() > 1, "{table}");
        for (attributes, _) in headers {
            assert!(attributes.contains("scope=\""), "{attributes} in {table}");
        }
    }
}
