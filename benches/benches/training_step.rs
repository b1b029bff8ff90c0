//! A whole training step on the CPU: forward, backward and update of nanoGPT's "baby".

use latimer_autograd::{AdamW, Optimizer, Params};
use latimer_backend_cpu::Cpu;
use latimer_benches::Bench;
use latimer_nn::{Gpt, GptConfig, Result};
use latimer_tensor::{Device, Tensor};

/// Rows.
const B: usize = 12;
/// Positions of a row.
const T: usize = 64;
/// Tokens of the vocabulary.
const V: usize = 65;

fn main() -> Result<()> {
    let bench = Bench::from_args();
    let device = Device::new(Cpu::new(0)?);
    let config = GptConfig {
        n_layer: 4,
        n_head: 4,
        n_embd: 128,
        block_size: T,
        ..GptConfig::gpt2(V)
    };
    let (gpt, declarations) = Gpt::new(&config)?;
    let mut params = Params::new(&device, declarations, 1)?;
    let adamw = AdamW {
        lr: 1e-3,
        beta2: 0.99,
        ..AdamW::default()
    };
    let mut optimizer = Optimizer::new(&mut params, adamw)?;
    let ids: Vec<u32> = (0..B * T).map(|n| (n * n % V) as u32).collect();
    let x = Tensor::from_slice(&device, &ids, [B, T])?;
    let y = Tensor::from_slice(&device, &ids, [B, T])?;
    let mut step = || optimizer.step(&mut params, |pass| gpt.loss(pass, &x, &y));
    device.enter(|| {
        bench.measure("training step of baby f32", (B * T) as f64, "token", || {
            step().expect("it runs");
        });
    });
    Ok(())
}
