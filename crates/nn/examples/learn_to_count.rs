//! A GPT learns to count modulo ten, by ones, twos and threes, and continues three numbers.
//!
//! `cargo run --release -p latimer-nn --example learn_to_count`
#![expect(clippy::print_stdout, reason = "an example prints")]

use latimer_autograd::{AdamW, Optimizer, Params};
use latimer_nn::{Generator, Gpt, GptConfig, Result, Sampler, Sampling};
use latimer_tensor::{Device, Tensor};

const T: u32 = 8;

/// `T` numbers from `first` in steps of `by`.
fn count(first: u32, by: u32) -> Vec<u32> {
    (0..T).map(|i| (first + i * by) % 10).collect()
}

fn main() -> Result<()> {
    let (gpt, declarations) = Gpt::new(&GptConfig {
        n_layer: 1,
        n_head: 2,
        n_embd: 16,
        block_size: T as usize,
        ..GptConfig::gpt2(10)
    })?;
    println!("{} parameters", declarations.num_parameters());
    let device = Device::reference();
    let mut params = Params::new(&device, declarations, 1)?;
    let adamw = AdamW {
        lr: 0.02,
        beta2: 0.99,
        weight_decay: 0.0,
        ..AdamW::default()
    };
    let mut optimizer = Optimizer::new(&mut params, adamw)?;
    // Ten starts and three steps: 30 rows, the targets one number further.
    let starts = || (0..30).map(|i| (i / 3, 1 + i % 3));
    let ids: Vec<u32> = starts().flat_map(|(first, by)| count(first, by)).collect();
    let targets: Vec<u32> = starts()
        .flat_map(|(first, by)| count(first + by, by))
        .collect();
    let x = Tensor::from_slice(&device, &ids, [30, T as usize])?; // [B, T]
    let y = Tensor::from_slice(&device, &targets, [30, T as usize])?; // [B, T]
    for step in 1..=120 {
        let loss = optimizer.step(&mut params, |pass| gpt.loss(pass, &x, &y))?; // [1]
        if step % 40 == 0 {
            println!("step {step:>3}: loss {:.3}", loss.to_vec::<f32>()?[0]);
        }
    }
    let greedy = Sampling {
        temperature: 0.0,
        ..Sampling::default()
    };
    let mut sampler = Sampler::new(greedy, 0)?;
    for prompt in [[0, 1, 2], [1, 3, 5], [9, 2, 5]] {
        let mut generator = Generator::new(&gpt, &params, &prompt)?;
        for _ in 0..5 {
            generator.next_id(&mut sampler)?;
        }
        println!("{prompt:?} continues {:?}", &generator.ids()[3..]);
    }
    Ok(())
}
