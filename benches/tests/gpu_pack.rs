//! `benches/gpu/run.sh` against programs that fail, hang, crash and are missing: whatever happens
//! on a machine that is lent for half an hour, the summary must say it and the rest must run. Needs
//! bash and gzip; where they are missing the tests say that they are skipped.

#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

const DEVICE: &str = r#"{"backend":"cuda","name":"Stub","available":true,"memory_bytes":99000000000,"detail":"compute capability 9.0"}"#;
/// A `latimer` with a device; `{train}` and `{op}` are what its benches do.
const LATIMER: &str = r#"#!/bin/bash
case "$1 $2" in
'devices --json') echo '{device}' ;;
'bench train') {train} ;;
'bench op') {op} ;;
esac
"#;
const STEP: &str = r#"echo '{"step_ms":{"median":45.5,"min":45},"tokens_per_s":720000.5}'"#;
const OP: &str = r#"echo '{"op":"x","median_us":12.5,"gflops":650000,"gb_s":0.1}'"#;

/// A pack of stubs, unpacked and run in a folder of its own.
struct Pack(PathBuf);

impl Pack {
    /// `None` where the machine cannot run it.
    fn new(name: &str) -> Option<Self> {
        for tool in ["bash", "gzip", "timeout", "xargs"] {
            if Command::new(tool).arg("--version").output().is_err() {
                eprintln!("skipped: there is no {tool}");
                return None;
            }
        }
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("gpu-pack-{name}"));
        let _ = fs::remove_dir_all(&folder);
        for inner in ["pack/tests", "pack/peers", "pack/cubins", "bin"] {
            fs::create_dir_all(folder.join(inner)).unwrap();
        }
        let here = Path::new(env!("CARGO_MANIFEST_DIR")).join("gpu");
        fs::copy(here.join("run.sh"), folder.join("pack/run.sh")).unwrap();
        let pack = Self(folder);
        pack.write("pack/built.txt", name);
        pack.write("pack/shakespeare.txt", "To be");
        pack.write("pack/ops.txt", "matmul 8,8,8 bf16\nunary 9 bf16\n");
        for program in ["conformance", "attention_bf16", "matmul"] {
            pack.test(&format!("backend-cuda--{program}"), "one", "exit 0");
        }
        pack.test("tests--production_step", "a_step", "exit 0");
        pack.latimer(STEP, OP);
        // What the machine has besides is not what is tested.
        pack.script("bin/python3", "#!/bin/bash\nexit 1\n");
        for tool in ["nvidia-smi", "compute-sanitizer", "ncu"] {
            pack.script(&format!("bin/{tool}"), "#!/bin/bash\nexit 0\n");
        }
        Some(pack)
    }

    fn write(&self, path: &str, text: &str) {
        fs::write(self.0.join(path), text).unwrap();
    }

    fn script(&self, path: &str, text: &str) {
        self.write(path, text);
        let mode = fs::Permissions::from_mode(0o755);
        fs::set_permissions(self.0.join(path), mode).unwrap();
    }

    fn packed(&self, path: &str, text: &str) {
        self.write(path, text);
        let packed = Command::new("gzip")
            .arg("-f")
            .arg(self.0.join(path))
            .status();
        assert!(packed.unwrap().success());
    }

    fn latimer(&self, train: &str, op: &str) {
        self.latimer_on(DEVICE, train, op);
    }

    fn latimer_on(&self, device: &str, train: &str, op: &str) {
        let text = LATIMER
            .replace("{device}", device)
            .replace("{train}", train)
            .replace("{op}", op);
        self.packed("pack/latimer", &text);
    }

    /// A test program with one test, which does `what`, and a helper that is ignored.
    fn test(&self, program: &str, test: &str, what: &str) {
        let text = format!(
            "#!/bin/bash\ncase \" $* \" in\n*' --ignored '*) echo 'child: test' ;;\n\
             *' --list '*) printf 'child: test\\n{test}: test\\n' ;;\n*) {what} ;;\nesac\n"
        );
        self.packed(&format!("pack/tests/{program}"), &text);
    }

    /// Runs a part; its status, and its summary.
    fn run(&self, part: &str, environment: &[(&str, &str)]) -> (Option<i32>, String) {
        let path = std::env::var("PATH").unwrap_or_default();
        let path = format!("{}:{path}", self.0.join("bin").display());
        let output = Command::new("bash")
            .arg(self.0.join("pack/run.sh"))
            .arg(part)
            .env("PATH", path)
            .env("OUT", self.0.join("out"))
            .env("WORK", self.0.join("work"))
            .env_remove("LATIMER_CUBLASLT")
            .envs(environment.iter().copied())
            .output()
            .unwrap();
        let summary = fs::read_to_string(self.0.join(format!("out/{part}-summary.txt")));
        let errors = String::from_utf8_lossy(&output.stderr);
        let summary = summary.unwrap_or_default() + &errors;
        (output.status.code(), summary)
    }

    fn result(&self, name: &str) -> String {
        fs::read_to_string(self.0.join("out").join(name)).unwrap()
    }
}

/// Every one of `parts` is in some line, in this order.
fn in_order(text: &str, parts: &[&str]) {
    let mut rest = text;
    for part in parts {
        let at = rest.find(part);
        rest = &rest[at.unwrap_or_else(|| panic!("`{part}` is missing or too early:\n{text}"))..];
    }
}

#[test]
fn the_headline_comes_first_with_its_figures() {
    let Some(pack) = Pack::new("well") else {
        return;
    };
    let (status, summary) = pack.run("first", &[]);
    in_order(
        &summary,
        &[
            "Stub, well",
            "PyTorch sees no GPU here",
            "ok  smoke test fill",
            "ok  124M, 32 rows",
            "step 45.50 ms, 720000 tokens/s",
            "tests: 3 of 3 passed (8 cases",
            "ok  char10m",
            "ok  attention 16,1024,32,64, ",
            " s, 12.5 us, 650.0 TFLOP/s",
            "first: all went well",
        ],
    );
    assert_eq!(status, Some(0), "{summary}");
    let rows = pack.result("first-bench.jsonl");
    assert!(
        rows.starts_with(r#"{"run":"124M, 32 rows","step_ms""#),
        "{rows}"
    );
    assert_eq!(fs::read_dir(pack.0.join("out")).unwrap().count(), 8);
}

#[test]
fn a_step_that_fails_is_tried_plainly_and_then_with_own_products() {
    let Some(pack) = Pack::new("retry") else {
        return;
    };
    // Fails as a graph; hangs when launched plainly by cuBLASLt.
    let train = format!(
        "case \"$* ${{LATIMER_CUBLASLT:-}}\" in *seed*|*baby*|*char10m*|*plain*off) {STEP} ;; \
         *plain*) sleep 60 ;; *) echo 'error: the capture failed' >&2; exit 1 ;; esac"
    );
    pack.latimer(&train, OP);
    let (status, summary) = pack.run("first", &[("MOST", "6")]);
    in_order(
        &summary,
        &[
            "FAILED (status 1)  124M, 32 rows, ",
            " s: error: the capture failed",
            "HUNG (stopped after",
            "124M, plain launches",
            "ok  124M, own products",
            "tests: 3 of 3 passed",
            "ok  attention_backward 1,16384,16,128",
            "something failed or was left out",
        ],
    );
    assert_eq!(status, Some(1));
}

#[test]
fn a_test_that_hangs_or_crashes_costs_itself_alone() {
    let Some(pack) = Pack::new("tests") else {
        return;
    };
    // It also refuses to end when asked to.
    pack.test(
        "backend-cuda--matmul",
        "stuck",
        "trap '' TERM; while :; do sleep 1; done",
    );
    pack.test(
        "backend-cuda--reduce",
        "crash",
        "echo 'a fault in kernel x'; kill -SEGV $$",
    );
    let (status, summary) = pack.run("verify", &[("MOST", "6")]);
    in_order(&summary, &["tests: 2 of 4 passed (64 cases"]);
    for line in [
        "HUNG (stopped after 6 s)\tbackend-cuda--matmul\tstuck",
        "CRASHED (status 139)\tbackend-cuda--reduce\tcrash",
    ] {
        assert!(summary.contains(line), "{summary}");
    }
    for tool in ["memcheck", "synccheck", "racecheck", "initcheck"] {
        let line = format!("ok  {tool}, tensor-core attention");
        assert!(summary.contains(&line), "{summary}");
    }
    let log = pack.result("verify-tests.log");
    assert!(log.contains("a fault in kernel x"), "{log}");
    assert!(log.contains("with CUDA_LAUNCH_BLOCKING=1"), "{log}");
    assert_eq!(status, Some(1));
}

#[test]
fn without_a_device_it_stops_and_says_why() {
    let Some(pack) = Pack::new("none") else {
        return;
    };
    let none = r#"{"backend":"cuda","name":null,"available":false,"detail":"","reason":"the NVIDIA driver sees no GPU"}"#;
    pack.latimer_on(none, STEP, OP);
    let (status, summary) = pack.run("first", &[]);
    assert!(
        summary.ends_with(
            "no CUDA device opens, so nothing else is run: the NVIDIA driver sees no GPU\n"
        ),
        "{summary}"
    );
    assert!(!summary.contains("124M"), "{summary}");
    assert_eq!(status, Some(1));
    let (status, summary) = pack.run("third", &[]);
    assert!(summary.contains("there is no part third"), "{summary}");
    assert_eq!(status, Some(2));
}

#[test]
fn when_the_time_is_spent_the_rest_is_named() {
    let Some(pack) = Pack::new("budget") else {
        return;
    };
    let (status, summary) = pack.run("compare", &[("BUDGET", "1")]);
    for line in [
        "NOT RUN: matmul 8,8,8 bf16 (the 1 s are spent)",
        "NOT RUN: char10m, trained to the end",
    ] {
        assert!(summary.contains(line), "{summary}");
    }
    assert_eq!(status, Some(1));
}

/// Programs are kept between calls, but not those of another pack; nor does a library path of ours
/// reach Python.
#[test]
fn a_new_pack_replaces_what_was_kept() {
    let Some(pack) = Pack::new("kept") else {
        return;
    };
    pack.script(
        "bin/python3",
        "#!/bin/bash\necho \"python: ${LD_LIBRARY_PATH-unset}\" >>\"$WORK/python\"\n\
         case $* in *purelib*) echo /site ;; *torch_ops*)\n\
         echo '{\"line\": \"matmul 8,8,8 bf16\", \"median_us\": 10.0}';; esac\n",
    );
    pack.latimer(
        STEP,
        "echo '{\"op\":\"x\",\"median_us\":20.0}'; echo old >&2",
    );
    let (_, summary) = pack.run("compare", &[("LATIMER_CUBLASLT", "/lib/of/torch.so")]);
    let table = summary
        .lines()
        .find(|line| line.contains("matmul 8,8,8 bf16  "));
    let words: Vec<_> = table
        .unwrap_or_else(|| panic!("no table: {summary}"))
        .split_whitespace()
        .collect();
    assert_eq!(
        words,
        ["matmul", "8,8,8", "bf16", "20.0", "10.0", "2.00"],
        "{summary}"
    );
    assert!(pack.result("compare-commands.log").contains("\nold\n"));
    let seen = fs::read_to_string(pack.0.join("work/python")).unwrap();
    let outside = std::env::var("LD_LIBRARY_PATH").unwrap_or_else(|_| "unset".into());
    assert!(
        seen.lines()
            .all(|line| line == format!("python: {outside}")),
        "{seen}"
    );

    // The same pack again: the programs of before. Another pack: its own.
    pack.latimer(STEP, "echo new >&2");
    pack.run("compare", &[]);
    assert!(pack.result("compare-commands.log").contains("\nold\n"));
    pack.write("pack/built.txt", "another");
    pack.run("compare", &[]);
    assert!(pack.result("compare-commands.log").contains("\nnew\n"));
}
