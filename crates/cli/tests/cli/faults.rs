//! The fault table of `docs/faults.md`, one test a row: what the user sees, and that nothing is
//! lost.

#![cfg(unix)]

use crate::place::{Outcome, Place, TINY};
use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};

/// A run with a constant learning rate may be made longer: it has 6 steps first, and 8 in the end.
const KEYS: &str = "--schedule constant --checkpoint-interval 3 --eval-interval 2 --quiet";
const NEWEST: &str = "run/checkpoints/step-000006";
const GO_ON: &str = "train --resume --out run --max-iters 8";

/// A run of six steps with checkpoints after three and six, and one of eight that was never
/// stopped.
fn stopped() -> Place {
    let place = Place::new();
    place.output(&format!("train {TINY} {KEYS} --max-iters 8 --out straight"));
    place.output(&format!("train {TINY} {KEYS} --max-iters 6 --out run"));
    place
}

/// Expects a refusal: one sentence with these words, and status 1.
fn refused(place: &Place, args: &str, words: &[&str]) -> Outcome {
    let outcome = place.run(args);
    assert_eq!(outcome.status, Some(1), "{args}: {outcome:?}");
    assert_eq!(outcome.stderr.matches("error:").count(), 1, "{outcome:?}");
    for words in words {
        assert!(
            outcome.stderr.contains(words),
            "{args}: {words}: {outcome:?}"
        );
    }
    outcome
}

/// Expects that resuming succeeds, prints these words, and leaves the files of an uninterrupted
/// run.
fn goes_on(place: &Place, words: &[&str]) {
    let outcome = place.run(GO_ON);
    assert_eq!(outcome.status, Some(0), "{outcome:?}");
    for words in words {
        assert!(outcome.stderr.contains(words), "{words}: {outcome:?}");
    }
    nothing_is_lost(place);
}

fn nothing_is_lost(place: &Place) {
    for file in [
        "config.toml",
        "latest",
        "metrics.jsonl",
        "samples.txt",
        "checkpoints/step-000008/model.safetensors",
        "checkpoints/step-000008/optimizer.safetensors",
        "checkpoints/step-000008/state.json",
        "checkpoints/step-000008/manifest.json",
    ] {
        let [a, b] = ["straight", "run"].map(|run| fs::read(place.path(run).join(file)).unwrap());
        assert!(a == b, "{file} differs");
    }
}

fn newest(place: &Place, file: &str) -> PathBuf {
    place.path(NEWEST).join(file)
}

#[test]
fn a_truncated_file() {
    let place = stopped();
    let path = newest(&place, "model.safetensors");
    let bytes = fs::read(&path).unwrap();
    fs::write(&path, &bytes[..bytes.len() - 1]).unwrap();
    let words = [
        "model.safetensors is damaged: it has",
        "continuing from the one before",
    ];
    goes_on(&place, &words);
}

#[test]
fn a_flipped_bit() {
    let place = stopped();
    let path = newest(&place, "optimizer.safetensors");
    let mut bytes = fs::read(&path).unwrap();
    let last = bytes.len() - 7;
    bytes[last] ^= 4;
    fs::write(&path, bytes).unwrap();
    goes_on(
        &place,
        &["optimizer.safetensors is damaged: its SHA-256 is"],
    );
}

#[test]
fn a_foreign_file() {
    let place = stopped();
    let keys = "--n-embd 8 --n-head 1";
    place.output(&format!(
        "train {TINY} {KEYS} {keys} --max-iters 6 --out other"
    ));
    let other = place.path("other/checkpoints/step-000006/model.safetensors");
    fs::copy(other, newest(&place, "model.safetensors")).unwrap();
    goes_on(&place, &["model.safetensors is damaged: it has"]);
}

#[test]
fn a_missing_file() {
    for file in [
        "config.json",
        "state.json",
        "tokenizer.json",
        "manifest.json",
    ] {
        let place = stopped();
        fs::remove_file(newest(&place, file)).unwrap();
        goes_on(&place, &[&format!("{file} is damaged: it is missing")]);
    }
}

#[test]
fn a_damaged_name_of_the_newest() {
    let place = stopped();
    fs::write(place.path("run/latest"), "check").unwrap();
    goes_on(&place, &["run/latest is damaged: it names no checkpoint"]);
}

#[test]
fn no_sound_checkpoint_at_all() {
    let place = stopped();
    for step in [3, 6] {
        fs::write(
            place.path(format!("run/checkpoints/step-{step:06}/state.json")),
            "{}",
        )
        .unwrap();
    }
    refused(&place, GO_ON, &["step-000006/state.json is damaged"]);
    // The old run is still there.
    place.output("generate --model run --max-new-tokens 2");
}

#[test]
fn a_damaged_model_where_text_is_written() {
    let place = stopped();
    fs::write(newest(&place, "model.safetensors"), "").unwrap();
    let outcome = place.run("generate --model run --max-new-tokens 2");
    assert_eq!(outcome.status, Some(0), "{outcome:?}");
    assert!(
        outcome.stderr.contains("using the one before"),
        "{outcome:?}"
    );
    refused(
        &place,
        &format!("generate --model {NEWEST}"),
        &["model.safetensors is damaged: it has 0 bytes"],
    );
}

/// Limits the size of files that a process may write, which acts like a full disk.
#[test]
fn no_room_for_a_checkpoint() {
    let place = Place::new();
    place.output(&format!("train {TINY} {KEYS} --max-iters 8 --out straight"));
    let args = format!("train {TINY} {KEYS} --max-iters 8 --out run");
    let outcome = limited(&place, "trap '' XFSZ; ulimit -f 10;", &args);
    assert_eq!(outcome.status, Some(1), "{outcome:?}");
    for words in ["cannot write", ".safetensors", "File too large"] {
        assert!(outcome.stderr.contains(words), "{outcome:?}");
    }
    // Nothing half written is left; with enough room the run starts again from its beginning.
    let left = fs::read_dir(place.path("run/checkpoints")).unwrap().count();
    assert_eq!(left, 0);
    place.output("train --resume --out run --quiet");
    nothing_is_lost(&place);
}

/// Runs the command after a shell command.
fn limited(place: &Place, before: &str, args: &str) -> Outcome {
    let command = place.command(args);
    let mut shell = Command::new("sh");
    shell
        .args(["-c", &format!("{before} exec \"$0\" \"$@\"")])
        .arg(command.get_program())
        .args(command.get_args())
        .current_dir(place.path(""))
        .stdin(Stdio::null());
    Outcome::of(&mut shell)
}

#[cfg(target_os = "linux")]
#[test]
fn results_written_to_a_full_device() {
    let place = Place::new();
    place.output(&format!("train {TINY} {KEYS} --max-iters 8 --out straight"));
    let args = format!("train {TINY} {KEYS} --max-iters 8 --json --out run");
    let full = fs::File::options().write(true).open("/dev/full").unwrap();
    let output = place.command(&args).stdout(full).output().unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    assert!(
        stderr.contains("cannot write to stdout: No space left"),
        "{stderr}"
    );
    // The run was saved after the step in which the fault was found.
    place.output("train --resume --out run --quiet");
    nothing_is_lost(&place);
}

/// Needs the right to mount; without it, the test prints that it was left out.
#[cfg(target_os = "linux")]
#[test]
fn a_full_file_system() {
    let place = Place::new();
    place.output(&format!("train {TINY} {KEYS} --max-iters 8 --out straight"));
    let small = place.path("small");
    fs::create_dir(&small).unwrap();
    let mount = |args: &[&str]| {
        let mut command = Command::new(args[0]);
        command.args(&args[1..]).arg(&small).stderr(Stdio::null());
        command.status().is_ok_and(|status| status.success())
    };
    if !mount(&["mount", "-t", "tmpfs", "-o", "size=48k", "latimer"]) {
        eprintln!("left out: a tmpfs cannot be mounted here");
        return;
    }
    let outcome = place.run(&format!(
        "train {TINY} {KEYS} --max-iters 8 --out small/run"
    ));
    let grown = mount(&["mount", "-o", "remount,size=4m"]);
    let resumed = place.run("train --resume --out small/run --quiet");
    let metrics = fs::read(place.path("small/run/metrics.jsonl"));
    assert!(mount(&["umount"]) && grown);
    assert_eq!(outcome.status, Some(1), "{outcome:?}");
    assert!(outcome.stderr.contains("No space left"), "{outcome:?}");
    assert_eq!(resumed.status, Some(0), "{resumed:?}");
    let straight = fs::read(place.path("straight/metrics.jsonl"));
    assert!(metrics.unwrap() == straight.unwrap());
}

/// A superuser may write everywhere; as one, the test prints that it was left out.
#[test]
fn a_folder_that_may_not_be_written_to() {
    use std::os::unix::fs::PermissionsExt;
    let place = stopped();
    let set = |mode| {
        let permissions = fs::Permissions::from_mode(mode);
        fs::set_permissions(place.path("run/checkpoints"), permissions).unwrap();
    };
    set(0o555);
    let probe = place.path("run/checkpoints/probe");
    if fs::write(&probe, "").is_ok() {
        fs::remove_file(probe).unwrap();
        eprintln!("left out: this user may write everywhere");
    } else {
        refused(&place, GO_ON, &["cannot write", "Permission denied"]);
    }
    set(0o755);
    goes_on(&place, &[]);
}

#[test]
fn a_loss_that_is_not_finite() {
    let place = Place::new();
    let rate = "--learning-rate 1e30 --min-lr 0 --warmup-iters 0 --checkpoint-interval 0";
    let args = format!("train {TINY} {rate} --max-iters 50 --schedule constant --out run");
    let words = ["at step 2", "training diverged", "start again with a lower"];
    let outcome = refused(&place, &args, &words);
    let named = ["first in", "whose parameter"];
    assert!(
        named.iter().any(|w| outcome.stderr.contains(w)),
        "{outcome:?}"
    );
    // Weights of 1e30 make every later step NaN as well, so leaving out this step is not offered.
    assert!(!outcome.stderr.contains("--skip-batch"), "{outcome:?}");
    let skip = "train --resume --out run --skip-batch";
    refused(&place, skip, &["leaving out step 2", "does not help"]);
    let sound = stopped();
    refused(
        &sound,
        &format!("{GO_ON} --skip-batch"),
        &["was not stopped by a step", "leave out --skip-batch"],
    );
}

#[test]
fn a_vocabulary_of_another_size() {
    let place = stopped();
    place
        .output("tokenizer train --kind bpe --vocab-size 300 --data text.txt --out t.json --quiet");
    fs::copy(place.path("t.json"), newest(&place, "tokenizer.json")).unwrap();
    // A user may do this on purpose: without the manifest, a checkpoint is a model from elsewhere.
    fs::create_dir(place.path("model")).unwrap();
    for file in ["config.json", "tokenizer.json", "model.safetensors"] {
        fs::copy(newest(&place, file), place.path("model").join(file)).unwrap();
    }
    let words = ["the tokenizer has", "but the model has"];
    refused(&place, "generate --model model", &words);
    goes_on(&place, &["tokenizer.json is damaged"]);
}

#[test]
fn a_changed_configuration() {
    let place = stopped();
    let words = ["model.dropout: 0.0 → 0.5", "train.seed: 1337 → 1"];
    refused(&place, &format!("{GO_ON} --dropout 0.5 --seed 1"), &words);
    goes_on(&place, &[]);
}

#[test]
fn changed_data() {
    let place = stopped();
    let text = fs::read_to_string(place.path("text.txt")).unwrap();
    for (changed, words) in [
        (
            text.replacen("question", "questoin", 1),
            "the data's fingerprint: ",
        ),
        (text.clone() + "to be", "the data: "),
        (text.replace('q', "Q"), "the tokenizer's fingerprint: "),
    ] {
        fs::write(place.path("text.txt"), changed).unwrap();
        refused(&place, GO_ON, &["was started on other data", words, " → "]);
    }
    fs::write(place.path("text.txt"), text).unwrap();
    goes_on(&place, &[]);
}

/// Changes any byte of a file of tokens and keeps its length and times.
#[test]
fn changed_data_in_a_file_of_tokens() {
    let place = Place::new();
    let text = "to be or not to be, that is the question\n".repeat(4000);
    fs::write(place.path("text.txt"), text).unwrap();
    place.output("tokenizer train --kind char --data text.txt --out t.json --quiet");
    place.output("data prepare text.txt --tokenizer t.json --out tokens --quiet");
    let tiny = TINY.replace("text.txt", "tokens");
    place.output(&format!("train {tiny} {KEYS} --max-iters 8 --out straight"));
    place.output(&format!("train {tiny} {KEYS} --max-iters 6 --out run"));
    let path = place.path("tokens/shard-00000.bin");
    let bytes = fs::read(&path).unwrap();
    let time = fs::metadata(&path).unwrap().modified().unwrap();
    let write = |bytes: &[u8]| {
        fs::write(&path, bytes).unwrap();
        let file = fs::File::options().write(true).open(&path).unwrap();
        file.set_modified(time).unwrap();
    };
    // Formerly only pieces of the file were hashed, and these places lay between them.
    for at in [64, 5_001, 100_001, 300_001, bytes.len() - 2] {
        let mut changed = bytes.clone();
        changed[at] ^= 1;
        write(&changed);
        let words = ["was started on other data", "the data's fingerprint: "];
        refused(&place, GO_ON, &words);
    }
    write(&bytes);
    goes_on(&place, &[]);
}

#[test]
fn two_processes() {
    let place = stopped();
    let endless = "train --resume --out run --max-iters 100000000 --json";
    let mut first = place.command(endless);
    let mut first = first
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    // The run prints its plan once it has the folder.
    let mut line = String::new();
    let mut lines = std::io::BufReader::new(first.stdout.take().unwrap());
    std::io::BufRead::read_line(&mut lines, &mut line).unwrap();
    assert!(line.contains("\"plan\""), "{line}");
    let words = ["run is being trained in by another process"];
    for args in [GO_ON, &format!("train {TINY} --out run --overwrite")] {
        refused(&place, args, &words);
    }
    // A lock ends with its holder, however that dies.
    first.kill().unwrap();
    first.wait().unwrap();
    let killed = place.run(GO_ON);
    assert!(!killed.stderr.contains("another process"), "{killed:?}");
}

/// No decision depends on the time of a file.
#[test]
fn a_clock_that_goes_backwards() {
    let place = stopped();
    let set = |path: &str, seconds| {
        let time = std::time::UNIX_EPOCH + std::time::Duration::from_secs(seconds);
        let file = fs::File::options()
            .write(true)
            .open(place.path(path))
            .unwrap();
        file.set_modified(time).unwrap();
    };
    const YEAR: u64 = 31_556_952;
    for (file, year) in [
        ("run/latest", 10),
        ("run/metrics.jsonl", 130),
        ("run/samples.txt", 130),
        ("run/checkpoints/step-000003/state.json", 130),
        ("run/checkpoints/step-000006/state.json", 1),
        ("text.txt", 130),
    ] {
        set(file, year * YEAR);
    }
    goes_on(&place, &[]);
}

#[test]
fn a_batch_that_does_not_fit() {
    let place = Place::new();
    let sizes = "--batch-size 1000000 --n-embd 1024 --block-size 64";
    refused(
        &place,
        &format!("train {TINY} {sizes} --out run"),
        &["this run needs about", "lower --batch-size"],
    );
    assert!(!place.path("run").exists());
}

#[test]
fn a_checkpoint_of_another_version() {
    let place = stopped();
    for step in [3, 6] {
        let folder = place.path(format!("run/checkpoints/step-{step:06}"));
        let state = folder.join("state.json");
        let text = fs::read_to_string(&state).unwrap();
        fs::write(&state, text.replace("\"version\": 4", "\"version\": 5")).unwrap();
        latimer_trainer::RunFolder::seal(&folder).unwrap();
    }
    let words = ["it is version 5", "this program reads versions 2 to 4"];
    refused(&place, GO_ON, &words);
}

#[test]
fn stopped_before_the_first_checkpoint() {
    let place = stopped();
    for name in ["latest", "samples.txt"] {
        fs::remove_file(place.path("run").join(name)).unwrap();
    }
    fs::remove_dir_all(place.path("run/checkpoints")).unwrap();
    goes_on(&place, &["resuming run from its beginning"]);
}

/// The run is found without `--out` too: it was written to last, though an older run has a
/// checkpoint.
#[test]
fn stopped_before_the_first_checkpoint_and_not_named() {
    let place = Place::new();
    place.output(&format!("train {TINY} {KEYS} --max-iters 8 --out straight"));
    place.output(&format!("train {TINY} {KEYS} --max-iters 8"));
    place.output(&format!("train {TINY} {KEYS} --max-iters 8"));
    let [one, two] = ["runs/baby-001", "runs/baby-002"].map(|run| place.path(run));
    let of_one = fs::read(one.join("metrics.jsonl")).unwrap();
    fs::remove_file(two.join("latest")).unwrap();
    fs::remove_dir_all(two.join("checkpoints")).unwrap();
    for args in ["train --resume", "train --resume --preset baby"] {
        let outcome = place.run(args);
        assert_eq!(outcome.status, Some(0), "{outcome:?}");
        let words = ["resuming runs/baby-002", "from its beginning"];
        // The second time, the run is complete and still the newest.
        let said = words.map(|words| outcome.stderr.contains(words));
        assert_eq!(said, [true, !args.contains("preset")], "{outcome:?}");
        fs::rename(&two, place.path("run")).unwrap();
        nothing_is_lost(&place);
        fs::rename(place.path("run"), &two).unwrap();
    }
    assert!(fs::read(one.join("metrics.jsonl")).unwrap() == of_one);
    // Commands that use a model still take it from a run that has one.
    fs::remove_file(two.join("latest")).unwrap();
    fs::remove_dir_all(two.join("checkpoints")).unwrap();
    place.output("generate --max-new-tokens 2");
    refused(
        &place,
        "train --resume --preset seed",
        &["runs holds no checkpoint to resume"],
    );
}

#[test]
fn a_log_that_lost_its_end() {
    let place = stopped();
    fs::write(place.path("run/metrics.jsonl"), "{}\n").unwrap();
    refused(&place, GO_ON, &["metrics.jsonl has 3 bytes, but had"]);
}

#[test]
fn a_list_of_faults_that_is_none() {
    let place = stopped();
    fs::write(place.path("run/faults.json"), "[1").unwrap();
    refused(&place, GO_ON, &["faults.json cannot be resumed from"]);
    fs::remove_file(place.path("run/faults.json")).unwrap();
    goes_on(&place, &[]);
}
