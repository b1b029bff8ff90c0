//! Every operation in small sizes that end within, at and past a vector and a tile, on one to three
//! threads. Few enough for an interpreter: `cargo xtask miri` runs them there, for what no test
//! sees (a pointer out of bounds, two that alias, a race).

use latimer_backend_cpu::Cpu;
use latimer_conformance::ops::{
    attends, decodes, gathers, joined, permuted, reduced, scatters, sliced, slopes, update,
};
use latimer_conformance::{Case, Layout, Subject, Values, check};
use latimer_tensor::op::{BinaryKind, Outline, Over, ReduceKind, UnaryKind};
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
fn hold(cases: impl IntoIterator<Item = impl Into<Case>>) {
    for (i, case) in cases.into_iter().map(Into::into).enumerate() {
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
                ..case.clone()
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
        let of = |op| Outline::of(op).shape("x", shape);
        let kinds = [UnaryKind::Relu, UnaryKind::GeluTanh, UnaryKind::GeluErf];
        hold(kinds.map(|kind| of("unary").set("kind", kind)));
        let kinds = [UnaryKind::Tanh, UnaryKind::Exp];
        hold(kinds.map(|kind| of("unary_backward").set("kind", kind)));
        let ranks = [0, 1, shape.rank()];
        hold(ranks.map(|rank| {
            let b = &shape.dims()[shape.rank() - rank..];
            let outline = Outline::of("binary").shape("a", shape).shape("b", b);
            outline.set("kind", BinaryKind::Sub)
        }));
        hold([0.0, 0.5].map(|beta| of("axpby").set("alpha", 2.0).set("beta", beta)));
    }
}

#[test]
fn movements() {
    for shape in shapes() {
        hold([Outline::of("fill").shape("y", shape).set("value", 7.0)]);
        let cast = Outline::of("cast").shape("x", shape);
        hold([DType::F32, DType::Bf16].map(|to| cast.clone().dtype("y", to)));
        for axis in [0, shape.rank() - 1] {
            let length = shape.dims()[axis] / 2;
            hold([
                sliced(shape, axis, length / 2, length),
                joined(shape, axis, length),
            ]);
        }
    }
    let orders = [[0, 1, 2, 3], [2, 0, 1, 3], [1, 0, 2, 3]];
    for axes in orders {
        hold([permuted([3, 5, 17], axes)]);
    }
}

#[test]
fn products() {
    let sizes = [[1, 3, 2], [3, 17, 9], [5, 33, 3], [17, 5, 20], [49, 34, 2]];
    for (i, sides) in sizes.into_iter().enumerate() {
        for flags in 0..4 {
            let (trans_a, trans_b) = (flags & 1 > 0, flags & 2 > 0);
            let mut outline = Outline::of("matmul").sizes("MNK", sides);
            if i % 2 == 1 && sides[0] < 17 {
                outline = outline.sizes("S", [2]);
            }
            let outline = outline.give("bias", trans_b);
            let outline = outline.set("trans_a", trans_a).set("trans_b", trans_b);
            let beta = if trans_a { 0.0 } else { 1.5 };
            hold([outline.set("alpha", 0.5).set("beta", beta)]);
        }
    }
}

#[test]
fn reductions() {
    for over in [Over::Columns, Over::Rows] {
        let kinds = [ReduceKind::Sum, ReduceKind::Mean, ReduceKind::Max];
        hold(kinds.map(|kind| reduced(kind, over, [67, 19], kind == ReduceKind::Sum)));
    }
    let n = if cfg!(miri) { 101 } else { 4101 };
    let arg_max = Outline::of("arg_max").sizes("NC", [5, 19]);
    let squares = Outline::of("sum_squares").shape("x", [n]);
    hold([
        arg_max.set("valid_columns", 18usize),
        squares.set("accumulate", true),
    ]);
}

#[test]
fn tables() {
    for spare in [None, Some(2)] {
        let sizes = [2, 3, 5, 19];
        hold([gathers(sizes, spare, 0), scatters(sizes, spare, true)]);
    }
    let loss = Outline::of("cross_entropy").sizes("NC", [3, 19]);
    let loss = loss.set("valid_columns", 18usize);
    hold([None, Some(0.5)].map(|gradient| loss.clone().set("gradient", gradient)));
}

#[test]
fn rows() {
    for (shape, bias) in [([1, 1], false), ([35, 19], true)] {
        let of = |op| Outline::of(op).shape("x", shape);
        let backward = of("layer_norm_backward").dtype("dweight", DType::F32);
        let softmax = Outline::of("softmax").shape("x", [2, 5, 19]);
        let softmax = softmax.set("scale", 0.5).set("valid_columns", 18usize);
        hold([
            of("layer_norm").give("bias", bias).set("eps", 1e-5).into(),
            of("add_layer_norm")
                .give("bias", bias)
                .set("eps", 1e-5)
                .into(),
            Case::from(backward.give("dbias", bias).set("accumulate", bias)),
            of("rms_norm").set("eps", 1e-5).into(),
            of("rms_norm_backward")
                .dtype("dweight", DType::F32)
                .set("accumulate", bias)
                .into(),
            softmax.set("causal", bias).into(),
            slopes(shape, 0.5, false),
            of("dropout").set("rate", 0.3).set("site", 1u32).into(),
        ]);
    }
}

#[test]
fn optimizer() {
    hold([Outline::of("clip_scale").set("max_norm", 1.0)]);
    let sizes = [(1, false), (259, false), (2, true)];
    hold(sizes.map(|(n, broken)| update(n, [0.9, 0.95, 1e-8, 0.1], false, broken)));
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
        let heads = if t > 34 { 1 } else { 2 };
        let attention = attends([1, t, heads, d], 0.5, causal, rate);
        let backward = attention.renamed("attention_backward");
        hold([attention, backward]);
    }
}

#[test]
fn decoding() {
    for (t, position) in [(1, 0), (2, 17), (5, 30)] {
        hold([decodes([2, t, 2, 3], position, 1, 0.5)]);
    }
}

/// Values that are not finite go through other loops.
#[test]
fn attention_of_infinities() {
    for op in ["attention", "attention_backward"] {
        let attention = attends([1, 18, 2, 2], 0.5, true, 0.3).renamed(op);
        for value in [f64::NAN, f64::INFINITY] {
            let special = latimer_conformance::Special {
                operand: 0,
                element: 30,
                value,
            };
            let case = Case {
                special: Some(special),
                layout: Layout::Apart { lead: 1 },
                ..attention.clone().into()
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
        30,
        "a new operation wants small cases here"
    );
}
