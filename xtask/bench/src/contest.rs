//! Processes that take turns.

use crate::{Options, new_tokens, steps};
use serde_json::Value;
use std::path::Path;
use std::process::Command;

/// One preset, and who runs it.
#[derive(Debug)]
pub(crate) struct Contest<'a> {
    pub(crate) preset: &'a str,
    pub(crate) options: &'a Options,
    pub(crate) latimer: &'a Path,
}

/// Who runs, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Program {
    Latimer { threads: usize },
    PyTorch { mode: &'static str, threads: usize },
}

impl Program {
    pub(crate) fn mode(self) -> &'static str {
        match self {
            Self::Latimer { .. } => "",
            Self::PyTorch { mode, .. } => mode,
        }
    }

    pub(crate) fn threads(self) -> usize {
        match self {
            Self::Latimer { threads } | Self::PyTorch { threads, .. } => threads,
        }
    }
}

/// What all processes of one program gave.
#[derive(Clone, Debug)]
pub(crate) struct Standing {
    pub(crate) program: Program,
    /// Its name and version.
    pub(crate) name: String,
    /// Milliseconds a step or token: each process's median, and the least of all.
    pub(crate) medians: Vec<f64>,
    pub(crate) min: f64,
    pub(crate) memory: Vec<f64>,
    /// Of ours: 10⁹ operations a second of the machine, and of a step, by its process's median.
    pub(crate) peak_gflops: Vec<f64>,
    pub(crate) gflop: Vec<f64>,
    /// Of ours when decoding: share of the bandwidth.
    pub(crate) bandwidth_share: Vec<f64>,
}

impl Standing {
    fn new(program: Program) -> Self {
        Self {
            program,
            name: format!("latimer {}", env!("CARGO_PKG_VERSION")),
            medians: Vec::new(),
            min: f64::INFINITY,
            memory: Vec::new(),
            peak_gflops: Vec::new(),
            gflop: Vec::new(),
            bandwidth_share: Vec::new(),
        }
    }

    /// Takes in what a process printed.
    fn enter(&mut self, line: &str, times: &str) -> Result<(), String> {
        let said: Value = serde_json::from_str(line)
            .map_err(|error| format!("{:?} did not print JSON ({error}): {line}", self.program))?;
        let number = |path: &[&str]| number(&said, path);
        let (Some(median), Some(min)) = (number(&[times, "median"]), number(&[times, "min"]))
        else {
            return Err(format!(
                "no {times} in what {:?} printed: {line}",
                self.program
            ));
        };
        self.medians.push(median);
        self.min = self.min.min(min);
        self.memory.extend(number(&["peak_rss_mb"]));
        if let Program::PyTorch { .. } = self.program {
            self.name = said["program"].as_str().unwrap_or("pytorch").to_owned();
        }
        if let (Some(peak), Some(share)) = (number(&["peak_gflops"]), number(&["peak_share"])) {
            self.peak_gflops.push(peak);
            self.gflop.push(share * peak * median * 1e-3);
        }
        self.bandwidth_share.extend(number(&["bandwidth_share"]));
        Ok(())
    }
}

/// The number at a path of keys; `None` for anything else that stands there.
pub(crate) fn number(value: &Value, path: &[&str]) -> Option<f64> {
    path.iter()
        .try_fold(value, |value, key| value.get(key))?
        .as_f64()
}

/// The middle one, or the mean of the two; NaN of none.
pub(crate) fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    match sorted.len() {
        0 => f64::NAN,
        n => f64::midpoint(sorted[(n - 1) / 2], sorted[n / 2]),
    }
}

impl Contest<'_> {
    /// The key of the times in what the programs print.
    pub(crate) fn times(&self) -> &'static str {
        match self.options.generate {
            true => "ms_per_token",
            false => "step_ms",
        }
    }

    fn programs(&self) -> Vec<Program> {
        let threads = self.options.threads;
        let mut programs = vec![Program::Latimer { threads }];
        if self.options.against && self.options.generate {
            let mode = "eager";
            programs.push(Program::PyTorch { mode, threads });
            if threads > 1 {
                programs.push(Program::PyTorch { mode, threads: 1 });
            }
        } else if self.options.against {
            programs.extend(["eager", "compile"].map(|mode| Program::PyTorch { mode, threads }));
        }
        programs
    }

    fn command(&self, program: Program) -> Command {
        let Options {
            generate,
            dtype,
            python,
            ..
        } = self.options;
        let mut command;
        match program {
            Program::Latimer { .. } => {
                command = Command::new(self.latimer);
                command.args(["bench", if *generate { "generate" } else { "train" }]);
                command.args([
                    "--json",
                    "--quiet",
                    "--backend",
                    "cpu",
                    "--preset",
                    self.preset,
                ]);
                if *generate {
                    let n = new_tokens(self.preset).to_string();
                    command.args(["--runs", "3", "--new-tokens", &n]);
                }
            }
            Program::PyTorch { mode, .. } => {
                command = Command::new(python);
                command.args(["benches/peers/torch_gpt.py", self.preset, "--mode", mode]);
                if *generate {
                    let n = new_tokens(self.preset).to_string();
                    command.args(["--steps", "3", "--warmup", "1", "--generate", &n]);
                }
            }
        }
        if !*generate {
            let (steps, warmup) = steps(self.preset);
            let [steps, warmup] = [steps, warmup].map(|n| n.to_string());
            command.args(["--steps", &steps, "--warmup", &warmup]);
        }
        command.args([
            "--dtype",
            dtype,
            "--threads",
            &program.threads().to_string(),
        ]);
        command
    }

    /// Lets every program run in turn, as often as asked. Ours must succeed; another that does not
    /// leaves.
    pub(crate) fn hold(&self) -> Result<Vec<Standing>, String> {
        let programs = self.programs().into_iter();
        let mut standings: Vec<_> = programs.map(Standing::new).collect();
        for run in 1..=self.options.runs {
            let mut left = Vec::new();
            for mut standing in standings {
                let program = standing.program;
                match self
                    .run(program)
                    .and_then(|line| standing.enter(&line, self.times()))
                {
                    Ok(()) => {
                        let ms = standing.medians.last().copied().unwrap_or(f64::NAN);
                        eprintln!(
                            "{} run {run}: {} {} on {}: {ms:.3} ms",
                            self.preset,
                            standing.name,
                            program.mode(),
                            program.threads()
                        );
                        left.push(standing);
                    }
                    Err(error) if matches!(program, Program::PyTorch { .. }) => {
                        eprintln!("without pytorch {}: {error}", program.mode());
                    }
                    Err(error) => return Err(error),
                }
            }
            standings = left;
        }
        Ok(standings)
    }

    /// The last line that a program prints.
    fn run(&self, program: Program) -> Result<String, String> {
        let mut command = self.command(program);
        let name = format!("{:?}", command.get_program());
        let output = command
            .output()
            .map_err(|error| format!("cannot start {name}: {error}"))?;
        let last = |text: &[u8]| {
            let text = String::from_utf8_lossy(text);
            text.lines().last().unwrap_or_default().to_owned()
        };
        if output.status.success() {
            Ok(last(&output.stdout))
        } else {
            Err(format!(
                "{name} ended with {}: {}",
                output.status,
                last(&output.stderr)
            ))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_processes_print_is_taken_in() {
        let mut ours = Standing::new(Program::Latimer { threads: 2 });
        let line = r#"{"step_ms":{"median":4.0,"min":3.0},"peak_gflops":200.0,"peak_share":0.25,"peak_rss_mb":28.5}"#;
        ours.enter(line, "step_ms").unwrap();
        ours.enter(&line.replace("4.0", "6.0"), "step_ms").unwrap();
        assert_eq!((median(&ours.medians), ours.min), (5.0, 3.0));
        // A quarter of 200 GFLOP/s for 4 ms.
        assert!((ours.gflop[0] - 0.2).abs() < 1e-12);
        assert_eq!(ours.memory, [28.5, 28.5]);
        let mut theirs = Standing::new(Program::PyTorch {
            mode: "eager",
            threads: 1,
        });
        let line = r#"{"program": "pytorch 2.15.0", "step_ms": {"median": 9, "min": 8}}"#;
        theirs.enter(line, "step_ms").unwrap();
        assert_eq!(
            (theirs.name.as_str(), theirs.memory.len()),
            ("pytorch 2.15.0", 0)
        );
        assert!(theirs.enter("Killed", "step_ms").is_err());
    }
}
