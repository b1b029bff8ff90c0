//! Made-up files for every file reader, by libFuzzer.
//!
//! The targets are the binaries of `fuzz/Cargo.toml`. Each starts from the seeds in
//! `fuzz/seeds/TARGET` (real files, as small as they get) and what earlier runs found worth keeping
//! in `target/fuzz/corpus/TARGET`. A panic, a hang, or more memory than an input of that size may
//! ask for ends the task with an error; the input is kept below `target/fuzz/artifacts`.

use std::ffi::OsString;
use std::fs;
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};
use std::time::Instant;
use xtask::run::{Outcome, succeed, target_folder};

const PROJECT: &str = "fuzz";

/// Inputs a target, unless `--runs` says otherwise.
const RUNS: u64 = 1_000_000;

/// What an input may cost; beyond it, libFuzzer counts it as a fault of the reader.
const LIMITS: [&str; 3] = [
    "-timeout=10",
    // The fuzzer's own memory is most of this.
    "-rss_limit_mb=2048",
    // At once: no reader needs it for a few KiB.
    "-malloc_limit_mb=64",
];

/// What a target reads: the words of its format (a file in `fuzz/dictionaries`), and the longest
/// input, in bytes: more than its seeds have, and small enough to be quick.
const FORMATS: [(&str, &str, u32); 9] = [
    ("config", "toml", 512),
    // The 256 bytes of a byte-pair vocabulary alone take 3 KiB.
    ("tokenizer_json", "json", 6144),
    ("model_config", "json", 1024),
    ("weights", "safetensors", 2048),
    ("model_folder", "json", 1024),
    ("text", "text", 1024),
    ("checkpoint", "json", 2048),
    ("vocabularies", "json", 1024),
    ("shard", "safetensors", 256),
];

/// Fuzzes the targets named, or all.
pub(crate) fn fuzz(args: &[OsString]) -> Outcome {
    let known = targets()?;
    let Asked { targets, runs } = Asked::read(args, &known)?;
    let ours = target_folder()?.join("fuzz");
    // The workspace's versions of what both use.
    fs::copy("Cargo.lock", Path::new(PROJECT).join("Cargo.lock"))
        .map_err(|error| format!("cannot write {PROJECT}/Cargo.lock: {error}"))?;
    has_tools()?;
    let target_dir = ours.join("target");
    let mut build = cargo_fuzz("build");
    succeed(build.arg("--target-dir").arg(&target_dir))?;
    for target in targets {
        let start = Instant::now();
        let (corpus, artifacts) = (
            ours.join("corpus").join(target),
            ours.join("artifacts").join(target),
        );
        for folder in [&corpus, &artifacts] {
            fs::create_dir_all(folder)
                .map_err(|error| format!("cannot create {}: {error}", folder.display()))?;
        }
        let mut run = cargo_fuzz("run");
        run.arg("--target-dir").arg(&target_dir);
        run.args([target, &corpus.display().to_string()]);
        run.arg(Path::new(PROJECT).join("seeds").join(target));
        run.arg("--").args(LIMITS);
        // The same inputs from the same corpus. Reports say how far it is, now and then.
        run.args([&format!("-runs={runs}"), "-seed=1", "-print_final_stats=1"]);
        run.arg(format!("-artifact_prefix={}/", artifacts.display()));
        if let Some((_, words, longest)) = FORMATS.iter().find(|(name, ..)| *name == target) {
            run.arg(format!("-dict={PROJECT}/dictionaries/{words}.dict"));
            run.arg(format!("-max_len={longest}"));
        }
        eprintln!("{target}: {runs} inputs");
        succeed(&mut run).map_err(|error| {
            let artifacts = artifacts.display();
            format!("{target} failed: its input is in {artifacts}; {error}")
        })?;
        let seconds = start.elapsed().as_secs_f64();
        eprintln!("{target}: {runs} inputs in {seconds:.0} s, nothing found");
    }
    Ok(ExitCode::SUCCESS)
}

fn cargo_fuzz(what: &str) -> Command {
    let mut command = Command::new("rustup");
    command.args(["run", "nightly", "cargo", "fuzz", what, "--fuzz-dir"]);
    command.arg(PROJECT);
    command
}

/// Says what to install.
fn has_tools() -> Result<(), String> {
    let runs = |args: &[&str]| {
        let status = Command::new("rustup")
            .args(["run", "nightly"])
            .args(args)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status();
        status.is_ok_and(|status| status.success())
    };
    if !runs(&["rustc", "--version"]) {
        return Err("fuzzing needs a nightly compiler: rustup toolchain install nightly".into());
    }
    if !runs(&["cargo", "fuzz", "--version"]) {
        return Err("fuzzing needs cargo-fuzz: cargo install cargo-fuzz --locked".into());
    }
    Ok(())
}

/// The names of the project's binaries, in order.
fn targets() -> Result<Vec<String>, String> {
    let manifest = Path::new(PROJECT).join("Cargo.toml");
    let text = fs::read_to_string(&manifest)
        .map_err(|error| format!("cannot read {}: {error}", manifest.display()))?;
    Ok(binaries(&text))
}

fn binaries(manifest: &str) -> Vec<String> {
    let after = manifest.split("[[bin]]").skip(1);
    let names = after.filter_map(|bin| {
        let line = bin.lines().find_map(|line| line.strip_prefix("name = "))?;
        Some(line.trim_matches('"').to_owned())
    });
    names.collect()
}

/// What the arguments ask for.
#[derive(Debug, PartialEq)]
struct Asked<'t> {
    targets: Vec<&'t str>,
    runs: u64,
}

impl<'t> Asked<'t> {
    fn read(args: &[OsString], known: &'t [String]) -> Result<Self, String> {
        let mut asked = Self {
            targets: Vec::new(),
            runs: RUNS,
        };
        let mut args = args.iter().map(|arg| arg.to_string_lossy());
        while let Some(arg) = args.next() {
            if arg == "--runs" {
                let runs = args.next().unwrap_or_default();
                let number = runs.replace('_', "").parse().ok().filter(|&n| n > 0);
                asked.runs =
                    number.ok_or_else(|| format!("--runs wants a number above 0, not {runs:?}"))?;
            } else {
                let target = known.iter().find(|known| **known == arg);
                let all = || known.join(", ");
                asked.targets.push(
                    target
                        .ok_or_else(|| format!("there is no target {arg}: they are {}", all()))?,
                );
            }
        }
        if asked.targets.is_empty() {
            asked.targets = known.iter().map(String::as_str).collect();
        }
        Ok(asked)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(args: &[&str]) -> Result<(Vec<String>, u64), String> {
        let known = ["a".to_owned(), "b".to_owned()];
        let args: Vec<OsString> = args.iter().map(OsString::from).collect();
        let asked = Asked::read(&args, &known)?;
        let targets = asked.targets.into_iter().map(str::to_owned).collect();
        Ok((targets, asked.runs))
    }

    #[test]
    fn arguments_choose_targets_and_runs() {
        assert_eq!(read(&[]), Ok((vec!["a".into(), "b".into()], RUNS)));
        assert_eq!(
            read(&["b", "--runs", "1_000"]),
            Ok((vec!["b".into()], 1000))
        );
        assert_eq!(
            read(&["c"]).unwrap_err(),
            "there is no target c: they are a, b"
        );
        assert!(read(&["--runs", "0"]).is_err());
        assert!(read(&["--runs"]).is_err());
    }

    /// Every target has seeds, none longer than its inputs may be, and a dictionary.
    #[test]
    fn targets_have_what_they_start_from() {
        xtask::run::to_root().unwrap();
        let targets = targets().unwrap();
        let known = FORMATS.map(|(target, ..)| target);
        assert_eq!(targets, known);
        for (target, words, longest) in FORMATS {
            let seeds = Path::new(PROJECT).join("seeds").join(target);
            let seeds = xtask::entries(&seeds).unwrap();
            assert!(!seeds.is_empty(), "{target}");
            for seed in seeds {
                let length = fs::metadata(&seed).unwrap().len();
                assert!(length <= longest.into(), "{}: {length}", seed.display());
            }
            let file = format!("{PROJECT}/dictionaries/{words}.dict");
            assert!(Path::new(&file).is_file(), "{file}");
        }
    }
}
