//! One computation on two devices: the reference computes it, the dry run reports its cost.
//!
//! `cargo run -p latimer-tensor --example two_devices`
#![expect(clippy::print_stdout, reason = "an example prints")]

use latimer_tensor::{Device, DryRun, Result, Tensor};

/// Attention of three words to themselves: softmax(x·xᵀ)·x.
fn attend(device: &Device) -> Result<Tensor> {
    let x = Tensor::from_slice(device, &[1.0f32, 0.0, 0.8, 0.6, 0.0, 1.0], [3, 2])?; // [T, C]
    let weights = x.matmul(&x.t()?)?.softmax(4.0)?; // [T, T]
    weights.matmul(&x) // [T, C]
}

fn main() -> Result<()> {
    let reference = Device::reference();
    let y = attend(&reference)?;
    println!("{} operations ran by their meaning", reference.fallbacks());
    println!("softmax(4·x·xᵀ)·x = {y:.3}");

    let dry = DryRun::default();
    let device = Device::new(dry.clone());
    attend(&device)?;
    let cost = dry.cost();
    println!(
        "{} operations: {} FLOP, {} bytes moved, {} bytes of memory at the most",
        dry.ops(),
        cost.flops,
        cost.bytes,
        device.pool_stats().peak_bytes
    );
    Ok(())
}
