//! Operations that go element by element, in sizes that cross blocks of threads and rows that end
//! anywhere in sixteen bytes, aligned and not; the shared suite draws smaller ones.

mod device;

use device::cuda;
use latimer_conformance::{Attributes, Case, Layout, Subject, check};
use latimer_tensor::op::{BinaryKind, UnaryKind};
use latimer_tensor::{DType, Shape};

/// Holds cases to all that the suite asks, in both types that kernels are written for, in memory
/// that is aligned to 16 bytes and in memory that is not; and says who ran them.
fn hold(dtypes: &[DType], cases: impl IntoIterator<Item = Attributes>) {
    let subject = Subject::new(cuda(0)).same_bits(cuda(1)).same_bits(cuda(2));
    for (seed, attributes) in (0..).zip(cases) {
        for &dtype in dtypes {
            for layout in [Layout::Apart { lead: 64 }, Layout::Slab { lead: 3 }] {
                let case = Case {
                    dtype,
                    layout,
                    seed,
                    ..Case::new(attributes.clone())
                };
                check::one(&subject, &case).unwrap_or_else(|failure| panic!("{failure}"));
            }
        }
    }
    assert_eq!(subject.device().fallbacks(), 0, "all ran natively");
}

const FLOATS: [DType; 2] = [DType::F32, DType::Bf16];

/// Sizes with nothing, one element, one short of and one past a block of threads in both types,
/// and several blocks with a tail.
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
            [0.0, 0.1, 0.999].map(|rate| Attributes::Dropout {
                shape,
                rate,
                site: 7,
            })
        }),
    );
}

#[test]
fn functions_of_one_value() {
    hold(
        &FLOATS,
        UnaryKind::ALL.into_iter().flat_map(|kind| {
            shapes().into_iter().flat_map(move |shape| {
                [
                    Attributes::Unary { kind, shape },
                    Attributes::UnaryBackward { kind, shape },
                ]
            })
        }),
    );
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
            alike
                .chain(repeated)
                .map(move |(shape, b_rank)| Attributes::Binary {
                    kind,
                    shape,
                    b_rank,
                })
        }),
    );
}

#[test]
fn scaled_sums() {
    hold(
        &FLOATS,
        shapes().into_iter().flat_map(|shape| {
            [(0.5, 0.0), (1.0, 1.0), (-2.0, 0.25)].map(|(alpha, beta)| Attributes::Axpby {
                shape,
                alpha,
                beta,
            })
        }),
    );
}
