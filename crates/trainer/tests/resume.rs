//! A run that was stopped and resumed leaves what it would have left anyway.

#![allow(clippy::unwrap_used, reason = "a test may fail wherever it stands")]

use latimer_tensor::Device;
use latimer_trainer::config::Config;
use latimer_trainer::event::{Done, Event};
use latimer_trainer::{Error, Existing, Model, Result, Resume, Run, RunFolder};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

struct Place(tempfile::TempDir);

impl Place {
    fn new() -> Self {
        let place = Self(tempfile::tempdir().unwrap());
        let text = "to be, or not to be, that is the question: ".repeat(12);
        fs::write(place.path("text.txt"), text).unwrap();
        place
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn config(&self, flags: &[(&str, &str)]) -> Config {
        let data = self.path("text.txt").display().to_string();
        let keys = [
            ("data", data.as_str()),
            ("n_layer", "1"),
            ("n_head", "2"),
            ("n_embd", "8"),
            ("block_size", "8"),
            ("batch_size", "2"),
            ("grad_accum", "2"),
            ("dropout", "0.2"),
            ("eval_iters", "2"),
            ("warmup_iters", "3"),
            ("eval_interval", "3"),
            ("sample_interval", "5"),
            ("checkpoint_interval", "6"),
            ("max_iters", "20"),
        ];
        let all: Vec<_> = keys
            .iter()
            .chain(flags)
            .map(|&(key, value)| (key.to_owned(), value.to_owned()))
            .collect();
        Config::resolve(Some("baby"), None, &all).unwrap()
    }

    /// Trains to the end, or as if Ctrl-C came in a step.
    fn train(&self, config: &Config, out: &str, stop_at: Option<u64>) -> Done {
        let mut run = Run::new(config, &Device::reference(), Path::new("no-cache")).unwrap();
        let out = RunFolder::create(&self.path(out), Existing::Refuse).unwrap();
        finish(&mut run, &out, stop_at)
    }

    fn train_until(&self, config: &Config, out: &str, stop: Stop) -> Done {
        let mut run = Run::new(config, &Device::reference(), Path::new("no-cache")).unwrap();
        let out = RunFolder::create(&self.path(out), Existing::Refuse).unwrap();
        finish_until(&mut run, &out, stop)
    }

    fn resume_until(&self, config: &Config, out: &str, stop: Stop) -> Done {
        let resume = Resume::open(&self.path(out)).unwrap();
        let mut run = Run::new(config, &Device::reference(), Path::new("no-cache")).unwrap();
        run.resume(&resume).unwrap();
        finish_until(&mut run, resume.folder(), stop)
    }

    fn resume(&self, config: &Config, out: &str, stop_at: Option<u64>) -> Result<Done> {
        let resume = Resume::open(&self.path(out))?;
        let mut run = Run::new(config, &Device::reference(), Path::new("no-cache"))?;
        run.resume(&resume)?;
        assert_eq!(run.plan().steps_done, resume.step());
        Ok(finish(&mut run, resume.folder(), stop_at))
    }

    /// Every file of two runs that may not differ.
    fn same(&self, one: &str, two: &str, last: u64) {
        let checkpoint = format!("checkpoints/step-{last:06}");
        let mut files: Vec<PathBuf> = ["config.toml", "latest", "metrics.jsonl", "samples.txt"]
            .iter()
            .map(PathBuf::from)
            .collect();
        let names = fs::read_dir(self.path(one).join(&checkpoint)).unwrap();
        files.extend(names.map(|entry| Path::new(&checkpoint).join(entry.unwrap().file_name())));
        assert_eq!(files.len(), 4 + 6);
        for file in files {
            let [a, b] = [one, two].map(|run| fs::read(self.path(run).join(&file)).unwrap());
            assert!(a == b, "{} differs", file.display());
        }
    }
}

fn finish(run: &mut Run, out: &RunFolder, stop_at: Option<u64>) -> Done {
    finish_until(run, out, stop_at.map_or(Stop::Never, Stop::AfterStep))
}

/// When a signal comes.
#[derive(Clone, Copy, PartialEq)]
enum Stop {
    Never,
    /// When a step is reported.
    AfterStep(u64),
    /// When an evaluation after a step is reported.
    AfterEval(u64),
}

fn finish_until(run: &mut Run, out: &RunFolder, when: Stop) -> Done {
    let stop = AtomicBool::new(false);
    run.train(out, &stop, &mut |event| {
        let now = match event {
            Event::Step(step, _) => when == Stop::AfterStep(step.step),
            Event::Eval(eval) => when == Stop::AfterEval(eval.step),
            _ => false,
        };
        if now {
            stop.store(true, Ordering::Relaxed);
        }
    })
    .unwrap()
}

#[test]
fn a_run_stopped_twice_is_the_run_never_stopped() {
    stopped_twice("f32");
}

/// The copy that bf16 is computed in is made anew from what was saved.
#[test]
fn a_run_in_bf16_stopped_twice_is_the_run_never_stopped() {
    stopped_twice("bf16");
}

fn stopped_twice(dtype: &str) {
    let place = Place::new();
    let config = place.config(&[("dtype", dtype)]);
    let straight = place.train(&config, "straight", None);
    let stopped = place.train(&config, "stopped", Some(7));
    assert!(stopped.interrupted && stopped.steps == 7);
    let again = place.resume(&config, "stopped", Some(15)).unwrap();
    assert!(again.interrupted && again.steps == 15);
    let done = place.resume(&config, "stopped", None).unwrap();
    assert_eq!(done, straight);
    assert!(done.best_val_loss.is_some());
    place.same("straight", "stopped", 20);
    // A run that is done is measured again, and stays as it is.
    assert_eq!(place.resume(&config, "stopped", None).unwrap(), straight);
    place.same("straight", "stopped", 20);
}

/// The first step is done before anything is written, and told of like any other.
#[test]
fn a_run_of_one_step_tells_and_keeps_it() {
    let place = Place::new();
    let config = place.config(&[("max_iters", "1")]);
    let mut run = Run::new(&config, &Device::reference(), Path::new("no-cache")).unwrap();
    let out = RunFolder::create(&place.path("run"), Existing::Refuse).unwrap();
    let mut told = Vec::new();
    let done = run.train(&out, &AtomicBool::new(false), &mut |event| {
        told.push(event.name())
    });
    assert_eq!(done.unwrap().steps, 1);
    let events = ["plan", "step", "checkpoint", "eval", "sample", "done"];
    assert_eq!(told, events);
    let metrics = fs::read_to_string(place.path("run/metrics.jsonl")).unwrap();
    let kept: Vec<&str> = metrics
        .lines()
        .filter_map(|line| line.get(10..14))
        .collect();
    assert_eq!(kept, ["step", "eval", "done"]);
    let latest = fs::read_to_string(place.path("run/latest")).unwrap();
    assert_eq!(latest, "checkpoints/step-000001\n");
}

/// Ctrl-C in an evaluation, in a sample, in the measuring at the end: whatever was begun is given
/// up at once, and done from its beginning when the run is resumed. The steps here are followed by
/// an evaluation (3), a sample (5), both (15); 6 and 18 have a checkpoint of their own.
#[test]
fn a_run_stopped_while_it_measures_is_the_run_never_stopped() {
    let place = Place::new();
    let config = place.config(&[("keep_best", "true")]);
    let straight = place.train(&config, "straight", None);
    for at in [3, 5, 6, 15, 18, 20] {
        let out = format!("stopped-{at}");
        let stopped = place.train_until(&config, &out, Stop::AfterStep(at));
        assert_eq!((stopped.steps, stopped.interrupted), (at, true), "{at}");
        assert_eq!((stopped.val_loss, stopped.val_losses.len()), (None, 0));
        let done = place.resume(&config, &out, None).unwrap();
        assert_eq!(done, straight, "{at}");
        place.same("straight", &out, 20);
        place.same("straight", &out, 18);
    }
    // Between the evaluation and the sample after one step, and between those at the end.
    for at in [15, 20] {
        let out = format!("between-{at}");
        let stopped = place.train_until(&config, &out, Stop::AfterEval(at));
        assert_eq!((stopped.steps, stopped.interrupted), (at, true), "{at}");
        // Twice at the same place.
        let again = place.resume_until(&config, &out, Stop::AfterEval(at));
        assert_eq!(again, stopped);
        let done = place.resume(&config, &out, None).unwrap();
        assert_eq!(done, straight, "{at}");
        place.same("straight", &out, 20);
    }
}

/// Rows of several texts come as their weights say, whenever the run was stopped; another weight or
/// another byte of any text is another run.
#[test]
fn a_mixture_stopped_twice_is_the_run_never_stopped() {
    let place = Place::new();
    let (other, text) = (
        place.path("other.txt"),
        "the cat is under the table; ".repeat(20),
    );
    fs::write(&other, &text).unwrap();
    let data = other.display().to_string();
    let of = |weights| place.config(&[("data", &data), ("data_weights", weights)]);
    let config = of("3,1");
    let straight = place.train(&config, "straight", None);
    place.train(&config, "stopped", Some(7));
    place.resume(&config, "stopped", Some(15)).unwrap();
    assert_eq!(place.resume(&config, "stopped", None).unwrap(), straight);
    place.same("straight", "stopped", 20);

    let [one, two] = straight.val_losses[..] else {
        panic!("a loss of each text: {straight:?}");
    };
    let all = straight.val_loss.unwrap();
    assert!(
        one != two && all > one.min(two) && all < one.max(two),
        "{straight:?}"
    );
    let metrics = fs::read_to_string(place.path("straight/metrics.jsonl")).unwrap();
    assert_eq!(metrics.matches("\"val_losses\":[").count(), 6 + 1 + 1);

    let refused = |config: &Config| {
        place
            .resume(config, "stopped", None)
            .unwrap_err()
            .to_string()
    };
    let said = refused(&of("1,1"));
    assert!(
        said.contains("data.data_weights: [3.0, 1.0] → [1.0, 1.0]"),
        "{said}"
    );
    let said = refused(&place.config(&[("data", &data)]));
    assert!(
        said.contains("data.data_weights: [3.0, 1.0] → []"),
        "{said}"
    );
    fs::write(&other, text.replacen("cat", "tac", 1)).unwrap();
    let said = refused(&config);
    assert!(said.contains("the data's fingerprint: "), "{said}");
}

/// The reported shares are those of the rows that the run sees.
#[test]
fn a_plan_tells_what_is_taken_from_each_text() {
    let place = Place::new();
    let other = place.path("other.txt");
    fs::write(&other, "the cat is under the table; ".repeat(20)).unwrap();
    let data = other.display().to_string();
    let config = place.config(&[("data", &data), ("data_weights", "3,1")]);
    let run = Run::new(&config, &Device::reference(), Path::new("no-cache")).unwrap();
    let plan = run.plan();
    let tokens = |part: usize| plan.parts[part].training_tokens.unwrap();
    assert_eq!(plan.training_tokens, Some(tokens(0) + tokens(1)));
    let validation: usize = plan.parts.iter().map(|part| part.validation_tokens).sum();
    assert_eq!(plan.validation_tokens, validation);
    // 20 steps of 4 rows, of windows of 8.
    for (part, rows) in [(0, 60), (1, 20)] {
        let windows = (tokens(part) - 1) / 8;
        assert_eq!(
            plan.parts[part].epochs,
            Some(f64::from(rows) / windows as f64)
        );
    }
}

#[test]
fn a_crash_after_a_checkpoint_loses_nothing_but_time() {
    let place = Place::new();
    let config = place.config(&[]);
    place.train(&config, "straight", None);
    place.train(&config, "crashed", None);
    // As if the power had gone in step 20, after the last checkpoint on the way.
    let crashed = place.path("crashed");
    fs::write(crashed.join("latest"), "checkpoints/step-000018\n").unwrap();
    fs::remove_dir_all(crashed.join("checkpoints/step-000020")).unwrap();
    place.resume(&config, "crashed", None).unwrap();
    place.same("straight", "crashed", 20);
}

#[test]
fn a_constant_schedule_may_be_made_longer() {
    let place = Place::new();
    // 15 steps: both an evaluation and a sample are due where the shorter run ends.
    let of = |steps| place.config(&[("schedule", "constant"), ("max_iters", steps)]);
    place.train(&of("20"), "straight", None);
    place.train(&of("15"), "longer", None);
    place.resume(&of("20"), "longer", None).unwrap();
    place.same("straight", "longer", 20);
    let error = place.resume(&of("10"), "longer", None).unwrap_err();
    assert!(
        error.to_string().contains("train.max_iters: 20 → 10"),
        "{error}"
    );
}

#[test]
fn what_is_not_the_same_run_is_refused_with_what_differs() {
    let place = Place::new();
    let config = place.config(&[]);
    place.train(&config, "run", Some(7));
    let refused = |flags: &[(&str, &str)]| {
        let config = place.config(flags);
        place.resume(&config, "run", None).unwrap_err().to_string()
    };
    let text = refused(&[("dropout", "0.1"), ("max_iters", "30")]);
    for difference in ["model.dropout: 0.2 → 0.1", "train.max_iters: 20 → 30"] {
        assert!(text.contains(difference), "{text}");
    }
    let text = fs::read_to_string(place.path("text.txt")).unwrap();
    for (changed, words) in [
        (text.replace("question", "quest!on"), "fingerprint"),
        (text.clone() + "to be", "the data: "),
        (
            text.replace("question", "questoin"),
            "the data's fingerprint",
        ),
    ] {
        fs::write(place.path("text.txt"), changed).unwrap();
        let said = refused(&[]);
        assert!(said.contains(words), "{said}");
    }
    fs::write(place.path("text.txt"), text).unwrap();
    fs::create_dir(place.path("none")).unwrap();
    let nothing = Resume::open(&place.path("none")).unwrap_err();
    assert!(matches!(nothing, Error::NothingToResume { .. }));
    // A file that lost what the checkpoint counts on.
    fs::write(place.path("run/samples.txt"), "").unwrap();
    let mut run = Run::new(&config, &Device::reference(), Path::new("no-cache")).unwrap();
    let resume = Resume::open(&place.path("run")).unwrap();
    run.resume(&resume).unwrap();
    let stop = AtomicBool::new(false);
    let error = run.train(resume.folder(), &stop, &mut |_| ()).unwrap_err();
    assert!(matches!(error, Error::CutShort { .. }), "{error}");
    // Only one may write there.
    let busy = Resume::open(&place.path("run")).unwrap_err();
    assert!(matches!(busy, Error::InUse { .. }), "{busy}");
    drop((run, resume));
    fs::remove_dir_all(place.path("run/checkpoints/step-000006")).unwrap();
    let checkpoint = place.path("run/checkpoints/step-000007");
    let state = place.path("run/checkpoints/step-000007/state.json");
    // A configuration that could not be trained is no better for standing in a checkpoint.
    let sound = fs::read_to_string(&state).unwrap();
    let broken = sound.replace("\"batch_size\": 2", "\"batch_size\": 0");
    assert_ne!(broken, sound);
    fs::write(&state, broken).unwrap();
    let damaged = Resume::open(&place.path("run")).unwrap_err().to_string();
    assert!(damaged.contains("state.json is damaged"), "{damaged}");
    RunFolder::seal(&checkpoint).unwrap();
    let unsound = Resume::open(&place.path("run")).unwrap_err().to_string();
    assert!(unsound.contains("train.batch_size is 0"), "{unsound}");
    for (version, words) in [("1", "version 1 of"), ("9", "version 9 of")] {
        let other = format!("{{\"format\": \"latimer-checkpoint\", \"version\": {version}}}");
        fs::write(&state, other).unwrap();
        RunFolder::seal(&checkpoint).unwrap();
        let said = Resume::open(&place.path("run")).unwrap_err().to_string();
        assert!(said.contains(words) && said.contains("2 to 4"), "{said}");
    }
    fs::write(&state, sound).unwrap();
    fs::remove_file(checkpoint.join("manifest.json")).unwrap();
    let bare = Resume::open(&place.path("run")).unwrap_err().to_string();
    assert!(
        bare.contains("manifest.json is damaged: it is missing"),
        "{bare}"
    );
}

/// A checkpoint of the version before has no manifest, and lacks the keys that came since.
#[test]
fn a_checkpoint_of_the_version_before_is_migrated() {
    let place = Place::new();
    let config = place.config(&[]);
    place.train(&config, "straight", None);
    place.train(&config, "old", Some(7));
    let checkpoint = place.path("old/checkpoints/step-000007");
    let state = checkpoint.join("state.json");
    let text = fs::read_to_string(&state).unwrap();
    let new = [
        "\"skip_outliers\"",
        "\"order\"",
        "\"keep_last\"",
        "\"data\": \"",
        "\"best_step\"",
        "\"data_weights\"",
    ];
    let old: Vec<&str> = text
        .lines()
        .filter(|line| !new.iter().any(|key| line.contains(key)) || line.contains("text.txt"))
        .collect();
    assert_eq!(old.len() + new.len(), text.lines().count());
    let old = old.join("\n").replace("\"version\": 3", "\"version\": 2");
    fs::write(&state, old).unwrap();
    fs::remove_file(checkpoint.join("manifest.json")).unwrap();
    place.resume(&config, "old", None).unwrap();
    let [a, b] =
        ["straight", "old"].map(|run| fs::read(place.path(run).join("metrics.jsonl")).unwrap());
    assert!(a == b);
}

/// Stopped before its first checkpoint, and with its newest damaged: time is lost, nothing else.
#[test]
fn a_run_without_a_sound_checkpoint_goes_on_from_before() {
    let place = Place::new();
    let config = place.config(&[]);
    place.train(&config, "straight", None);
    place.train(&config, "run", Some(13));
    let newest = place.path("run/checkpoints/step-000013/optimizer.safetensors");
    let mut bytes = fs::read(&newest).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&newest, bytes).unwrap();
    let resume = Resume::open(&place.path("run")).unwrap();
    assert_eq!((resume.step(), resume.passed_over().len()), (12, 1));
    let said = &resume.passed_over()[0];
    assert!(
        said.contains("optimizer.safetensors is damaged: its SHA-256"),
        "{said}"
    );
    drop(resume);
    place.resume(&config, "run", None).unwrap();
    place.same("straight", "run", 20);
    for name in ["latest", "checkpoints"] {
        let path = place.path("run").join(name);
        if path.is_dir() {
            fs::remove_dir_all(path).unwrap();
        } else {
            fs::remove_file(path).unwrap();
        }
    }
    place.resume(&config, "run", None).unwrap();
    place.same("straight", "run", 20);
}

#[test]
fn the_best_and_the_last_are_kept_and_patience_ends_a_run() {
    let place = Place::new();
    let keep = [
        ("keep_last", "1"),
        ("keep_best", "true"),
        ("learning_rate", "0.3"),
        ("min_lr", "0.3"),
    ];
    let keys: Vec<_> = keep
        .into_iter()
        .chain([("patience", "2"), ("max_iters", "60")])
        .collect();
    let config = place.config(&keys);
    let done = place.train(&config, "straight", None);
    assert!(!done.interrupted && done.steps < 60, "{done:?}");
    let read = |name: &str| fs::read_to_string(place.path("straight").join(name)).unwrap();
    let (best, latest) = (read("best"), read("latest"));
    // Two evaluations, three steps apart, brought nothing.
    assert_eq!(latest, format!("checkpoints/step-{:06}\n", done.steps));
    assert_eq!(best, format!("checkpoints/step-{:06}\n", done.steps - 6));
    let left = fs::read_dir(place.path("straight/checkpoints"))
        .unwrap()
        .count();
    assert_eq!(left, 2);
    let stopped = place.train(&config, "stopped", Some(4));
    assert!(stopped.interrupted);
    place.resume(&config, "stopped", None).unwrap();
    place.same("straight", "stopped", done.steps);
    assert_eq!(
        place.resume(&config, "stopped", None).unwrap().steps,
        done.steps
    );
    place.same("straight", "stopped", done.steps);
}

#[test]
fn a_wsd_run_may_be_made_longer_until_it_falls() {
    let place = Place::new();
    let of = |steps| {
        place.config(&[
            ("schedule", "wsd"),
            ("decay_iters", "5"),
            ("max_iters", steps),
        ])
    };
    place.train(&of("30"), "straight", None);
    place.train(&of("20"), "longer", Some(15));
    place.resume(&of("30"), "longer", None).unwrap();
    place.same("straight", "longer", 30);
    place.train(&of("20"), "fallen", Some(16));
    let error = place.resume(&of("30"), "fallen", None).unwrap_err();
    assert!(
        error.to_string().contains("train.max_iters: 20 → 30"),
        "{error}"
    );
}

/// As a training that diverged may have left it: neither resumed from nor opened as a model.
#[test]
fn a_checkpoint_with_a_weight_that_is_not_finite_is_refused_by_its_name() {
    let place = Place::new();
    let config = place.config(&[("max_iters", "6")]);
    place.train(&config, "run", None);
    let checkpoint = place.path("run/checkpoints/step-000006");
    for file in ["model.safetensors", "optimizer.safetensors"] {
        let path = checkpoint.join(file);
        let whole = fs::read(&path).unwrap();
        let mut bytes = whole.clone();
        let end = bytes.len() - 4;
        bytes[end..].copy_from_slice(&f32::NAN.to_le_bytes());
        fs::write(&path, &bytes).unwrap();
        RunFolder::seal(&checkpoint).unwrap();
        let refused = place.resume(&config, "run", None).unwrap_err();
        let not_finite = matches!(&refused, Error::Model(latimer_nn::Error::NotFinite { path, .. }) if path.ends_with(file));
        assert!(not_finite, "{file}: {refused}");
        let opened = Model::open(place.path("run"), &Device::reference());
        assert_eq!(opened.is_err(), file == "model.safetensors", "{file}");
        fs::write(&path, whole).unwrap();
        RunFolder::seal(&checkpoint).unwrap();
    }
    place.resume(&config, "run", None).unwrap();
}
