//! Tensors alone: a dictionary of three words as attention, written out, with no model and no
//! gradient: `cargo run -p latimer --example tensors`.
#![expect(clippy::print_stdout, reason = "an example prints")]

use latimer::prelude::*;

fn main() -> latimer::Result<()> {
    let device = Device::auto()?;
    let matrix = |rows: &[f32]| Tensor::from_slice(&device, rows, [rows.len() / 3, 3]);
    let keys = matrix(&[1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0])?; // le, chat, dort
    let values = matrix(&[1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0])?; // the, cat, sleeps
    let query = matrix(&[0.1, 0.9, 0.2])?; // nearly "chat"
    let scores = query.matmul(&keys.t()?)?; // [1, 3]
    for sharpness in [1.0, 4.0, 16.0] {
        let weights = (&scores * sharpness).softmax(1.0)?; // [1, 3]
        let found = weights.matmul(&values)?; // [1, 3]
        println!(
            "sharpness {sharpness:>2}: {found:.3}, mostly word {}",
            found.argmax()?
        );
    }
    // Arithmetic: operators panic where shapes do not fit, `try_sub` and its like return an error.
    let mean = scores.mean()?.to_vec::<f32>()?[0];
    let centred = &scores - mean; // [1, 3]
    println!(
        "centred {centred:.3}, variance {:.3}",
        (&centred * &centred).mean()?
    );
    assert!(
        scores.try_sub(&scores.mean()?).is_err(),
        "[1] is not a last axis of [1, 3]"
    );
    Ok(())
}
