//! A task of one's own: its prompts are answered, its score is in the files, and it is resumed.

#![allow(clippy::unwrap_used, reason = "a test may fail wherever it stands")]

use latimer_tensor::Device;
use latimer_tokenizer::{CharTokenizer, Tokenizer};
use latimer_trainer::config::Config;
use latimer_trainer::data::corpora::{Corpus, CorpusKind, Library};
use latimer_trainer::data::{DataFiles, RowKey, Source, Windows};
use latimer_trainer::event::{Done, Event};
use latimer_trainer::{Existing, Result, Resume, Run, RunFolder, Scores, Task, Writer};
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Says a letter again, without an end: a line is `a=a`.
#[derive(Clone, Debug)]
struct Echo(Arc<CharTokenizer>);

impl Echo {
    fn new() -> Self {
        Self(Arc::new(CharTokenizer::fit("ab=\n").unwrap()))
    }
}

impl Source for Echo {
    fn row(&self, seed: u64, key: RowKey, ids: &mut [u32]) {
        let mut text = "\n".to_owned();
        while text.len() < ids.len() {
            let a = key.place_below(2, seed + text.len() as u64) == 0;
            text += if a { "a=a\n" } else { "b=b\n" };
        }
        ids.copy_from_slice(&self.0.encode(&text).unwrap()[..ids.len()]);
    }

    fn validation(&self) -> Windows<'_> {
        let ids = self.0.encode("\na=a\nb=b\n").unwrap();
        Box::new(std::iter::once(ids.into()))
    }

    fn validation_tokens(&self) -> usize {
        9
    }

    fn training_tokens(&self) -> Option<usize> {
        None
    }
}

impl Task for Echo {
    fn tokenizer(&self) -> Arc<dyn Tokenizer> {
        self.0.clone()
    }

    fn source(&self) -> Box<dyn Source> {
        Box::new(self.clone())
    }

    fn prompts(&self) -> Vec<String> {
        vec!["a=".to_owned(), "b=".to_owned()]
    }

    fn score(&self, model: &dyn Writer) -> Result<Scores> {
        let right = |letter: &str| Ok(model.line(&format!("{letter}="), 4)?.text == letter);
        let right = [right("a"), right("b")]
            .into_iter()
            .collect::<Result<Vec<_>>>()?;
        let share = right.iter().filter(|&&right| right).count() as f64 / 2.0;
        Ok(Scores::default().with("right", share).with("tried", 2))
    }
}

fn config(flags: &[(&str, &str)]) -> Config {
    let keys = [
        ("n_layer", "1"),
        ("n_head", "2"),
        ("n_embd", "16"),
        ("block_size", "12"),
        ("batch_size", "8"),
        ("learning_rate", "0.02"),
        ("warmup_iters", "2"),
        ("eval_iters", "1"),
        ("eval_interval", "0"),
        ("sample_interval", "50"),
        ("checkpoint_interval", "0"),
        ("max_iters", "100"),
    ];
    let keys = keys.iter().chain(flags);
    let keys: Vec<_> = keys.map(|&(k, v)| (k.to_owned(), v.to_owned())).collect();
    Config::resolve(Some("baby"), None, &keys).unwrap()
}

fn run(config: &Config) -> Run {
    Run::with_task(config, &Device::reference(), Box::new(Echo::new())).unwrap()
}

/// Trains to the end, or until a step is done.
fn train(run: &mut Run, folder: &RunFolder, stop_at: Option<u64>) -> Done {
    let stop = AtomicBool::new(false);
    run.train(folder, &stop, &mut |event| {
        if matches!(event, Event::Step(step, _) if Some(step.step) == stop_at) {
            stop.store(true, Ordering::Relaxed);
        }
    })
    .unwrap()
}

#[test]
fn prompts_are_answered_and_the_score_is_in_the_files() {
    let place = tempfile::tempdir().unwrap();
    let folder = RunFolder::create(&place.path().join("run"), Existing::Refuse).unwrap();
    let done = train(&mut run(&config(&[])), &folder, None);
    let read = |name: &str| fs::read_to_string(folder.path().join(name)).unwrap();
    let samples = read("samples.txt");
    let answer = |step: u64, prompt: &str| {
        let head = format!("--- step {step}, after {prompt:?}\n");
        let (_, rest) = samples.split_once(&head).expect("it is answered");
        rest.split_once("\n\n").expect("its end").0.to_owned()
    };
    answer(50, "a=");
    // What was answered at the end is what was scored.
    let right = [("a=", "a"), ("b=", "b")].map(|(prompt, is)| answer(100, prompt) == is);
    let share = right.iter().filter(|&&right| right).count() as f64 / 2.0;
    assert!(share > 0.0, "{samples}");
    let scores = [done.scores.get("right"), done.scores.get("tried")];
    assert_eq!(scores, [Some(share), Some(2.0)]);
    let metrics = read("metrics.jsonl");
    let last = metrics.lines().last().unwrap();
    assert!(
        last.starts_with("{\"event\":\"done\",\"steps\":100,"),
        "{last}"
    );
    let end = format!(",\"right\":{share:?},\"tried\":2}}");
    assert!(last.ends_with(&end), "{last}");
}

#[test]
fn a_stopped_run_is_the_run_never_stopped() {
    let place = tempfile::tempdir().unwrap();
    let path = |name: &str| place.path().join(name);
    let config = config(&[("max_iters", "12"), ("sample_interval", "5")]);
    let straight = RunFolder::create(&path("straight"), Existing::Refuse).unwrap();
    let done = train(&mut run(&config), &straight, None);
    let stopped = RunFolder::create(&path("stopped"), Existing::Refuse).unwrap();
    assert!(train(&mut run(&config), &stopped, Some(7)).interrupted);
    drop(stopped);
    let resume = Resume::open(&path("stopped")).unwrap();
    let mut again = run(&config);
    again.resume(&resume).unwrap();
    assert_eq!(train(&mut again, resume.folder(), None), done);
    for name in ["metrics.jsonl", "samples.txt"] {
        let [a, b] = ["straight", "stopped"].map(|run| fs::read(path(run).join(name)).unwrap());
        assert!(a == b, "{name} differs");
    }
}

/// Heeded within a batch: of a hundred thousand there would be no end. The training split has none
/// either, and so sets no limit.
#[test]
fn an_evaluation_without_an_end_is_given_up() {
    let place = tempfile::tempdir().unwrap();
    let config = config(&[("eval_iters", "1000000000"), ("eval_interval", "2")]);
    let folder = RunFolder::create(&place.path().join("run"), Existing::Refuse).unwrap();
    let stop = Arc::new(AtomicBool::new(false));
    let mut run = run(&config);
    let done = run.train(&folder, &stop, &mut |event| {
        if matches!(event, Event::Step(step, _) if step.step == 2) {
            let stop = stop.clone();
            std::thread::spawn(move || {
                std::thread::sleep(std::time::Duration::from_millis(100));
                stop.store(true, Ordering::Relaxed);
            });
        }
    });
    let done = done.unwrap();
    assert_eq!((done.steps, done.interrupted), (2, true));
    drop(folder);
    assert_eq!(Resume::open(&place.path().join("run")).unwrap().step(), 2);
}

const ECHO: Corpus = Corpus {
    name: "echo",
    about: "a letter, again",
    kind: CorpusKind::Task(|_| Ok(Box::new(Echo::new()))),
};

#[test]
fn a_library_knows_tasks_by_name() {
    let library = Library::new("no-cache").with(&[ECHO]);
    let mut config = config(&[("max_iters", "1")]);
    config.data.data = vec!["echo".to_owned()];
    let plan = Run::dry(&config, &Device::reference(), &library).unwrap();
    assert_eq!((plan.vocab_size, plan.training_tokens), (4, None));
    let unknown = Run::dry(&config, &Device::reference(), Path::new("no-cache"));
    assert!(
        unknown
            .unwrap_err()
            .to_string()
            .starts_with("cannot read echo: ")
    );
    for (names, says) in [
        (
            &["echo", "a.txt"][..],
            "the echo cannot be joined with other data: it is endless",
        ),
        (&["echo"], "the corpus echo is endless: name a text file"),
        (
            &["ecko"],
            "there is no such file or folder, nor a corpus of that name: did you mean echo?",
        ),
    ] {
        let names: Vec<_> = names.iter().map(|&name| name.to_owned()).collect();
        let said = DataFiles::find(&names, &[], &library)
            .unwrap_err()
            .to_string();
        assert!(said.contains(says), "{said}");
    }
}
