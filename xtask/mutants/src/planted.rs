//! Faults planted in `backend-cpu` and in the CUDA kernels, one at a time, each of which the
//! conformance suite must catch.
//!
//! A suite that has never failed proves little. Here a copy of the workspace (the tree itself is
//! never touched) gets one fault after the other from [`all`], is built, and must then fail the
//! suite of the fault's operation, in the property that the list names. A fault whose anchor or
//! text is lost, or that does not compile, is a mistake of the list; the copy without a fault must
//! pass.
//!
//! Kernels that a better processor would skip are reached through `LATIMER_SIMD`; faults in kernels
//! that this processor cannot run are left out, and said to be. CUDA kernels run on the CPU shim,
//! which may also stop a faulty one by itself (a barrier not reached by all, a write past the end
//! of shared memory); that, or an access so far astray that the process dies, counts as the
//! property `Stops`.

#[macro_use]
mod list;
mod around;
mod attention;
mod kernels;

use crate::anchors::{Anchors, planted};
use around::Around;
use list::Fault;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::Instant;
use xtask::entries;
use xtask::run::{Outcome, cargo, target_folder};

/// What `cargo` needs to see a workspace.
const TREE: [&str; 8] = [
    "Cargo.toml",
    "Cargo.lock",
    "clippy.toml",
    "crates",
    "kernels",
    "xtask",
    "tests",
    "benches",
];

/// What faults in CUDA kernels have in the place of a level of instructions.
const SHIM: &str = "shim";
/// The name of all faults around kernels.
const AROUND: &str = "around";

/// Every fault, in the CPU backend first.
fn all() -> impl Iterator<Item = &'static Fault> {
    let cpu = list::FAULTS.iter().chain(attention::FAULTS);
    cpu.chain(kernels::FAULTS)
}

/// Plants the faults of these names, all of `cpu` or `kernels`, or all.
pub(crate) fn faults(names: &[OsString]) -> Outcome {
    let (chosen, around) = choose(names)?;
    let start = Instant::now();
    let anchors = Anchors::read()?;
    let copy = Copy::make()?;
    let (reached, missed): (Vec<_>, Vec<_>) =
        chosen.into_iter().partition(|fault| is_reached(fault.simd));
    copy.pass_unchanged(&reached)?;
    let mut rows = Vec::new();
    let mut mistakes = 0;
    for fault in &reached {
        let found = copy.plant(fault, &anchors);
        mistakes += u32::from(found.is_err());
        eprintln!(
            "{}: {}",
            fault.name,
            found.as_ref().unwrap_or_else(|message| message)
        );
        rows.push((*fault, found.unwrap_or_else(|_| "NOT AS IT SHOULD".into())));
    }
    let mut lines: Vec<String> = Vec::new();
    for (fault, found) in &rows {
        let Fault {
            about, op, simd, ..
        } = fault;
        lines.push(format!("| {about} | {op} | {simd} | {found} |"));
    }
    for fault in around {
        let found = fault.judge(&copy, &anchors);
        mistakes += u32::from(found.is_err());
        let (found, of) = match &found {
            Ok(found) => (found.as_str(), fault.test.join(" ")),
            Err(message) => (message.as_str(), fault.test.join(" ")),
        };
        eprintln!("{}: {found}", fault.name);
        let found = found.lines().next().unwrap_or_default();
        lines.push(format!("| {} | {of} | shim | {found} |", fault.about));
    }
    eprintln!("| fault | operation or test | simd | caught by |\n|---|---|---|---|");
    lines.iter().for_each(|line| eprintln!("{line}"));
    for fault in &missed {
        let level = fault.simd;
        eprintln!("left out, as this processor lacks {level}: {}", fault.about);
    }
    let seconds = start.elapsed().as_secs_f64();
    eprintln!(
        "{} of {} faults caught in {seconds:.0} s",
        lines.len() as u32 - mistakes,
        lines.len()
    );
    match mistakes {
        0 => Ok(ExitCode::SUCCESS),
        n => Err(format!("{n} planted faults were not caught as they should")),
    }
}

/// What was asked for: faults in kernels, and around them.
type Chosen = (Vec<&'static Fault>, Vec<&'static Around>);

fn choose(names: &[OsString]) -> Result<Chosen, String> {
    if names.is_empty() {
        return Ok((all().collect(), around::FAULTS.iter().collect()));
    }
    let (mut chosen, mut others) = (Vec::new(), Vec::new());
    for name in names {
        let before = chosen.len() + others.len();
        chosen.extend(all().filter(|fault| {
            let group = if fault.simd == SHIM { "kernels" } else { "cpu" };
            name == fault.name || name == group
        }));
        let around = around::FAULTS.iter();
        others.extend(around.filter(|fault| name == fault.name || name == AROUND));
        if chosen.len() + others.len() == before {
            let names = all().map(|fault| fault.name);
            let names: Vec<_> = names.chain(around::FAULTS.iter().map(|f| f.name)).collect();
            let (name, names) = (name.display(), names.join(", "));
            return Err(format!(
                "there is no fault {name}; the faults are {names}, or all of cpu, kernels or {AROUND}"
            ));
        }
    }
    Ok((chosen, others))
}

/// Whether this processor runs kernels of a level; every one runs `portable` and `any`.
#[cfg(target_arch = "x86_64")]
fn is_reached(simd: &str) -> bool {
    let fma = is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma");
    let wide = is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512dq");
    match simd {
        "avx512" => fma && wide,
        "avx2" => fma,
        "avx512bf16" => wide && is_x86_feature_detected!("avx512bf16"),
        // The compiler's own check of it is not stable yet.
        "amx" => fs::read_to_string("/proc/cpuinfo").is_ok_and(|cpu| cpu.contains(" amx_bf16")),
        _ => true,
    }
}

/// Whether this processor runs kernels of a level.
#[cfg(not(target_arch = "x86_64"))]
fn is_reached(simd: &str) -> bool {
    !simd.starts_with("avx") && simd != "amx"
}

/// A copy of the workspace with its own target folder; both are kept, so that little is built
/// again.
struct Copy {
    tree: PathBuf,
    target: PathBuf,
}

impl Copy {
    fn make() -> Result<Self, String> {
        let folder = target_folder()?.join("faults");
        let copy = Self {
            tree: folder.join("tree"),
            target: folder.join("target"),
        };
        fs::create_dir_all(&copy.tree)
            .map_err(|error| format!("cannot create {}: {error}", copy.tree.display()))?;
        for name in TREE {
            follow(Path::new(name), &copy.tree.join(name))?;
        }
        Ok(copy)
    }

    fn cargo_test(&self, simd: &str) -> Command {
        let package = match simd {
            SHIM => "latimer-backend-cuda",
            _ => "latimer-backend-cpu",
        };
        let mut command = self.cargo();
        command.args(["--package", package, "--test", "conformance"]);
        match simd {
            "any" => {}
            // The shim is slow, and that a fault is seen is enough.
            SHIM => _ = command.env("LATIMER_SHRINK", "0"),
            _ => _ = command.env("LATIMER_SIMD", simd),
        }
        command
    }

    /// `cargo test` in the copy.
    fn cargo(&self) -> Command {
        let mut command = cargo();
        command
            .current_dir(&self.tree)
            .args(["test", "--quiet", "--locked"])
            .env("CARGO_TARGET_DIR", &self.target)
            .env("RUST_BACKTRACE", "0");
        command
    }

    /// Without a fault, every operation of the list passes on every level of the list.
    fn pass_unchanged(&self, faults: &[&Fault]) -> Result<(), String> {
        for simd in [
            "any",
            "amx",
            "avx512bf16",
            "avx512",
            "avx2",
            "portable",
            SHIM,
        ] {
            let mut ops: Vec<_> = faults
                .iter()
                .filter(|f| f.simd == simd)
                .map(|f| f.op)
                .collect();
            ops.sort_unstable();
            ops.dedup();
            if ops.is_empty() {
                continue;
            }
            eprintln!("unchanged ({simd}): {}", ops.join(" "));
            let mut command = self.cargo_test(simd);
            command
                .args(["--", "--exact"])
                .args(ops.iter().flat_map(|op| tests_of(op)));
            let said = output(&mut command)?;
            if !said.passed {
                return Err(format!(
                    "without a fault the suite fails already:\n{}",
                    end(&said.text)
                ));
            }
        }
        Ok(())
    }

    /// Plants one fault; which properties the suite saw broken, or why that is not enough.
    fn plant(&self, fault: &Fault, anchors: &Anchors) -> Result<String, String> {
        let file = self.tree.join(anchors.file(fault.name)?);
        let text = read(&file)?;
        write(&file, fault.planted(&text)?.as_bytes())?;
        let found = self.judge(fault);
        write(&file, text.as_bytes())?;
        found
    }

    fn judge(&self, fault: &Fault) -> Result<String, String> {
        let built = output(self.cargo_test(fault.simd).arg("--no-run"))?;
        if !built.passed {
            return Err(format!("it does not compile:\n{}", end(&built.text)));
        }
        let mut command = self.cargo_test(fault.simd);
        command.args(["--", "--exact"]).args(tests_of(fault.op));
        let said = output(&mut command)?;
        if said.passed {
            return Err("the suite passes".into());
        }
        let broken = broken_properties(fault.op, &said.text);
        if broken.contains(&fault.breaks) {
            return Ok(broken.join(", "));
        }
        let expected = fault.breaks;
        Err(format!(
            "{expected} was to break, but the suite said:\n{}",
            end(&said.text)
        ))
    }
}

/// The tests that `latimer_conformance::suite!` makes for an operation.
fn tests_of(op: &str) -> [String; 3] {
    [
        "agrees_with_its_meaning",
        "spreads_nan_and_infinity",
        "refuses_misfits",
    ]
    .map(|test| format!("{op}::{test}"))
}

/// What the suite's failures name: `softmax (Agrees): y[3] is …`, each once.
fn broken_properties<'t>(op: &str, said: &'t str) -> Vec<&'t str> {
    let mut found = Vec::new();
    for line in said.lines() {
        let rest = line
            .strip_prefix(op)
            .and_then(|rest| rest.strip_prefix(" ("));
        let property = match rest.and_then(|rest| rest.split_once("): ")) {
            Some((property, _)) => property,
            None if line.starts_with("cpu-shim: ") || line.contains(" (signal: ") => "Stops",
            None => continue,
        };
        if !found.contains(&property) {
            found.push(property);
        }
    }
    found
}

impl Fault {
    /// The file with the fault in it.
    fn planted(&self, text: &str) -> Result<String, String> {
        planted(text, self.name, self.old, self.new)
    }
}

/// Makes `to` what `from` is, and leaves what is the same alone: its time, too, is what cargo
/// looks at.
fn follow(from: &Path, to: &Path) -> Result<(), String> {
    if !from.is_dir() {
        let bytes = fs::read(from).map_err(|e| format!("cannot read {}: {e}", from.display()))?;
        return match fs::read(to) {
            Ok(same) if same == bytes => Ok(()),
            _ => write(to, &bytes),
        };
    }
    fs::create_dir_all(to).map_err(|e| format!("cannot create {}: {e}", to.display()))?;
    let wanted: Vec<_> = entries(from)?
        .into_iter()
        .filter(|entry| entry.file_name().is_some_and(|name| name != "target"))
        .collect();
    for old in entries(to)? {
        if !wanted.iter().any(|new| new.file_name() == old.file_name()) {
            let removed = if old.is_dir() {
                fs::remove_dir_all(&old)
            } else {
                fs::remove_file(&old)
            };
            removed.map_err(|e| format!("cannot remove {}: {e}", old.display()))?;
        }
    }
    for entry in wanted {
        let name = entry.file_name().unwrap_or_default();
        follow(&entry, &to.join(name))?;
    }
    Ok(())
}

/// The last lines of a long text.
fn end(text: &str) -> String {
    const LINES: usize = 30;
    let lines: Vec<_> = text.lines().collect();
    lines[lines.len().saturating_sub(LINES)..].join("\n")
}

struct Said {
    passed: bool,
    text: String,
}

/// Runs a command and keeps what it says.
fn output(command: &mut Command) -> Result<Said, String> {
    let output = command
        .output()
        .map_err(|error| format!("cannot start {command:?}: {error}"))?;
    let text = [output.stdout, output.stderr].concat();
    Ok(Said {
        passed: output.status.success(),
        text: String::from_utf8_lossy(&text).into_owned(),
    })
}

fn read(file: &Path) -> Result<String, String> {
    fs::read_to_string(file).map_err(|error| format!("cannot read {}: {error}", file.display()))
}

fn write(file: &Path, bytes: &[u8]) -> Result<(), String> {
    fs::write(file, bytes).map_err(|error| format!("cannot write {}: {error}", file.display()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    /// Sources change; a list that no longer fits them is noticed with the ordinary tests.
    #[test]
    fn every_fault_has_its_anchor_and_fits_its_line() {
        xtask::run::to_root().unwrap();
        let anchors = Anchors::read().unwrap();
        let mut names = BTreeSet::new();
        let mut fits = |name, plant: &dyn Fn(&str) -> Result<String, String>| {
            let text = anchors.file(name).and_then(read).unwrap();
            let planted = plant(&text).unwrap_or_else(|error| panic!("{error}"));
            assert_ne!(planted, text, "{name}");
            assert!(names.insert(name), "{name} is listed twice");
        };
        for fault in all() {
            fits(fault.name, &|text| fault.planted(text));
        }
        for fault in around::FAULTS {
            fits(fault.name, &|text| fault.planted(text));
        }
        for name in anchors.names() {
            assert!(
                names.contains(name),
                "no fault is listed for `// mutant: {name}`"
            );
        }
    }

    #[test]
    fn properties_are_read_from_what_the_suite_says() {
        let said = "test x ... FAILED\nthread panicked at a.rs:1:2:\nsoftmax (Agrees): y[0] is 1\n\
            softmax (Agrees): y[1] is 2\nsoftmax_backward (Repeats): no\nsoftmax (SameBits): dx\n";
        assert_eq!(broken_properties("softmax", said), ["Agrees", "SameBits"]);
        assert!(broken_properties("matmul", said).is_empty());
        let said =
            "cpu-shim: softmax_f32: a barrier\nCaused by:\n  it died (signal: 11, SIGSEGV)\n";
        assert_eq!(broken_properties("softmax", said), ["Stops"]);
    }
}
