//! Elementwise operations, each in one pass over the memory.

#[cfg(target_arch = "x86_64")]
mod gelu;

use crate::math::{erf_complement, exp, tanh};
use crate::memory::{read, write};
use crate::parallel::{Par, Rows, RowsMut};
use crate::real::Real;
use crate::simd::{Level, fma, level, simd};
use latimer_tensor::op::{Axpby, Binary, BinaryKind, Unary, UnaryBackward, UnaryKind};
use latimer_tensor::{Handled, Result};

/// Elements handed out together.
const UNIT: usize = 256;

/// A function of one value with its derivative.
trait Function {
    fn value<const FMA: bool>(x: f32) -> f32;
    fn derivative<const FMA: bool>(x: f32) -> f32;
}

struct Relu;
struct GeluTanh;
struct GeluErf;
struct Tanh;
struct Exp;

impl Function for Relu {
    #[inline(always)]
    fn value<const FMA: bool>(x: f32) -> f32 {
        if x <= 0.0 { 0.0 } else { x }
    }
    #[inline(always)]
    fn derivative<const FMA: bool>(x: f32) -> f32 {
        // mutant: relu_slope_at_zero
        let above = if x <= 0.0 { 0.0 } else { 1.0 };
        if x.is_nan() { x } else { above }
    }
}

/// `-2·√(2/π)` and `-2·√(2/π)·0.044715`: `tanh(u) = 2/(1 + e^(-2u)) - 1`.
const GELU: [f32; 2] = [-1.595_769, -0.071_354_82];

impl Function for GeluTanh {
    /// `x/2·(1 + tanh u)` is `x / (1 + e^(-2u))`: one exponential and one quotient.
    #[inline(always)]
    fn value<const FMA: bool>(x: f32) -> f32 {
        let minus_2u = x * fma::<FMA>(GELU[1] * x, x, GELU[0]);
        x / (1.0 + exp::<FMA>(minus_2u))
    }
    /// With `s = 1/(1 + e)`, `e = e^(-2u)`: `s + x·s·(1 - s)·(2u)'`, where `1 - s = e·s`.
    #[inline(always)]
    fn derivative<const FMA: bool>(x: f32) -> f32 {
        let minus_2u = x * fma::<FMA>(GELU[1] * x, x, GELU[0]);
        // Kept finite, so that e·s·s is; NaN goes through.
        let e = exp::<FMA>(if minus_2u > 80.0 { 80.0 } else { minus_2u });
        let s = 1.0 / (1.0 + e);
        // Beyond 16 the second term is 0 in f32; the square must not overflow.
        let near = if x.abs() > 16.0 { 16.0 } else { x };
        // mutant: gelu_slope_wrong
        let slope = fma::<FMA>(3.0 * GELU[1] * near, near, GELU[0]);
        // `x * 0` is NaN where the meaning has infinity times 0.
        fma::<FMA>(-x * (e * s * s), slope, s) + x * 0.0
    }
}

impl Function for GeluErf {
    #[inline(always)]
    fn value<const FMA: bool>(x: f32) -> f32 {
        let (below, _) = normal::<FMA>(x);
        x * below
    }
    #[inline(always)]
    fn derivative<const FMA: bool>(x: f32) -> f32 {
        let (below, density) = normal::<FMA>(x);
        fma::<FMA>(x, density, below)
    }
}

/// The standard normal distribution below `x`, and its density at `x`.
#[inline(always)]
fn normal<const FMA: bool>(x: f32) -> (f32, f32) {
    let e = exp::<FMA>(-0.5 * x * x);
    let tail = 0.5 * erf_complement::<FMA>(x.abs() * std::f32::consts::FRAC_1_SQRT_2, e);
    // `tail` is infinity times 0 at infinity; beyond 16 it is 0.
    let tail = if x.abs() > 16.0 { 0.0 } else { tail };
    let below = if x > 0.0 { 1.0 - tail } else { tail };
    (below, 0.398_942_3 * e)
}

impl Function for Tanh {
    #[inline(always)]
    fn value<const FMA: bool>(x: f32) -> f32 {
        tanh::<FMA>(x)
    }
    #[inline(always)]
    fn derivative<const FMA: bool>(x: f32) -> f32 {
        let t = tanh::<FMA>(x);
        1.0 - t * t
    }
}

impl Function for Exp {
    #[inline(always)]
    fn value<const FMA: bool>(x: f32) -> f32 {
        exp::<FMA>(x)
    }
    #[inline(always)]
    fn derivative<const FMA: bool>(x: f32) -> f32 {
        exp::<FMA>(x)
    }
}

simd! {
    fn apply<F: Function, E: Real>(x: &[E], y: &mut [E]) {
        for (y, &x) in y.iter_mut().zip(x) {
            *y = E::store(F::value::<FMA>(x.load()));
        }
    }
}

simd! {
    fn apply_derivative<F: Function, E: Real>(x: &[E], dy: &[E], dx: &mut [E]) {
        for ((dx, &x), &dy) in dx.iter_mut().zip(x).zip(dy) {
            *dx = E::store(F::derivative::<FMA>(x.load()) * dy.load());
        }
    }
}

#[allow(unsafe_code, reason = "features are checked")]
fn gelu<E: Real>(x: &[E], y: &mut [E]) {
    match level() {
        #[cfg(target_arch = "x86_64")]
        // SAFETY: `level` answers this only after it has found all these features.
        Level::Avx512 => unsafe { gelu::value(x, y) },
        _ => apply::<GeluTanh, E>(x, y),
    }
}

#[allow(unsafe_code, reason = "features are checked")]
fn gelu_derivative<E: Real>(x: &[E], dy: &[E], dx: &mut [E]) {
    match level() {
        #[cfg(target_arch = "x86_64")]
        // SAFETY: as above.
        Level::Avx512 => unsafe { gelu::derivative(x, dy, dx) },
        _ => apply_derivative::<GeluTanh, E>(x, dy, dx),
    }
}

pub(crate) fn unary<E: Real>(op: &mut Unary<'_>, par: Par) -> Result<Handled> {
    let x = read::<E>(op.x)?;
    let y = write(op.y.reborrow())?;
    let f = match op.kind {
        UnaryKind::Relu => apply::<Relu, E>,
        UnaryKind::GeluTanh => gelu::<E>,
        UnaryKind::GeluErf => apply::<GeluErf, E>,
        UnaryKind::Tanh => apply::<Tanh, E>,
        UnaryKind::Exp => apply::<Exp, E>,
        _ => return Ok(Handled::Unsupported),
    };
    let parts = (Rows(x, UNIT), RowsMut(y, UNIT));
    par.split(x.len().div_ceil(UNIT), x.len() / 2, parts, &|(x, y)| {
        f(x.0, y.0)
    });
    Ok(Handled::Done)
}

pub(crate) fn unary_backward<E: Real>(op: &mut UnaryBackward<'_>, par: Par) -> Result<Handled> {
    let x = read::<E>(op.x)?;
    let dy = read(op.dy)?;
    let dx = write(op.dx.reborrow())?;
    let f = match op.kind {
        UnaryKind::Relu => apply_derivative::<Relu, E>,
        UnaryKind::GeluTanh => gelu_derivative::<E>,
        UnaryKind::GeluErf => apply_derivative::<GeluErf, E>,
        UnaryKind::Tanh => apply_derivative::<Tanh, E>,
        UnaryKind::Exp => apply_derivative::<Exp, E>,
        _ => return Ok(Handled::Unsupported),
    };
    let parts = (Rows(x, UNIT), Rows(dy, UNIT), RowsMut(dx, UNIT));
    let units = x.len().div_ceil(UNIT);
    par.split(units, x.len(), parts, &|(x, dy, dx)| f(x.0, dy.0, dx.0));
    Ok(Handled::Done)
}

/// A function of two values.
trait Function2 {
    fn value(a: f32, b: f32) -> f32;
}

struct Add;
struct Sub;
struct Mul;
struct Div;

impl Function2 for Add {
    #[inline(always)]
    fn value(a: f32, b: f32) -> f32 {
        a + b
    }
}
impl Function2 for Sub {
    #[inline(always)]
    fn value(a: f32, b: f32) -> f32 {
        a - b
    }
}
impl Function2 for Mul {
    #[inline(always)]
    fn value(a: f32, b: f32) -> f32 {
        a * b
    }
}
impl Function2 for Div {
    #[inline(always)]
    fn value(a: f32, b: f32) -> f32 {
        a / b
    }
}

simd! {
    /// `b` is as long as `a`, or is repeated, or is one value.
    fn apply2<F: Function2, E: Real>(a: &[E], b: &[E], y: &mut [E]) {
        if let [b] = *b {
            let b = b.load();
            for (y, &a) in y.iter_mut().zip(a) {
                *y = E::store(F::value(a.load(), b));
            }
            return;
        }
        for (y, a) in y.chunks_mut(b.len()).zip(a.chunks(b.len())) {
            for ((y, &a), &b) in y.iter_mut().zip(a).zip(b) {
                *y = E::store(F::value(a.load(), b.load()));
            }
        }
    }
}

pub(crate) fn binary<E: Real>(op: &mut Binary<'_>, par: Par) -> Result<Handled> {
    let a = read::<E>(op.a)?;
    let b = read(op.b)?;
    let y = write(op.y.reborrow())?;
    let f = match op.kind {
        BinaryKind::Add => apply2::<Add, E>,
        BinaryKind::Sub => apply2::<Sub, E>,
        BinaryKind::Mul => apply2::<Mul, E>,
        BinaryKind::Div => apply2::<Div, E>,
        _ => return Ok(Handled::Unsupported),
    };
    if a.is_empty() {
        return Ok(Handled::Done);
    }
    let ns = a.len() / 6;
    if a.len() == b.len() {
        let parts = (Rows(a, UNIT), Rows(b, UNIT), RowsMut(y, UNIT));
        par.split(a.len().div_ceil(UNIT), ns, parts, &|(a, b, y)| {
            f(a.0, b.0, y.0)
        });
    } else {
        // Cut at whole repetitions of b, several at a time if it is short.
        // mutant: binary_cut_within_a_repetition
        let width = b.len() * UNIT.div_ceil(b.len());
        let parts = (Rows(a, width), RowsMut(y, width));
        par.split(a.len().div_ceil(width), ns, parts, &|(a, y)| f(a.0, b, y.0));
    }
    Ok(Handled::Done)
}

simd! {
    fn apply_axpby<E: Real>(alpha: f32, x: &[E], beta: f32, y: &mut [E]) {
        for (y, &x) in y.iter_mut().zip(x) {
            *y = E::store(fma::<FMA>(alpha, x.load(), beta * y.load()));
        }
    }
}

simd! {
    fn apply_scale<E: Real>(alpha: f32, x: &[E], y: &mut [E]) {
        for (y, &x) in y.iter_mut().zip(x) {
            *y = E::store(alpha * x.load());
        }
    }
}

pub(crate) fn axpby<E: Real>(op: &mut Axpby<'_>, par: Par) -> Result<Handled> {
    let x = read::<E>(op.x)?;
    let y = write(op.y.reborrow())?;
    let (alpha, beta) = (op.alpha, op.beta);
    let parts = (Rows(x, UNIT), RowsMut(y, UNIT));
    par.split(x.len().div_ceil(UNIT), x.len() / 6, parts, &|(x, y)| {
        // mutant: axpby_reads_what_it_overwrites
        if beta == 0.0 {
            apply_scale(alpha, x.0, y.0);
        } else {
            apply_axpby(alpha, x.0, beta, y.0);
        }
    });
    Ok(Handled::Done)
}
