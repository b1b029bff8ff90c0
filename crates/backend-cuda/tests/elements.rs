//! Elementwise operations in sizes that cross blocks of threads, with rows that end anywhere within
//! 16 bytes, aligned and not; the shared suite draws smaller sizes.

mod device;

use device::cuda;
use latimer_conformance::ops::{joined, permuted, sliced};
use latimer_conformance::{Case, Layout, Subject, check};
use latimer_tensor::op::{BinaryKind, Dropout, Outline, Unary, UnaryBackward, UnaryKind};
use latimer_tensor::philox::philox4x32;
use latimer_tensor::{DType, Op, Result, Shape, Tensor};

/// Runs all checks of the suite on these cases, in both types that have kernels, in memory that is
/// aligned to 16 bytes and in memory that is not; also checks that kernels ran them.
fn hold(dtypes: &[DType], cases: impl IntoIterator<Item = Outline>) {
    let subject = Subject::new(cuda(0)).same_bits(cuda(1)).same_bits(cuda(2));
    for (seed, outline) in (0..).zip(cases) {
        for &dtype in dtypes {
            for layout in [Layout::Apart { lead: 64 }, Layout::Slab { lead: 3 }] {
                let case = Case {
                    dtype,
                    layout,
                    seed,
                    ..outline.clone().into()
                };
                check::one(&subject, &case).unwrap_or_else(|failure| panic!("{failure}"));
            }
        }
    }
    assert_eq!(subject.device().fallbacks(), 0, "all ran natively");
}

const FLOATS: [DType; 2] = [DType::F32, DType::Bf16];

/// Shapes with no element, with one, with one less and one more than a block of threads takes in
/// both types, and with several blocks and a tail.
fn shapes() -> [Shape; 6] {
    [
        [0].into(),
        [1].into(),
        [1023].into(),
        [3, 683].into(),
        [2, 1024].into(),
        [5, 7, 132].into(),
    ]
}

#[test]
fn dropout() {
    // Rows of 132 begin with a Philox block of four elements, rows of 683 do not.
    hold(
        &FLOATS,
        shapes().into_iter().flat_map(|shape| {
            let outline = Outline::of("dropout").shape("x", shape).set("site", 7u32);
            [0.0, 0.1, 0.999].map(|rate| outline.clone().set("rate", rate))
        }),
    );
}

/// A draw that equals the threshold is kept, one step further it is not; no drawn case meets this.
#[test]
fn a_draw_at_the_threshold_is_kept() -> Result<()> {
    let (words, site, n) = ([11, 12, 13, 0], 5, 4096u32);
    // A threshold that a float rate gives exactly has 24 bits.
    let found = (0..n).find_map(|e| {
        let draws = philox4x32([words[0], words[1]], [e / 4, 0, site, words[2]]);
        let draw = draws[e as usize % 4];
        draw.is_multiple_of(256)
            .then_some((e as usize, draw as f32 / 2f32.powi(32)))
    });
    let (element, rate) = found.expect("one in 256 draws is such");
    let device = cuda(0);
    let x = Tensor::from_slice(&device, &vec![1.0f32; n as usize], [1, n as usize])?;
    let random = Tensor::from_slice(&device, &words, [4])?;
    let kept = |rate| -> Result<bool> {
        let mut y = Tensor::empty(&device, [1, n as usize], DType::F32)?;
        device.run(Op::from(Dropout {
            x: x.view(),
            y: y.view_mut()?,
            rate,
            site,
            random: random.view(),
        }))?;
        Ok(y.to_vec::<f32>()?[element] != 0.0)
    };
    assert!(kept(rate)?);
    assert!(!kept(rate.next_up())?);
    Ok(())
}

#[test]
fn functions_of_one_value() {
    hold(
        &FLOATS,
        UnaryKind::ALL.into_iter().flat_map(|kind| {
            shapes().into_iter().flat_map(move |shape| {
                ["unary", "unary_backward"]
                    .map(|op| Outline::of(op).shape("x", shape).set("kind", kind))
            })
        }),
    );
}

/// Arguments whose cubes and squares overflow, and the bounds that protect derivatives from that:
/// drawn values stay below some thousands.
#[test]
fn functions_far_out() -> Result<()> {
    let sizes = [8.0f32, 15.9, 16.0, 16.1, 40.0, 1e13, 1e20, 3e38];
    let xs: Vec<f32> = sizes.iter().flat_map(|&x| [x, -x]).collect();
    let device = cuda(0);
    let n = xs.len();
    let x = Tensor::from_slice(&device, &xs, [n])?;
    let dy = Tensor::from_slice(&device, &vec![1.0f32; n], [n])?;
    for kind in [UnaryKind::GeluTanh, UnaryKind::GeluErf, UnaryKind::Tanh] {
        let mut y = Tensor::empty(&device, [n], DType::F32)?;
        let mut dx = Tensor::empty(&device, [n], DType::F32)?;
        device.run(Op::from(Unary {
            kind,
            x: x.view(),
            y: y.view_mut()?,
        }))?;
        device.run(Op::from(UnaryBackward {
            kind,
            x: x.view(),
            dy: dy.view(),
            dx: dx.view_mut()?,
        }))?;
        let (y, dx) = (y.to_vec::<f32>()?, dx.to_vec::<f32>()?);
        for (i, &x) in xs.iter().enumerate() {
            let (value, slope) = (kind.value(x.into()), kind.derivative(x.into()));
            // A few roundings of x, and of the terms of a derivative, which are at most about 1.
            let u = f64::from(f32::EPSILON);
            let (off, slope_off) = (f64::from(y[i]) - value, f64::from(dx[i]) - slope);
            assert!(
                off.abs() <= 4.0 * u * f64::from(x.abs()),
                "{kind:?}({x}) is {}",
                y[i]
            );
            assert!(slope_off.abs() <= 64.0 * u, "{kind:?}'({x}) is {}", dx[i]);
        }
    }
    assert_eq!(device.fallbacks(), 0);
    Ok(())
}

#[test]
fn functions_of_two_values() {
    // b of 132 goes by 16 bytes in f32, but not in bf16; b of 1 and of 683 never do.
    let repeated = [
        ([9, 683], 1),
        ([5, 1024], 1),
        ([40, 132], 1),
        ([3000, 1], 1),
        ([7, 300], 0),
    ];
    hold(
        &FLOATS,
        BinaryKind::ALL.into_iter().flat_map(|kind| {
            let alike = shapes().into_iter().map(|shape| (shape, shape.rank()));
            let repeated = repeated
                .into_iter()
                .map(|(shape, rank)| (shape.into(), rank));
            alike.chain(repeated).map(move |(a, b_rank)| {
                let b = &a.dims()[a.rank() - b_rank..];
                let outline = Outline::of("binary").shape("a", a).shape("b", b);
                outline.set("kind", kind)
            })
        }),
    );
}

#[test]
fn scaled_sums() {
    hold(
        &FLOATS,
        shapes().into_iter().flat_map(|shape| {
            let outline = Outline::of("axpby").shape("x", shape);
            [(0.5, 0.0), (1.0, 1.0), (-2.0, 0.25)]
                .map(|(alpha, beta)| outline.clone().set("alpha", alpha).set("beta", beta))
        }),
    );
}

const MOVED: [DType; 4] = [DType::F32, DType::Bf16, DType::F64, DType::U32];

#[test]
fn casts() {
    let all = DType::ALL;
    let cases = || {
        [[1, 1], [3, 683], [2, 2048], [5, 1000]]
            .into_iter()
            .flat_map(move |shape| all.map(|to| (Shape::from(shape), to)))
    };
    let make = |(x, to): (Shape, DType)| Outline::of("cast").shape("x", x).dtype("y", to);
    hold(&[DType::F32], cases().map(make));
    // The other types that have kernels, by the type that they are cast from.
    let to =
        |wanted: &'static [DType]| cases().filter(move |(_, to)| wanted.contains(to)).map(make);
    hold(
        &[DType::Bf16, DType::F16],
        to(&[DType::F32, DType::Bf16, DType::F16, DType::F64]),
    );
    hold(&[DType::F64], to(&[DType::F32, DType::F64]));
    hold(
        &[DType::U32],
        to(&[DType::U32, DType::F32, DType::F64, DType::I64]),
    );
    hold(&[DType::I64], to(&[DType::U32, DType::F64, DType::I64]));
}

#[test]
fn permutations() {
    let shapes: [(Shape, &[[usize; 4]]); 5] = [
        ([40, 70].into(), &[[1, 0, 2, 3], [0, 1, 2, 3]]),
        (
            [3, 33, 65].into(),
            &[[0, 2, 1, 3], [2, 1, 0, 3], [1, 2, 0, 3]],
        ),
        // Whole rows of 16, of 8 and of single units.
        ([2, 9, 3, 64].into(), &[[0, 2, 1, 3], [2, 1, 0, 3]]),
        (
            [3, 5, 4, 6].into(),
            &[[1, 2, 0, 3], [3, 0, 1, 2], [3, 2, 1, 0]],
        ),
        (
            [2, 31, 2, 7].into(),
            &[[2, 0, 1, 3], [1, 3, 0, 2], [0, 3, 2, 1]],
        ),
    ];
    let each = |(shape, all): (Shape, &'static [[usize; 4]])| {
        all.iter().map(move |&axes| permuted(shape, axes))
    };
    hold(&MOVED, shapes.into_iter().flat_map(each));
}

#[test]
fn parts_and_their_whole() {
    // Rows of any length that begin anywhere: some in units of 16 bytes, some in single elements.
    let cases = [
        ([3, 2100], 1, 0, 1050),
        ([300, 24], 1, 8, 8),
        ([300, 25], 1, 3, 7),
        ([700, 12], 0, 100, 501),
        ([9, 1], 1, 0, 1),
        ([5, 6], 1, 2, 0),
    ];
    let each = |(shape, axis, first, length): ([usize; 2], _, _, _)| {
        [
            sliced(shape, axis, first, length),
            joined(shape, axis, length),
        ]
    };
    hold(&MOVED, cases.into_iter().flat_map(each));
}
