//! A data loop of your own: a GPT learns to count modulo ten, by ones, twos and threes, from
//! batches that are made on the way: `cargo run --release -p latimer --example own_data`.
#![expect(clippy::print_stdout, reason = "an example prints")]

use latimer::prelude::*;

/// Nine numbers from `first` in steps of `by`.
fn count(first: u32, by: u32) -> Vec<u32> {
    (0..9).map(|i| (first + i * by) % 10).collect()
}

fn main() -> latimer::Result<()> {
    let config = GptConfig {
        n_layer: 1,
        n_head: 2,
        n_embd: 16,
        block_size: 8,
        ..GptConfig::gpt2(10)
    };
    let mut model = Model::new(&config, &Device::cpu(0)?, 1)?;
    // Any iterator of batches will do. Each of these has ten rows, one for each first number.
    let batches = (0..).map(|step| {
        let rows: Vec<_> = (0..10).map(|first| count(first, 1 + step % 3)).collect();
        Batch::of_windows(&rows).expect("ten windows of nine numbers")
    });
    let adamw = AdamW {
        lr: 0.02,
        weight_decay: 0.0,
        ..AdamW::default()
    };
    let mut trainer = Trainer::new(&mut model, adamw);
    for step in trainer.run(batches, 300) {
        let step = step?;
        if step.number.is_multiple_of(100) {
            println!("step {:>3}: loss {:.3}", step.number, step.loss);
        }
    }
    let loss = model.loss(&count(4, 3))?;
    println!(
        "4 7 0 3 6 …: {loss:.3} nats a number; a guess would cost {:.3}",
        10f32.ln()
    );
    Ok(())
}
