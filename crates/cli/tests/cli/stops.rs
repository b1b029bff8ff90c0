//! Signals, and runs that end before their first step.

use crate::place::{Place, TINY};
use std::fs;
use std::io::{BufRead, BufReader};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

/// Far more than a second even on a busy machine, but less than the command would take by itself.
const PATIENCE: Duration = Duration::from_secs(60);

/// A command that was started.
struct Begun {
    child: Child,
    stdout: BufReader<ChildStdout>,
}

impl Begun {
    fn new(command: &mut Command) -> Self {
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        Self { child, stdout }
    }

    /// Waits until stdout has a line with these words.
    fn wait_for(&mut self, words: &str) {
        let mut line = String::new();
        while !line.contains(words) {
            line.clear();
            let read = self.stdout.read_line(&mut line).unwrap();
            assert!(read > 0, "it ended before {words}");
        }
    }

    /// Sends a signal and waits for the end: exit status, the rest of stdout, stderr.
    fn stop(mut self, signal: &str) -> (Option<i32>, String, String) {
        let pid = self.child.id().to_string();
        let sent = Command::new("kill").args([signal, &pid]).status();
        assert!(sent.unwrap().success());
        let begin = Instant::now();
        while self.child.try_wait().unwrap().is_none() {
            if begin.elapsed() > PATIENCE {
                self.child.kill().unwrap();
                panic!("{signal} was not heeded");
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        let output = self.child.wait_with_output().unwrap();
        let rest = std::io::read_to_string(self.stdout).unwrap();
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert!(!stderr.contains("panicked"), "{stderr}");
        (output.status.code(), rest, stderr)
    }
}

/// A run on the phrasebook, whose training split is endless and so are evaluations of it.
const ENDLESS: &str = "--preset phrasebook --n-layer 1 --n-embd 16 --n-head 2 --batch-size 4 \
    --warmup-iters 1 --eval-iters 1000000000 --sample-interval 0 --threads 1 --json --out run";

#[test]
fn an_evaluation_is_given_up_and_done_when_the_run_is_resumed() {
    for (signal, status) in [("-INT", 130), ("-TERM", 143)] {
        let place = Place::new();
        let flags = "--max-iters 3 --eval-interval 2";
        let mut run = Begun::new(&mut place.command(&format!("train {ENDLESS} {flags}")));
        run.wait_for("\"step\":2");
        let (got, stdout, stderr) = run.stop(signal);
        assert_eq!(got, Some(status), "{stderr}");
        let last = stdout.lines().last().unwrap();
        assert!(last.contains("\"interrupted\":true"), "{last}");
        assert!(!stdout.contains("\"eval\""), "{stdout}");
        assert!(stderr.contains("stopped after step 2 of 3"), "{stderr}");
        // The run resumes where it stopped: in the evaluation.
        let mut again = Begun::new(&mut place.command("train --resume --out run --json"));
        again.wait_for("\"plan\"");
        let (got, stdout, stderr) = again.stop(signal);
        assert_eq!(got, Some(status), "{stderr}");
        assert!(!stdout.contains("\"step\":3"), "{stdout}");
    }
}

#[test]
fn the_measuring_at_the_end_is_given_up() {
    let place = Place::new();
    let flags = "--max-iters 2 --eval-interval 0";
    let mut run = Begun::new(&mut place.command(&format!("train {ENDLESS} {flags}")));
    run.wait_for("\"checkpoint\"");
    let (status, stdout, stderr) = run.stop("-TERM");
    assert_eq!(status, Some(143), "{stderr}");
    let last = stdout.lines().last().unwrap();
    assert!(last.contains("\"steps\":2,\"interrupted\":true"), "{last}");
    assert!(
        stderr.contains("stopped while measuring after the last of 2 steps"),
        "{stderr}"
    );
    place.output("generate --model run --max-new-tokens 2 --prompt le");
}

/// Nobody writes to this pipe, so reading it never ends.
#[cfg(unix)]
#[test]
fn nothing_is_left_of_a_command_that_was_stopped_before_it_wrote() {
    let place = Place::new();
    let pipe = place.path("pipe.txt");
    assert!(
        Command::new("mkfifo")
            .arg(&pipe)
            .status()
            .unwrap()
            .success()
    );
    place.output("tokenizer train --kind char --vocab-size 99 --data text.txt --out t.json");
    let before = place.listing();
    for args in [
        format!("train {TINY} --data pipe.txt --out run"),
        format!("train {TINY} --data pipe.txt"),
        "tokenizer train --kind bpe --vocab-size 300 --data pipe.txt --out b.json".to_owned(),
        "data prepare text.txt pipe.txt --tokenizer t.json --out tokens --shard-tokens 99"
            .to_owned(),
    ] {
        for (signal, status) in [("-INT", 130), ("-TERM", 143)] {
            let mut command = place.command(&args);
            let run = Begun::new(&mut command);
            // Opening it for writing returns once the command has opened it too and waits for text.
            let _text = fs::File::options().write(true).open(&pipe).unwrap();
            let (got, _, stderr) = run.stop(signal);
            assert_eq!(got, Some(status), "{args} {stderr}");
            assert_eq!(place.listing(), before, "{args}");
        }
    }
}

/// If killed, the command leaves files that are not mistaken for tokens; the next attempt removes
/// them.
#[cfg(unix)]
#[test]
fn data_whose_preparation_was_killed_is_prepared_again() {
    let place = Place::new();
    place.output("tokenizer train --kind char --vocab-size 99 --data text.txt --out t.json");
    let pipe = place.path("pipe.txt");
    assert!(
        Command::new("mkfifo")
            .arg(&pipe)
            .status()
            .unwrap()
            .success()
    );
    let args = "--tokenizer t.json --out tokens --shard-tokens 99";
    let run = Begun::new(&mut place.command(&format!("data prepare text.txt pipe.txt {args}")));
    // This returns once the command has finished the first text.
    let _text = fs::File::options().write(true).open(&pipe).unwrap();
    let (status, ..) = run.stop("-KILL");
    assert_eq!(status, None);
    let train = format!("train {}", TINY.replace("text.txt", "tokens"));
    let refused = place.run(&format!("{train} --out run"));
    assert_eq!(refused.status, Some(1), "{refused:?}");
    place.output(&format!("data prepare text.txt {args}"));
    let names = fs::read_dir(place.path("tokens")).unwrap();
    let left = names.filter(|name| {
        let name = name.as_ref().unwrap().file_name();
        name.to_string_lossy().ends_with(".tmp")
    });
    assert_eq!(left.count(), 0);
    place.output(&format!("{train} --out run --quiet"));
    // If only its last file is missing, the preparation is not finished.
    fs::remove_file(place.path("tokens/tokenizer.json")).unwrap();
    for tokenizer in ["", "--tokenizer t.json"] {
        let refused = place.run(&format!("{train} {tokenizer} --out other"));
        assert_eq!(refused.status, Some(1), "{refused:?}");
        assert!(
            refused.stderr.contains("tokens is not finished"),
            "{refused:?}"
        );
    }
}

/// Whatever the error, no folder remains, neither the run's nor one above it.
#[test]
fn a_run_that_cannot_begin_leaves_no_folder() {
    let place = Place::new();
    fs::write(place.path("short.txt"), "abc").unwrap();
    fs::write(place.path("empty.txt"), "").unwrap();
    fs::write(place.path("latin.txt"), b"caf\xe9 ".repeat(99)).unwrap();
    fs::write(place.path("broken.json"), "{").unwrap();
    fs::create_dir(place.path("folder")).unwrap();
    let before = place.listing();
    for (flags, status) in [
        ("--data nowhere.txt", 1),
        ("--data short.txt", 1),
        ("--data empty.txt", 1),
        ("--data latin.txt", 1),
        ("--data folder", 1),
        ("--data shakespear", 1),
        ("--tokenizer broken.json", 1),
        ("--tokenizer nowhere.json", 1),
        ("--tokenizer words", 1),
        ("--max-vocab-size 3", 1),
        ("--learning-rate 1e39", 2),
        ("--n-embd 15", 2),
        ("--batch-size 1000000 --n-embd 2048", 1),
        ("--backend nonsense", 2),
    ] {
        for out in ["", "--out a/b/run", "--out folder"] {
            let data = if flags.contains("--data") {
                ""
            } else {
                "--data text.txt"
            };
            let tiny = TINY.replace("--data text.txt", data);
            let outcome = place.run(&format!("train {tiny} {flags} {out}"));
            assert_eq!(outcome.status, Some(status), "{flags}: {outcome:?}");
            assert_eq!(outcome.stderr.lines().count(), 1, "{flags}: {outcome:?}");
            assert_eq!(place.listing(), before, "{flags} {out}");
        }
    }
}

/// With a learning rate that breaks all weights in the first step, no checkpoint is saved and no
/// loss is null.
#[test]
fn weights_that_became_infinite_are_not_saved() {
    let place = Place::new();
    let flags = "--max-iters 1 --warmup-iters 0 --schedule constant --json";
    let refused = place.run(&format!(
        "train {TINY} {flags} --learning-rate 1e39 --out run"
    ));
    assert_eq!(refused.status, Some(2), "{refused:?}");
    assert!(refused.stderr.contains("1e39"), "{refused:?}");
    let stopped = place.run(&format!(
        "train {TINY} {flags} --learning-rate 3e38 --out run"
    ));
    assert_eq!(stopped.status, Some(1), "{stopped:?}");
    assert!(!stopped.stdout.contains("null"), "{stopped:?}");
    assert!(!stopped.stderr.contains("--skip-batch"), "{stopped:?}");
    assert!(
        stopped
            .stderr
            .contains("start again with a lower --learning-rate")
    );
    assert!(!place.path("run/checkpoints").exists());
    for _ in 0..2 {
        let again = place.run("train --resume --skip-batch --out run");
        assert_eq!(again.status, Some(1), "{again:?}");
    }
}

/// A resumed run reports what it did itself, not the steps before; and hints can be typed as
/// printed.
#[cfg(unix)]
#[test]
fn a_resumed_run_tells_what_it_did_and_hints_can_be_typed() {
    use std::os::unix::process::CommandExt;
    let place = Place::new();
    let told = |args: &[&str]| {
        let mut command = place.command("");
        command.arg0("cargo xtask").args(args);
        let outcome = crate::place::Outcome::of(&mut command);
        assert_eq!(outcome.status, Some(0), "{outcome:?}");
        format!("{}\n{}", outcome.stdout, outcome.stderr)
    };
    let out = ["--out", "a run"];
    let begin = [
        &["train"],
        &TINY.split_whitespace().collect::<Vec<_>>()[..],
        &out,
    ]
    .concat();
    let constant = ["--schedule", "constant"];
    let text = told(&[&begin[..], &constant].concat());
    assert!(text.contains("trained 5 steps in "), "{text}");
    assert!(text.contains(" over the whole split"), "{text}");
    assert!(text.contains("sampled losses: train "), "{text}");
    assert!(text.contains("of memory for tensors"), "{text}");
    assert!(
        text.contains("next: cargo xtask generate --model 'a run' "),
        "{text}"
    );
    let resume = [&["train", "--resume"], &out[..]].concat();
    let text = told(&resume);
    let nothing = "nothing was left to train: 5 steps had been trained before; measured again in ";
    assert!(text.contains(nothing), "{text}");
    assert!(!text.contains("tokens/s"), "{text}");
    let text = told(&[&resume[..], &["--max-iters", "7"]].concat());
    assert!(
        text.contains("trained 2 steps after the 5 of before in "),
        "{text}"
    );
    // A stopped run says how to resume it.
    let mut command = place.command("");
    let more = ["--max-iters", "100000000", "--json"];
    command.arg0("cargo xtask").args(resume).args(more);
    let mut run = Begun::new(&mut command);
    run.wait_for("\"step\":9");
    let (status, _, stderr) = run.stop("-INT");
    assert_eq!(status, Some(130), "{stderr}");
    let hint = "to continue: cargo xtask train --resume --out 'a run'";
    assert!(stderr.contains(hint), "{stderr}");
}
