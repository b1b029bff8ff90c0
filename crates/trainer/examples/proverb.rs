//! Learns a proverb by heart into a temporary folder, and generates it.
//!
//! `cargo run --release -p latimer-trainer --example proverb`
#![expect(clippy::print_stdout, reason = "an example prints")]

use latimer_nn::Sampling;
use latimer_tensor::Device;
use latimer_trainer::config::Config;
use latimer_trainer::event::Event;
use latimer_trainer::{Existing, Run, RunFolder};
use std::{error::Error, sync::atomic::AtomicBool};

fn main() -> Result<(), Box<dyn Error>> {
    let folder = std::env::temp_dir().join(format!("latimer-proverb-{}", std::process::id()));
    std::fs::create_dir_all(&folder)?;
    let text = folder.join("proverb.txt");
    std::fs::write(&text, "petit a petit, l'oiseau fait son nid.\n".repeat(40))?;

    let text = text.display().to_string();
    let flags = [
        ("data", text.as_str()),
        ("n_layer", "1"),
        ("n_head", "2"),
        ("n_embd", "32"),
        ("block_size", "16"),
        ("batch_size", "4"),
        ("max_iters", "400"),
        ("learning_rate", "0.01"),
        ("warmup_iters", "5"),
        ("eval_interval", "200"),
        ("eval_iters", "2"),
        ("sample_interval", "0"),
    ]
    .map(|(key, value)| (key.to_owned(), value.to_owned()));
    let config = Config::resolve(Some("baby"), None, &flags)?;
    let device = Device::reference(); // any device; this one is exact and slow
    let mut run = Run::new(&config, &device, &folder)?;
    let out = RunFolder::create(&folder.join("run"), Existing::Refuse)?;
    run.train(&out, &AtomicBool::new(false), &mut |event| {
        if !matches!(event, Event::Step(..) | Event::Plan(..)) {
            println!("{}", event.to_json());
        }
    })?;

    let model = run.into_model();
    let tokenizer = model.tokenizer()?;
    println!(
        "{}",
        model.generate(&**tokenizer, "petit", 40, Sampling::default())?
    );
    std::fs::remove_dir_all(&folder)?;
    Ok(())
}
