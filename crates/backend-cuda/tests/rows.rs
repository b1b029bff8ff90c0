//! What the suite does not draw of the row operations: rows that a thread does not keep in
//! registers, that end one element past a block's reach, that begin at every alignment; many rows.
//! Each case is held to all that the suite asks, and must have run by its own kernels.

mod device;

use device::cuda;
use latimer_conformance::{Attributes, Case, Layout, Subject, Values, check};
use latimer_tensor::op::{Over, ReduceKind};
use latimer_tensor::{DType, Shape};

/// Aligned to 16 bytes, and to an element only.
const LAYOUTS: [Layout; 2] = [Layout::Apart { lead: 64 }, Layout::Slab { lead: 3 }];

/// Holds each case in `F32` and `Bf16`, in every layout.
fn hold(cases: impl IntoIterator<Item = Attributes>) {
    let devices = [cuda(0), cuda(1), cuda(2)];
    let [first, others @ ..] = &devices;
    let subject = others
        .iter()
        .fold(Subject::new(first.clone()), |subject, other| {
            subject.same_bits(other.clone())
        });
    for (i, attributes) in cases.into_iter().enumerate() {
        for dtype in [DType::F32, DType::Bf16] {
            for layout in LAYOUTS {
                let case = Case {
                    dtype,
                    layout,
                    seed: i as u64,
                    values: Values::Normal,
                    ..Case::new(attributes.clone())
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

#[test]
fn softmax() {
    hold(COLUMNS.map(|c| Attributes::Softmax {
        shape: [2, c].into(),
        scale: 0.7,
        causal: false,
        valid_columns: c - c % 64,
    }));
    // A mask that cuts within an access of 16 bytes, in several matrices.
    hold([[2, 40, 48], [1, 9, 1032]].map(|dims| Attributes::Softmax {
        shape: Shape::new(&dims),
        scale: 0.125,
        causal: true,
        valid_columns: dims[2] - 1,
    }));
}

#[test]
fn softmax_backward() {
    hold(COLUMNS.map(|c| Attributes::SoftmaxBackward {
        shape: [2, c].into(),
        scale: 0.7,
        causal: false,
    }));
}

#[test]
fn layer_norm() {
    hold(COLUMNS.map(|c| Attributes::LayerNorm {
        shape: [2, c].into(),
        bias: c % 2 == 0,
        eps: 1e-5,
    }));
    hold(COLUMNS.map(|c| Attributes::AddLayerNorm {
        shape: [2, c].into(),
        bias: c % 2 == 0,
        eps: 1e-5,
    }));
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
    hold(shapes.map(|[n, c]| Attributes::LayerNormBackward {
        shape: [n, c].into(),
        bias: c % 2 == 0,
        accumulate: n % 3 > 0,
        f32_gradients: n % 2 == 0,
    }));
}

#[test]
fn reduce() {
    let kinds = [ReduceKind::Sum, ReduceKind::Mean, ReduceKind::Max];
    let reduce = |kind, over, shape: [usize; 2]| Attributes::Reduce {
        kind,
        over,
        shape: shape.into(),
        accumulate: kind == ReduceKind::Sum,
        f32_sum: shape[0] % 2 == 0,
    };
    // One chunk of rows, two, several; columns past a block's.
    let tall = [[64, 264], [65, 257], [130, 1032], [1031, 40]];
    for kind in kinds {
        hold(tall.map(|shape| reduce(kind, Over::Rows, shape)));
        hold([1027, 8200, 33_001].map(|c| reduce(kind, Over::Columns, [3, c])));
    }
    // Many rows of one or two columns.
    hold([[3001, 1], [2050, 2]].map(|shape| reduce(ReduceKind::Mean, Over::Columns, shape)));
}

#[test]
fn arg_max() {
    hold(COLUMNS.map(|columns| Attributes::ArgMax {
        rows: 3,
        columns,
        valid_columns: columns - columns % 8,
    }));
}

#[test]
fn sum_squares() {
    hold([4096, 4099, 100_003].map(|n| Attributes::SumSquares {
        shape: [n].into(),
        accumulate: n % 2 == 0,
    }));
}
