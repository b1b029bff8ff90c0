//! The README's program, small, in a folder of its own.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use latimer::prelude::*;
use latimer::trainer::{Existing, Run, RunFolder, config::Config};
use std::sync::atomic::AtomicBool;

const LINE: &str = "Once upon a time there was a cat, and once upon a time there was a dog.\n";

fn small(vocab_size: usize) -> GptConfig {
    GptConfig {
        n_layer: 1,
        n_head: 2,
        n_embd: 32,
        block_size: 32,
        ..GptConfig::gpt2(vocab_size)
    }
}

#[test]
fn a_program_trains_saves_opens_and_generates() -> latimer::Result<()> {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("mine.txt");
    std::fs::write(&file, LINE.repeat(10)).unwrap();

    let device = Device::cpu(1)?;
    let text = Text::open(&file)?;
    let tokenizer = CharTokenizer::fit(text.as_str())?;
    let config = small(tokenizer.vocab_size());
    let mut model = Model::new(&config, &device, 1337)?;
    let ids = tokenizer.encode(LINE)?;
    let before = model.loss(&ids)?;
    let batches = text.batches(&tokenizer, config.block_size, 4, 1337)?;
    let adamw = AdamW {
        lr: 1e-2,
        ..AdamW::default()
    };
    let mut trainer = Trainer::new(&mut model, adamw);
    let mut losses = Vec::new();
    for step in trainer.run(batches, 100) {
        losses.push(step?.loss);
    }
    let place = folder.path().join("mine");
    model.save_with(&tokenizer, &place)?;
    let after = model.loss(&ids)?;
    // It knows the line nearly by heart; before, every character cost about as much as a guess.
    assert!(after < 0.3 * before, "{before} {after}");
    let cooler = Sampling {
        temperature: 0.8,
        ..Sampling::default()
    };
    let written = model.generate(&tokenizer, "Once", 20, cooler)?;
    assert!(written.starts_with("Once upon a"), "{written}");

    let opened = Model::open(&place, &device)?;
    let own = opened.tokenizer()?;
    assert_eq!(opened.generate(&**own, "Once", 20, cooler)?, written);
    assert_eq!(opened.loss(&ids)?, after);
    Ok(())
}

/// What a run trained is there without being read back from its folder.
#[test]
fn a_run_gives_its_model() -> latimer::Result<()> {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("mine.txt");
    std::fs::write(&file, LINE.repeat(10)).unwrap();
    let mut config = Config::preset("baby")?;
    config.model = small(0);
    config.data.data = vec![file.display().to_string()];
    config.data.tokenizer = "char".into();
    (config.train.batch_size, config.train.max_iters) = (2, 3);
    (config.train.eval_interval, config.train.eval_iters) = (0, 1);
    let device = Device::cpu(1)?;
    let mut run = Run::new(&config, &device, folder.path())?;
    let place = folder.path().join("run");
    run.train(
        &RunFolder::create(&place, Existing::Refuse)?,
        &AtomicBool::new(false),
        &mut |_| (),
    )?;
    let (trained, saved) = (run.into_model(), Model::open(&place, &device)?);
    let ids = trained.tokenizer()?.encode(LINE)?;
    assert_eq!(trained.loss(&ids)?, saved.loss(&ids)?);
    Ok(())
}

#[test]
fn a_device_is_opened_by_its_kind() -> latimer::Result<()> {
    assert_eq!(Device::cpu(1)?.info().backend, "cpu");
    assert!(Device::cpu(5000).is_err());
    let kinds = ["cpu", "cuda"];
    assert!(kinds.contains(&&*Device::auto()?.info().backend));
    // There is no hundredth GPU, and mostly no first one.
    assert!(Device::cuda(99).is_err());
    Ok(())
}
