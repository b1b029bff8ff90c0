//! The smallest language model, trained: it predicts the next word from the word before.
//!
//! `cargo run -p latimer-autograd --example bigram`
#![expect(clippy::print_stdout, reason = "an example prints")]

use latimer_autograd::{AdamW, Declarations, Init, LmHead, Optimizer, Params, Pass, Result};
use latimer_tensor::{Device, Tensor};

const WORDS: [&str; 6] = ["le", "chat", "est", "sous", "la", "table"];

fn main() -> Result<()> {
    let (n, width) = (WORDS.len(), 8);
    let mut declarations = Declarations::new();
    let mut root = declarations.root();
    let normal = Init::Normal { std: 0.5 };
    let table = root.param("table", [n, width], normal);
    let head = LmHead {
        weight: root.param("head", [n, width], normal),
        bias: None,
        valid_columns: n,
    };
    let device = Device::reference();
    let mut params = Params::new(&device, declarations, 1)?;
    let adamw = AdamW {
        lr: 0.1,
        beta2: 0.99,
        weight_decay: 0.0,
        ..AdamW::default()
    };
    let mut optimizer = Optimizer::new(&mut params, adamw)?;

    // "le chat est sous la table": each word's target is the next.
    let ids: Vec<u32> = (0..n as u32).collect();
    let x = Tensor::from_slice(&device, &ids[..n - 1], [1, n - 1])?; // [B, T]
    let y = Tensor::from_slice(&device, &ids[1..], [1, n - 1])?; // [B, T]
    for step in 1..=30 {
        let loss = optimizer.step(&mut params, |pass| {
            let h = pass.embedding(&x, table, None, 0)?; // [B, T, C]
            pass.lm_loss(&h, head, &y) // [1]
        })?;
        if step % 10 == 0 {
            println!("step {step}: loss {:.4}", loss.to_vec::<f32>()?[0]);
        }
    }
    let pass = Pass::evaluate(&params);
    let h = pass.embedding(&x, table, None, 0)?; // [B, T, C]
    let next = pass.logits(&h, 0, head)?.argmax()?.to_vec::<u32>()?; // [B * T]
    for (word, id) in WORDS.iter().zip(next) {
        println!("after {word:>5}: {}", WORDS[id as usize]);
    }
    Ok(())
}
