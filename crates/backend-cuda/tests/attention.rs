//! Attention across tiles, chunks and blocks, in cases that the shared suite does not draw.

mod device;

use device::cuda;
use latimer_conformance::ops::{attends, decodes};
use latimer_conformance::{Case, Layout, Subject, check};
use latimer_tensor::op::{Attention, AttentionBackward, DropoutMask, Outline};
use latimer_tensor::{DType, Device, Result, Tensor};

const TYPES: [DType; 2] = [DType::F32, DType::Bf16];

/// Runs all checks of the suite on these cases, which must not fall back.
fn hold(cases: impl IntoIterator<Item = (Outline, DType)>) {
    let subject = Subject::new(cuda(0)).same_bits(cuda(1));
    for (i, (outline, dtype)) in cases.into_iter().enumerate() {
        let case = Case {
            dtype,
            // Rows aligned to four elements if the width allows it, and rows that are not.
            layout: Layout::Apart {
                lead: if i % 4 == 3 { 67 } else { 64 },
            },
            seed: i as u64,
            ..outline.into()
        };
        check::one(&subject, &case).unwrap_or_else(|failure| panic!("{failure}"));
    }
    assert_eq!(subject.device().fallbacks(), 0, "all ran natively");
}

/// Sizes `[b, t, n_head, d]`: at, before and past tiles of 16, 32 and 64 rows and columns, heads
/// within, at and past each padded width and chunk.
const SIZES: [([usize; 4], bool, f32); 19] = [
    ([1, 5, 2, 0], true, 0.0),
    ([1, 1, 1, 1], true, 0.0),
    ([2, 63, 1, 1], false, 0.0),
    ([1, 64, 2, 3], true, 0.0),
    ([3, 65, 1, 16], true, 0.0),
    ([1, 130, 1, 16], false, 0.3),
    ([2, 33, 2, 32], true, 0.1),
    ([1, 129, 1, 32], true, 0.0),
    ([1, 66, 2, 48], true, 0.0),
    ([1, 70, 1, 48], false, 0.0),
    ([1, 97, 2, 64], true, 0.2),
    ([2, 68, 1, 64], false, 0.0),
    ([1, 34, 2, 80], true, 0.0),
    ([1, 31, 1, 96], false, 0.5),
    ([1, 65, 1, 128], true, 0.0),
    ([1, 36, 2, 128], true, 0.1),
    ([1, 35, 2, 200], true, 0.0),
    ([1, 17, 1, 199], false, 0.1),
    ([1, 33, 1, 256], true, 0.0),
];

fn attention((sizes, causal, rate): ([usize; 4], bool, f32)) -> Outline {
    let scale = 1.0 / (sizes[3].max(1) as f32).sqrt();
    attends(sizes, scale, causal, rate).set("site", 7u32)
}

fn across_tiles(op: &'static str) -> impl Iterator<Item = (Outline, DType)> {
    SIZES.into_iter().flat_map(move |size| {
        let outline = attention(size).renamed(op);
        TYPES.map(|dtype| (outline.clone(), dtype))
    })
}

#[test]
fn forward_across_tiles() {
    hold(across_tiles("attention"));
}

#[test]
fn backward_across_tiles() {
    hold(across_tiles("attention_backward"));
}

#[test]
fn decoding_across_stretches_and_tiles() {
    let sizes = [
        // A stretch has 256 keys: one stretch, one key more, several stretches.
        ([2, 1, 2, 16], 255),
        ([1, 1, 1, 3], 256),
        ([1, 1, 2, 64], 600),
        ([1, 2, 1, 200], 255),
        ([1, 8, 1, 80], 250),
        ([2, 1, 1, 128], 17),
        // More positions than are streamed go through tiles.
        ([1, 9, 2, 16], 0),
        ([2, 70, 1, 48], 0),
        ([1, 20, 1, 100], 61),
        ([1, 33, 1, 129], 31),
        // More rows than a device needs take longer stretches.
        ([43, 3, 4, 2], 300),
    ];
    hold(sizes.into_iter().flat_map(|(sizes, position)| {
        let decode = decodes(sizes, position, 3, 1.0 / (sizes[3] as f32).sqrt());
        TYPES.map(|dtype| (decode.clone(), dtype))
    }));
}

#[test]
fn wider_heads_run_by_the_meaning() {
    let subject = Subject::new(cuda(0));
    let case = attention(([1, 3, 1, 257], true, 0.0)).into();
    check::one(&subject, &case).unwrap_or_else(|failure| panic!("{failure}"));
    assert!(subject.device().fallbacks() > 0);
}

/// `[t, width]`: 1 on the diagonals that begin at the columns `starts`, and in `t` columns from
/// `ones` on.
fn diagonals(t: usize, width: usize, starts: &[usize], ones: &[usize]) -> Vec<f32> {
    let mut x = vec![0.0; t * width];
    for (i, row) in x.chunks_exact_mut(width).enumerate() {
        for start in starts {
            row[start + i] = 1.0;
        }
        for start in ones {
            row[*start..start + t].fill(1.0);
        }
    }
    x
}

/// For each of `[t, t]` weights, whether the mask of the operation's meaning drops it.
fn dropped(t: usize, words: [u32; 4], site: u32, rate: f32) -> Vec<bool> {
    let mask = DropoutMask::new(words, site, rate);
    let first = u64::from(words[3]) * (t * t) as u64;
    let weights = 0..(t * t) as u64;
    weights.map(|e| mask.factor(first + e) == 0.0).collect()
}

fn on(device: &Device, dtype: DType, values: &[f32], shape: &[usize]) -> Result<Tensor> {
    Tensor::from_slice(device, values, shape)?.cast(dtype)
}

/// Operands that show the masks: with values of 1 on the diagonal, y is the weights; with scores
/// that are finite and dy·v = 1 everywhere, so are the three gradients.
fn masks_of_all_passes(t: usize, d: usize, dtype: DType) -> Result<()> {
    let device = cuda(0);
    let (words, site, rate) = ([0x1234_5678, 0x9abc_def0, 11, 3], 5, 0.4);
    let random = Tensor::from_slice(&device, &words, [4])?;
    let want = dropped(t, words, site, rate);
    let (scale, causal) = (1.0, false);
    let square = |x: &[f32], row: usize, start: usize| -> Vec<bool> {
        let rows = x.chunks_exact(row);
        rows.flat_map(|row| row[start..start + t].iter().map(|&x| x == 0.0))
            .collect()
    };
    let transposed: Vec<bool> = (0..t * t).map(|n| want[n % t * t + n / t]).collect();

    let qkv = on(
        &device,
        dtype,
        &diagonals(t, 3 * d, &[2 * d], &[]),
        &[1, t, 3 * d],
    )?;
    let mut y = on(&device, dtype, &vec![0.0; t * d], &[1, t, d])?;
    let mut lse = Tensor::from_slice(&device, &vec![0.0f32; t], [1, 1, t])?;
    device.run(Attention {
        qkv: qkv.view(),
        y: y.view_mut()?,
        lse: lse.view_mut()?,
        n_head: 1,
        scale,
        causal,
        rate,
        site,
        random: Some(random.view()),
    })?;
    let y = y.cast(DType::F32)?.to_vec::<f32>()?;
    assert!(square(&y, d, 0) == want, "forward's mask, T {t}");

    let qkv = on(
        &device,
        dtype,
        &diagonals(t, 3 * d, &[0, d], &[2 * d]),
        &[1, t, 3 * d],
    )?;
    let dy = on(&device, dtype, &diagonals(t, d, &[0], &[]), &[1, t, d])?;
    let y = on(&device, dtype, &vec![0.0; t * d], &[1, t, d])?;
    let mut dqkv = on(&device, dtype, &vec![0.0; 3 * t * d], &[1, t, 3 * d])?;
    device.run(AttentionBackward {
        qkv: qkv.view(),
        y: y.view(),
        lse: lse.view(),
        dy: dy.view(),
        dqkv: dqkv.view_mut()?,
        n_head: 1,
        scale,
        causal,
        rate,
        site,
        random: Some(random.view()),
    })?;
    let dqkv = dqkv.cast(DType::F32)?.to_vec::<f32>()?;
    assert!(square(&dqkv, 3 * d, 0) == want, "dq's mask, T {t}");
    assert!(square(&dqkv, 3 * d, d) == transposed, "dk's mask, T {t}");
    assert!(
        square(&dqkv, 3 * d, 2 * d) == transposed,
        "dv's mask, T {t}"
    );
    Ok(())
}

#[test]
fn masks_are_those_of_the_meaning() {
    // Rows of weights that begin at multiples of four draws, and not; each way to cut a block.
    for (t, d) in [(32, 32), (31, 32), (64, 64), (61, 64), (70, 100), (37, 200)] {
        for dtype in TYPES {
            masks_of_all_passes(t, d, dtype).expect("runs");
        }
    }
}

#[test]
fn later_positions_do_not_leak() {
    for (d, dtype) in [(16, DType::F32), (80, DType::F32), (40, DType::Bf16)] {
        let device = cuda(0);
        let (t, last) = (70, 69);
        let mut values: Vec<f32> = (0..t * 3 * d).map(|n| (n % 7) as f32 / 7.0).collect();
        values[last * 3 * d..].fill(f32::INFINITY);
        let run = || -> Result<[Vec<f32>; 2]> {
            let qkv = on(&device, dtype, &values, &[1, t, 3 * d])?;
            let mut y = on(&device, dtype, &vec![0.0; t * d], &[1, t, d])?;
            let mut lse = Tensor::from_slice(&device, &vec![0.0f32; t], [1, 1, t])?;
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
            Ok([y.cast(DType::F32)?.to_vec()?, lse.to_vec()?])
        };
        let [y, lse] = run().expect("runs");
        assert!(y[..last * d].iter().all(|x| x.is_finite()));
        assert!(y[last * d..].iter().all(|x| x.is_nan()));
        assert!(lse[..last].iter().all(|x| x.is_finite()) && lse[last].is_nan());
    }
}

/// Numbers in `[-1, 1)` of heads `[rows, heads, d]`, each head followed by zeros up to `wide`. The
/// same numbers whatever `wide` is.
fn padded_heads(rows: usize, heads: usize, d: usize, wide: usize, seed: usize) -> Vec<f32> {
    let mut x = vec![0.0; rows * heads * wide];
    for (h, head) in x.chunks_exact_mut(wide).enumerate() {
        for (i, x) in head[..d].iter_mut().enumerate() {
            let word = (h * d + i + seed).wrapping_mul(2_654_435_761) % 65_536;
            *x = word as f32 / 32_768.0 - 1.0;
        }
    }
    x
}

/// The first `d` of every `wide` elements.
fn unpadded(x: &[f32], d: usize, wide: usize) -> Vec<u32> {
    let heads = x.chunks_exact(wide);
    heads
        .flat_map(|head| head[..d].iter().map(|x| x.to_bits()))
        .collect()
}

/// y, lse and dqkv of two heads of width `d` that are stored with zeros up to `wide`.
fn with_padding(d: usize, wide: usize, dtype: DType, rate: f32) -> Result<[Vec<u32>; 3]> {
    let device = cuda(0);
    let (t, n_head, c) = (70, 2, 2 * wide);
    let (scale, causal, site) = (1.0 / (d as f32).sqrt(), true, 7);
    let random = Tensor::from_slice(&device, &[3u32, 5, 7, 0], [4])?;
    let heads = |parts: usize, seed| padded_heads(t * parts, n_head, d, wide, seed);
    let qkv = on(&device, dtype, &heads(3, 1), &[1, t, 3 * c])?;
    let dy = on(&device, dtype, &heads(1, 2), &[1, t, c])?;
    let mut y = on(&device, dtype, &vec![0.0; t * c], &[1, t, c])?;
    let mut lse = Tensor::from_slice(&device, &vec![0.0f32; n_head * t], [1, n_head, t])?;
    let mut dqkv = on(&device, dtype, &vec![0.0; 3 * t * c], &[1, t, 3 * c])?;
    device.run(Attention {
        qkv: qkv.view(),
        y: y.view_mut()?,
        lse: lse.view_mut()?,
        n_head,
        scale,
        causal,
        rate,
        site,
        random: Some(random.view()),
    })?;
    device.run(AttentionBackward {
        qkv: qkv.view(),
        y: y.view(),
        lse: lse.view(),
        dy: dy.view(),
        dqkv: dqkv.view_mut()?,
        n_head,
        scale,
        causal,
        rate,
        site,
        random: Some(random.view()),
    })?;
    assert_eq!(device.fallbacks(), 0, "all ran natively");
    Ok([
        unpadded(&y.cast(DType::F32)?.to_vec()?, d, wide),
        lse.to_vec::<f32>()?.iter().map(|x| x.to_bits()).collect(),
        unpadded(&dqkv.cast(DType::F32)?.to_vec()?, d, wide),
    ])
}

/// Heads narrower than 64 run in the kernels for 64: zeros beyond their width change no bit.
#[test]
fn narrow_heads_have_the_bits_of_padded_ones() {
    // In bf16, widths that tensor cores do not support, padded to others of that kind.
    for (d, wide, dtype) in [
        (1, 63, DType::F32),
        (16, 64, DType::F32),
        (32, 64, DType::F32),
        (17, 34, DType::F32),
        (8, 48, DType::Bf16),
        (24, 56, DType::Bf16),
        (31, 62, DType::Bf16),
    ] {
        for rate in [0.0, 0.3] {
            let narrow = with_padding(d, d, dtype, rate).expect("runs");
            let padded = with_padding(d, wide, dtype, rate).expect("runs");
            assert!(
                narrow == padded,
                "{dtype} heads of {d} and of {wide}, rate {rate}"
            );
            assert!(narrow.iter().flatten().any(|&bits| bits != 0));
        }
    }
}
