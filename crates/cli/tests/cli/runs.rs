//! The files that a run leaves: always the same bytes, and a checkpoint after an interruption.

use crate::place::{Place, TINY};
use std::fs;
use std::io::{BufRead, BufReader};
use std::process::{Child, Stdio};

#[test]
fn threads_change_no_bit() {
    let place = Place::new();
    for threads in [1, 2] {
        let flags = "--dropout 0.1 --max-iters 20 --n-embd 64 --n-head 4 --batch-size 16 --quiet";
        place.output(&format!(
            "train {TINY} {flags} --threads {threads} --out {threads}"
        ));
    }
    for file in [
        "metrics.jsonl",
        "samples.txt",
        "config.toml",
        "checkpoints/step-000020/model.safetensors",
        "checkpoints/step-000020/optimizer.safetensors",
        "checkpoints/step-000020/state.json",
        "checkpoints/step-000020/config.json",
        "checkpoints/step-000020/tokenizer.json",
    ] {
        let [one, two] = ["1", "2"].map(|run| fs::read(place.path(run).join(file)).unwrap());
        assert!(one == two, "{file} differs");
    }
}

#[test]
fn several_texts_and_folders_are_one_text() {
    let place = Place::new();
    fs::create_dir_all(place.path("folder/inner")).unwrap();
    let (one, two) = (
        "to be or not to be\n".repeat(40),
        "that is the question\n".repeat(40),
    );
    for (name, text) in [
        ("one.txt", &one),
        ("folder/two.md", &two),
        ("folder/inner/one.txt", &one),
        ("whole.txt", &(one.clone() + &one + &two)),
    ] {
        fs::write(place.path(name), text).unwrap();
    }
    let keys = TINY.replace("--data text.txt", "");
    for (out, data) in [
        ("a", "--data whole.txt"),
        ("b", "--data one.txt folder/"),
        (
            "c",
            "--data one.txt --data folder/inner/one.txt folder/two.md",
        ),
    ] {
        place.output(&format!("train {keys} {data} --quiet --out {out}"));
    }
    let metrics = |run: &str| fs::read(place.path(run).join("metrics.jsonl")).unwrap();
    assert!(metrics("a") == metrics("b") && metrics("a") == metrics("c"));
    let loss = |data: &str| place.json(&format!("eval --model a --data {data}"))[0]["loss"].clone();
    assert_eq!(loss("whole.txt"), loss("one.txt folder"));
}

#[test]
fn overwrite_replaces_a_run() {
    let place = Place::new();
    place.output(&format!("train {TINY} --quiet --out run"));
    place.output(&format!(
        "train {TINY} --quiet --out run --overwrite --max-iters 3"
    ));
    let latest = fs::read_to_string(place.path("run/latest")).unwrap();
    assert_eq!(latest, "checkpoints/step-000003\n");
    assert!(!place.path("run/checkpoints/step-000005").exists());
}

/// Starts a run without an end and waits until it has done a step.
fn endless(place: &Place) -> (Child, BufReader<std::process::ChildStdout>) {
    let mut child = place
        .command(&format!(
            "train {TINY} --max-iters 100000000 --json --out run"
        ))
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    while !line.contains("\"step\"") {
        line.clear();
        assert!(
            lines.read_line(&mut line).unwrap() > 0,
            "it ended before its first step"
        );
    }
    (child, lines)
}

#[cfg(unix)]
#[test]
fn an_interrupted_run_is_saved() {
    for (signal, status) in [("-INT", 130), ("-TERM", 143)] {
        let place = Place::new();
        let (mut child, lines) = endless(&place);
        let pid = child.id().to_string();
        let sent = std::process::Command::new("kill")
            .args([signal, &pid])
            .status();
        assert!(sent.unwrap().success());
        let last = lines.lines().map_while(Result::ok).last().unwrap();
        assert_eq!(child.wait().unwrap().code(), Some(status), "{last}");
        let done: serde_json::Value = serde_json::from_str(&last).unwrap();
        assert_eq!(
            (&done["event"], &done["interrupted"]),
            (&"done".into(), &true.into())
        );
        place.output("generate --model run --max-new-tokens 2");
    }
}

#[cfg(unix)]
#[test]
fn a_run_is_resumed_by_its_own_configuration() {
    let place = Place::new();
    let flags = "--schedule constant --dropout 0.2 --threads 2";
    place.output(&format!(
        "train {TINY} {flags} --quiet --max-iters 12 --out straight"
    ));
    // The run `straight` is outside ./runs; this one is in it.
    place.output(&format!("train {TINY} {flags} --quiet"));
    place.output("train --resume --out runs/baby-001 --max-iters 8 --quiet --threads 1");
    place.output(&format!(
        "train {TINY} {flags} --quiet --resume --max-iters 12"
    ));
    for file in [
        "metrics.jsonl",
        "samples.txt",
        "config.toml",
        "checkpoints/step-000012/state.json",
        "checkpoints/step-000012/optimizer.safetensors",
    ] {
        let [a, b] =
            ["straight", "runs/baby-001"].map(|run| fs::read(place.path(run).join(file)).unwrap());
        assert!(a == b, "{file} differs");
    }
    for (args, status, words) in [
        ("train --resume --n-layer 2", 1, "model.n_layer: 1 → 2"),
        ("train --resume --preset seed", 1, "no checkpoint to resume"),
        (
            "train --resume --out text.txt",
            1,
            "no checkpoint to resume",
        ),
        ("train --resume --overwrite", 2, "cannot be used with"),
        (
            "train --resume --preset seed --out straight",
            1,
            "preset: baby → seed",
        ),
    ] {
        let outcome = place.run(args);
        assert_eq!(outcome.status, Some(status), "{args}: {outcome:?}");
        assert!(outcome.stderr.contains(words), "{args}: {outcome:?}");
    }
}

#[cfg(unix)]
#[test]
fn a_reader_that_leaves_ends_a_run_quietly() {
    let place = Place::new();
    let (child, lines) = endless(&place);
    drop(lines);
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(141));
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(
        !stderr.contains("panicked") && !stderr.contains("error"),
        "{stderr}"
    );
    place.output("generate --model run --max-new-tokens 2");
}

#[test]
fn a_dry_run_says_what_is_needed_and_leaves_nothing() {
    let place = Place::new();
    let before = place.listing();
    let plan = &place.json(&format!("train {TINY} --dry-run"))[0];
    // There are 40 lines of 41 characters, and a tenth is kept for validation.
    assert_eq!(plan["training_tokens"], 1476);
    assert_eq!(plan["validation_tokens"], 164);
    assert_eq!(plan["tokens_per_step"], 4 * 16);
    for (key, least) in [
        ("parameters", 3000.0),
        ("flops_per_step", 3000.0 * 64.0 * 6.0),
        ("memory_bytes", 3000.0 * 16.0),
        ("estimated_seconds", 0.0),
    ] {
        assert!(plan[key].as_f64().unwrap() > least, "{key}: {plan}");
    }
    let text = place.output(&format!("train {TINY} --dry-run"));
    assert!(
        text.contains("tokens an epoch   1,476 (0.22 epochs in all)"),
        "{text}"
    );
    assert_eq!(place.listing(), before);
}

/// The way in which operations reach the device does not change a run.
#[test]
fn plain_launches_leave_the_same_run() {
    let place = Place::new();
    place.output(&format!("train {TINY} --quiet --out repeated"));
    place.output(&format!(
        "train {TINY} --quiet --plain-launches --out plain"
    ));
    for file in ["config.toml", "metrics.jsonl", "samples.txt"] {
        let [a, b] = ["repeated", "plain"].map(|run| std::fs::read(place.path(run).join(file)));
        assert_eq!(a.unwrap(), b.unwrap(), "{file}");
    }
    place.output("bench train --preset lm0 --steps 1 --plain-launches --quiet");
}
