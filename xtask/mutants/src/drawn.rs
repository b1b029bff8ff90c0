//! Small changes to the source that some test must notice, made by `cargo-mutants`.
//!
//! A crate has hundreds or thousands of possible changes, and each costs a build and a run of the
//! tests. So a sample is drawn: the seed and a change's name decide whether it is in. The same seed
//! draws the same changes for as long as their lines stand where they are, and a sample of 20 is
//! the first half of a sample of 40.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::fs;
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};
use xtask::run::{Outcome, cargo, target_folder};

/// What each crate is called, lower crates first. A change in one may be noticed by its own tests
/// and by those of every crate after it.
const CRATES: [(&str, &str); 10] = [
    ("files", "latimer-files"),
    ("text", "latimer-text"),
    ("tokenizer", "latimer-tokenizer"),
    ("autograd", "latimer-autograd"),
    ("nn", "latimer-nn"),
    ("trainer", "latimer-trainer"),
    ("phrasebook", "latimer-phrasebook"),
    ("lessons", "latimer-lessons"),
    ("latimer", "latimer"),
    ("cli", "latimer-cli"),
];

/// The tests across crates come last: most changes are noticed earlier.
const TESTS: &str = "latimer-tests";

/// Changes a crate, unless `--sample` says otherwise.
const SAMPLE: usize = 40;

/// Unless `--seed` says otherwise.
const SEED: u64 = 1;

/// A change that makes a test hang counts as noticed. Tests that take less than this never hang.
const SECONDS: &str = "120";

/// Makes the changes that are drawn, one at a time, and says which no test noticed.
pub(crate) fn mutants(args: &[OsString]) -> Outcome {
    let asked = Asked::read(args)?;
    has_tool()?;
    let mut unnoticed = Vec::new();
    for at in asked.crates() {
        let (name, package) = CRATES[at];
        let all = list(package)?;
        let drawn = sample(&all, asked.sample, asked.seed);
        let (count, of, seed) = (drawn.len(), all.len(), asked.seed);
        eprintln!("{name}: {count} of {of} mutants, drawn with seed {seed}");
        let out = target_folder()?.join("mutants").join(name);
        fs::create_dir_all(&out)
            .map_err(|error| format!("cannot create {}: {error}", out.display()))?;
        let lines = out.join("drawn.diff");
        fs::write(&lines, touched(&drawn)?)
            .map_err(|error| format!("cannot write {}: {error}", lines.display()))?;
        let mut command = run(at, &drawn, &lines, &out);
        let status = command
            .status()
            .map_err(|error| format!("cannot start cargo mutants: {error}"))?;
        match status.code() {
            Some(0) => {}
            // Mutants that no test noticed, or that ran out of time.
            Some(2 | 3) => unnoticed.push(name),
            _ => return Err(format!("cargo mutants ended with {status} in {name}")),
        }
        eprintln!("{name}: every mutant's log is in {}", out.display());
    }
    if unnoticed.is_empty() {
        return Ok(ExitCode::SUCCESS);
    }
    let crates = unnoticed.join(", ");
    Err(format!(
        "some mutants were missed or hung in {crates}: give each a test, or say why it changes nothing"
    ))
}

/// Tests one crate's mutants in a copy of the workspace.
fn run(at: usize, drawn: &[&String], lines: &Path, out: &Path) -> Command {
    let mut command = cargo();
    command.args(["mutants", "--package", CRATES[at].1]);
    // A denied warning would make a mutant look as if it did not compile.
    command.args(["--cap-lints", "true", "--minimum-test-timeout", SECONDS]);
    command.arg("--output").arg(out);
    command.arg("--in-diff").arg(lines);
    for (_, package) in &CRATES[at..] {
        command.args(["--test-package", package]);
    }
    command.args(["--test-package", TESTS]);
    for name in drawn {
        command.args(["--re", &format!("^{}$", escaped(name))]);
    }
    command
}

/// A diff that touches the drawn mutants' lines and no others. Version 27 of the tool heeds
/// `--in-diff` for every mutant, and `--re` for all but those that leave a field out of a struct.
fn touched(drawn: &[&String]) -> Result<String, String> {
    let mut lines = BTreeMap::<_, BTreeSet<usize>>::new();
    for name in drawn {
        let mut parts = name.splitn(3, ':');
        let (file, line) = (parts.next(), parts.next().map(str::parse));
        let (Some(file), Some(Ok(line))) = (file, line) else {
            return Err(format!(
                "cargo mutants lists {name:?}: it should begin with FILE:LINE:"
            ));
        };
        lines.entry(file).or_default().insert(line);
    }
    let mut diff = String::new();
    for (file, lines) in lines {
        let text =
            fs::read_to_string(file).map_err(|error| format!("cannot read {file}: {error}"))?;
        diff += &format!("--- a/{file}\n+++ b/{file}\n");
        for (before, (line, text)) in text
            .lines()
            .enumerate()
            .map(|(at, text)| (at + 1, text))
            .filter(|(line, _)| lines.contains(line))
            .enumerate()
        {
            // Nothing stood there, after as many lines as the file had without those above.
            let old = line - 1 - before;
            diff += &format!("@@ -{old},0 +{line},1 @@\n+{text}\n");
        }
    }
    Ok(diff)
}

/// Every mutant of a package, by the name that `--re` is matched against.
fn list(package: &str) -> Result<Vec<String>, String> {
    let output = cargo()
        .args(["mutants", "--list", "--package", package])
        .stderr(Stdio::inherit())
        .output()
        .map_err(|error| format!("cannot start cargo mutants: {error}"))?;
    if !output.status.success() {
        return Err(format!("cargo mutants --list ended with {}", output.status));
    }
    let names = String::from_utf8_lossy(&output.stdout);
    Ok(names.lines().map(str::to_owned).collect())
}

fn sample(all: &[String], count: usize, seed: u64) -> Vec<&String> {
    let mut order: Vec<_> = all.iter().map(|name| (place(seed, name), name)).collect();
    order.sort_unstable();
    order.truncate(count);
    order.into_iter().map(|(_, name)| name).collect()
}

/// FNV-1a over `SEED:NAME`, and then the mixing steps of SplitMix64, as FNV's first bits depend on
/// too few of the bytes.
fn place(seed: u64, name: &str) -> u64 {
    let text = format!("{seed}:{name}");
    let hash = text.bytes().fold(0xCBF2_9CE4_8422_2325, |hash: u64, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01B3)
    });
    let hash = (hash ^ (hash >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let hash = (hash ^ (hash >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    hash ^ (hash >> 31)
}

/// A regular expression that matches this text alone.
fn escaped(name: &str) -> String {
    let mut out = String::new();
    for letter in name.chars() {
        if letter.is_ascii_punctuation() && !matches!(letter, '<' | '>' | '_') {
            out.push('\\');
        }
        out.push(letter);
    }
    out
}

/// Says what to install.
fn has_tool() -> Result<(), String> {
    let found = cargo()
        .args(["mutants", "--version"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    match found {
        Ok(status) if status.success() => Ok(()),
        _ => Err("this needs cargo-mutants: cargo install cargo-mutants --locked".into()),
    }
}

/// What the arguments ask for.
#[derive(Debug, PartialEq)]
struct Asked {
    /// A place in [`CRATES`]; all of them unless one is named.
    only: Option<usize>,
    sample: usize,
    seed: u64,
}

impl Asked {
    fn read(args: &[OsString]) -> Result<Self, String> {
        let mut asked = Self {
            only: None,
            sample: SAMPLE,
            seed: SEED,
        };
        let mut args = args.iter().map(|arg| arg.to_string_lossy());
        while let Some(arg) = args.next() {
            match &*arg {
                "--sample" => {
                    let value = args.next().unwrap_or_default();
                    asked.sample = value.parse().ok().filter(|&n| n > 0).ok_or_else(|| {
                        format!("--sample is {value:?}: it must be a number above 0")
                    })?;
                }
                "--seed" => {
                    let value = args.next().unwrap_or_default();
                    asked.seed = value
                        .parse()
                        .map_err(|_| format!("--seed is {value:?}: it must be a whole number"))?;
                }
                name => {
                    let known = || CRATES.map(|(name, _)| name).join(", ");
                    let at = CRATES.iter().position(|(known, _)| *known == name);
                    let at = at.ok_or_else(|| {
                        format!("there is no crate {name} to mutate: they are {}", known())
                    })?;
                    if asked.only.replace(at).is_some() {
                        return Err("mutants takes one crate, or none for all of them".into());
                    }
                }
            }
        }
        Ok(asked)
    }

    fn crates(&self) -> std::ops::Range<usize> {
        self.only.map_or(0..CRATES.len(), |at| at..at + 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(args: &[&str]) -> Result<Asked, String> {
        let args: Vec<OsString> = args.iter().map(OsString::from).collect();
        Asked::read(&args)
    }

    #[test]
    fn arguments_choose_the_crate_and_the_sample() {
        let all = read(&[]).unwrap();
        assert_eq!(all.crates(), 0..10);
        assert_eq!((all.sample, all.seed), (SAMPLE, SEED));
        let one = read(&["nn", "--seed", "7", "--sample", "5"]).unwrap();
        assert_eq!(one.crates(), 4..5);
        assert_eq!((one.sample, one.seed), (5, 7));
        let said = read(&["tensor"]).unwrap_err();
        let known = "they are files, text, tokenizer, autograd, nn, trainer, phrasebook, lessons, latimer, cli";
        assert_eq!(said, format!("there is no crate tensor to mutate: {known}"));
        let said = read(&["--sample", "0"]).unwrap_err();
        assert_eq!(said, "--sample is \"0\": it must be a number above 0");
        assert!(read(&["--seed"]).is_err());
        assert!(read(&["nn", "cli"]).is_err());
    }

    #[test]
    fn the_seed_and_the_names_alone_choose_a_sample() {
        let names: Vec<String> = (0..100).map(|n| format!("mutant {n}")).collect();
        let mut turned = names.clone();
        turned.reverse();
        let drawn = sample(&names, 40, 1);
        assert_eq!(drawn, sample(&turned, 40, 1));
        assert_eq!(drawn[..20], sample(&names, 20, 1));
        assert_ne!(drawn, sample(&names, 40, 2));
        // Not the first of them, nor the last.
        let halves = drawn.iter().filter(|name| names[..50].contains(name));
        assert!((10..=30).contains(&halves.count()), "{drawn:?}");
        assert_eq!(sample(&names, 1000, 1).len(), 100);
    }

    #[test]
    fn a_pattern_matches_its_name_alone() {
        let name = "src/a.rs:3:9: replace + with - in <impl A for B<'_>>::f_1 -> [u8; 2]";
        let pattern =
            r"src\/a\.rs\:3\:9\: replace \+ with \- in <impl A for B<\'_>>\:\:f_1 \-> \[u8\; 2\]";
        assert_eq!(escaped(name), pattern);
    }

    #[test]
    fn the_diff_touches_the_drawn_lines_alone() {
        xtask::run::to_root().unwrap();
        let file = "xtask/mutants/src/drawn.rs";
        let names = [7, 3, 3].map(|line| format!("{file}:{line}:9: replace + with -"));
        let text = fs::read_to_string(file).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        let (third, seventh) = (lines[2], lines[6]);
        let expected = format!(
            "--- a/{file}\n+++ b/{file}\n@@ -2,0 +3,1 @@\n+{third}\n@@ -5,0 +7,1 @@\n+{seventh}\n"
        );
        assert_eq!(touched(&names.each_ref()), Ok(expected));
        assert!(touched(&[&"no place".to_owned()]).is_err());
    }

    #[test]
    fn tests_of_the_crates_above_may_notice_too() {
        let name = "a.rs:1:1: replace f with ()".to_owned();
        let command = run(7, &[&name], Path::new("diff"), Path::new("out"));
        let args: Vec<_> = command
            .get_args()
            .map(|arg| arg.to_string_lossy())
            .collect();
        let tested = args.windows(2).filter(|pair| pair[0] == "--test-package");
        let tested: Vec<_> = tested.map(|pair| &*pair[1]).collect();
        assert_eq!(
            tested,
            ["latimer-lessons", "latimer", "latimer-cli", "latimer-tests"]
        );
        assert!(
            args.windows(2)
                .any(|pair| pair[0] == "--package" && pair[1] == "latimer-lessons")
        );
    }
}
