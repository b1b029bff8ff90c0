//! Cases that the shared conformance suite does not draw: sizes that cross several tiles and
//! threads, and this backend's own promises.

use latimer_backend_cpu::Cpu;
use latimer_tensor::op::{AddLayerNorm, Attention, AttentionBackward, LayerNorm, Matmul};
use latimer_tensor::{Backend, Bounded, DType, Device, Error, Op, Real, Result, Tensor};

/// Rounding errors may add up to this many units of the reference's magnitudes: one for the terms
/// it counts, one for fused operations' different order.
const SLACK: f64 = 2.0;

fn cpu(threads: usize) -> Device {
    Device::new(Cpu::new(threads).expect("threads can be started"))
}

/// A tensor of noise, uniform in -1..1 and determined by `seed`.
fn noise(device: &Device, shape: &[usize], seed: u64) -> Result<Tensor> {
    let mut stream = latimer_tensor::philox::Stream::new(seed, 0, 0);
    let n = shape.iter().product();
    let values: Vec<f32> = (0..n)
        .map(|_| stream.next_u32() as f32 / 2f32.powi(31) - 1.0)
        .collect();
    Tensor::from_slice(device, &values, shape)
}

/// Runs an op natively and holds `y` (its operand of that name) to the meaning.
fn hold(device: &Device, name: &str, make: impl Fn() -> Result<(Vec<Bounded>, Vec<f32>)>) {
    let (values, got) = make().expect("runs");
    let u = f64::from(f32::EPSILON) / 2.0;
    for (i, (want, got)) in values.iter().zip(&got).enumerate() {
        let (want, size) = (want.value(), want.magnitude());
        let error = (f64::from(*got) - want).abs();
        let bound = u * want.abs() + SLACK * u * size;
        assert!(
            error <= bound,
            "{name}[{i}]: {got}, want {want} within {bound:e}"
        );
    }
    assert_eq!(device.fallbacks(), 0, "{name} ran natively");
}

/// One output, by the meaning.
fn meaning(device: &Device, op: &Op<'_>, operand: &str) -> Result<Vec<Bounded>> {
    let mut outputs = op.bounded(device.backend())?.into_iter();
    let output = outputs.find(|w| w.operand == operand);
    Ok(output.expect("the op writes it").values)
}

#[test]
fn products_across_tiles_and_blocks() {
    let device = cpu(3);
    for (m, n, k) in [
        (1, 300, 70),
        (5, 33, 1030),
        (49, 65, 257),
        (130, 31, 520),
        (61, 97, 0),
    ] {
        for flags in 0..8 {
            let (ta, tb, bias) = (flags & 1 > 0, flags & 2 > 0, flags & 4 > 0);
            let name = format!("{m} {n} {k} {ta} {tb} {bias}");
            hold(&device, &name, || {
                let a = noise(&device, &if ta { [k, m] } else { [m, k] }, 1)?;
                let b = noise(&device, &if tb { [n, k] } else { [k, n] }, 2)?;
                let shift = noise(&device, &[n], 3)?;
                // With beta 0, y must not be read.
                let old = vec![f32::NAN; m * n];
                let mut y = match bias {
                    true => Tensor::from_slice(&device, &old, [m, n])?,
                    false => noise(&device, &[m, n], 4)?,
                };
                let values = {
                    let op = Matmul {
                        a: a.view(),
                        b: b.view(),
                        bias: bias.then(|| shift.view()),
                        y: y.view_mut()?,
                        trans_a: ta,
                        trans_b: tb,
                        alpha: 0.5,
                        beta: if bias { 0.0 } else { -1.5 },
                    };
                    let op = Op::from(op);
                    let want = meaning(&device, &op, "y")?;
                    device.enter(|| device.run(op))?;
                    want
                };
                Ok((values, y.to_vec()?))
            });
        }
    }
}

fn attention(
    device: &Device,
    [b, t, heads, d]: [usize; 4],
    causal: bool,
    rate: f32,
) -> [Vec<f32>; 2] {
    let run = || -> Result<[Vec<f32>; 2]> {
        let c = heads * d;
        let qkv = noise(device, &[b, t, 3 * c], 1)?;
        let dy = noise(device, &[b, t, c], 2)?;
        let mut y = noise(device, &[b, t, c], 3)?;
        let mut lse = noise(device, &[b, heads, t], 4)?;
        let mut dqkv = noise(device, &[b, t, 3 * c], 5)?;
        let random = Tensor::from_slice(device, &[5u32, 6, 7, 8], [4])?;
        let (scale, site, random) = (1.0 / (d as f32).sqrt(), 9, Some(random.view()));
        device.enter(|| {
            device.run(Attention {
                qkv: qkv.view(),
                y: y.view_mut()?,
                lse: lse.view_mut()?,
                n_head: heads,
                scale,
                causal,
                rate,
                site,
                random,
            })?;
            let op = Op::from(AttentionBackward {
                qkv: qkv.view(),
                y: y.view(),
                lse: lse.view(),
                dy: dy.view(),
                dqkv: dqkv.view_mut()?,
                n_head: heads,
                scale,
                causal,
                rate,
                site,
                random,
            });
            device.run(op)
        })?;
        Ok([y.to_vec()?, dqkv.to_vec()?])
    };
    run().expect("runs")
}

#[test]
fn attention_across_tiles_has_the_meaning_and_the_same_bits() {
    let (one, exact) = (cpu(1), Device::reference());
    for (sizes, causal, rate) in [
        ([2, 67, 3, 16], true, 0.0),
        ([1, 130, 2, 8], false, 0.0),
        ([1, 97, 2, 20], true, 0.3),
        ([3, 16, 2, 16], true, 0.0),
        // Heads this long are first copied into adjacent rows.
        ([2, 530, 1, 16], true, 0.0),
        ([1, 513, 2, 20], false, 0.2),
    ] {
        let got = attention(&one, sizes, causal, rate);
        for threads in [2, 3] {
            let other = attention(&cpu(threads), sizes, causal, rate);
            let bits =
                |x: &[Vec<f32>; 2]| x.concat().iter().map(|x| x.to_bits()).collect::<Vec<_>>();
            assert!(
                bits(&got) == bits(&other),
                "{sizes:?}: other bits on {threads} threads"
            );
        }
        // The magnitudes hold each op by itself in the suite; here a chain of two is compared, with
        // the errors of forward in backward: some thousand units of roundoff of values near 1.
        let want = attention(&exact, sizes, causal, rate);
        for (got, want) in got.concat().iter().zip(want.concat()) {
            assert!((got - want).abs() < 4e-5, "{sizes:?}: {got}, want {want}");
        }
    }
}

#[test]
fn later_positions_do_not_leak() {
    let device = cpu(2);
    let (t, c) = (40, 16);
    let mut values = noise(&device, &[1, t, 3 * c], 1)
        .and_then(|x| x.to_vec::<f32>())
        .expect("reads");
    values[39 * 3 * c..].fill(f32::NAN);
    let qkv = Tensor::from_slice(&device, &values, [1, t, 3 * c]).expect("room");
    let run = || -> Result<Vec<f32>> {
        let mut y = noise(&device, &[1, t, c], 3)?;
        let mut lse = noise(&device, &[1, 1, t], 4)?;
        device.run(Attention {
            qkv: qkv.view(),
            y: y.view_mut()?,
            lse: lse.view_mut()?,
            n_head: 1,
            scale: 0.25,
            causal: true,
            rate: 0.0,
            site: 0,
            random: None,
        })?;
        y.to_vec()
    };
    let y = run().expect("runs");
    assert!(y[..39 * c].iter().all(|x| x.is_finite()));
    assert!(y[39 * c..].iter().all(|x| x.is_nan()));
}

#[test]
fn too_much_is_an_error() {
    assert!(matches!(
        Cpu::new(1025),
        Err(Error::InvalidAttribute {
            attribute: "threads",
            ..
        })
    ));
    let cpu = Cpu::new(1).expect("a device");
    for bytes in [usize::MAX, isize::MAX as usize, 1 << 50] {
        assert!(
            matches!(cpu.alloc(bytes), Err(Error::OutOfMemory { .. })),
            "{bytes}"
        );
    }
    assert!(cpu.alloc(0).is_ok());
}

/// A model may be written with the fused sum and norm or without: the bits are the same.
#[test]
fn a_fused_norm_has_the_bits_of_its_parts() -> Result<()> {
    let device = cpu(2);
    for (n, c) in [(1, 1), (37, 129), (200, 768), (3, 5000)] {
        let (x, r) = (noise(&device, &[n, c], 1)?, noise(&device, &[n, c], 2)?);
        let (weight, bias) = (noise(&device, &[c], 3)?, noise(&device, &[c], 4)?);
        let empty = |columns| Tensor::empty(&device, [n, columns], DType::F32);
        let run = |fused: bool| -> Result<[Vec<f32>; 4]> {
            let (mut s, mut y) = (empty(c)?, empty(c)?);
            let [mut mean, mut rstd] = [empty(1)?.reshape([n])?, empty(1)?.reshape([n])?];
            if fused {
                device.run(AddLayerNorm {
                    x: x.view(),
                    r: r.view(),
                    weight: weight.view(),
                    bias: Some(bias.view()),
                    s: s.view_mut()?,
                    y: y.view_mut()?,
                    mean: mean.view_mut()?,
                    rstd: rstd.view_mut()?,
                    eps: 1e-5,
                })?;
            } else {
                s = &x + &r;
                device.run(LayerNorm {
                    x: s.view(),
                    weight: weight.view(),
                    bias: Some(bias.view()),
                    y: y.view_mut()?,
                    mean: mean.view_mut()?,
                    rstd: rstd.view_mut()?,
                    eps: 1e-5,
                })?;
            }
            Ok([s.to_vec()?, y.to_vec()?, mean.to_vec()?, rstd.to_vec()?])
        };
        assert_eq!(run(true)?, run(false)?, "[{n}, {c}]");
    }
    Ok(())
}
