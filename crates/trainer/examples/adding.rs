//! A task of one's own: a model learns to add two digits and is scored by how many sums are right.
//!
//! `cargo run --release -p latimer-trainer --example adding`
#![expect(clippy::print_stdout, reason = "an example prints")]

use latimer_tensor::{Device, philox::Stream};
use latimer_tokenizer::{CharTokenizer, Tokenizer};
use latimer_trainer::config::Config;
use latimer_trainer::data::{RowKey, Source, Split, Windows};
use latimer_trainer::{Existing, Result, Run, RunFolder, Scores, Task, Writer};
use std::sync::{Arc, atomic::AtomicBool};

/// Two digits and their sum, a line each. Sums whose digits are 3 apart are kept from training.
#[derive(Clone, Debug)]
struct Adding(Arc<CharTokenizer>);

fn sums(split: Split) -> Vec<(u64, u64)> {
    let all = (0..100).map(|i| (i / 10, i % 10));
    let kept = |&(a, b): &(u64, u64)| (a.abs_diff(b) == 3) == (split == Split::Validation);
    all.filter(kept).collect()
}

impl Source for Adding {
    fn row(&self, seed: u64, key: RowKey, ids: &mut [u32]) {
        let (sums, mut text) = (sums(key.split), "\n".to_owned());
        let mut stream = Stream::new(seed, key.row + 1, key.step as u32);
        while text.len() < ids.len() {
            let (a, b) = sums[stream.below(sums.len() as u64) as usize];
            text += &format!("{a}+{b}={}\n", a + b);
        }
        let row = self.0.encode(&text).expect("a character of each digit");
        ids.copy_from_slice(&row[..ids.len()]);
    }

    fn validation(&self) -> Windows<'_> {
        let lines = sums(Split::Validation)
            .into_iter()
            .map(|(a, b)| format!("\n{a}+{b}={}\n", a + b));
        Box::new(lines.map(|line| self.0.encode(&line).expect("digits").into()))
    }

    fn validation_tokens(&self) -> usize {
        self.validation().map(|window| window.len()).sum()
    }

    fn training_tokens(&self) -> Option<usize> {
        None
    }
}

impl Task for Adding {
    fn tokenizer(&self) -> Arc<dyn Tokenizer> {
        self.0.clone()
    }

    fn source(&self) -> Box<dyn Source> {
        Box::new(self.clone())
    }

    fn prompts(&self) -> Vec<String> {
        vec!["2+5=".to_owned(), "9+6=".to_owned()]
    }

    fn score(&self, model: &dyn Writer) -> Result<Scores> {
        let (mut right, unseen) = (0, sums(Split::Validation));
        for (a, b) in &unseen {
            let said = model.line(&format!("{a}+{b}="), 3)?.text;
            right += usize::from(said == (a + b).to_string());
        }
        Ok(Scores::default().with("right", right as f64 / unseen.len() as f64))
    }
}

fn main() -> std::result::Result<(), Box<dyn std::error::Error>> {
    let mut config = Config::preset("baby")?;
    (
        config.model.n_layer,
        config.model.n_head,
        config.model.n_embd,
    ) = (1, 2, 32);
    (config.model.block_size, config.train.batch_size) = (24, 16);
    (config.train.max_iters, config.train.eval_interval) = (1000, 0);
    (config.train.learning_rate, config.train.eval_iters) = (0.01, 1);
    let task = Adding(Arc::new(CharTokenizer::fit("0123456789+=\n")?));
    let mut run = Run::with_task(&config, &Device::reference(), Box::new(task))?;
    let folder = std::env::temp_dir().join(format!("latimer-adding-{}", std::process::id()));
    let out = RunFolder::create(&folder, Existing::Refuse)?;
    let done = run.train(&out, &AtomicBool::new(false), &mut |_| ())?;
    println!(
        "{} of the unseen sums are right",
        done.scores.get("right").unwrap_or(0.0)
    );
    std::fs::remove_dir_all(&folder)?;
    Ok(())
}
