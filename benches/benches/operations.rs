//! Operations of the CPU backend, in the sizes of nanoGPT's "baby" (4 heads of 32) and of GPT-2
//! 124M.

use latimer_backend_cpu::Cpu;
use latimer_benches::Bench;
use latimer_tensor::op::{Attention, Matmul};
use latimer_tensor::{DType, Device, Result, Tensor};

fn main() -> Result<()> {
    let bench = Bench::from_args();
    let device = Device::new(Cpu::new(0)?);
    for dtype in [DType::F32, DType::Bf16] {
        // Rows, columns, terms of a sum.
        for (m, n, k) in [(768, 512, 128), (512, 3072, 768)] {
            matmul(&bench, &device, dtype, [m, n, k])?;
        }
        // Rows, positions, heads, width of a head.
        for (b, t, n_head, d) in [(12, 64, 4, 32), (2, 256, 12, 64)] {
            attention(&bench, &device, dtype, [b, t, n_head, d])?;
        }
    }
    Ok(())
}

fn full(device: &Device, shape: &[usize], dtype: DType) -> Result<Tensor> {
    Tensor::full(device, shape, dtype, 0.01)
}

fn matmul(bench: &Bench, device: &Device, dtype: DType, [m, n, k]: [usize; 3]) -> Result<()> {
    let x = full(device, &[m, k], dtype)?;
    let w = full(device, &[k, n], dtype)?;
    let mut y = full(device, &[m, n], dtype)?;
    let name = format!("matmul {dtype} [{m}, {k}] by [{k}, {n}]");
    let gflop = 2e-9 * (m * n * k) as f64;
    device.enter(|| {
        bench.measure(&name, gflop, "GFLOP", || {
            let y = y.view_mut().expect("the only owner");
            let done = device.run(Matmul::new(x.view(), w.view(), y));
            done.expect("it runs");
        });
    });
    Ok(())
}

fn attention(
    bench: &Bench,
    device: &Device,
    dtype: DType,
    [b, t, n_head, d]: [usize; 4],
) -> Result<()> {
    let c = n_head * d;
    let qkv = full(device, &[b, t, 3 * c], dtype)?;
    let mut y = full(device, &[b, t, c], dtype)?;
    let mut lse = full(device, &[b, n_head, t], DType::F32)?;
    let name = format!("attention {dtype} [{b}, {t}, {}], {n_head} heads", 3 * c);
    // Half of two products of T by T by D for each head, as the mask hides the other half.
    let gflop = 2e-9 * (b * n_head * t * t * d) as f64;
    device.enter(|| {
        bench.measure(&name, gflop, "GFLOP", || {
            let done = device.run(Attention {
                qkv: qkv.view(),
                y: y.view_mut().expect("the only owner"),
                lse: lse.view_mut().expect("the only owner"),
                n_head,
                scale: 1.0 / (d as f32).sqrt(),
                causal: true,
                rate: 0.0,
                site: 0,
                random: None,
            });
            done.expect("it runs");
        });
    });
    Ok(())
}
