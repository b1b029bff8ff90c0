//! The cases that are drawn, and the sizes that they are drawn from.
//!
//! Lengths are 1, primes, powers of two and one more than those, which is one past a tile. Lists
//! begin with the simplest entry, at which shrinking ends.

use crate::case::{Case, Layout, Special, Values};
use crate::ops::Spec;
use latimer_tensor::op::table::DTypeRule;
use latimer_tensor::{DType, Shape};
use proptest::collection::vec;
use proptest::prelude::{BoxedStrategy, Just, Strategy, any};
use proptest::prop_oneof;
use proptest::sample::select;

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
    let spec = Spec::find(op);
    let dtype = match spec.table().free_type() {
        None => Just(DType::F32).boxed(),
        Some(DTypeRule::Any) => {
            prop_oneof![3 => float, 1 => Just(DType::U32), 1 => Just(DType::I64)].boxed()
        }
        Some(_) => float.boxed(),
    };
    let values = prop_oneof![
        6 => Just(Values::Normal),
        2 => Just(Values::Large),
        spec.mixed => Just(Values::Mixed),
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
    let parts = ((spec.draw)(spec.name), dtype, values, layout, any::<u64>());
    drawn(parts, |(case, dtype, values, layout, seed)| Case {
        dtype,
        values,
        layout,
        seed,
        ..case
    })
}

/// Cases with normally distributed operands, of which one value is NaN or infinite.
///
/// # Panics
/// If no operation has this name.
pub fn nonfinite(op: &str) -> BoxedStrategy<Case> {
    let values = vec![f64::NAN, f64::INFINITY, f64::NEG_INFINITY];
    let parts = (cases(op), any::<u8>(), any::<u16>(), select(values));
    drawn(parts, |(case, operand, element, value)| Case {
        values: Values::Normal,
        special: Some(Special {
            operand: operand.into(),
            element: element.into(),
            value,
        }),
        ..case
    })
}

/// The simplest case of an operation.
pub(crate) fn smallest(op: &str) -> Case {
    use proptest::strategy::ValueTree;
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let tree = (Spec::find(op).draw)(Spec::find(op).name).new_tree(&mut runner);
    let mut tree = tree.unwrap_or_else(|reason| unreachable!("no case is rejected: {reason}"));
    while tree.simplify() {}
    tree.current()
}

/// The cases that `make` makes of what is drawn.
pub(crate) fn drawn<S: Strategy + 'static, C: Into<Case>>(
    strategy: S,
    make: impl Fn(S::Value) -> C + 'static,
) -> BoxedStrategy<Case> {
    strategy.prop_map(move |drawn| make(drawn).into()).boxed()
}

// ---- sizes

/// A length of an axis for which there is little work.
pub(crate) fn short() -> impl Strategy<Value = usize> + Clone {
    select(vec![1, 2, 3, 5, 8, 13, 16, 17])
}

/// A length at or past the edge of a tile.
pub(crate) fn long() -> impl Strategy<Value = usize> + Clone {
    select(vec![1, 2, 3, 7, 16, 17, 31, 33, 64, 65, 129, 257])
}

/// The number of columns of a row operation, whose rows are few.
pub(crate) fn columns() -> impl Strategy<Value = usize> + Clone {
    select(vec![1, 2, 3, 7, 16, 17, 33, 64, 65, 129, 769, 1025])
}

/// Replaces the length by 0 now and then.
pub(crate) fn or_none(some: impl Strategy<Value = usize> + 'static) -> BoxedStrategy<usize> {
    prop_oneof![15 => some, 1 => Just(0)].boxed()
}

/// Any shape of up to four axes and some thousand elements; sometimes an axis is empty, sometimes
/// there is enough work for several threads.
pub(crate) fn shape() -> BoxedStrategy<Shape> {
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
pub(crate) fn axis() -> BoxedStrategy<(Shape, usize)> {
    (shape(), any::<u8>())
        .prop_map(|(shape, axis)| {
            let shape = if shape.rank() == 0 { [1].into() } else { shape };
            (shape, usize::from(axis) % shape.rank())
        })
        .boxed()
}

/// `[N, C]`, sometimes with one more axis or without rows, or `[C]`; `C` is at least 1.
pub(crate) fn rows_of(
    columns: impl Strategy<Value = usize> + Clone + 'static,
) -> BoxedStrategy<Shape> {
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
pub(crate) fn tall() -> BoxedStrategy<Shape> {
    (select(vec![129, 515, 2053]), select(vec![1, 3, 16, 33]))
        .prop_map(|(n, c)| Shape::new(&[n, c]))
        .boxed()
}

/// How many of these columns are valid: all, one less, or any number.
pub(crate) fn valid(columns: usize, choice: usize) -> usize {
    match choice % 4 {
        0 | 1 => columns,
        2 => (columns - 1).max(1),
        _ => 1 + (choice / 4) % columns,
    }
}

/// The factor of a sum.
pub(crate) fn factor() -> impl Strategy<Value = f32> + Clone {
    select(vec![1.0, 0.0, -1.0, 0.5, 1.7])
}

/// The factor of scores.
pub(crate) fn scale() -> impl Strategy<Value = f32> + Clone {
    select(vec![1.0, 0.125, 0.577_350_26, -0.5, 0.0])
}

pub(crate) fn rate() -> impl Strategy<Value = f32> + Clone {
    select(vec![0.0, 0.1, 0.5, 0.9])
}

/// `shape` with another length along `axis`.
pub(crate) fn with_length(shape: Shape, axis: usize, length: usize) -> Shape {
    let mut dims = shape.dims().to_vec();
    dims[axis] = length;
    Shape::new(&dims)
}
