//! A GPT on somebody's own data loop: it learns to add two digits, as text.

use latimer_autograd::{AdamW, Mode, Params, Pass};
use latimer_nn::{Generator, Gpt, GptConfig, Result, Sampler, Sampling};
use latimer_tensor::{Device, Scalars, StepValues, Tensor};

/// `a+b=cc;` as ids: digits are themselves, then `+`, `=` and `;`.
fn sum(a: u32, b: u32) -> [u32; 7] {
    [a, 10, b, 11, (a + b) / 10, (a + b) % 10, 12]
}

fn main() -> Result<()> {
    let device = Device::reference(); // any device: the model names none
    let (gpt, declarations) = Gpt::new(&GptConfig::gpt2(13, 6, 1, 2, 16))?;
    println!("{} parameters", declarations.num_parameters());
    let mut params = Params::new(&device, declarations, 1)?;
    params.enable_training()?;
    let mut scalars = Scalars::new(&device)?;
    let adamw = AdamW {
        beta1: 0.9,
        beta2: 0.99,
        eps: 1e-8,
        weight_decay: 0.0,
        decay_all: false,
        grad_clip: 1.0,
    };
    // All sums of digits below 5 are the whole batch: 25 rows of 6 positions.
    let rows = || (0..25).map(|i| sum(i / 5, i % 5));
    let x: Vec<u32> = rows().flat_map(|row| row[..6].to_vec()).collect();
    let y: Vec<u32> = rows().flat_map(|row| row[1..].to_vec()).collect();
    let x = Tensor::from_slice(&device, &x, [25, 6])?; // [B, T]
    let y = Tensor::from_slice(&device, &y, [25, 6])?; // [B, T]
    for step in 1..=120 {
        let [bias1, bias2] = adamw.bias_corrections(step);
        scalars.set(&StepValues { lr: 0.02, bias1, bias2, seed: 1, step })?;
        params.zero_gradients()?;
        let pass = Pass::new(&params, &scalars, Mode::Train { loss_scale: 1.0 });
        let loss = gpt.loss(&pass, &x, &y)?; // [1]
        if step % 30 == 0 {
            println!("step {step:>3}: loss {:.3}", loss.to_vec::<f32>()?[0]);
        }
        pass.backward(loss)?;
        adamw.update(&mut params, &mut scalars)?;
    }
    let mut sampler = Sampler::new(Sampling { temperature: 0.0, ..Sampling::default() }, 0)?;
    for (a, b) in [(1, 2), (4, 3), (4, 4)] {
        let mut generator = Generator::new(&gpt, &params, &sum(a, b)[..4])?;
        generator.next_id(&mut sampler)?;
        println!("{a}+{b} = {}", generator.next_id(&mut sampler)?);
    }
    Ok(())
}
