//! `kernels.lock`: what each PTX file was made from, as hashes that anybody can check.

use crate::nvrtc::OPTIONS;
use crate::tools::VERSIONS;
use std::collections::BTreeMap;
use std::fmt::Write;

/// Where it lies, beside the PTX.
pub(crate) const FILE: &str = "kernels.lock";

const HEAD: &str = "\
# Written by `cargo xtask kernels build`; not for editing.
# What the PTX files were made with, and from: `sha256sum` gives the same numbers.
";

/// The whole file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Lock {
    /// Of `report.txt`.
    pub(crate) report: String,
    /// Versions and options.
    pub(crate) made_with: BTreeMap<String, String>,
    /// By the file's name without `.cu`.
    pub(crate) kernels: BTreeMap<String, Locked>,
}

/// One PTX file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Locked {
    pub(crate) target: String,
    /// Of the PTX.
    pub(crate) ptx: String,
    /// Of each file that it was made from.
    pub(crate) sources: BTreeMap<String, String>,
}

/// What this program builds with.
pub(crate) fn made_with() -> BTreeMap<String, String> {
    let versions = VERSIONS.map(|(tool, version)| (tool.into(), version.into()));
    let options = ("options".into(), OPTIONS.join(" "));
    versions.into_iter().chain([options]).collect()
}

impl Lock {
    /// The file's text, which is TOML.
    pub(crate) fn text(&self) -> String {
        let mut text = String::from(HEAD);
        let mut line = |key: &str, value: &str| {
            // Values are hashes, versions and our own options: nothing wants escaping.
            let _ = writeln!(text, "{key} = \"{value}\"");
        };
        for (key, value) in &self.made_with {
            line(key, value);
        }
        line("report", &self.report);
        for (stem, locked) in &self.kernels {
            let _ = write!(text, "\n[{stem}]\ntarget = \"{}\"\n", locked.target);
            let _ = write!(text, "ptx = \"{}\"\n[{stem}.sources]\n", locked.ptx);
            for (name, hash) in &locked.sources {
                let _ = writeln!(text, "\"{name}\" = \"{hash}\"");
            }
        }
        text
    }

    /// Reads what [`text`](Self::text) writes.
    pub(crate) fn read(text: &str) -> Result<Self, String> {
        let mut lock = Self::default();
        let mut section = String::new();
        for (line, number) in text.lines().zip(1..) {
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            if let Some(name) = line.strip_prefix('[').and_then(|l| l.strip_suffix(']')) {
                section = name.into();
                continue;
            }
            let pair = line.split_once(" = ").and_then(|(key, value)| {
                let value = value.strip_prefix('"')?.strip_suffix('"')?;
                Some((key.trim_matches('"').to_string(), value.to_string()))
            });
            let Some((key, value)) = pair else {
                return Err(format!("{FILE}: line {number} is not key = \"value\""));
            };
            let (stem, of_sources) = match section.strip_suffix(".sources") {
                Some(stem) => (stem, true),
                None => (&*section, false),
            };
            if stem.is_empty() {
                match &*key {
                    "report" => lock.report = value,
                    _ => drop(lock.made_with.insert(key, value)),
                }
                continue;
            }
            let locked = lock.kernels.entry(stem.into()).or_default();
            match &*key {
                _ if of_sources => drop(locked.sources.insert(key, value)),
                "target" => locked.target = value,
                "ptx" => locked.ptx = value,
                _ => return Err(format!("{FILE}: line {number}: {key} is not known")),
            }
        }
        Ok(lock)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let sources = ["prims.cuh", "softmax.cu"].map(|name| (name.into(), "ab".repeat(32)));
        let locked = Locked {
            target: "compute_75".into(),
            ptx: "cd".repeat(32),
            sources: sources.into(),
        };
        let lock = Lock {
            report: "ef".repeat(32),
            made_with: made_with(),
            kernels: [("gelu".into(), locked.clone()), ("softmax".into(), locked)].into(),
        };
        assert_eq!(Lock::read(&lock.text()), Ok(lock));
    }

    #[test]
    fn a_broken_line_is_named() {
        let said = Lock::read("# hi\nnvrtc = 12.4\n").unwrap_err();
        assert_eq!(said, "kernels.lock: line 2 is not key = \"value\"");
        let conflict = Lock::read("<<<<<<< HEAD\n").unwrap_err();
        assert!(conflict.contains("line 1"), "{conflict}");
    }
}
