//! What the last program wrote that knew switches instead of kinds of norms, positions and
//! feed-forward parts.

#![allow(clippy::unwrap_used, reason = "a test may fail wherever it stands")]

use latimer_nn::{NormKind, PositionKind};
use latimer_tensor::Device;
use latimer_trainer::{Model, Resume, Run};
use std::fs;
use std::path::Path;
use std::sync::atomic::AtomicBool;

/// A run that version 3 of the format was stopped in, made by the program of that time on the CPU
/// backend: its shape is migrated, and it trains on as it did then.
#[test]
fn a_run_of_version_3_is_gone_on_with() {
    let place = tempfile::tempdir().unwrap();
    let place = |name: &str| place.path().join(name);
    let old = Path::new("tests/version-3/run");
    copy(old, &place("run"));
    let resume = Resume::open(&place("run")).unwrap();
    assert_eq!(resume.step(), 2);
    let model = &resume.config().model;
    assert_eq!((model.norm, model.ff_width), (NormKind::Layer, 16));
    assert_eq!(model.positions, PositionKind::Learned);
    let config = resume.config().clone();
    let mut run = Run::new(&config, &Device::reference(), Path::new("no-cache")).unwrap();
    run.resume(&resume).unwrap();
    let never = AtomicBool::new(false);
    run.train(resume.folder(), &never, &mut |_| ()).unwrap();
    let lines = |folder: &Path| -> Vec<serde_json::Value> {
        let text = fs::read_to_string(folder.join("metrics.jsonl")).unwrap();
        let line = |line| serde_json::from_str(line).unwrap();
        text.lines().map(line).collect()
    };
    let (then, now) = (lines(old), lines(&place("run")));
    assert_eq!(then.len(), now.len());
    for (then, now) in then.iter().zip(&now) {
        assert_eq!(then["event"], now["event"]);
        for key in ["loss", "grad_norm", "train_loss", "val_loss"] {
            // Another backend rounds otherwise: a few units in the last place of f32.
            let [then, now] = [then, now].map(|line| line[key].as_f64());
            let near = |(a, b): (f64, f64)| (a - b).abs() < 1e-5 * a;
            assert!(then.zip(now).is_none_or(near), "{then:?} {now:?}");
            assert_eq!(then.is_some(), now.is_some());
        }
    }
    let model = Model::open(place("run/checkpoints/step-000002"), &Device::reference());
    assert_eq!(model.unwrap().gpt.config(), &config.model.with_vocab(21));
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let to = to.join(path.file_name().unwrap());
        match path.is_dir() {
            true => copy(&path, &to),
            false => drop(fs::copy(&path, &to).unwrap()),
        }
    }
}
