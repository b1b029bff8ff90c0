//! A kernel file: what its first line and its comments ask for, and the headers it includes.

use crate::sha256;
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use xtask::entries;

/// The compute capability whose PTX a file is compiled to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Target {
    /// Turing and all that came later: the f32 kernels.
    Compute75,
    /// Ampere and all that came later: bf16 and tensor-core kernels.
    Compute80,
    /// Hopper alone, neither older nor newer.
    Compute90a,
}

impl Target {
    pub(crate) const ALL: [Self; 3] = [Self::Compute75, Self::Compute80, Self::Compute90a];

    /// As NVRTC and the archives call it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Compute75 => "compute_75",
            Self::Compute80 => "compute_80",
            Self::Compute90a => "compute_90a",
        }
    }

    /// The target of this name.
    pub(crate) fn of_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|target| target.name() == name)
    }

    /// The architectures that `ptxas` tries this PTX on: each is some card that people own.
    pub(crate) fn architectures(self) -> &'static [&'static str] {
        match self {
            Self::Compute75 => &["sm_75", "sm_80", "sm_86", "sm_89", "sm_90"],
            Self::Compute80 => &["sm_80", "sm_86", "sm_89", "sm_90"],
            Self::Compute90a => &["sm_90a"],
        }
    }
}

/// Whether machine code for an architecture is disassembled, to count its instructions: the cards
/// that training is tuned for.
pub(crate) fn is_disassembled(architecture: &str) -> bool {
    matches!(architecture, "sm_80" | "sm_90" | "sm_90a")
}

/// `// allow-stack: KERNEL BYTES REASON`
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Allowance {
    pub(crate) kernel: String,
    pub(crate) bytes: u32,
}

/// `// expects: INSTRUCTION KERNEL…`, one for each kernel.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Expectation {
    pub(crate) instruction: String,
    pub(crate) kernel: String,
}

/// One `.cu` file and all that it includes, as it will be compiled.
#[derive(Debug)]
pub(crate) struct Source {
    /// The file's name without `.cu`.
    pub(crate) stem: String,
    pub(crate) target: Target,
    pub(crate) text: String,
    /// Names as in `#include "…"`, and texts.
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) allowances: Vec<Allowance>,
    pub(crate) expectations: Vec<Expectation>,
}

impl Source {
    /// Reads `<folder>/<stem>.cu`.
    fn read(folder: &Path, stem: &str) -> Result<Self, String> {
        let path = folder.join(format!("{stem}.cu"));
        let at = |message: String| format!("{}: {message}", path.display());
        if !is_plain(stem) {
            return Err(at("a kernel file's name has only a-z, 0-9 and _".into()));
        }
        let text = read(&path)?;
        let (allowances, expectations) = directives(&text).map_err(at)?;
        let mut headers = BTreeMap::new();
        add_headers(folder, &text, &mut headers)?;
        Ok(Self {
            stem: stem.into(),
            target: target(&text).map_err(at)?,
            text,
            headers,
            allowances,
            expectations,
        })
    }

    /// `X.cu`
    pub(crate) fn file(&self) -> String {
        format!("{}.cu", self.stem)
    }

    /// The SHA-256 of every file that the PTX is made from.
    pub(crate) fn hashes(&self) -> BTreeMap<String, String> {
        let own = (self.file(), sha256(self.text.as_bytes()));
        let headers = self.headers.iter();
        headers
            .map(|(name, text)| (name.clone(), sha256(text.as_bytes())))
            .chain([own])
            .collect()
    }
}

/// Every kernel file of a folder, in the order of their names.
pub(crate) fn sources(folder: &Path) -> Result<Vec<Source>, String> {
    let mut found = Vec::new();
    if !folder.is_dir() {
        return Err(format!("there is no folder {}", folder.display()));
    }
    for path in entries(folder)? {
        let is_kernel = path.extension().is_some_and(|extension| extension == "cu");
        if let Some(stem) = path.file_stem().filter(|_| is_kernel) {
            found.push(Source::read(folder, &stem.to_string_lossy())?);
        }
    }
    Ok(found)
}

/// What becomes a folder's name, a file's name and a key of the lock as it is.
fn is_plain(stem: &str) -> bool {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    !stem.is_empty() && stem.chars().all(plain)
}

/// The target that the first line names.
fn target(text: &str) -> Result<Target, String> {
    let first = text.lines().next().unwrap_or_default().trim_end();
    let named = first.strip_prefix("// target: ").and_then(Target::of_name);
    named.ok_or_else(|| {
        format!(
            "the first line is \"{first}\", but must be one of \"// target: compute_75\" (f32), \
             \"// target: compute_80\" (bf16, tensor cores), \"// target: compute_90a\" (Hopper)"
        )
    })
}

/// What the comments allow and expect.
fn directives(text: &str) -> Result<(Vec<Allowance>, Vec<Expectation>), String> {
    let (mut allowances, mut expectations) = (Vec::new(), Vec::new());
    for (line, number) in text.lines().zip(1..) {
        if let Some(rest) = line.strip_prefix("// allow-stack:") {
            let mut words = rest.split_whitespace();
            let kernel = words.next();
            let bytes = words.next().and_then(|word| word.parse().ok());
            let (Some(kernel), Some(bytes), Some(_)) = (kernel, bytes, words.next()) else {
                return Err(format!(
                    "line {number} must read \"// allow-stack: KERNEL BYTES REASON\""
                ));
            };
            let kernel = kernel.into();
            allowances.push(Allowance { kernel, bytes });
        } else if let Some(rest) = line.strip_prefix("// expects:") {
            let words: Vec<_> = rest.split_whitespace().collect();
            let [instruction, kernels @ ..] = &words[..] else {
                return Err(expects_must_read(number));
            };
            if kernels.is_empty() {
                return Err(expects_must_read(number));
            }
            expectations.extend(kernels.iter().map(|&kernel| Expectation {
                instruction: (*instruction).into(),
                kernel: kernel.into(),
            }));
        }
    }
    Ok((allowances, expectations))
}

fn expects_must_read(number: u32) -> String {
    format!("line {number} must read \"// expects: INSTRUCTION KERNEL…\", as HMMA or LDGSTS")
}

/// Adds the headers that `text` includes, and those that they include.
///
/// Conditions are not looked at: a header under `#ifdef SHIM_CPU` counts too if it lies in the
/// folder. One that does not is left for the compiler to miss.
fn add_headers(
    folder: &Path,
    text: &str,
    headers: &mut BTreeMap<String, String>,
) -> Result<(), String> {
    for name in includes(text) {
        let path = folder.join(name);
        if !headers.contains_key(name) && path.is_file() {
            let text = read(&path)?;
            headers.insert(name.into(), text.clone());
            add_headers(folder, &text, headers)?;
        }
    }
    Ok(())
}

/// The names in `#include "…"`.
fn includes(text: &str) -> impl Iterator<Item = &str> {
    text.lines().filter_map(|line| {
        let directive = line.trim_start().strip_prefix('#')?.trim_start();
        let rest = directive.strip_prefix("include")?.trim_start();
        Some(rest.strip_prefix('"')?.split_once('"')?.0)
    })
}

fn read(path: &Path) -> Result<String, String> {
    fs::read_to_string(path).map_err(|error| format!("cannot read {}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_line_names_the_target() {
        assert_eq!(target("// target: compute_75\n"), Ok(Target::Compute75));
        assert_eq!(
            target("// target: compute_90a\r\nx"),
            Ok(Target::Compute90a)
        );
        for wrong in ["", "// target: compute_70\n", "\n// target: compute_75\n"] {
            let said = target(wrong).unwrap_err();
            assert!(said.contains("// target: compute_80"), "{said}");
        }
    }

    #[test]
    fn comments_allow_and_expect() {
        let text = "// target: compute_80\n// allow-stack: a_b 8 two indices live in it\n\
            // expects: HMMA a_b c_d\nint x; // expects: nothing\n";
        let (allowances, expectations) = directives(text).unwrap();
        let (kernel, bytes) = ("a_b".to_string(), 8);
        assert_eq!(allowances, [Allowance { kernel, bytes }]);
        let expected = ["a_b", "c_d"].map(|kernel| Expectation {
            instruction: "HMMA".into(),
            kernel: kernel.into(),
        });
        assert_eq!(expectations, expected);
    }

    #[test]
    fn half_a_comment_is_refused() {
        for text in [
            "// allow-stack: a_b 8",
            "// allow-stack: a_b some reason",
            "// expects: HMMA",
            "// expects:",
        ] {
            let said = directives(text).unwrap_err();
            assert!(said.starts_with("line 1 must read"), "{text}: {said}");
        }
    }

    #[test]
    fn includes_are_found_whatever_their_spaces() {
        let text = "#include \"a.cuh\"\n  #  include \"b/c.cuh\" // why\n#include <cmath>\n";
        assert_eq!(includes(text).collect::<Vec<_>>(), ["a.cuh", "b/c.cuh"]);
    }
}
