//! A GPT on your own text: `cargo run --release -p latimer --example own_text -- mine.txt`.
//! Without a file it learns a nursery rhyme.
#![expect(clippy::print_stdout, reason = "an example prints")]

use latimer::prelude::*;

const RHYME: &str =
    "The cat and the fiddle, the cow and the moon, the dish and the little spoon.\n";

fn main() -> latimer::Result<()> {
    let device = Device::auto()?;
    let text = match std::env::args().nth(1) {
        Some(path) => Text::open(path)?,
        None => Text::from(RHYME.repeat(20)),
    };
    let tokenizer = CharTokenizer::fit(text.as_str())?;
    let config = GptConfig {
        n_layer: 2,
        n_head: 4,
        n_embd: 64,
        block_size: 64,
        ..GptConfig::gpt2(tokenizer.vocab_size())
    };
    let mut model = Model::new(&config, &device, 1337)?;
    let batches = text.batches(&tokenizer, config.block_size, 8, 1337)?;
    let adamw = AdamW {
        lr: 3e-3,
        ..AdamW::default()
    };
    let mut trainer = Trainer::new(&mut model, adamw);
    for step in trainer.run(batches, 200) {
        let step = step?;
        if step.number.is_multiple_of(50) {
            println!("{:>5} {:.3}", step.number, step.loss);
        }
    }
    let folder = std::env::temp_dir().join("latimer-own-text");
    model.save_with(&tokenizer, &folder)?;
    println!(
        "{}",
        model.generate(&tokenizer, "The ", 80, Sampling::default())?
    );
    println!("saved: latimer generate --model {}", folder.display());
    Ok(())
}
