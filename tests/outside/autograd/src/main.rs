//! A bigram model of letters: which letter follows which, learnt by gradient descent.

use latimer_autograd::{AdamW, Declarations, Init, LmHead, Optimizer, Params, Pass, Result};
use latimer_tensor::{Device, Tensor};

const TEXT: &[u8] = b"un chasseur sachant chasser sait chasser sans son chien ";

fn main() -> Result<()> {
    // Declared without a device: a table of letters, and a head that scores the next one.
    let (letters, width) = (27, 16);
    let mut declarations = Declarations::new();
    let mut root = declarations.root();
    let normal = Init::Normal { std: 0.3 };
    let table = root.param("table", [letters, width], normal);
    let weight = root.param("head", [letters, width], normal);
    let head = LmHead { weight, bias: None, valid_columns: letters };

    let device = Device::reference();
    let mut params = Params::new(&device, declarations, 1)?;
    let adamw = AdamW { lr: 0.05, beta2: 0.99, weight_decay: 0.0, ..AdamW::default() };
    let mut optimizer = Optimizer::new(&mut params, adamw)?;
    let id = |&c: &u8| {
        if c == b' ' { 0 } else { u32::from(c - b'a') + 1 }
    };
    let ids: Vec<u32> = TEXT.iter().map(id).collect();
    let n = ids.len() - 1;
    let x = Tensor::from_slice(&device, &ids[..n], [1, n])?; // [1, n]
    let y = Tensor::from_slice(&device, &ids[1..], [1, n])?; // [1, n]
    for step in 1..=100 {
        let loss = optimizer.step(&mut params, |pass| {
            pass.lm_loss(&pass.embedding(&x, table, None, 0)?, head, &y) // [1]
        })?;
        if step % 20 == 0 || step == 1 {
            println!("step {step:>3}: {:.3} nats a letter", loss.to_vec::<f32>()?[0]);
        }
    }
    let pass = Pass::evaluate(&params);
    let next = pass.logits(&pass.embedding(&x, table, None, 0)?, 0, head)?.argmax()?;
    let after = |letter: u8| {
        let at = TEXT.iter().position(|&c| c == letter).unwrap_or(0);
        Ok::<_, latimer_autograd::Error>((next.to_vec::<u32>()?[at] as u8 + b'a' - 1) as char)
    };
    println!("c is followed by {}, u by {}", after(b'c')?, after(b'u')?);
    Ok(())
}
