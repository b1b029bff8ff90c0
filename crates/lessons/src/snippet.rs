//! Excerpts of our own source code, taken from the compiled files.

use crate::Part;

/// A compiled file and its text: `source!("attention.rs")`.
macro_rules! source {
    ($file:literal) => {
        (
            concat!("crates/lessons/src/", $file),
            include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/", $file)),
        )
    };
}
pub(crate) use source;

/// The lines between `// lesson: begin NAME` and the next `// lesson: end`, without their
/// indentation. If there is no such mark the excerpt is empty, which a test of the course forbids.
pub(crate) fn code((file, source): (&'static str, &str), name: &str) -> Part {
    let begin = format!("// lesson: begin {name}");
    let lines: Vec<&str> = source
        .lines()
        .skip_while(|line| line.trim() != begin)
        .skip(1)
        .take_while(|line| line.trim() != "// lesson: end")
        .collect();
    let indent = |line: &&str| line.len() - line.trim_start().len();
    let filled = lines.iter().filter(|line| !line.trim().is_empty());
    let margin = filled.map(indent).min().unwrap_or(0);
    let lines: Vec<&str> = lines
        .iter()
        .map(|line| line.get(margin..).unwrap_or_default())
        .collect();
    Part::Code {
        file,
        text: lines.join("\n"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_cut_out_and_moved_left() {
        let source = "a\n    // lesson: begin x\n    b\n\n        c\n    // lesson: end\nd";
        let Part::Code { text, .. } = code(("f.rs", source), "x") else {
            panic!("code gives code");
        };
        assert_eq!(text, "b\n\n    c");
    }
}
