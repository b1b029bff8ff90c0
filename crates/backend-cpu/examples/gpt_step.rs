//! The largest operations of a GPT's step, timed: `cargo run --release --example gpt_step -- THREADS`.

#![expect(clippy::print_stdout, reason = "an example prints")]

use latimer_backend_cpu::Cpu;
use latimer_tensor::op::{Attention, Matmul, Unary, UnaryKind};
use latimer_tensor::{DType, Device, Result, Tensor};
use std::time::Instant;

/// Microseconds of the fastest of some runs.
fn fastest(mut run: impl FnMut() -> Result<()>) -> Result<f64> {
    let mut best = f64::INFINITY;
    for _ in 0..50 {
        let start = Instant::now();
        run()?;
        best = best.min(start.elapsed().as_secs_f64() * 1e6);
    }
    Ok(best)
}

fn main() -> Result<()> {
    let threads = std::env::args()
        .nth(1)
        .and_then(|n| n.parse().ok())
        .unwrap_or(0);
    let device = Device::new(Cpu::new(threads)?);
    let info = device.info();
    println!(
        "{} ({}), {} threads",
        info.name,
        info.detail,
        info.threads.unwrap_or(1)
    );
    // nanoGPT's "baby": 12 rows of 64 positions, 4 heads of 32.
    let (b, t, heads, c) = (12, 64, 4, 128);
    let ones = |shape: [usize; 2]| Tensor::full(&device, shape, DType::F32, 0.01);
    let (x, w) = (ones([b * t, c])?, ones([c, 4 * c])?);
    let (mut wide, mut gelu) = (ones([b * t, 4 * c])?, ones([b * t, 4 * c])?);
    let qkv = ones([b * t, 3 * c])?.reshape([b, t, 3 * c])?;
    let mut y = ones([b * t, c])?.reshape([b, t, c])?;
    let mut lse = Tensor::zeros(&device, [b, heads, t], DType::F32)?;
    device.enter(|| {
        let us = fastest(|| device.run(Matmul::new(x.view(), w.view(), wide.view_mut()?)))?;
        let gflop = 2.0 * (b * t * c * 4 * c) as f64 / 1e3;
        println!(
            "matmul [{}, {c}]·[{c}, {}]: {us:.1} µs, {:.0} GFLOP/s",
            b * t,
            4 * c,
            gflop / us
        );
        let us = fastest(|| {
            let y = gelu.view_mut()?;
            device.run(Unary {
                kind: UnaryKind::GeluTanh,
                x: wide.view(),
                y,
            })
        })?;
        println!("gelu [{}, {}]: {us:.1} µs", b * t, 4 * c);
        let us = fastest(|| {
            device.run(Attention {
                qkv: qkv.view(),
                y: y.view_mut()?,
                lse: lse.view_mut()?,
                n_head: heads,
                scale: 1.0 / ((c / heads) as f32).sqrt(),
                causal: true,
                rate: 0.0,
                site: 0,
                random: None,
            })
        })?;
        println!("attention [{b}, {t}, {}], {heads} heads: {us:.1} µs", 3 * c);
        Ok(())
    })
}
