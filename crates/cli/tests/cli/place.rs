//! A folder in which the command runs.

use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use tempfile::TempDir;

/// A model that trains in a second.
pub(crate) const TINY: &str = "--preset baby --data text.txt --n-layer 1 --n-embd 16 --n-head 2 \
    --block-size 16 --batch-size 4 --eval-iters 1 --warmup-iters 1 --max-iters 5";

/// A temporary folder that contains a text; the command runs there and caches there.
pub(crate) struct Place(TempDir);

/// Output and status of a command.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) status: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Place {
    pub(crate) fn new() -> Self {
        let place = Self(tempfile::tempdir().unwrap());
        let text = "to be or not to be, that is the question\n".repeat(40);
        std::fs::write(place.path("text.txt"), text).unwrap();
        place
    }

    pub(crate) fn path(&self, name: impl AsRef<Path>) -> PathBuf {
        self.0.path().join(name)
    }

    /// The command with arguments that hold no spaces.
    pub(crate) fn command(&self, args: &str) -> Command {
        self.command_of(args.split_whitespace())
    }

    /// Runs the command with these arguments, which may hold spaces.
    pub(crate) fn run_args(&self, args: &[&str]) -> Outcome {
        Outcome::of(&mut self.command_of(args.iter().copied()))
    }

    pub(crate) fn command_of<'a>(&self, args: impl IntoIterator<Item = &'a str>) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_latimer"));
        command
            .args(args)
            .current_dir(self.0.path())
            .env("LATIMER_CACHE", self.path("cache"))
            // No test reaches the network: nothing listens on port 9 (discard).
            .env("ALL_PROXY", "http://127.0.0.1:9")
            .stdin(Stdio::null());
        command
    }

    /// Runs the command to its end; in no case may it panic.
    pub(crate) fn run(&self, args: &str) -> Outcome {
        Outcome::of(&mut self.command(args))
    }

    /// Runs the command, expects success and returns its output.
    pub(crate) fn output(&self, args: &str) -> String {
        let outcome = self.run(args);
        assert_eq!(outcome.status, Some(0), "{args}: {outcome:?}");
        outcome.stdout
    }

    /// Runs the command with `--json`, expects success and returns its output, which must be JSON
    /// only.
    pub(crate) fn json(&self, args: &str) -> Vec<Value> {
        let text = self.output(&format!("{args} --json"));
        let parse = |line| serde_json::from_str(line).unwrap_or_else(|_| panic!("{line}"));
        text.lines().map(parse).collect()
    }

    /// Every path below, sorted.
    pub(crate) fn listing(&self) -> Vec<PathBuf> {
        let mut found = Vec::new();
        let mut folders = vec![self.0.path().to_owned()];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    folders.push(path.clone());
                }
                found.push(path);
            }
        }
        found.sort();
        found
    }
}

impl Outcome {
    pub(crate) fn of(command: &mut Command) -> Self {
        let output = command.output().unwrap();
        let outcome = Self {
            status: output.status.code(),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        };
        assert!(!outcome.stderr.contains("panicked"), "{outcome:?}");
        outcome
    }
}
