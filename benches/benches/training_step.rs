//! A whole training step on the CPU: forward, backward and update of nanoGPT's "baby".

use latimer_autograd::{AdamW, Mode, Params, Pass};
use latimer_backend_cpu::Cpu;
use latimer_benches::Bench;
use latimer_nn::{Gpt, GptConfig, Result};
use latimer_tensor::{Device, Scalars, StepValues, Tensor};

/// Rows.
const B: usize = 12;
/// Positions of a row.
const T: usize = 64;
/// Tokens of the vocabulary.
const V: usize = 65;

fn main() -> Result<()> {
    let bench = Bench::from_args();
    let device = Device::new(Cpu::new(0)?);
    // 4 layers of 4 heads, 128 wide.
    let (gpt, declarations) = Gpt::new(&GptConfig::gpt2(V, T, 4, 4, 128))?;
    let mut params = Params::new(&device, declarations, 1)?;
    params.enable_training()?;
    let mut scalars = Scalars::new(&device)?;
    let adamw = AdamW {
        beta1: 0.9,
        beta2: 0.99,
        eps: 1e-8,
        weight_decay: 0.1,
        decay_all: false,
        grad_clip: 1.0,
    };
    let ids: Vec<u32> = (0..B * T).map(|n| (n * n % V) as u32).collect();
    let x = Tensor::from_slice(&device, &ids, [B, T])?;
    let y = Tensor::from_slice(&device, &ids, [B, T])?;
    let mut number = 0;
    let mut step = || -> Result<()> {
        number += 1;
        let [bias1, bias2] = adamw.bias_corrections(number);
        scalars.set(&StepValues {
            lr: 1e-3,
            bias1,
            bias2,
            seed: 1,
            step: number,
        })?;
        params.zero_gradients()?;
        let pass = Pass::new(&params, &scalars, Mode::Train { loss_scale: 1.0 });
        let loss = gpt.loss(&pass, &x, &y)?;
        pass.backward(loss)?;
        adamw.update(&mut params, &mut scalars)?;
        Ok(())
    };
    device.enter(|| {
        bench.measure("training step of baby f32", (B * T) as f64, "token", || {
            step().expect("it runs");
        });
    });
    Ok(())
}
