//! Results on a full disk, with a reader that leaves, and on a terminal without a width.

use crate::place::{Outcome, Place, TINY};
use std::fs::File;
use std::process::{Command, Stdio};

/// Every command that has a result and needs no run.
const RESULTS: [&str; 11] = [
    "--help",
    "--version",
    "train --help",
    "bench op --help",
    "lesson list",
    "lesson 2",
    "data list",
    "devices",
    "bench op",
    "train --print-config",
    "translate --method exact chat",
];

fn run(command: &mut Command) -> Outcome {
    Outcome::of(command.stderr(Stdio::piped()))
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_is_a_failure_in_one_sentence() {
    let place = Place::new();
    place.output(&format!("train {TINY} --quiet --out run"));
    let of_a_run = [
        "generate --model run --max-new-tokens 3",
        "eval --model run --data text.txt",
        "logits --model run --ids 1,2 --out l",
        "train --resume --out run --quiet",
        "tokenizer info --tokenizer run/checkpoints/step-000005",
    ];
    for args in RESULTS.iter().chain(&of_a_run) {
        for json in ["", " --json"] {
            let full = File::options().write(true).open("/dev/full").unwrap();
            let child = place
                .command(&format!("{args}{json}"))
                .stdout(full)
                .stderr(Stdio::piped())
                .spawn();
            let output = child.unwrap().wait_with_output().unwrap();
            let stderr = String::from_utf8(output.stderr).unwrap();
            assert_eq!(output.status.code(), Some(1), "{args}{json}: {stderr}");
            let says = "error: cannot write to stdout: No space left on device";
            let last = stderr.lines().last().unwrap_or_default();
            assert!(last.starts_with(says), "{args}{json}: {stderr}");
        }
    }
}

#[cfg(unix)]
#[test]
fn a_reader_who_leaves_ends_it_quietly() {
    let place = Place::new();
    for args in RESULTS {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let child = place
            .command(args)
            .stdout(writer)
            .stderr(Stdio::piped())
            .spawn();
        let output = child.unwrap().wait_with_output().unwrap();
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert!(
            !stderr.contains("error") && !stderr.contains("panicked"),
            "{args}: {stderr}"
        );
        assert_eq!(output.status.code(), Some(141), "{args}: {stderr}");
    }
}

#[test]
fn a_width_of_nothing_is_an_unknown_one() {
    let place = Place::new();
    let help = |columns: Option<&str>| {
        let mut command = place.command("generate --help");
        match columns {
            Some(columns) => command.env("COLUMNS", columns),
            None => command.env_remove("COLUMNS"),
        };
        run(&mut command).stdout
    };
    let unknown = help(None);
    for columns in ["0", "", "-1", "many", "100", "99999999999999999999"] {
        assert_eq!(help(Some(columns)), unknown, "COLUMNS={columns}");
    }
    let longest = |text: &str| text.lines().map(|line| line.chars().count()).max();
    assert!(longest(&unknown) > Some(80) && longest(&unknown) <= Some(100));
    assert!(
        longest(&help(Some("60"))) <= Some(60),
        "{}",
        help(Some("60"))
    );
}
