//! Operations on single elements.

use super::Spec;
use crate::case::Source;
use crate::naive::{Output, exp, read, tanh, twin};
use crate::strategies::{drawn, factor, shape};
use latimer_tensor::op::{BinaryKind, Outline, Unary, UnaryBackward, UnaryKind, Value};
use latimer_tensor::{DType, Host, Result, Shape};
use proptest::sample::select;
use std::f32::consts::{FRAC_1_SQRT_2, FRAC_2_SQRT_PI};

pub(super) const fn fill(spec: Spec) -> Spec {
    spec.draws(|op| {
        let values = select(vec![0.0, 1.0, 7.0, 0.1]);
        drawn((shape(), values), move |(y, value)| {
            Outline::of(op).shape("y", y).set("value", value)
        })
    })
}

pub(super) const fn cast(spec: Spec) -> Spec {
    spec.draws(|op| {
        let to = select(vec![
            DType::F32,
            DType::Bf16,
            DType::F16,
            DType::F64,
            DType::U32,
            DType::I64,
        ]);
        drawn((shape(), to), move |(x, to)| {
            Outline::of(op).shape("x", x).dtype("y", to)
        })
    })
    // Floats are cast to integers only if they are whole numbers.
    .source(|cast, _| match cast.operands(DType::F32).last() {
        Some(y) if !y.dtype.is_float() => Source::Ids(200),
        _ => Source::Anything,
    })
}

pub(super) const fn unary(spec: Spec) -> Spec {
    spec.draws(|op| {
        let kinds = select(UnaryKind::ALL.to_vec());
        drawn((kinds, shape()), move |(kind, x)| {
            Outline::of(op).shape("x", x).set("kind", kind)
        })
    })
    .large(|unary| match unary.attribute("kind") {
        Some(Value::UnaryKind(UnaryKind::Exp)) => 8.0,
        _ => 1000.0,
    })
    .mixed(9)
    .naive(twin!(Unary, naive_unary))
}

pub(super) const fn unary_backward(spec: Spec) -> Spec {
    unary(spec).naive(twin!(UnaryBackward, naive_unary_backward))
}

pub(super) const fn binary(spec: Spec) -> Spec {
    spec.draws(|op| {
        let kinds = select(BinaryKind::ALL.to_vec());
        drawn((kinds, shape(), 0..5usize), move |(kind, a, fewer)| {
            let b = Shape::new(&a.dims()[fewer.min(a.rank())..]);
            Outline::of(op)
                .shape("a", a)
                .shape("b", b)
                .set("kind", kind)
        })
    })
    .source(
        |binary, operand| match (operand, binary.attribute("kind")) {
            ("b", Some(Value::BinaryKind(BinaryKind::Div))) => Source::AwayFromZero,
            _ => Source::Anything,
        },
    )
}

pub(super) const fn axpby(spec: Spec) -> Spec {
    spec.draws(|op| {
        drawn((shape(), factor(), factor()), move |(x, alpha, beta)| {
            Outline::of(op)
                .shape("x", x)
                .set("alpha", alpha)
                .set("beta", beta)
        })
    })
}

// ---- naive evaluation

/// GELU's factor `√(2/π)`; the cubic coefficient below is GPT-2's too.
const GELU_SCALE: f32 = FRAC_2_SQRT_PI * FRAC_1_SQRT_2;
const GELU_CUBIC: f32 = 0.044_715;

/// `erf(x/√2)`, computed from the meaning of GELU, `x/2·(1 + erf(x/√2))`.
fn erf(x: f32) -> f32 {
    let x = f64::from(x);
    if x == 0.0 {
        return 0.0;
    }
    (2.0 * UnaryKind::GeluErf.value(x) / x - 1.0) as f32
}

/// `f(x)` and `f'(x)`.
fn function(kind: UnaryKind, x: f32) -> (f32, f32) {
    match kind {
        UnaryKind::Exp => (exp(x), exp(x)),
        UnaryKind::Tanh => (tanh(x), 1.0 - tanh(x) * tanh(x)),
        UnaryKind::GeluTanh => {
            let t = tanh(GELU_SCALE * (x + GELU_CUBIC * x * x * x));
            let inner = GELU_SCALE * (1.0 + 3.0 * GELU_CUBIC * x * x);
            let slope = 0.5 * (1.0 + t) + 0.5 * x * (1.0 - t * t) * inner;
            (0.5 * x * (1.0 + t), slope)
        }
        UnaryKind::GeluErf => {
            let density = exp(-0.5 * x * x) * (0.5 * GELU_SCALE);
            let below = 0.5 * (1.0 + erf(x));
            (x * below, below + x * density)
        }
        _ => (
            kind.value(x.into()) as f32,
            kind.derivative(x.into()) as f32,
        ),
    }
}

fn naive_unary(op: &Unary<'_>, host: &Host<'_>) -> Result<Vec<Output>> {
    let y = read(host, op.x)?
        .into_iter()
        .map(|x| function(op.kind, x).0);
    Ok(vec![("y", y.collect())])
}

fn naive_unary_backward(op: &UnaryBackward<'_>, host: &Host<'_>) -> Result<Vec<Output>> {
    let slopes = read(host, op.x)?
        .into_iter()
        .map(|x| function(op.kind, x).1);
    let dx = slopes.zip(read(host, op.dy)?).map(|(f, dy)| f * dy);
    Ok(vec![("dx", dx.collect())])
}
