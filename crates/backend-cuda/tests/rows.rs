//! Row operations in sizes that the suite does not draw: rows that do not fit in registers, that
//! end one element past a block's reach, or that begin at every alignment; and many rows. Each case
//! must pass all checks of the suite, and must have run on the device's own kernels.

mod device;

use device::cuda;
use latimer_conformance::ops::{reduced, slopes, update};
use latimer_conformance::{Case, Layout, Subject, Values, check};
use latimer_tensor::op::{
    AdamW, ArgMax, ClipScale, CrossEntropy, Outline, Over, ReduceKind, ScalarBlock, SumSquares,
};
use latimer_tensor::{DType, Error, Shape, Tensor};

/// Aligned to 16 bytes, to an element only, and to four elements.
const LAYOUTS: [Layout; 3] = [
    Layout::Apart { lead: 64 },
    Layout::Slab { lead: 3 },
    Layout::Apart { lead: 4 },
];

/// Runs the suite's checks on each case in `F32` and `Bf16`, aligned and not.
fn hold(cases: impl IntoIterator<Item = impl Into<Case>>) {
    hold_in(&[DType::F32, DType::Bf16], &LAYOUTS[..2], cases);
}

fn hold_in(dtypes: &[DType], layouts: &[Layout], cases: impl IntoIterator<Item = impl Into<Case>>) {
    let devices = [cuda(0), cuda(1), cuda(2)];
    let [first, others @ ..] = &devices;
    let subject = others
        .iter()
        .fold(Subject::new(first.clone()), |subject, other| {
            subject.same_bits(other.clone())
        });
    for (i, case) in cases.into_iter().map(Into::into).enumerate() {
        for &dtype in dtypes {
            for &layout in layouts {
                let case = Case {
                    dtype,
                    layout,
                    seed: i as u64,
                    values: Values::Normal,
                    ..case.clone()
                };
                check::one(&subject, &case).unwrap_or_else(|failure| panic!("{failure}"));
            }
        }
    }
    for device in &devices {
        assert_eq!(device.fallbacks(), 0, "it ran by its kernels");
    }
}

/// Rows for a warp and for blocks: up to what is kept in registers, and past it.
const COLUMNS: [usize; 7] = [264, 1024, 1027, 2056, 8193, 33_000, 50_257];

fn softmax_of(x: impl Into<Shape>, scale: f32, causal: bool, valid_columns: usize) -> Outline {
    let outline = Outline::of("softmax").shape("x", x).set("scale", scale);
    outline
        .set("causal", causal)
        .set("valid_columns", valid_columns)
}

#[test]
fn softmax() {
    hold(COLUMNS.map(|c| softmax_of([2, c], 0.7, false, c - c % 64)));
    // A mask that cuts within an access of 16 bytes, in several matrices.
    let several = [[2, 40, 48], [1, 9, 1032]];
    hold(several.map(|dims| softmax_of(dims, 0.125, true, dims[2] - 1)));
}

#[test]
fn softmax_backward() {
    hold(COLUMNS.map(|c| slopes([2, c], 0.7, false)));
}

#[test]
fn layer_norm() {
    for op in ["layer_norm", "add_layer_norm"] {
        hold(COLUMNS.map(|c| {
            let outline = Outline::of(op).shape("x", [2, c]).set("eps", 1e-5);
            outline.give("bias", c.is_multiple_of(2))
        }));
    }
}

#[test]
fn layer_norm_backward() {
    let shapes = [
        // Columns beyond what is kept, in one block of rows and in two.
        [2, 1027],
        [3, 4104],
        [5, 5003],
        [6, 8200],
        // Several blocks of rows, the last with a single one.
        [9, 48],
        [65, 264],
        [257, 8],
        [131, 33],
    ];
    hold(shapes.map(|[n, c]| {
        let outline = Outline::of("layer_norm_backward").shape("x", [n, c]);
        let outline = outline.give("dbias", c.is_multiple_of(2));
        let outline = outline.dtype("dweight", (n % 2 == 0).then_some(DType::F32));
        outline.set("accumulate", n % 3 > 0)
    }));
}

#[test]
fn reduce() {
    let kinds = [ReduceKind::Sum, ReduceKind::Mean, ReduceKind::Max];
    let reduce = |kind, over, shape: [usize; 2]| {
        let outline = reduced(kind, over, shape, kind == ReduceKind::Sum);
        outline.dtype("y", shape[0].is_multiple_of(2).then_some(DType::F32))
    };
    // One chunk of rows, two, several; columns past a block's.
    let tall = [[64, 264], [65, 257], [130, 1032], [1031, 40]];
    for kind in kinds {
        hold(tall.map(|shape| reduce(kind, Over::Rows, shape)));
        hold([[3, 1027], [2, 8200], [4, 33_001]].map(|shape| reduce(kind, Over::Columns, shape)));
    }
    // Many rows of one or two columns.
    hold([[3001, 1], [2050, 2]].map(|shape| reduce(ReduceKind::Mean, Over::Columns, shape)));
}

#[test]
fn arg_max() {
    hold(COLUMNS.map(|c| {
        let outline = Outline::of("arg_max").sizes("NC", [3, c]);
        outline.set("valid_columns", c - c % 8)
    }));
}

/// NaNs in every warp of a block and in every lane: the suite puts only one NaN into a row.
#[test]
fn arg_max_of_several_nan_is_the_first() -> latimer_tensor::Result<()> {
    let (device, none) = (cuda(1), f32::NEG_INFINITY);
    let arg_max = |values: &[f32], columns: usize, valid_columns| {
        let rows = values.len() / columns;
        let x = Tensor::from_slice(&device, values, [rows, columns])?;
        let mut y = Tensor::zeros(&device, [rows], DType::U32)?;
        device.run(ArgMax {
            x: x.view(),
            y: y.view_mut()?,
            valid_columns,
        })?;
        y.to_vec::<u32>()
    };
    let rows = [
        [f32::NAN, 7.0, 1.0],
        [1.0, f32::NAN, 2.0],
        [none, f32::NAN, f32::NAN],
        [none, none, none],
        [f32::INFINITY, -f32::NAN, f32::NAN],
    ];
    assert_eq!(arg_max(&rows.concat(), 3, 3)?, [0, 1, 1, 0, 1]);
    // Columns of padding do not count.
    assert_eq!(arg_max(&rows.concat(), 3, 1)?, [0; 5]);
    for first in [0, 1, 31, 32, 255, 256, 1000, 1025] {
        let mut row: Vec<f32> = (0..1031u16).map(f32::from).collect();
        row[first..]
            .iter_mut()
            .step_by(3)
            .for_each(|x| *x = f32::NAN);
        assert_eq!(arg_max(&row, 1031, 1031)?, [first as u32]);
    }
    Ok(())
}

#[test]
fn sum_squares() {
    hold([4096, 4099, 100_003].map(|n| {
        let outline = Outline::of("sum_squares").shape("x", [n]);
        outline.set("accumulate", n % 2 == 0)
    }));
}

#[test]
fn cross_entropy() {
    hold([None, Some(0.25)].into_iter().flat_map(|gradient| {
        COLUMNS.map(|c| {
            let outline = Outline::of("cross_entropy").sizes("NC", [2, c]);
            outline
                .set("valid_columns", c - c % 64)
                .set("gradient", gradient)
        })
    }));
}

/// Of several bad targets the first is reported, once; the other rows are computed as usual.
#[test]
fn a_bad_target_is_told_and_reads_nothing() -> latimer_tensor::Result<()> {
    for ordinal in 0..3 {
        let device = cuda(ordinal);
        for (columns, valid) in [(40, 33), (1100, 1099)] {
            let bad = [1u32, 0, valid, u32::MAX, 2];
            let targets = Tensor::from_slice(&device, &bad, [5])?;
            let mut logits = Tensor::zeros(&device, [5, columns as usize], DType::F32)?;
            let mut losses = Tensor::zeros(&device, [5], DType::F32)?;
            device.run(CrossEntropy {
                logits: logits.view_mut()?,
                targets: targets.view(),
                losses: losses.view_mut()?,
                valid_columns: valid as usize,
                gradient: None,
            })?;
            let told = device.synchronize();
            assert!(
                matches!(
                    told,
                    Err(Error::IdOutOfRange { op: "cross_entropy", operand: "targets", id, position: 2, last })
                        if id == u64::from(valid) && last == valid as usize - 1
                ),
                "{told:?}"
            );
            device.synchronize()?;
            let losses = losses.to_vec::<f32>()?;
            for good in [0, 1, 4] {
                assert!((losses[good] - (valid as f32).ln()).abs() < 1e-5);
            }
            assert!(losses[2].is_nan() && losses[3].is_nan());
        }
    }
    Ok(())
}

#[test]
fn adamw() {
    let cases = [1023, 1024, 4098].into_iter().flat_map(|n| {
        let flags = [(true, false), (true, true), (false, false)];
        flags.map(|(working, broken)| update(n, [0.9, 0.95, 1e-8, 0.1], working, broken))
    });
    hold_in(&[DType::F32], &LAYOUTS, cases);
    let clips = [1.0, f32::INFINITY].map(|norm| Outline::of("clip_scale").set("max_norm", norm));
    hold_in(&[DType::F32], &LAYOUTS, clips);
}

/// If the norm is not finite, the clip factor is NaN, and only the rounded copy is written.
#[test]
fn a_broken_step_changes_no_parameter() -> latimer_tensor::Result<()> {
    let device = cuda(0);
    let of = |values: &[f32]| Tensor::from_slice(&device, values, [values.len()]);
    let n = 9;
    let [mut param, mut m, mut v] = [of(&[1.25; 9])?, of(&[0.5; 9])?, of(&[0.25; 9])?];
    let mut working = Tensor::empty(&device, [n], DType::Bf16)?;
    let mut scalars = of(&[0.0, 1.0, 1.0, 1.0, 0.0, 0.0, 0.0, 0.0])?;
    for bad in [f32::NAN, f32::INFINITY] {
        let grad = of(&[bad; 9])?;
        let mut sum = Tensor::empty(&device, [1], DType::F32)?;
        device.run(SumSquares {
            x: grad.view(),
            y: sum.view_mut()?,
            accumulate: false,
        })?;
        device.run(ClipScale {
            sum_squares: sum.view(),
            scalars: scalars.view_mut()?,
            max_norm: f32::INFINITY,
        })?;
        device.run(AdamW {
            param: param.view_mut()?,
            grad: grad.view(),
            m: m.view_mut()?,
            v: v.view_mut()?,
            working: Some(working.view_mut()?),
            scalars: scalars.view(),
            beta1: 0.9,
            beta2: 0.95,
            eps: 1e-8,
            weight_decay: 0.1,
        })?;
        assert!(!scalars.to_vec::<f32>()?[ScalarBlock::GRAD_NORM].is_finite());
        assert_eq!(param.to_vec::<f32>()?, [1.25; 9]);
        assert_eq!(m.to_vec::<f32>()?, [0.5; 9]);
        assert_eq!(v.to_vec::<f32>()?, [0.25; 9]);
        let copy: Vec<f32> = working.cast(DType::F32)?.to_vec()?;
        assert_eq!(copy, [1.25; 9]);
    }
    Ok(())
}
