//! One product and one softmax on the CPU backend, timed, against the exact reference.

use latimer_backend_cpu::Cpu;
use latimer_tensor::{Device, Result, Tensor};
use std::time::Instant;

const N: usize = 128;

/// softmax(a·b / √N) of two fixed matrices: the scores of an attention.
fn scores(device: &Device) -> Result<Tensor> {
    let wave = |speed: f32| -> Vec<f32> { (0..N * N).map(|i| (i as f32 * speed).sin()).collect() };
    let a = Tensor::from_slice(device, &wave(0.7), [N, N])?;
    let b = Tensor::from_slice(device, &wave(1.3), [N, N])?;
    a.matmul(&b)?.softmax(1.0 / (N as f32).sqrt()) // [N, N], every row sums to 1
}

/// Without the lines that the README gives, a debug build says that it is slow.
#[test]
fn a_debug_build_without_those_lines_knows_what_it_is() {
    let device = Device::new(Cpu::new(1).expect("one thread can be had"));
    let slow = device.info().detail.contains("compiled without optimisation");
    assert_eq!(slow, cfg!(debug_assertions));
    assert_eq!(latimer_backend_cpu::is_optimized(), !slow);
}

fn main() -> Result<()> {
    let cpu = Device::new(Cpu::new(0)?); // 0: one thread per core
    println!("{:?}", cpu.info());
    cpu.deny_fallback(true); // an operation that is not native would be an error
    let time = |device: &Device| -> Result<Vec<f32>> {
        let start = Instant::now();
        let values = scores(device)?.to_vec::<f32>()?;
        println!("{:>9}: {:.1?}", device.info().backend, start.elapsed());
        Ok(values)
    };
    let (got, want) = (time(&cpu)?, time(&Device::reference())?);
    let apart = got.iter().zip(&want).map(|(a, b)| (a - b).abs());
    let apart = apart.fold(0.0, f32::max);
    println!("greatest difference {apart:.1e}");
    assert!(apart < 1e-5);
    Ok(())
}
