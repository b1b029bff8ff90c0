//! What no compiler checks: lengths of files, notes to oneself, READMEs, paths of one machine.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use xtask::entries;
use xtask::run::Outcome;

/// A source file longer than this holds more than one idea.
const LONGEST_FILE: usize = 700;

/// Where a path of one machine begins. What every system has (`/tmp`, `/proc`, `/usr`) is no harm.
const MACHINES: [&str; 5] = ["/home/", "/Users/", "/root/", "/mnt/", "C:\\"];

/// Folders in which nothing is ours.
const FOREIGN: [&str; 5] = ["target", "runs", ".git", ".venv", "__pycache__"];

/// Prints every finding; an error if there is one.
pub(crate) fn tidy() -> Outcome {
    let mut findings = Vec::new();
    let root = Path::new(".");
    for file in files(root)? {
        let shown = file.strip_prefix(root).unwrap_or(&file);
        look(shown, &read(&file)?, &mut findings);
    }
    for krate in entries(&root.join("crates"))? {
        if krate.join("Cargo.toml").is_file() && !krate.join("README.md").is_file() {
            findings.push(format!("{}: it has no README.md", krate.display()));
        }
    }
    for finding in &findings {
        eprintln!("{finding}");
    }
    match findings.len() {
        0 => Ok(ExitCode::SUCCESS),
        n => Err(format!("tidy found {n} things to mend")),
    }
}

/// What is wrong with one text.
fn look(file: &Path, text: &str, findings: &mut Vec<String>) {
    let is = |extension: &str| file.extension().is_some_and(|got| got == extension);
    let shown = file.display();
    let lines = text.lines().count();
    if (is("rs") || is("cu") || is("cuh")) && lines > LONGEST_FILE {
        findings.push(format!("{shown}: {lines} lines, more than {LONGEST_FILE}"));
    }
    for (line, number) in text.lines().zip(1..) {
        if is("rs") && file.starts_with("crates") {
            // In two halves, so that this file may hold them.
            for note in [concat!("to", "do!("), concat!("FIX", "ME")] {
                if line.contains(note) {
                    findings.push(format!("{shown}:{number}: {note} is left"));
                }
            }
        }
        let is_prose = is("md") || (is("rs") && line.trim_start().starts_with("//"));
        if let Some(path) = machine_path(line).filter(|_| is_prose) {
            findings.push(format!("{shown}:{number}: {path} is on one machine only"));
        }
    }
}

/// The absolute path of one machine that a line names, if any.
fn machine_path(line: &str) -> Option<&str> {
    let starts = MACHINES.iter().flat_map(|start| line.match_indices(start));
    starts.map(|(at, _)| at).find_map(|at| {
        // Not within a longer path or an address: `docs/home/`, `https://example.org/home/`.
        let before = line[..at].chars().next_back();
        let begins = before.is_none_or(|c| !c.is_alphanumeric() && !"./-_~}$>".contains(c));
        begins.then(|| line[at..].split([' ', '`', ')', '"', '>']).next())?
    })
}

/// Texts below a folder, in the order of their names.
fn files(folder: &Path) -> Result<Vec<PathBuf>, String> {
    let mut found = Vec::new();
    for entry in entries(folder)? {
        let is = |names: &[&str]| {
            names
                .iter()
                .any(|&name| entry.file_name() == Some(name.as_ref()))
        };
        if entry.is_dir() && !entry.is_symlink() && !is(&FOREIGN) {
            found.extend(files(&entry)?);
        } else if entry
            .extension()
            .is_some_and(|e| ["rs", "md", "cu", "cuh"].iter().any(|&k| e == k))
        {
            found.push(entry);
        }
    }
    Ok(found)
}

fn read(file: &Path) -> Result<String, String> {
    std::fs::read_to_string(file)
        .map_err(|error| format!("cannot read {}: {error}", file.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(file: &str, text: &str) -> Vec<String> {
        let mut findings = Vec::new();
        look(Path::new(file), text, &mut findings);
        findings
    }

    #[test]
    fn each_kind_of_untidiness_is_found() {
        let long = "\n".repeat(LONGEST_FILE + 1);
        assert_eq!(
            found("crates/a.rs", &long),
            ["crates/a.rs: 701 lines, more than 700"]
        );
        let note = concat!("// FIX", "ME later");
        assert_eq!(found("crates/a.rs", note).len(), 1);
        let path = "see /home/ada/notes.txt";
        let said = "docs/a.md:1: /home/ada/notes.txt is on one machine only";
        assert_eq!(found("docs/a.md", path), [said]);
    }

    #[test]
    fn what_is_tidy_is_left_alone() {
        assert!(found("docs/a.md", "https://a.org/home/b, /tmp/x, docs/home/").is_empty());
        assert!(found("crates/a.rs", "let path = \"/home/ada\";").is_empty());
        assert!(found("docs/a.md", &"\n".repeat(2 * LONGEST_FILE)).is_empty());
    }
}
