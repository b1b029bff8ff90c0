//! Instructions of one run of an operation: a figure that noise does not move.

use std::path::Path;
use std::process::Command;

/// Runs of the operation in the longer of two processes; the shorter has one, and the difference is
/// free of starting up and making operands.
const MORE: u64 = 10;

/// How many instructions one run takes on one thread, as a line.
pub(crate) fn count(latimer: &Path, op: &str, shape: Option<&str>) -> Result<String, String> {
    let tool = [Tool::Perf, Tool::Callgrind]
        .into_iter()
        .find(|tool| tool.instructions(Path::new("true"), &[]).is_ok())
        .ok_or("neither perf stat nor valgrind counts instructions here: install valgrind")?;
    let of = |runs: u64| {
        let runs = runs.to_string();
        let mut args = vec![
            "bench",
            "op",
            op,
            "--threads",
            "1",
            "--backend",
            "cpu",
            "--quiet",
        ];
        args.extend(["--warmup", "1", "--runs", &runs]);
        if let Some(shape) = shape {
            args.extend(["--shape", shape]);
        }
        tool.instructions(latimer, &args)
    };
    let (one, more) = (of(1)?, of(1 + MORE)?);
    let each = more.saturating_sub(one) / MORE;
    let shape = shape.unwrap_or("its usual shape");
    Ok(format!(
        "{op} {shape}: {each} instructions ({})\n",
        tool.name()
    ))
}

/// What counts.
#[derive(Clone, Copy, Debug)]
enum Tool {
    Perf,
    Callgrind,
}

impl Tool {
    fn name(self) -> &'static str {
        match self {
            Self::Perf => "perf stat, user mode",
            Self::Callgrind => "callgrind, which supports AVX2 but not AVX-512",
        }
    }

    /// All instructions of a process.
    fn instructions(self, program: &Path, args: &[&str]) -> Result<u64, String> {
        let mut command = match self {
            Self::Perf => {
                let mut command = Command::new("perf");
                command.args(["stat", "-x", ",", "-e", "instructions:u"]);
                command
            }
            Self::Callgrind => {
                let mut command = Command::new("valgrind");
                command.args(["--tool=callgrind", "--callgrind-out-file=/dev/null"]);
                command
            }
        };
        let output = command
            .arg(program)
            .args(args)
            .output()
            .map_err(|error| format!("cannot start {command:?}: {error}"))?;
        let said = String::from_utf8_lossy(&output.stderr);
        if !output.status.success() {
            // What the program said, not what the tool did.
            let error = said.lines().find_map(|line| line.strip_prefix("error: "));
            return Err(error.unwrap_or("it failed").to_owned());
        }
        let counted = match self {
            Self::Perf => counted_by_perf(&said),
            Self::Callgrind => counted_by_callgrind(&said),
        };
        counted.ok_or_else(|| format!("{} counted nothing", self.name()))
    }
}

/// `123456,,instructions:u,…`.
fn counted_by_perf(said: &str) -> Option<u64> {
    let line = said.lines().find(|line| line.contains("instructions:u"))?;
    line.split(',').next()?.parse().ok()
}

/// `==7== Collected : 123456`.
fn counted_by_callgrind(said: &str) -> Option<u64> {
    let (_, behind) = said.split_once("Collected :")?;
    behind.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_read() {
        assert_eq!(
            counted_by_perf("4711,,instructions:u,99,100.00,,\n"),
            Some(4711)
        );
        assert_eq!(
            counted_by_perf("<not supported>,,instructions:u,0,,\n"),
            None
        );
        let said = "==7== Events    : Ir\n==7== Collected : 4711\n==7== \n";
        assert_eq!(counted_by_callgrind(said), Some(4711));
    }
}
