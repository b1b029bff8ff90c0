//! A loop of one's own: `Model`, `Text`, `Batch`, `Trainer`.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use latimer_autograd::{AdamW, Optimizer, Slab};
use latimer_nn::{GptConfig, Sampling};
use latimer_tensor::{Device, Observer, Tensor, View};
use latimer_tokenizer::{CharTokenizer, Tokenizer};
use latimer_trainer::{Batch, Error, Model, Text, TrainStep, Trainer};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

const SEED: u64 = 7;

fn text() -> Text {
    Text::from("the cat sits on the mat, and the dog lies under the table\n".repeat(8))
}

fn tokenizer() -> CharTokenizer {
    CharTokenizer::fit(text().as_str()).unwrap()
}

fn model() -> Model {
    let config = GptConfig {
        n_layer: 1,
        n_head: 2,
        n_embd: 16,
        block_size: 12,
        dropout: 0.1,
        ..GptConfig::gpt2(tokenizer().vocab_size())
    };
    Model::new(&config, &Device::reference(), 1).unwrap()
}

fn adamw() -> AdamW {
    AdamW {
        lr: 0.01,
        ..AdamW::default()
    }
}

fn values(model: &Model) -> Vec<Vec<f32>> {
    let all = model.params.iter();
    all.map(|(param, _)| model.params.get(Slab::Values, param).unwrap())
        .collect()
}

/// The same bits as the parts that it is made of.
#[test]
fn a_trainer_does_the_steps_of_its_optimizer() {
    let batches = || text().batches(&tokenizer(), 12, 4, SEED).unwrap();
    let mut trained = model();
    let mut trainer = Trainer::new(&mut trained, adamw()).with_seed(3);
    let steps = trainer
        .run(batches(), 6)
        .collect::<Result<Vec<TrainStep>, _>>();
    let steps = steps.unwrap();
    assert_eq!(trainer.steps_done(), 6);

    let Model { gpt, params, .. } = &mut model();
    // Dropout counts the rows of a batch before a micro-step, of which there are none here.
    let optimizer = Optimizer::with_micro_steps(params, adamw(), 1, 4, 0).unwrap();
    let mut optimizer = optimizer.with_seed(3);
    for (step, batch) in steps.iter().zip(batches()) {
        let device = params.device().clone();
        let tensor = |ids| Tensor::from_slice(&device, ids, [4, 12]).unwrap();
        let (ids, targets) = (tensor(batch.ids()), tensor(batch.targets()));
        let loss = optimizer.step(params, |pass| gpt.loss(pass, &ids, &targets));
        assert_eq!(loss.unwrap().to_vec::<f32>().unwrap()[0], step.loss);
    }
    let numbers: Vec<u64> = steps.iter().map(|step| step.number).collect();
    assert_eq!(numbers, [1, 2, 3, 4, 5, 6]);
    let all = params.iter();
    let expected: Vec<_> = all
        .map(|(param, _)| params.get(Slab::Values, param).unwrap())
        .collect();
    assert_eq!(values(&trained), expected);
}

/// What goes to the device and comes back during a step.
#[derive(Debug, Default)]
struct Copies {
    up: AtomicUsize,
    down: AtomicUsize,
}

impl Observer for Copies {
    fn upload(&self, _src: &[u8], _dst: View<'_>) {
        self.up.fetch_add(1, Relaxed);
    }
    fn download(&self, _src: View<'_>) {
        self.down.fetch_add(1, Relaxed);
    }
}

/// On a GPU each copy costs some ten microseconds, and a download waits.
#[test]
fn a_step_uploads_once_and_waits_once() {
    let batches = text().batches(&tokenizer(), 12, 4, SEED).unwrap();
    let mut trained = model();
    let device = trained.device().clone();
    let mut trainer = Trainer::new(&mut trained, adamw()).with_micro_steps(2);
    // The first step looks at every gradient; the reference device computes by downloads and
    // uploads of its own, which no observer sees.
    let mut steps = trainer.run(batches, 4);
    steps.next().unwrap().unwrap();
    let copies = Arc::new(Copies::default());
    let observing = device.observe(copies.clone());
    for number in 1..=3 {
        steps.next().unwrap().unwrap();
        let seen = (copies.up.load(Relaxed), copies.down.load(Relaxed));
        assert_eq!(seen, (number, number));
    }
    drop(observing);
}

#[test]
fn a_batch_in_parts_is_the_whole_batch() {
    let step = |micro_steps| {
        let batches = text().batches(&tokenizer(), 12, 4, SEED).unwrap();
        let mut trained = model();
        let mut trainer = Trainer::new(&mut trained, adamw()).with_micro_steps(micro_steps);
        let step = trainer.run(batches, 1).next().unwrap().unwrap();
        f64::from(step.loss)
    };
    let (whole, halves) = (step(1), step(2));
    // Means of 48 losses of about 3, each rounded to f32: the sums differ by the order of addition.
    let bound = 48.0 * whole * f64::from(f32::EPSILON);
    assert!((whole - halves).abs() < bound, "{whole} {halves}");
    let refused = {
        let batches = text().batches(&tokenizer(), 12, 4, SEED).unwrap();
        let mut trained = model();
        let mut trainer = Trainer::new(&mut trained, adamw()).with_micro_steps(3);
        trainer
            .run(batches, 5)
            .map(Result::unwrap_err)
            .collect::<Vec<_>>()
    };
    assert_eq!(refused.len(), 1, "after an error there are no more steps");
    let said = refused[0].to_string();
    assert!(
        said.contains("4 rows cannot be cut into 3 equal parts"),
        "{said}"
    );
}

/// Steps are counted on, and AdamW keeps its moments.
#[test]
fn batches_may_change_their_shape() {
    let mut trained = model();
    let mut trainer = Trainer::new(&mut trained, adamw());
    let windows = |rows, length| vec![(0..length).collect::<Vec<u32>>(); rows];
    let batches = [(4, 13), (2, 5), (2, 5), (1, 13)];
    let batches = batches.map(|(rows, length)| Batch::of_windows(&windows(rows, length)).unwrap());
    let steps = trainer
        .run(batches, 9)
        .collect::<Result<Vec<_>, _>>()
        .unwrap();
    assert_eq!(steps.len(), 4);
    assert_eq!(steps[3].number, 4);
    assert!(steps[3].loss < steps[0].loss);
    let long = Batch::of_windows(&windows(1, 14)).unwrap();
    let said = trainer.step(&long).unwrap_err().to_string();
    assert!(said.contains("13") && said.contains("12"), "{said}");
}

#[test]
fn a_rate_is_a_function_of_the_step() {
    let batches = text().batches(&tokenizer(), 12, 2, SEED).unwrap();
    let mut trained = model();
    let before = values(&trained);
    let mut trainer = Trainer::new(&mut trained, adamw()).with_learning_rate(|step| {
        assert!((1..=2).contains(&step));
        0.0
    });
    let rates: Vec<f64> = trainer
        .run(batches, 2)
        .map(|step| step.unwrap().lr)
        .collect();
    assert_eq!(rates, [0.0, 0.0]);
    assert_eq!(values(&trained), before);
}

#[test]
fn a_step_that_is_not_finite_names_its_place() {
    let mut trained = model();
    let (param, info) = trained.params.iter().next().unwrap();
    let mut bad = vec![0.0; info.shape().numel()];
    bad[0] = f32::NAN;
    trained.params.set(Slab::Values, param, &bad).unwrap();
    let mut trainer = Trainer::new(&mut trained, adamw());
    let batches = text().batches(&tokenizer(), 12, 2, SEED).unwrap();
    let error = trainer.run(batches, 2).next().unwrap().unwrap_err();
    assert!(matches!(error, Error::NotFinite { step: 1, .. }), "{error}");
    assert!(
        error
            .to_string()
            .contains("transformer.wte.weight was not finite even before"),
        "{error}"
    );
}

#[test]
fn batches_that_are_none_are_refused() {
    let said = |batch: Result<Batch, Error>| batch.unwrap_err().to_string();
    assert!(said(Batch::new(vec![1, 2, 3], vec![1, 2, 3], 2)).contains("3 ids are not rows of 2"));
    assert!(said(Batch::new(vec![1, 2], vec![1], 2)).contains("2 ids and 1 targets"));
    assert!(said(Batch::new(vec![], vec![], 2)).contains("0 ids"));
    assert!(said(Batch::new(vec![1], vec![1], 0)).contains("rows of 0"));
    let windows: [&[u32]; 2] = [&[1, 2, 3], &[1, 2]];
    assert!(said(Batch::of_windows(&windows)).contains("window 1 has 2 tokens"));
    assert!(said(Batch::of_windows(&[[1u32]])).contains("at least 2"));
    let short = Text::from("the cat")
        .batches(&tokenizer(), 12, 1, 0)
        .unwrap_err();
    assert!(short.to_string().contains("7 tokens"), "{short}");
}

#[test]
fn what_is_saved_is_read_back() {
    let folder = tempfile::tempdir().unwrap();
    let (saved, tokenizer) = (model(), tokenizer());
    let place = folder.path().join("a/b");
    saved.save(&place).unwrap();
    let read = Model::open(&place, saved.device()).unwrap();
    assert_eq!(values(&read), values(&saved));
    assert!(
        read.tokenizer()
            .unwrap_err()
            .to_string()
            .contains("tokenizer.json")
    );
    // Over it, with a tokenizer; a manifest of other files is gone then.
    std::fs::write(place.join("manifest.json"), "{}").unwrap();
    saved.save_with(&tokenizer, &place).unwrap();
    let read = Model::open(&place, saved.device()).unwrap();
    let own = read.tokenizer().unwrap().clone();
    let greedy = Sampling::greedy();
    let of = |model: &Model, tokenizer: &dyn Tokenizer| {
        model.generate(tokenizer, "the cat", 30, greedy).unwrap()
    };
    assert_eq!(of(&read, &*own), of(&saved, &tokenizer));
    assert_eq!(of(&read, &*own).chars().count(), 7 + 30);
    // A model that was read keeps its tokenizer when it is saved again.
    let again = folder.path().join("again");
    read.save(&again).unwrap();
    assert!(
        Model::open(&again, saved.device())
            .unwrap()
            .tokenizer
            .is_some()
    );
    let ids = tokenizer.encode("the cat sits").unwrap();
    assert_eq!(read.loss(&ids).unwrap(), saved.loss(&ids).unwrap());
    assert!(matches!(
        saved.loss(&ids[..1]),
        Err(Error::NothingToPredict { .. })
    ));
}

/// A model that no folder holds is not named by one.
#[test]
fn a_made_model_without_a_fitting_tokenizer_says_so() {
    let said = model().tokenizer().unwrap_err().to_string();
    assert!(said.starts_with("the model has no tokenizer: "), "{said}");
    let large = CharTokenizer::fit("abcdefghijklmnopqrstuvwxyzABCDEFGH").unwrap();
    let refused = model().with_tokenizer(Arc::new(large)).unwrap_err();
    let said = refused.to_string();
    assert!(
        said.starts_with("the tokenizer has 34 tokens, but"),
        "{said}"
    );
}

#[test]
fn a_place_that_cannot_be_written_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    std::fs::write(&file, "not a folder").unwrap();
    let error = model().save(&file).unwrap_err().to_string();
    assert!(error.contains("file"), "{error}");
    let kept = std::fs::read_to_string(&file).unwrap();
    assert_eq!(kept, "not a folder");
}
