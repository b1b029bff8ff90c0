//! Compiles the lessons' LaTeX if `$LATIMER_LATEX` names a `pdflatex` or another engine with its
//! flags; skipped otherwise.

#![allow(clippy::unwrap_used, reason = "a test may fail wherever it stands")]

use latimer_backend_cpu::Cpu;
use latimer_lessons::course::{LESSONS, Setting};
use latimer_lessons::render;
use latimer_tensor::Device;
use std::process::Command;

/// The frame of a learner's document around a lesson.
const BEGIN: &str = "\\documentclass{article}\n\\usepackage{amsmath}\n\\begin{document}\n";
const END: &str = "\\end{document}\n";

/// Text that a learner may type, with more words than the columns of an ordinary matrix.
const OWN: &str = "chats 50% _ \\x {^ # & ~ $ été un deux";

/// All lessons, one after the other.
fn all(text: Option<&str>) -> String {
    let device = Device::new(Cpu::new(2).unwrap());
    let setting = Setting {
        text,
        steps: Some(20),
        ..Setting::new(&device)
    };
    let lessons = LESSONS.iter().map(|entry| entry.build(&setting).unwrap());
    lessons.map(|lesson| render::latex(&lesson)).collect()
}

#[test]
fn every_lesson_has_an_equation_and_what_it_opens_it_closes() {
    let latex = all(Some(OWN));
    let code: String = latex
        .lines()
        .filter(|line| !line.starts_with('%'))
        .collect();
    assert!(code.is_ascii(), "engines differ in what else they take");
    for (open, close) in [
        ("\\[", "\\]"),
        ("\\begin{", "\\end{"),
        ("\\left", "\\right"),
    ] {
        // An arrow is not a delimiter.
        let closed = code.matches(close).count() - code.matches("\\rightarrow").count();
        assert_eq!(code.matches(open).count(), closed, "{open}");
    }
    for lesson in latex.split("% Lesson ").skip(1) {
        assert!(lesson.contains("\\[ "), "{lesson}");
    }
}

#[test]
fn every_lesson_compiles() {
    let Some(engine) = std::env::var("LATIMER_LATEX").ok() else {
        eprintln!("skipped: $LATIMER_LATEX names no engine");
        return;
    };
    for text in [None, Some(OWN)] {
        let folder = std::env::temp_dir().join(format!("latimer-latex-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let document = format!("{BEGIN}{}{END}", all(text));
        std::fs::write(folder.join("all.tex"), document).unwrap();
        let output = Command::new(&engine)
            .args(["-interaction=nonstopmode", "-halt-on-error", "all.tex"])
            .current_dir(&folder)
            .output()
            .unwrap();
        let made = folder.join("all.pdf").is_file();
        std::fs::remove_dir_all(&folder).unwrap();
        let log = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success() && made, "{log}");
        // The tutorial's own matrices fit on a page.
        assert!(text.is_some() || !log.contains("Overfull"), "{log}");
    }
}
