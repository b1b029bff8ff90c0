//! `cargo xtask bench`: our speed on record, and beside PyTorch's.
//!
//! Programs take turns as processes of their own, so that what else the machine does hits all of
//! them, and the median over the processes of each one's median is what counts.

mod contest;
mod instructions;
mod machine;
mod report;
mod scaling;

use contest::Contest;
use std::ffi::OsString;
use std::io::Write;
use std::process::{Command, ExitCode};
use xtask::run::{self, Outcome};

const HELP: &str = "\
usage: cargo xtask bench [--against pytorch] [--generate] [OPTIONS]
       cargo xtask bench --instructions OP [--shape N,N…]
       cargo xtask bench --scaling [--runs N] [--no-record]
       cargo xtask bench train | generate | op …     (the latimer command's own)

Runs latimer, alternately with PyTorch if asked, compares, and appends to benches/record.

  --against pytorch   also benches/peers/torch_gpt.py, eager and compiled
  --generate          decoding instead of training steps
  --presets P,P…      [default: seed,baby,char10m-b8,gpt2-124m; with --generate char10m,gpt2-124m]
  --runs N            processes of each program [default: 5]
  --dtype NAME        f32 or bf16 [default: f32]
  --threads N         [default: 2]; decoding in PyTorch also on 1, and the better counts
  --python PATH       a Python that can import torch [default: python3]
  --no-record         only print
  --scaling           a step's time against n_embd, T, B, layers and vocabulary, on 1 thread and on
                      --threads: fitted exponents, and a drawing for each
  --instructions OP   instructions of one run of an operation, free of noise (valgrind or perf)
";

/// What was asked for.
#[derive(Debug, PartialEq)]
struct Options {
    against: bool,
    generate: bool,
    presets: Vec<String>,
    runs: usize,
    dtype: String,
    threads: usize,
    python: String,
    record: bool,
    scaling: bool,
    instructions: Option<String>,
    shape: Option<String>,
}

/// Steps of a process, and steps before: some seconds' worth.
fn steps(preset: &str) -> (usize, usize) {
    match preset {
        "seed" => (300, 20),
        "baby" => (60, 5),
        "char10m-b8" | "gpt2-124m" => (8, 2),
        _ => (10, 2),
    }
}

/// Tokens that a process decodes.
fn new_tokens(preset: &str) -> usize {
    if preset == "gpt2-124m" { 32 } else { 128 }
}

fn main() -> ExitCode {
    let args: Vec<OsString> = std::env::args_os().skip(1).collect();
    run::exit(bench(&args))
}

fn bench(args: &[OsString]) -> Outcome {
    let words: Vec<&str> = args.iter().filter_map(|arg| arg.to_str()).collect();
    if words.contains(&"--help") || words.contains(&"-h") {
        say(HELP);
        return Ok(ExitCode::SUCCESS);
    }
    let options = parse(&words)?;
    run::to_root()?;
    let latimer = run::build_latimer()?;
    if let Some(op) = &options.instructions {
        say(&instructions::count(
            &latimer,
            op,
            options.shape.as_deref(),
        )?);
        return Ok(ExitCode::SUCCESS);
    }
    if options.scaling {
        scaling::measure(&latimer, &options)?;
        return Ok(ExitCode::SUCCESS);
    }
    if options.against {
        check_python(&options.python)?;
    }
    let machine = machine::name();
    for preset in &options.presets {
        let contest = Contest {
            preset,
            options: &options,
            latimer: &latimer,
        };
        let results = contest.hold()?;
        say(&report::table(&contest, &results));
        if options.record {
            let file = report::record(&contest, &results, &machine)?;
            eprintln!("recorded in {}", file.display());
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// A result. That nobody reads it is no reason to stop.
fn say(text: &str) {
    let _ = std::io::stdout().write_all(text.as_bytes());
}

fn parse(words: &[&str]) -> Result<Options, String> {
    let mut options = Options {
        against: false,
        generate: words.contains(&"--generate"),
        presets: Vec::new(),
        runs: 5,
        dtype: "f32".to_owned(),
        threads: 2,
        python: "python3".to_owned(),
        record: true,
        scaling: false,
        instructions: None,
        shape: None,
    };
    let known = match options.generate {
        true => "char10m,gpt2-124m",
        false => "seed,baby,char10m-b8,gpt2-124m",
    };
    let mut presets = known;
    let mut words = words.iter();
    while let Some(&word) = words.next() {
        let mut value = || {
            let value = words.next().copied();
            value.ok_or_else(|| format!("{word} needs a value: see cargo xtask bench --help"))
        };
        let at_least_1 = |value: &str| match value.parse() {
            Ok(n) if n > 0 => Ok(n),
            _ => Err(format!(
                "{word} takes a whole number of at least 1, not `{value}`"
            )),
        };
        match word {
            "--against" => match value()? {
                "pytorch" => options.against = true,
                other => {
                    return Err(format!(
                        "cannot measure against `{other}`: only against pytorch"
                    ));
                }
            },
            "--generate" => {}
            "--presets" => presets = value()?,
            "--runs" => options.runs = at_least_1(value()?)?,
            "--threads" => options.threads = at_least_1(value()?)?,
            "--dtype" => match value()? {
                name @ ("f32" | "bf16") => options.dtype = name.to_owned(),
                other => {
                    return Err(format!(
                        "unknown number type `{other}`: it must be f32 or bf16"
                    ));
                }
            },
            "--python" => options.python = value()?.to_owned(),
            "--scaling" => options.scaling = true,
            "--no-record" => options.record = false,
            "--instructions" => options.instructions = Some(value()?.to_owned()),
            "--shape" => options.shape = Some(value()?.to_owned()),
            other => {
                return Err(format!(
                    "unknown flag `{other}`: see cargo xtask bench --help"
                ));
            }
        }
    }
    options.presets = presets.split(',').map(str::to_owned).collect();
    Ok(options)
}

/// An error unless this Python has PyTorch.
fn check_python(python: &str) -> Result<(), String> {
    let imported = Command::new(python).args(["-c", "import torch"]).output();
    let what = match imported {
        Ok(output) if output.status.success() => return Ok(()),
        Ok(_) => format!("{python} cannot import torch"),
        Err(error) => format!("{python} cannot be started ({error})"),
    };
    Err(format!(
        "{what}: install PyTorch for it (pip install torch), or name a Python that has it with --python PATH"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_are_read_and_wrong_ones_named() {
        let options = parse(&[
            "--against",
            "pytorch",
            "--presets",
            "seed,baby",
            "--runs",
            "7",
        ])
        .unwrap();
        assert!(options.against && options.record && !options.generate);
        assert_eq!((options.presets.len(), options.runs), (2, 7));
        let options = parse(&["--generate", "--dtype", "bf16"]).unwrap();
        assert_eq!(options.presets, ["char10m", "gpt2-124m"]);
        for (words, said) in [
            (&["--against", "jax"][..], "only against pytorch"),
            (&["--runs", "0"], "of at least 1"),
            (&["--runs"], "needs a value"),
            (&["--dtype", "f16"], "it must be f32 or bf16"),
            (&["--fast"], "unknown flag `--fast`"),
        ] {
            let error = parse(words).unwrap_err();
            assert!(error.contains(said), "{error}");
        }
    }

    #[test]
    fn a_python_that_is_not_there_is_one_sentence() {
        let error = check_python("no-such-python").unwrap_err();
        assert!(error.contains("--python PATH") && error.lines().count() == 1);
    }
}
