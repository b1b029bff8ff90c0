//! What stops a run: NaN, and gradients that are not there.

#![allow(clippy::unwrap_used, reason = "a test may fail wherever it stands")]

use latimer_tensor::Device;
use latimer_trainer::config::Config;
use latimer_trainer::event::Event;
use latimer_trainer::{Error, Existing, Run, RunFolder};
use std::path::Path;
use std::sync::atomic::AtomicBool;

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

#[test]
fn divergence_is_named_and_what_was_saved_stays() {
    let folder = tempfile::tempdir().unwrap();
    let flags = [
        ("max_iters", "50"),
        ("checkpoint_interval", "1"),
        ("learning_rate", "1e30"),
        ("min_lr", "1e30"),
        ("schedule", "constant"),
    ];
    let config = tiny(folder.path(), &flags);
    let mut run = Run::new(&config, &Device::reference(), Path::new("no-cache")).unwrap();
    let out = RunFolder::create(&folder.path().join("run"), Existing::Refuse).unwrap();
    let mut saved = Vec::new();
    let stopped = run.train(&out, &AtomicBool::new(false), &mut |event| {
        if let Event::Checkpoint(checkpoint) = event {
            saved.push(checkpoint.path.clone());
        }
    });
    let error = stopped.unwrap_err();
    assert!(matches!(error, Error::NotFinite { .. }), "{error}");
    assert!(
        error.to_string().contains("lower --learning-rate"),
        "{error}"
    );
    assert!(
        saved
            .iter()
            .all(|path| path.join("model.safetensors").is_file())
    );
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
