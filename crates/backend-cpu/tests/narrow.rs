//! Tests of `bf16` that the shared suite does not draw: products longer than what is packed at a
//! time, the same bits on any number of threads, and no operation that falls back.

use latimer_backend_cpu::Cpu;
use latimer_conformance::Support;
use latimer_tensor::op::Matmul;
use latimer_tensor::{Bounded, DType, Device, Op, Real, Result, Tensor};

fn cpu(threads: usize) -> Device {
    Device::new(Cpu::new(threads).expect("threads can be started"))
}

/// A tensor of noise, uniform in -1..1, determined by `seed` and rounded to `dtype`.
fn noise(device: &Device, shape: &[usize], seed: u64, dtype: DType) -> Result<Tensor> {
    let mut stream = latimer_tensor::philox::Stream::new(seed, 0, 0);
    let n = shape.iter().product();
    let values: Vec<f32> = (0..n)
        .map(|_| stream.next_u32() as f32 / 2f32.powi(31) - 1.0)
        .collect();
    Tensor::from_slice(device, &values, shape)?.cast(dtype)
}

/// A product's sizes and what is asked of it.
#[derive(Clone, Copy, Debug)]
struct Product {
    m: usize,
    n: usize,
    k: usize,
    trans_a: bool,
    trans_b: bool,
    bias: bool,
    y: DType,
}

/// Returns the product by the operation's meaning, and what the device makes of it.
fn run(device: &Device, p: Product) -> Result<(Vec<Bounded>, Vec<f64>)> {
    let Product { m, n, k, .. } = p;
    let a = noise(
        device,
        &if p.trans_a { [k, m] } else { [m, k] },
        1,
        DType::Bf16,
    )?;
    let b = noise(
        device,
        &if p.trans_b { [n, k] } else { [k, n] },
        2,
        DType::Bf16,
    )?;
    let bias = noise(device, &[n], 3, DType::Bf16)?;
    let mut y = noise(device, &[m, n], 4, p.y)?;
    let op = Op::from(Matmul {
        a: a.view(),
        b: b.view(),
        bias: p.bias.then(|| bias.view()),
        y: y.view_mut()?,
        trans_a: p.trans_a,
        trans_b: p.trans_b,
        alpha: 0.5,
        beta: if p.bias { 0.0 } else { -1.5 },
    });
    let want = op.bounded(device.backend())?.remove(0).values;
    device.enter(|| device.run(op))?;
    assert_eq!(device.fallbacks(), 0, "{p:?} fell back");
    let got = y.cast(DType::F32)?.to_vec::<f32>()?;
    let got = got.into_iter().map(f64::from).collect();
    Ok((want, got))
}

#[test]
fn products_across_blocks_have_the_meaning_and_the_same_bits() -> Result<()> {
    let [one, two, three] = [1, 2, 3].map(cpu);
    let u = f64::from(f32::EPSILON) / 2.0;
    // A few rows; ragged blocks; several packed depths, ragged and whole; no terms.
    for [m, n, k] in [
        [3, 70, 2100],
        [37, 65, 70],
        [64, 33, 96],
        [33, 40, 4127],
        [40, 31, 4096],
        [35, 33, 0],
    ] {
        for flags in 0..16 {
            let set = |bit: u32| flags >> bit & 1 > 0;
            let p = Product {
                m,
                n,
                k,
                trans_a: set(0),
                trans_b: set(1),
                bias: set(2),
                y: if set(3) { DType::F32 } else { DType::Bf16 },
            };
            let (values, got) = run(&one, p)?;
            for (i, (want, got)) in values.iter().zip(&got).enumerate() {
                let (want, size) = (want.value(), want.magnitude());
                // Two units of `f32` of what is summed, one of the output's for its rounding.
                let error = 2.0 * u * size;
                let bound = error + p.y.unit_roundoff() * (want.abs() + error);
                assert!(
                    (got - want).abs() <= bound,
                    "{p:?}[{i}]: {got}, want {want} within {bound:e}"
                );
            }
            for other in [&two, &three] {
                assert_eq!(got, run(other, p)?.1, "{p:?}: other bits on more threads");
            }
        }
    }
    Ok(())
}

#[test]
fn every_operation_of_a_step_is_native() {
    let device = cpu(1);
    assert!(device.is_native(DType::Bf16));
    let table = Support::of(&device);
    for name in Op::NAMES {
        // Parameters' gradients, and what sums their squares, are f32 in a step; the table asks for
        // bf16 throughout. What is foreign has no kernel.
        let other = [
            "embedding_backward",
            "layer_norm_backward",
            "rms_norm_backward",
            "sum_squares",
            "custom",
        ];
        let needed = !other.contains(name);
        if needed && let Some(native) = table.is_native(name, DType::Bf16) {
            assert!(native, "{name} falls back in bf16");
        }
    }
}
