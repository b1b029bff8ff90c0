//! The cases that are drawn: for every operation, shapes at the edges and all its attributes.
//!
//! Lengths are 1, primes, powers of two and one more than those, which is one past a tile. Lists
//! begin with the simplest entry, at which shrinking ends.

use crate::case::{AttentionAttributes, Attributes, Case, Layout, Special, Values};
use latimer_tensor::op::{BinaryKind, Over, ReduceKind, UnaryKind};
use latimer_tensor::{DType, Op, Shape};
use proptest::collection::vec;
use proptest::prelude::{BoxedStrategy, Just, Strategy, any};
use proptest::sample::select;
use proptest::{option, prop_oneof};

/// Cases with finite operands.
///
/// # Panics
/// If no operation has this name.
pub fn cases(op: &str) -> BoxedStrategy<Case> {
    let float = prop_oneof![
        4 => Just(DType::F32),
        2 => Just(DType::Bf16),
        1 => Just(DType::F16),
        1 => Just(DType::F64),
    ];
    let dtype = match op {
        "adamw" | "clip_scale" => Just(DType::F32).boxed(),
        "fill" | "cast" | "permute" | "slice" | "concat" => {
            prop_oneof![3 => float, 1 => Just(DType::U32), 1 => Just(DType::I64)].boxed()
        }
        _ => float.boxed(),
    };
    // Functions have corners at 0, and rows have ties: a mixture with zeros tests both.
    let mixed = match op {
        "unary" | "unary_backward" | "arg_max" => 9,
        _ => 2,
    };
    let values = prop_oneof![
        6 => Just(Values::Normal),
        2 => Just(Values::Large),
        mixed => Just(Values::Mixed),
        1 => select(vec![
            Values::Zeros, Values::Equal, Values::Small, Values::Tiny, Values::Denormal,
        ]),
    ];
    // One of the leads keeps the alignment of slabs to 256 bytes; another keeps only that of the
    // element.
    let layout = (select(vec![64, 8, 67]), any::<bool>()).prop_map(|(lead, slab)| {
        if slab {
            Layout::Slab { lead }
        } else {
            Layout::Apart { lead }
        }
    });
    (attributes(op), dtype, values, layout, any::<u64>())
        .prop_map(|(attributes, dtype, values, layout, seed)| Case {
            attributes,
            dtype,
            values,
            layout,
            seed,
            special: None,
        })
        .boxed()
}

/// Cases with normally distributed operands, of which one value is NaN or infinite.
///
/// # Panics
/// If no operation has this name.
pub fn nonfinite(op: &str) -> BoxedStrategy<Case> {
    let values = vec![f64::NAN, f64::INFINITY, f64::NEG_INFINITY];
    (cases(op), any::<u8>(), any::<u16>(), select(values))
        .prop_map(|(case, operand, element, value)| Case {
            values: Values::Normal,
            special: Some(Special {
                operand: operand.into(),
                element: element.into(),
                value,
            }),
            ..case
        })
        .boxed()
}

/// The simplest case of an operation.
pub(crate) fn smallest(op: &str) -> Attributes {
    use proptest::strategy::ValueTree;
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let tree = attributes(op).new_tree(&mut runner);
    let mut tree = tree.unwrap_or_else(|reason| unreachable!("no case is rejected: {reason}"));
    while tree.simplify() {}
    tree.current()
}

/// A length of an axis for which there is little work.
fn short() -> impl Strategy<Value = usize> + Clone {
    select(vec![1, 2, 3, 5, 8, 13, 16, 17])
}

/// A length at or past the edge of a tile.
fn long() -> impl Strategy<Value = usize> + Clone {
    select(vec![1, 2, 3, 7, 16, 17, 31, 33, 64, 65, 129, 257])
}

/// The number of columns of a row operation, whose rows are few.
fn columns() -> impl Strategy<Value = usize> + Clone {
    select(vec![1, 2, 3, 7, 16, 17, 33, 64, 65, 129, 769, 1025])
}

/// Replaces the length by 0 now and then.
fn or_none(some: impl Strategy<Value = usize> + 'static) -> BoxedStrategy<usize> {
    prop_oneof![15 => some, 1 => Just(0)].boxed()
}

/// A length of a matrix product.
fn side() -> BoxedStrategy<usize> {
    prop_oneof![1 => Just(0), 24 => select(vec![1, 2, 3, 5, 8, 13, 17, 33, 65, 129])].boxed()
}

/// Any shape of up to four axes and some thousand elements; sometimes an axis is empty, sometimes
/// there is enough work for several threads.
fn shape() -> BoxedStrategy<Shape> {
    prop_oneof![
        1 => Just(Shape::new(&[])),
        4 => select(vec![1, 2, 3, 15, 16, 17, 255, 257, 1025, 4099]).prop_map(|n| Shape::new(&[n])),
        4 => (long(), long()).prop_map(|(a, b)| Shape::new(&[a, b])),
        2 => vec(short(), 3).prop_map(|dims| Shape::new(&dims)),
        2 => vec(select(vec![1, 2, 3, 5, 7]), 4).prop_map(|dims| Shape::new(&dims)),
        1 => (short(), short()).prop_map(|(a, c)| Shape::new(&[a, 0, c])),
        1 => select(vec![20_011, 70_001]).prop_map(|n| Shape::new(&[n])),
        // As much work, for operations that repeat an operand or cut an axis.
        1 => select(vec![[1025, 67], [67, 1025], [23_333, 3]]).prop_map(|dims| Shape::new(&dims)),
    ]
    .boxed()
}

/// Any shape of at least one axis, and one of its axes.
fn axis() -> BoxedStrategy<(Shape, usize)> {
    (shape(), any::<u8>())
        .prop_map(|(shape, axis)| {
            let shape = if shape.rank() == 0 { [1].into() } else { shape };
            (shape, usize::from(axis) % shape.rank())
        })
        .boxed()
}

/// `[N, C]`, sometimes with one more axis or without rows, or `[C]`; `C` is at least 1.
fn rows_of(columns: impl Strategy<Value = usize> + Clone + 'static) -> BoxedStrategy<Shape> {
    prop_oneof![
        6 => (select(vec![1, 2, 3, 7, 17, 33]), columns.clone())
            .prop_map(|(n, c)| Shape::new(&[n, c])),
        2 => (short(), select(vec![1, 2, 5]), columns.clone())
            .prop_map(|(b, t, c)| Shape::new(&[b, t, c])),
        1 => columns.clone().prop_map(|c| Shape::new(&[c])),
        1 => columns.prop_map(|c| Shape::new(&[0, c])),
        1 => tall(),
    ]
    .boxed()
}

/// Many short rows, for sums over rows.
fn tall() -> BoxedStrategy<Shape> {
    (select(vec![129, 515, 2053]), select(vec![1, 3, 16, 33]))
        .prop_map(|(n, c)| Shape::new(&[n, c]))
        .boxed()
}

/// A shape `[…, R, C]`, and whether it is masked causally, which requires `R <= C`.
fn scores() -> BoxedStrategy<(Shape, bool)> {
    let matrix = (select(vec![1, 2, 3, 7, 17, 33]), columns(), any::<bool>()).prop_map(
        |(rows, columns, causal)| {
            let rows = if causal { rows.min(columns) } else { rows };
            (vec![rows, columns], causal)
        },
    );
    prop_oneof![
        3 => matrix.clone().prop_map(|(dims, causal)| (Shape::new(&dims), causal)),
        2 => (select(vec![1, 2, 3]), matrix).prop_map(|(s, (dims, causal))| {
            (Shape::new(&[s, dims[0], dims[1]]), causal)
        }),
        1 => columns().prop_map(|c| (Shape::new(&[c]), false)),
        1 => (columns(), any::<bool>()).prop_map(|(c, causal)| (Shape::new(&[0, c]), causal)),
    ]
    .boxed()
}

/// How many of these columns are valid: all, one less, or any number.
fn valid(columns: usize, choice: usize) -> usize {
    match choice % 4 {
        0 | 1 => columns,
        2 => (columns - 1).max(1),
        _ => 1 + (choice / 4) % columns,
    }
}

/// The factor of a sum.
fn factor() -> impl Strategy<Value = f32> + Clone {
    select(vec![1.0, 0.0, -1.0, 0.5, 1.7])
}

/// The factor of scores.
fn scale() -> impl Strategy<Value = f32> + Clone {
    select(vec![1.0, 0.125, 0.577_350_26, -0.5, 0.0])
}

fn rate() -> impl Strategy<Value = f32> + Clone {
    select(vec![0.0, 0.1, 0.5, 0.9])
}

fn attention() -> BoxedStrategy<AttentionAttributes> {
    let t = select(vec![1, 2, 3, 7, 16, 17, 33, 65, 70, 129]);
    let d = select(vec![1, 2, 3, 8, 16, 17, 32, 64, 128]);
    (
        (
            or_none(select(vec![1, 2])),
            or_none(t),
            select(vec![1, 2, 3]),
            d,
        ),
        scale(),
        any::<bool>(),
        rate(),
        0..1000u32,
    )
        .prop_map(|((b, t, n_head, d), scale, causal, rate, site)| {
            // The oracle consists of plain loops: the longest together with the widest would take a
            // second.
            let (b, n_head) = if t * d > 2048 { (1, 1) } else { (b, n_head) };
            let d = if t > 100 { d.min(17) } else { d };
            AttentionAttributes {
                b,
                t,
                n_head,
                d,
                scale,
                causal,
                rate,
                site,
            }
        })
        .boxed()
}

fn attributes(op: &str) -> BoxedStrategy<Attributes> {
    match op {
        "fill" => (shape(), select(vec![0.0, 1.0, 7.0, 0.1]))
            .prop_map(|(shape, value)| Attributes::Fill { shape, value })
            .boxed(),
        "cast" => {
            let to = vec![
                DType::F32,
                DType::Bf16,
                DType::F16,
                DType::F64,
                DType::U32,
                DType::I64,
            ];
            (shape(), select(to))
                .prop_map(|(shape, to)| Attributes::Cast { shape, to })
                .boxed()
        }
        "permute" => (shape(), any::<u32>())
            .prop_map(|(shape, choice)| {
                let (mut axes, mut choice) = ([0, 1, 2, 3], choice as usize);
                for i in 1..shape.rank() {
                    axes.swap(i, choice % (i + 1));
                    choice /= i + 1;
                }
                Attributes::Permute { shape, axes }
            })
            .boxed(),
        "slice" => (axis(), any::<u16>(), any::<u16>())
            .prop_map(|((shape, axis), length, first)| {
                let longest = shape.dims()[axis];
                let length = usize::from(length) % (longest + 1);
                Attributes::Slice {
                    shape,
                    axis,
                    first: usize::from(first) % (longest - length + 1),
                    length,
                }
            })
            .boxed(),
        "concat" => (axis(), any::<u16>())
            .prop_map(|((shape, axis), of_a)| Attributes::Concat {
                shape,
                axis,
                of_a: usize::from(of_a) % (shape.dims()[axis] + 1),
            })
            .boxed(),
        "unary" => (select(UnaryKind::ALL.to_vec()), shape())
            .prop_map(|(kind, shape)| Attributes::Unary { kind, shape })
            .boxed(),
        "unary_backward" => (select(UnaryKind::ALL.to_vec()), shape())
            .prop_map(|(kind, shape)| Attributes::UnaryBackward { kind, shape })
            .boxed(),
        "binary" => (select(BinaryKind::ALL.to_vec()), shape(), 0..5usize)
            .prop_map(|(kind, shape, fewer)| Attributes::Binary {
                kind,
                shape,
                b_rank: shape.rank().saturating_sub(fewer),
            })
            .boxed(),
        "axpby" => (shape(), factor(), factor())
            .prop_map(|(shape, alpha, beta)| Attributes::Axpby { shape, alpha, beta })
            .boxed(),
        "matmul" => matmul(),
        "reduce" => reduce(),
        "arg_max" => (or_none(long()), columns(), any::<u16>())
            .prop_map(|(rows, columns, choice)| Attributes::ArgMax {
                rows,
                columns,
                valid_columns: valid(columns, choice.into()),
            })
            .boxed(),
        "embedding" => (sizes(), option::of(select(vec![0, 3])), select(vec![0, 4]))
            .prop_map(
                |((b, t, v, c), positions, first_position)| Attributes::Embedding {
                    b,
                    t,
                    v,
                    c,
                    positions,
                    first_position,
                },
            )
            .boxed(),
        "embedding_backward" => (sizes(), option::of(select(vec![0, 3])), any::<bool>())
            .prop_map(
                |((b, t, v, c), positions, f32_gradients)| Attributes::EmbeddingBackward {
                    b,
                    t,
                    v,
                    c,
                    positions,
                    f32_gradients,
                },
            )
            .boxed(),
        "layer_norm" => (rows_of(columns()), any::<bool>(), select(vec![1e-5, 1e-3]))
            .prop_map(|(shape, bias, eps)| Attributes::LayerNorm { shape, bias, eps })
            .boxed(),
        "add_layer_norm" => (rows_of(columns()), any::<bool>(), select(vec![1e-5, 1e-3]))
            .prop_map(|(shape, bias, eps)| Attributes::AddLayerNorm { shape, bias, eps })
            .boxed(),
        "layer_norm_backward" => (
            rows_of(columns()),
            any::<bool>(),
            any::<bool>(),
            any::<bool>(),
        )
            .prop_map(
                |(shape, bias, accumulate, f32_gradients)| Attributes::LayerNormBackward {
                    shape,
                    bias,
                    accumulate,
                    f32_gradients,
                },
            )
            .boxed(),
        "softmax" => (scores(), scale(), any::<u16>())
            .prop_map(|((shape, causal), scale, choice)| Attributes::Softmax {
                shape,
                scale,
                causal,
                valid_columns: valid(shape.columns(), choice.into()),
            })
            .boxed(),
        "softmax_backward" => (scores(), scale())
            .prop_map(|((shape, causal), scale)| Attributes::SoftmaxBackward {
                shape,
                scale,
                causal,
            })
            .boxed(),
        "attention" => attention().prop_map(Attributes::Attention).boxed(),
        "attention_backward" => attention().prop_map(Attributes::AttentionBackward).boxed(),
        "attention_decode" => decode(),
        "cross_entropy" => {
            let gradient = option::of(select(vec![1.0, 0.125, -0.3]));
            (or_none(short()), columns(), any::<u16>(), gradient)
                .prop_map(
                    |(rows, columns, choice, gradient)| Attributes::CrossEntropy {
                        rows,
                        columns,
                        valid_columns: valid(columns, choice.into()),
                        gradient,
                    },
                )
                .boxed()
        }
        "dropout" => (rows_of(long()), rate(), 0..1000u32)
            .prop_map(|(shape, rate, site)| Attributes::Dropout { shape, rate, site })
            .boxed(),
        "sum_squares" => (shape(), any::<bool>())
            .prop_map(|(shape, accumulate)| Attributes::SumSquares { shape, accumulate })
            .boxed(),
        "clip_scale" => select(vec![1.0, 1e-3, 1e3, f32::INFINITY])
            .prop_map(|max_norm| Attributes::ClipScale { max_norm })
            .boxed(),
        "adamw" => (
            select(vec![1, 2, 3, 17, 257, 1025, 5003, 0, 50_021]),
            select(vec![0.9, 0.0, 0.5]),
            select(vec![0.999, 0.95, 0.0]),
            select(vec![1e-8, 1e-5]),
            select(vec![0.0, 0.1]),
            any::<bool>(),
            prop_oneof![7 => Just(false), 1 => Just(true)],
        )
            .prop_map(
                |(n, beta1, beta2, eps, weight_decay, working, broken)| Attributes::AdamW {
                    n,
                    beta1,
                    beta2,
                    eps,
                    weight_decay,
                    working,
                    broken,
                },
            )
            .boxed(),
        "custom" => shape()
            .prop_map(|shape| Attributes::Custom { shape })
            .boxed(),
        _ => panic!(
            "the suite has no cases for {op}; the operations are {:?}",
            Op::NAMES
        ),
    }
}

fn matmul() -> BoxedStrategy<Attributes> {
    let few = || select(vec![1, 2, 3, 5, 17, 50]);
    // Long sums, which kernels split into blocks, and operands that exceed every cache.
    let sizes = prop_oneof![
        28 => (side(), side(), side()),
        3 => (few(), few(), select(vec![257, 1025, 1100])),
        1 => (select(vec![1, 5, 50]), Just(1030), Just(1100)),
        // There is enough work for several threads, which split along either side.
        6 => (select(vec![33, 50, 97, 129]), select(vec![65, 129, 257]), select(vec![65, 257])),
    ];
    (
        option::of(select(vec![1, 2, 3])),
        sizes,
        (any::<bool>(), any::<bool>(), any::<bool>(), any::<bool>()),
        (factor(), factor()),
    )
        .prop_map(
            |(batch, (m, n, k), (trans_a, trans_b, bias, f32_sum), (alpha, beta))| {
                Attributes::Matmul {
                    batch: batch.filter(|_| n * k < 1_000_000),
                    m,
                    n,
                    k,
                    trans_a,
                    trans_b,
                    alpha,
                    // Two products of five overwrite their output.
                    beta: if beta < 0.0 { 0.0 } else { beta },
                    bias,
                    f32_sum,
                }
            },
        )
        .boxed()
}

fn reduce() -> BoxedStrategy<Attributes> {
    let kind = vec![ReduceKind::Sum, ReduceKind::Mean, ReduceKind::Max];
    let over = vec![Over::Columns, Over::Rows];
    let shape = prop_oneof![4 => (long(), long()).prop_map(|(n, c)| Shape::new(&[n, c])), 1 => (short(), short(), columns()).prop_map(|(a, b, c)| Shape::new(&[a, b, c])), 1 => columns().prop_map(|c| Shape::new(&[c]))];
    (
        select(kind),
        select(over),
        shape,
        any::<bool>(),
        any::<bool>(),
    )
        .prop_map(
            |(kind, over, shape, accumulate, f32_sum)| Attributes::Reduce {
                kind,
                over,
                shape,
                accumulate: accumulate && kind != ReduceKind::Max,
                f32_sum,
            },
        )
        .boxed()
}

/// Sizes `B, T, V, C` of embeddings: tables both smaller and larger than the text.
fn sizes() -> BoxedStrategy<(usize, usize, usize, usize)> {
    let v = select(vec![1, 2, 3, 29, 65, 257]);
    let c = select(vec![1, 2, 3, 16, 17, 33, 65]);
    (or_none(select(vec![1, 2, 3])), or_none(long()), v, c).boxed()
}

fn decode() -> BoxedStrategy<Attributes> {
    (
        (
            or_none(select(vec![1, 2, 3])),
            or_none(select(vec![1, 2, 5])),
            select(vec![1, 2, 3]),
        ),
        select(vec![1, 2, 3, 8, 17, 32, 64, 128]),
        (
            select(vec![0, 1, 7, 16, 31, 64, 100]),
            select(vec![0, 1, 5]),
        ),
        scale(),
    )
        .prop_map(
            |((b, t, n_head), d, (position, spare), scale)| Attributes::AttentionDecode {
                b,
                t,
                n_head,
                d,
                room: position + t + spare,
                position,
                scale,
            },
        )
        .boxed()
}
