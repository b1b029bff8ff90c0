//! Where planted mistakes go: comments in the sources, so that a mistake moves with its line, and
//! is seen when the line is changed.
//!
//! `// mutant: NAME` stands on a line of its own, above the line that the mistake changes; in a
//! macro of a kernel, where `//` would take the rest of the macro with it, `/* mutant: NAME */ \`
//! does.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use xtask::entries;

/// Folders of the workspace whose sources are searched.
const FOLDERS: [&str; 2] = ["crates", "kernels"];

/// The file of each anchor, from the top of the workspace.
#[derive(Debug)]
pub(crate) struct Anchors(BTreeMap<String, PathBuf>);

impl Anchors {
    /// Reads every source of the workspace, whose root is the current folder.
    ///
    /// # Errors
    /// A source that cannot be read, or a name that stands twice.
    pub(crate) fn read() -> Result<Self, String> {
        let mut found = Self(BTreeMap::new());
        for folder in FOLDERS {
            found.search(Path::new(folder))?;
        }
        Ok(found)
    }

    fn search(&mut self, folder: &Path) -> Result<(), String> {
        for path in entries(folder)? {
            if path.is_dir() && path.file_name().is_some_and(|name| name != "target") {
                self.search(&path)?;
            }
            let extension = path.extension().and_then(|extension| extension.to_str());
            if !matches!(extension, Some("rs" | "cu" | "cuh")) {
                continue;
            }
            let text = fs::read_to_string(&path)
                .map_err(|error| format!("cannot read {}: {error}", path.display()))?;
            for name in text.lines().filter_map(name) {
                if let Some(other) = self.0.insert(name.to_owned(), path.clone()) {
                    let (first, second) = (other.display(), path.display());
                    return Err(format!("mutant {name} is in {first} and in {second}"));
                }
            }
        }
        Ok(())
    }

    /// The file of an anchor.
    ///
    /// # Errors
    /// The anchor is lost.
    pub(crate) fn file(&self, name: &str) -> Result<&Path, String> {
        let found = self.0.get(name).map(PathBuf::as_path);
        found.ok_or_else(|| {
            format!(
                "the comment `// mutant: {name}` is lost: put it above the line that the mutant changes, \
                 or remove the mutant from xtask/mutants"
            )
        })
    }

    /// The names of all anchors.
    #[cfg(test)]
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }
}

/// The name in a line that is an anchor.
fn name(line: &str) -> Option<&str> {
    let line = line.trim();
    let in_macro = || line.strip_prefix("/* mutant: ")?.strip_suffix(" */ \\");
    line.strip_prefix("// mutant: ").or_else(in_macro)
}

/// A source with a mistake in it: `new` replaces the first `old` that begins in the line below the
/// anchor. All anchors are left out, so that `old` may span lines with other anchors between them.
///
/// # Errors
/// The anchor is lost, or no `old` begins in the line below it.
pub(crate) fn planted(text: &str, anchor: &str, old: &str, new: &str) -> Result<String, String> {
    let (mut source, mut at) = (String::new(), None);
    for line in text.split_inclusive('\n') {
        match name(line) {
            Some(name) if name == anchor => at = Some(source.len()),
            Some(_) => {}
            None => source.push_str(line),
        }
    }
    let at = at.ok_or_else(|| format!("the comment `// mutant: {anchor}` is lost"))?;
    let line = source[at..]
        .split_inclusive('\n')
        .next()
        .map_or(0, str::len);
    match source[at..].find(old).filter(|&found| found < line) {
        Some(found) => {
            source.replace_range(at + found..at + found + old.len(), new);
            Ok(source)
        }
        None => Err(format!(
            "the line below `// mutant: {anchor}` does not have the text that the mutant replaces: {old:?}"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "\
fn f() {
    // mutant: first
    a(1); a(1);
    // mutant: second
    // mutant: third
    b();
    /* mutant: in_macro */ \\
    c(1);
}
";

    #[test]
    fn the_line_below_an_anchor_is_changed() {
        let clean = "fn f() {\n    a(1); a(1);\n    b();\n    c(1);\n}\n";
        let planted = |name, old, new| planted(TEXT, name, old, new).unwrap();
        assert_eq!(
            planted("first", "a(1)", "a(2)"),
            clean.replacen("a(1)", "a(2)", 1)
        );
        assert_eq!(planted("second", "b", "d"), clean.replace("b()", "d()"));
        assert_eq!(
            planted("third", "    b();\n", ""),
            clean.replace("    b();\n", "")
        );
        assert_eq!(planted("in_macro", "1", "2"), clean.replace("c(1)", "c(2)"));
        // Over lines that have an anchor between them.
        assert_eq!(
            planted("third", "b();\n    c(1);", "e();"),
            clean.replace("b();\n    c(1);", "e();")
        );
    }

    #[test]
    fn what_does_not_fit_is_said() {
        let said = planted(TEXT, "fourth", "a", "b").unwrap_err();
        assert_eq!(said, "the comment `// mutant: fourth` is lost");
        // It stands there, but not in the line below.
        let said = planted(TEXT, "first", "b()", "d()").unwrap_err();
        assert!(said.contains("`// mutant: first` does not have"), "{said}");
    }
}
