//! Every operation in small sizes that end within, at and past a vector and a tile, on one to three
//! threads. Few enough for an interpreter: `cargo xtask miri` runs them there, for what no test
//! sees (a pointer out of bounds, two that alias, a race).

use latimer_backend_cpu::Cpu;
use latimer_conformance::case::AttentionAttributes;
use latimer_conformance::{Attributes, Case, Layout, Subject, Values, check};
use latimer_tensor::op::{BinaryKind, Over, ReduceKind, UnaryKind};
use latimer_tensor::{DType, Device, Op, Shape};

thread_local! {
    /// A test's own devices: while one records a step, nobody else may use it.
    static SUBJECT: Subject = subject();
}

fn subject() -> Subject {
    let cpu = |threads| Device::new(Cpu::new(threads).expect("threads can be started"));
    let alone = Subject::new(cpu(1)).same_bits(cpu(3));
    // An interpreter sees as much with one thread count.
    if cfg!(miri) {
        alone
    } else {
        alone.same_bits(cpu(2))
    }
}

/// Runs the suite's checks on these cases, with operands in memories of their own and in one
/// memory.
fn hold(cases: impl IntoIterator<Item = Attributes>) {
    for (i, attributes) in cases.into_iter().enumerate() {
        let layouts = [Layout::Apart { lead: 1 }, Layout::Slab { lead: 3 }];
        // Under Miri, check only one of them per case.
        let some = if cfg!(miri) {
            &layouts[i % 2..][..1]
        } else {
            &layouts
        };
        for &layout in some {
            let case = Case {
                layout,
                seed: i as u64,
                values: if cfg!(miri) {
                    Values::Equal
                } else {
                    Values::Normal
                },
                ..Case::new(attributes.clone())
            };
            one(&case);
        }
    }
}

fn one(case: &Case) {
    let held = SUBJECT.with(|subject| {
        if cfg!(miri) {
            check::runs(subject, case)
        } else {
            check::one(subject, case)
        }
    });
    held.unwrap_or_else(|failure| panic!("{failure}"));
}

fn shapes() -> [Shape; 4] {
    [
        [0].into(),
        [1].into(),
        [3, 17].into(),
        // 645 elements: more than two of the units of 256 that a thread is handed at once.
        [5, 129].into(),
    ]
}

#[test]
fn elements() {
    for shape in shapes() {
        hold(
            [UnaryKind::Relu, UnaryKind::GeluTanh, UnaryKind::GeluErf]
                .map(|kind| Attributes::Unary { kind, shape }),
        );
        hold(
            [UnaryKind::Tanh, UnaryKind::Exp].map(|kind| Attributes::UnaryBackward { kind, shape }),
        );
        let ranks = [0, 1, shape.rank()];
        hold(ranks.map(|b_rank| Attributes::Binary {
            kind: BinaryKind::Sub,
            shape,
            b_rank,
        }));
        hold([0.0, 0.5].map(|beta| Attributes::Axpby {
            shape,
            alpha: 2.0,
            beta,
        }));
    }
}

#[test]
fn movements() {
    for shape in shapes() {
        hold([Attributes::Fill { shape, value: 7.0 }]);
        hold([DType::F32, DType::Bf16].map(|to| Attributes::Cast { shape, to }));
        let [first, last] = [0, shape.rank() - 1];
        for axis in [first, last] {
            let length = shape.dims()[axis] / 2;
            hold([
                Attributes::Slice {
                    shape,
                    axis,
                    first: length / 2,
                    length,
                },
                Attributes::Concat {
                    shape,
                    axis,
                    of_a: length,
                },
            ]);
        }
    }
    for axes in [[0, 1, 2, 3], [2, 0, 1, 3], [1, 0, 2, 3]] {
        hold([Attributes::Permute {
            shape: [3, 5, 17].into(),
            axes,
        }]);
    }
}

#[test]
fn products() {
    let sizes = [(1, 3, 2), (3, 17, 9), (5, 33, 3), (17, 5, 20), (49, 34, 2)];
    for (i, (m, n, k)) in sizes.into_iter().enumerate() {
        for flags in 0..4 {
            let (trans_a, trans_b) = (flags & 1 > 0, flags & 2 > 0);
            hold([Attributes::Matmul {
                batch: [None, Some(2)][i % 2].filter(|_| m < 17),
                m,
                n,
                k,
                trans_a,
                trans_b,
                alpha: 0.5,
                beta: if trans_a { 0.0 } else { 1.5 },
                bias: trans_b,
                f32_sum: false,
            }]);
        }
    }
}

#[test]
fn reductions() {
    let shape = Shape::new(&[67, 19]);
    for over in [Over::Columns, Over::Rows] {
        hold(
            [ReduceKind::Sum, ReduceKind::Mean, ReduceKind::Max].map(|kind| Attributes::Reduce {
                kind,
                over,
                shape,
                accumulate: kind == ReduceKind::Sum,
                f32_sum: false,
            }),
        );
    }
    hold([
        Attributes::ArgMax {
            rows: 5,
            columns: 19,
            valid_columns: 18,
        },
        Attributes::SumSquares {
            shape: [if cfg!(miri) { 101 } else { 4101 }].into(),
            accumulate: true,
        },
    ]);
}

#[test]
fn tables() {
    for positions in [None, Some(2)] {
        let (b, t, v, c) = (2, 3, 5, 19);
        hold([
            Attributes::Embedding {
                b,
                t,
                v,
                c,
                positions,
                first_position: 0,
            },
            Attributes::EmbeddingBackward {
                b,
                t,
                v,
                c,
                positions,
                f32_gradients: true,
            },
        ]);
    }
    hold([None, Some(0.5)].map(|gradient| Attributes::CrossEntropy {
        rows: 3,
        columns: 19,
        valid_columns: 18,
        gradient,
    }));
}

#[test]
fn rows() {
    for (shape, bias) in [([1, 1], false), ([35, 19], true)] {
        let (shape, eps) = (shape.into(), 1e-5);
        hold([
            Attributes::LayerNorm { shape, bias, eps },
            Attributes::AddLayerNorm { shape, bias, eps },
            Attributes::LayerNormBackward {
                shape,
                bias,
                accumulate: bias,
                f32_gradients: true,
            },
            Attributes::Softmax {
                shape: [2, 5, 19].into(),
                scale: 0.5,
                causal: bias,
                valid_columns: 18,
            },
            Attributes::SoftmaxBackward {
                shape,
                scale: 0.5,
                causal: false,
            },
            Attributes::Dropout {
                shape,
                rate: 0.3,
                site: 1,
            },
        ]);
    }
}

#[test]
fn optimizer() {
    hold([Attributes::ClipScale { max_norm: 1.0 }]);
    hold(
        [(1, false), (259, false), (2, true)].map(|(n, broken)| Attributes::AdamW {
            n,
            beta1: 0.9,
            beta2: 0.95,
            eps: 1e-8,
            weight_decay: 0.1,
            working: false,
            broken,
        }),
    );
}

#[test]
fn attention() {
    for (t, d, causal, rate) in [
        (1, 1, true, 0.0),
        (17, 3, true, 0.0),
        (34, 2, true, 0.3),
        // Past a tile of keys.
        (66, 1, false, 0.0),
    ] {
        let attributes = AttentionAttributes {
            b: 1,
            t,
            n_head: if t > 34 { 1 } else { 2 },
            d,
            scale: 0.5,
            causal,
            rate,
            site: 3,
        };
        hold([
            Attributes::Attention(attributes),
            Attributes::AttentionBackward(attributes),
        ]);
    }
}

#[test]
fn decoding() {
    for (t, position) in [(1, 0), (2, 17), (5, 30)] {
        hold([Attributes::AttentionDecode {
            b: 2,
            t,
            n_head: 2,
            d: 3,
            room: position + t + 1,
            position,
            scale: 0.5,
        }]);
    }
}

/// Values that are not finite go through other loops.
#[test]
fn attention_of_infinities() {
    for op in [Attributes::Attention, Attributes::AttentionBackward] {
        let attributes = op(AttentionAttributes {
            b: 1,
            t: 18,
            n_head: 2,
            d: 2,
            scale: 0.5,
            causal: true,
            rate: 0.3,
            site: 3,
        });
        for value in [f64::NAN, f64::INFINITY] {
            let special = latimer_conformance::Special {
                operand: 0,
                element: 30,
                value,
            };
            let case = Case {
                special: Some(special),
                layout: Layout::Apart { lead: 1 },
                ..Case::new(attributes.clone())
            };
            one(&case);
        }
    }
}

#[test]
fn operations_are_all_here() {
    // The tests above cover every operation but `custom`, which the device runs itself.
    assert_eq!(
        Op::NAMES.len(),
        28,
        "a new operation wants small cases here"
    );
}
