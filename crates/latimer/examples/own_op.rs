//! An operation of your own, with its gradient, in a model of your own: a network of one hidden
//! layer learns a sine through a function that Latimer does not have: `cargo run --release -p
//! latimer --example own_op`.
#![expect(clippy::print_stdout, reason = "an example prints")]

use latimer::prelude::*;
use latimer::tensor::Elementwise;

fn main() -> latimer::Result<()> {
    // The function and its slope.
    let softsign = Elementwise::new(
        "softsign",
        |x| x / (1.0 + x.abs()),
        |x| 1.0 / (1.0 + x.abs()).powi(2),
    );
    let device = Device::cpu(1)?;
    let mut declarations = Declarations::new();
    let mut root = declarations.root();
    let normal = |std| Init::Normal { std };
    let (w1, b1) = (
        root.param("w1", [2, 16], normal(1.0)),
        root.param("b1", [16], normal(1.0)),
    );
    let w2 = root.param("w2", [16, 1], normal(0.3));
    let mut params = Params::new(&device, declarations, 1)?;

    // 32 points of a sine; the second column is a constant.
    let xs: Vec<f32> = (0..32).map(|i| (i as f32 - 15.5) / 5.0).collect();
    let rows: Vec<f32> = xs.iter().flat_map(|&x| [x, 1.0]).collect();
    let x = Tensor::from_slice(&device, &rows, [32, 2])?;
    let sines: Vec<f32> = xs.iter().map(|x| x.sin()).collect();
    let y = Tensor::from_slice(&device, &sines, [32, 1])?;

    let adamw = AdamW {
        lr: 0.02,
        weight_decay: 0.0,
        ..AdamW::default()
    };
    let mut optimizer = Optimizer::new(&mut params, adamw)?;
    for step in 1..=300 {
        let loss = optimizer.step(&mut params, |pass| {
            let hidden = pass.linear(&pass.constant(x.clone()), w1, Some(b1))?; // [32, 16]
            let hidden = pass.apply(&hidden, &softsign)?; // [32, 16]
            let error = pass.sub(&pass.linear(&hidden, w2, None)?, &pass.constant(y.clone()))?;
            pass.mean(&pass.sum(&pass.mul(&error, &error)?)?)
        })?;
        if step % 100 == 0 || step == 1 {
            println!(
                "step {step}: mean squared error {:.6}",
                loss.to_vec::<f32>()?[0]
            );
        }
    }
    Ok(())
}
