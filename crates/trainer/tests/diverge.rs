//! What stops a run: NaN, and gradients that are not there.

#![allow(clippy::unwrap_used, reason = "a test may fail wherever it stands")]

use latimer_tensor::op::Operand;
use latimer_tensor::{DType, Device, Observer, Op, View};
use latimer_tokenizer::{CharTokenizer, Tokenizer};
use latimer_trainer::config::Config;
use latimer_trainer::event::Event;
use latimer_trainer::{Error, Existing, Model, Remedy, Resume, Run, RunFolder};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

fn tiny(folder: &Path, flags: &[(&str, &str)]) -> Config {
    let file = folder.join("text.txt");
    std::fs::write(
        &file,
        "to be, or not to be, that is the question: ".repeat(8),
    )
    .unwrap();
    let data = file.display().to_string();
    let mut all = vec![
        ("data", data.as_str()),
        ("n_layer", "1"),
        ("n_head", "2"),
        ("n_embd", "8"),
        ("block_size", "8"),
        ("batch_size", "2"),
        ("eval_iters", "1"),
        ("warmup_iters", "0"),
        ("sample_interval", "0"),
    ];
    all.extend(flags);
    let all: Vec<_> = all
        .iter()
        .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
        .collect();
    Config::resolve(Some("baby"), None, &all).unwrap()
}

/// Trains into a new folder `run` beside the text: the error, and the checkpoints that were saved.
fn stopped(folder: &Path, flags: &[(&str, &str)]) -> (Error, Vec<PathBuf>) {
    let config = tiny(folder, flags);
    let mut run = Run::new(&config, &Device::reference(), Path::new("no-cache")).unwrap();
    let out = RunFolder::create(&folder.join("run"), Existing::Refuse).unwrap();
    let mut saved = Vec::new();
    let stopped = run.train(&out, &AtomicBool::new(false), &mut |event| match event {
        Event::Checkpoint(checkpoint) => saved.push(checkpoint.path.clone()),
        Event::Eval(eval) => {
            assert!(eval.train_loss.is_finite() && eval.val_loss.unwrap().is_finite());
        }
        _ => (),
    });
    (stopped.unwrap_err(), saved)
}

/// Weights that nothing can be computed with are not saved and not evaluated, whichever comes
/// first.
#[test]
fn weights_are_checked_before_they_are_saved_and_evaluated() {
    for (max_iters, checkpoint_interval, eval_interval) in
        [("1", "0", "0"), ("50", "1", "0"), ("50", "0", "1")]
    {
        let folder = tempfile::tempdir().unwrap();
        let (error, saved) = stopped(
            folder.path(),
            &[
                ("max_iters", max_iters),
                ("checkpoint_interval", checkpoint_interval),
                ("eval_interval", eval_interval),
                ("learning_rate", "1e30"),
                ("schedule", "constant"),
            ],
        );
        let Error::Unsound { step: 1, value, .. } = &error else {
            panic!("{error}");
        };
        // AdamW's first step is the learning rate.
        assert!(value.abs() > 0.9e30, "{error}");
        let text = error.to_string();
        assert!(text.contains("lower --learning-rate"), "{text}");
        assert!(!text.contains("--skip-batch"), "{text}");
        assert!(saved.is_empty());
        assert!(!folder.path().join("run/checkpoints").exists());
    }
}

/// Weights of 1e30 make every batch NaN: leaving out a step is not offered, and refused.
#[test]
fn a_step_is_not_left_out_where_that_does_not_help() {
    let folder = tempfile::tempdir().unwrap();
    let flags = [
        ("max_iters", "50"),
        ("checkpoint_interval", "0"),
        ("eval_interval", "0"),
        ("learning_rate", "1e30"),
        ("schedule", "constant"),
    ];
    let (error, _) = stopped(folder.path(), &flags);
    let Error::NotFinite {
        remedy: Remedy::BeginAgain,
        step,
        ..
    } = error
    else {
        panic!("{error}");
    };
    let text = error.to_string();
    assert!(
        text.contains("first in") || text.contains("whose parameter"),
        "{text}"
    );
    assert!(!text.contains("--skip-batch"), "{text}");
    let mut resume = Resume::open(&folder.path().join("run")).unwrap();
    let refused = resume.skip_batch().unwrap_err();
    assert!(
        matches!(refused, Error::SkipDoesNotHelp { step: s, .. } if s == step),
        "{refused}"
    );
}

/// Makes the result of every product NaN.
#[derive(Debug)]
struct Broken;

impl Observer for Broken {
    fn after(&self, device: &Device, op: &mut Op<'_>, _native: bool) -> latimer_tensor::Result<()> {
        let Op::Matmul(op) = op else { return Ok(()) };
        let y = op.y.reborrow();
        let nan = f32::NAN.to_le_bytes().repeat(y.bytes() / 4);
        device.upload(&nan, y)
    }
}

/// A run that fails in its first step has no folder; one that was to be overwritten is as it was.
#[test]
fn a_first_step_that_fails_leaves_nothing_and_removes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let config = tiny(folder.path(), &[("max_iters", "2")]);
    let broken = Device::reference();
    let _observing = broken.observe(Arc::new(Broken));
    let path = folder.path().join("runs/run");
    let fail = |existing| {
        let out = RunFolder::create(&path, existing).unwrap();
        let mut run = Run::new(&config, &broken, Path::new("no-cache")).unwrap();
        let mut told = Vec::new();
        let error = run
            .train(&out, &AtomicBool::new(false), &mut |event| {
                told.push(event.name());
            })
            .unwrap_err();
        let Error::NotFinite { remedy, step, .. } = &error else {
            panic!("{error}");
        };
        assert_eq!((*remedy, *step), (Remedy::OtherSettings, 1));
        assert!(!error.to_string().contains("--skip-batch"), "{error}");
        assert_eq!(told, ["plan"]);
    };
    fail(Existing::Refuse);
    assert!(!folder.path().join("runs").exists());
    let mut run = Run::new(&config, &Device::reference(), Path::new("no-cache")).unwrap();
    let out = RunFolder::create(&path, Existing::Refuse).unwrap();
    run.train(&out, &AtomicBool::new(false), &mut |_| ())
        .unwrap();
    drop(out);
    let metrics = std::fs::read(path.join("metrics.jsonl")).unwrap();
    fail(Existing::Overwrite);
    assert_eq!(std::fs::read(path.join("metrics.jsonl")).unwrap(), metrics);
    Model::open(&path, &Device::reference()).unwrap();
}

/// What is solved from the start is no mistake: a text of one token, one repeated word, a dropout
/// that leaves nothing of a tiny batch.
#[test]
fn a_run_with_nothing_to_learn_is_done() {
    for (text, flags) in [
        ("a".repeat(400), vec![]),
        ("a".repeat(400), vec![("dropout", "0.999")]),
        ("word ".repeat(200), vec![("tokenizer", "word")]),
        (
            "ab".repeat(200),
            vec![("dropout", "0.9999"), ("batch_size", "1")],
        ),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let mut all = vec![("max_iters", "3")];
        all.extend(flags);
        let config = tiny(folder.path(), &all);
        std::fs::write(folder.path().join("text.txt"), &text).unwrap();
        let mut run = Run::new(&config, &Device::reference(), Path::new("no-cache")).unwrap();
        let out = RunFolder::create(&folder.path().join("run"), Existing::Refuse).unwrap();
        let done = run.train(&out, &AtomicBool::new(false), &mut |_| ());
        let done = done.unwrap_or_else(|error| panic!("{all:?}: {error}"));
        assert!(done.val_loss.unwrap().is_finite());
    }
}

/// Makes attention go wrong on every batch with a capital Z in it.
#[derive(Debug)]
struct Poison {
    /// The letter's id, and bytes of a batch.
    id: u32,
    batch: usize,
    poisoned: AtomicBool,
}

impl Observer for Poison {
    fn upload(&self, src: &[u8], dst: View<'_>) {
        // A batch is the last part of what is uploaded for a step, or all of it.
        if let Some(first) = src.len().checked_sub(self.batch)
            && dst.dtype() == DType::U32
        {
            let has = src[first..]
                .chunks_exact(4)
                .any(|id| id == self.id.to_le_bytes());
            self.poisoned.store(has, Ordering::Relaxed);
        }
    }

    fn after(&self, device: &Device, op: &mut Op<'_>, _native: bool) -> latimer_tensor::Result<()> {
        let mut result = Ok(());
        if self.poisoned.load(Ordering::Relaxed) && op.name() == "attention" {
            op.operands(&mut |name, operand| {
                if let (Operand::Out(y), "y") = (operand, name) {
                    let first = y.slice(0, [1]);
                    result = first.and_then(|y| device.upload(&f32::NAN.to_le_bytes(), y));
                }
            });
        }
        result
    }
}

/// The run stops at the first value that is not finite, says where it came up, stops there again,
/// and continues past it when asked.
#[test]
fn a_bad_batch_is_named_and_can_be_left_out() {
    let folder = tempfile::tempdir().unwrap();
    let flags = [("max_iters", "20"), ("checkpoint_interval", "2")];
    let config = tiny(folder.path(), &flags);
    let text = folder.path().join("text.txt");
    let bad = std::fs::read_to_string(&text)
        .unwrap()
        .replacen("question", "Question", 4);
    std::fs::write(
        &text,
        bad.replacen("Question", "question", 3).replace('Q', "Z"),
    )
    .unwrap();
    let letters = CharTokenizer::fit(&std::fs::read_to_string(&text).unwrap()).unwrap();
    let id = letters.encode("Z").unwrap()[0];
    let device = Device::reference();
    let _observing = device.observe(Arc::new(Poison {
        id,
        batch: 2 * 2 * 8 * 4,
        poisoned: AtomicBool::new(false),
    }));
    let fresh = || Run::new(&config, &device, Path::new("no-cache")).unwrap();
    let (go, path) = (AtomicBool::new(false), folder.path().join("run"));
    let out = RunFolder::create(&path, Existing::Refuse).unwrap();
    let mut stopped = fresh().train(&out, &go, &mut |_| ());
    drop(out);
    let mut left_out = Vec::new();
    while let Err(error) = stopped {
        let Error::NotFinite { step, place, .. } = &error else {
            panic!("{error}");
        };
        assert!(
            place.contains("read by matmul, at transformer.h.0.attn.c_proj"),
            "{place}"
        );
        assert!(error.to_string().contains("--skip-batch"), "{error}");
        assert!(left_out.len() < 4, "{left_out:?}");
        let (step, again) = (*step, Resume::open(&path).unwrap());
        let mut run = fresh();
        run.resume(&again).unwrap();
        let error = run.train(again.folder(), &go, &mut |_| ()).unwrap_err();
        assert!(matches!(error, Error::NotFinite { step: s, .. } if s == step));
        drop(again);
        let mut resume = Resume::open(&path).unwrap();
        assert_eq!(resume.skip_batch().unwrap(), step);
        assert!(matches!(
            resume.skip_batch(),
            Err(Error::NothingToSkip { .. })
        ));
        left_out.push(step);
        let mut run = fresh();
        run.resume(&resume).unwrap();
        stopped = run.train(resume.folder(), &go, &mut |_| ());
    }
    assert_eq!(stopped.unwrap().steps, 20);
    assert!(!left_out.is_empty());
    let metrics = std::fs::read_to_string(path.join("metrics.jsonl")).unwrap();
    for step in 1..=20 {
        let event = if left_out.contains(&step) {
            "skip"
        } else {
            "step"
        };
        let begin = format!("{{\"event\":\"{event}\",\"step\":{step}");
        assert!(
            metrics.lines().any(|line| line.starts_with(&begin)),
            "{begin}"
        );
    }
}

/// Every step sees the first one's rows: they are learnt by heart. The loss of 4 rows of 8 ids
/// begins near ln(16) = 2.8.
#[test]
fn one_batch_is_learnt_by_heart() {
    let folder = tempfile::tempdir().unwrap();
    let flags = [
        ("max_iters", "150"),
        ("overfit_one_batch", "true"),
        ("learning_rate", "1e-2"),
        ("schedule", "constant"),
        ("eval_interval", "0"),
        ("n_embd", "16"),
    ];
    let config = tiny(folder.path(), &flags);
    let mut run = Run::new(&config, &Device::reference(), Path::new("no-cache")).unwrap();
    let out = RunFolder::create(&folder.path().join("run"), Existing::Refuse).unwrap();
    let mut losses = Vec::new();
    run.train(&out, &AtomicBool::new(false), &mut |event| {
        if let Event::Step(step, _) = event {
            losses.push(step.loss);
        }
    })
    .unwrap();
    assert!(losses[0] > 2.0 && losses[149] < 0.3, "{losses:?}");
}

/// A threshold of nothing calls every step above the mean far: it counts and changes no weight.
#[test]
fn outliers_change_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let run = |out: &str, z: &str| {
        let flags = [
            ("max_iters", "40"),
            ("skip_outliers", z),
            ("eval_interval", "0"),
        ];
        let config = tiny(folder.path(), &flags);
        let mut run = Run::new(&config, &Device::reference(), Path::new("no-cache")).unwrap();
        let out = RunFolder::create(&folder.path().join(out), Existing::Refuse).unwrap();
        let mut steps = Vec::new();
        run.train(&out, &AtomicBool::new(false), &mut |event| {
            if let Event::Step(step, _) = event {
                steps.push(step.clone());
            }
        })
        .unwrap();
        steps
    };
    let (none, far, some) = (run("none", "0"), run("far", "1e9"), run("some", "1e-3"));
    // Two halves of an update are the update.
    assert_eq!(none, far);
    let skipped = some.iter().filter(|step| step.skipped).count();
    assert!(skipped > 0 && skipped < 20, "{skipped}");
    assert_eq!(none[..20], some[..20]);
    assert!(none[20..] != some[20..]);
}

/// Accumulating over micro-steps sees the same rows and the same masks as one large batch: the
/// losses differ by rounding alone. A loss near 3 is a mean over 64 terms, so a few times
/// 64 · 2⁻²⁴ · 3; three updates at 1e-3 add their own, ten times that in all.
#[test]
fn four_micro_steps_are_one_large_batch() {
    let folder = tempfile::tempdir().unwrap();
    let losses = |batch_size: &str, grad_accum: &str| -> Vec<f32> {
        let flags = [
            ("max_iters", "3"),
            ("batch_size", batch_size),
            ("grad_accum", grad_accum),
            ("dropout", "0.3"),
        ];
        let config = tiny(folder.path(), &flags);
        let mut run = Run::new(&config, &Device::reference(), Path::new("no-cache")).unwrap();
        let path = folder.path().join(format!("run-{batch_size}"));
        let out = RunFolder::create(&path, Existing::Refuse).unwrap();
        let mut losses = Vec::new();
        run.train(&out, &AtomicBool::new(false), &mut |event| {
            if let Event::Step(step, _) = event {
                losses.push(step.loss);
            }
        })
        .unwrap();
        losses
    };
    let (one, four) = (losses("8", "1"), losses("2", "4"));
    let bound = 10.0 * 64.0 * f32::EPSILON / 2.0 * 3.0;
    for (a, b) in one.iter().zip(&four) {
        assert!((a - b).abs() <= bound, "{one:?} {four:?}");
    }
    assert!(one[0] != one[2]);
}
