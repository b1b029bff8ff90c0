//! A GPT on somebody's own data loop: it learns to add two digits, as text.

use latimer_autograd::{AdamW, Optimizer, Params};
use latimer_nn::{Generator, Gpt, GptConfig, Result, Sampler, Sampling};
use latimer_tensor::{Device, Tensor};

/// `a+b=cc;` as ids: digits are themselves, then `+`, `=` and `;`.
fn sum(a: u32, b: u32) -> [u32; 7] {
    [a, 10, b, 11, (a + b) / 10, (a + b) % 10, 12]
}

fn main() -> Result<()> {
    let device = Device::reference(); // any device: the model names none
    let config = GptConfig {
        n_layer: 1,
        n_head: 2,
        n_embd: 16,
        block_size: 6,
        ..GptConfig::gpt2(13)
    };
    let (gpt, declarations) = Gpt::new(&config)?;
    println!("{} parameters", declarations.num_parameters());
    let mut params = Params::new(&device, declarations, 1)?;
    let adamw = AdamW { lr: 0.02, beta2: 0.99, weight_decay: 0.0, ..AdamW::default() };
    let mut optimizer = Optimizer::new(&mut params, adamw)?;
    // All sums of digits below 5 are the whole batch: 25 rows of 6 positions.
    let rows = || (0..25).map(|i| sum(i / 5, i % 5));
    let x: Vec<u32> = rows().flat_map(|row| row[..6].to_vec()).collect();
    let y: Vec<u32> = rows().flat_map(|row| row[1..].to_vec()).collect();
    let x = Tensor::from_slice(&device, &x, [25, 6])?; // [B, T]
    let y = Tensor::from_slice(&device, &y, [25, 6])?; // [B, T]
    for step in 1..=120 {
        let loss = optimizer.step(&mut params, |pass| gpt.loss(pass, &x, &y))?; // [1]
        if step % 30 == 0 {
            println!("step {step:>3}: loss {:.3}", loss.to_vec::<f32>()?[0]);
        }
    }
    let mut sampler = Sampler::new(Sampling { temperature: 0.0, ..Sampling::default() }, 0)?;
    for (a, b) in [(1, 2), (4, 3), (4, 4)] {
        let mut generator = Generator::new(&gpt, &params, &sum(a, b)[..4])?;
        generator.next_id(&mut sampler)?;
        println!("{a}+{b} = {}", generator.next_id(&mut sampler)?);
    }
    Ok(())
}
