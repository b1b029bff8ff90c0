//! Elementwise operations: fill, cast, functions of one value, of two, and scaled sums.

use super::{OpSpec, op};
use crate::{Host, Real, Result};
use std::f64::consts::{FRAC_1_SQRT_2, FRAC_2_SQRT_PI};

op! {
    /// `y = value`.
    Fill "fill" {
        /// The tensor to fill.
        y: Out "any", "any";
    } {
        /// The value, rounded to `y`'s dtype.
        value: f64;
    }
}

impl OpSpec for Fill<'_> {
    fn reference<R: Real>(&self, host: &mut Host<'_, R>) -> Result<()> {
        host.write("y", vec![R::from(self.value); self.y.numel()]);
        Ok(())
    }

    fn flops(&self) -> u64 {
        0
    }
}

op! {
    /// `y = x`, rounded once to `y`'s dtype when it is narrower; a copy when the dtypes agree.
    Cast "cast" {
        /// The values to convert.
        x: In "any", "any";
        /// The result.
        y: Out "any", "as x";
    } {
    }
}

impl OpSpec for Cast<'_> {
    fn reference<R: Real>(&self, host: &mut Host<'_, R>) -> Result<()> {
        let x = host.read(self.x)?;
        host.write("y", x);
        Ok(())
    }

    fn flops(&self) -> u64 {
        0
    }
}

/// A function of one value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum UnaryKind {
    /// `max(x, 0)`; its derivative at 0 is 0.
    Relu,
    /// `x/2 · (1 + tanh(√(2/π) · (x + 0.044715·x³)))`, GPT-2's. Hendrycks and Gimpel 2016.
    GeluTanh,
    /// `x/2 · (1 + erf(x/√2))`, the exact one. Hendrycks and Gimpel 2016.
    GeluErf,
    /// `tanh(x)`.
    Tanh,
    /// `exp(x)`.
    Exp,
}

/// `√(2/π)`.
const GELU_SCALE: f64 = 0.797_884_560_802_865_4;
/// The cubic coefficient of GELU's tanh form.
const GELU_CUBIC: f64 = 0.044715;

impl UnaryKind {
    /// All kinds.
    pub const ALL: [Self; 5] = [
        Self::Relu,
        Self::GeluTanh,
        Self::GeluErf,
        Self::Tanh,
        Self::Exp,
    ];

    /// `f(x)`.
    #[must_use]
    pub fn value(self, x: f64) -> f64 {
        self.of(x)
    }

    /// `f'(x)`.
    #[must_use]
    pub fn derivative(self, x: f64) -> f64 {
        self.slope(x)
    }

    fn of<R: Real>(self, x: R) -> R {
        let [half, one] = [0.5, 1.0].map(R::from);
        match self {
            // Not a maximum, which would turn NaN into 0.
            Self::Relu => {
                if x <= R::from(0.0) {
                    R::from(0.0)
                } else {
                    x
                }
            }
            Self::GeluTanh => half * x * (one + gelu_argument(x).tanh()),
            Self::GeluErf => half * x * (one + (x * R::constant(FRAC_1_SQRT_2)).erf()),
            Self::Tanh => x.tanh(),
            Self::Exp => x.exp(),
        }
    }

    fn slope<R: Real>(self, x: R) -> R {
        let [half, one] = [0.5, 1.0].map(R::from);
        match self {
            Self::Relu => {
                if x <= R::from(0.0) {
                    R::from(0.0)
                } else if x.value().is_nan() {
                    x
                } else {
                    one
                }
            }
            Self::GeluTanh => {
                let t = gelu_argument(x).tanh();
                let cubic = R::constant(3.0 * GELU_CUBIC);
                let inner = R::constant(GELU_SCALE) * (one + cubic * x * x);
                half * (one + t) + half * x * t.one_minus_square() * inner
            }
            Self::GeluErf => {
                let density = (-half * x * x).exp()
                    * R::constant(0.5 * FRAC_2_SQRT_PI)
                    * R::constant(FRAC_1_SQRT_2);
                half * (one + (x * R::constant(FRAC_1_SQRT_2)).erf()) + x * density
            }
            Self::Tanh => x.tanh().one_minus_square(),
            Self::Exp => x.exp(),
        }
    }
}

/// The argument of `tanh` in GELU's tanh form.
fn gelu_argument<R: Real>(x: R) -> R {
    R::constant(GELU_SCALE) * (x + R::constant(GELU_CUBIC) * x * x * x)
}

op! {
    /// `y = f(x)`.
    Unary "unary" {
        /// The argument.
        x: In "float", "any";
        /// The value.
        y: Out "as x", "as x";
    } {
        /// The function.
        kind: UnaryKind;
    }
}

impl OpSpec for Unary<'_> {
    fn reference<R: Real>(&self, host: &mut Host<'_, R>) -> Result<()> {
        let x = host.read(self.x)?;
        let y = x.into_iter().map(|x| self.kind.of(x));
        host.write("y", y.collect());
        Ok(())
    }

    fn flops(&self) -> u64 {
        8 * self.x.numel() as u64
    }
}

op! {
    /// `dx = f'(x) · dy`.
    UnaryBackward "unary_backward" {
        /// The forward operand.
        x: In "float", "any";
        /// The gradient of the value.
        dy: In "as x", "as x";
        /// The gradient of the argument.
        dx: Out "as x", "as x";
    } {
        /// The function.
        kind: UnaryKind;
    }
}

impl OpSpec for UnaryBackward<'_> {
    fn reference<R: Real>(&self, host: &mut Host<'_, R>) -> Result<()> {
        let (x, dy) = (host.read(self.x)?, host.read(self.dy)?);
        let dx = x.into_iter().zip(dy);
        let dx = dx.map(|(x, dy)| self.kind.slope(x) * dy);
        host.write("dx", dx.collect());
        Ok(())
    }

    fn flops(&self) -> u64 {
        12 * self.x.numel() as u64
    }
}

/// A function of two values.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum BinaryKind {
    /// `a + b`.
    Add,
    /// `a - b`.
    Sub,
    /// `a · b`.
    Mul,
    /// `a / b`.
    Div,
}

impl BinaryKind {
    /// All kinds.
    pub const ALL: [Self; 4] = [Self::Add, Self::Sub, Self::Mul, Self::Div];

    /// `f(a, b)`.
    #[must_use]
    pub fn value<R: Real>(self, a: R, b: R) -> R {
        match self {
            Self::Add => a + b,
            Self::Sub => a - b,
            Self::Mul => a * b,
            Self::Div => a / b,
        }
    }
}

op! {
    /// `y = f(a, b)`; if `b` has fewer axes, it is repeated over the leading axes of `a`.
    Binary "binary" {
        /// The left operand.
        a: In "float", "any";
        /// The right operand, repeated over the axes that it lacks.
        b: In "as a", "last axes of a";
        /// The value.
        y: Out "as a", "as a";
    } {
        /// The function.
        kind: BinaryKind;
    }
}

impl OpSpec for Binary<'_> {
    fn reference<R: Real>(&self, host: &mut Host<'_, R>) -> Result<()> {
        let (a, b) = (host.read(self.a)?, host.read(self.b)?);
        let values = a
            .iter()
            .zip(b.iter().cycle())
            .map(|(&a, &b)| self.kind.value(a, b))
            .collect();
        host.write("y", values);
        Ok(())
    }

    fn flops(&self) -> u64 {
        self.a.numel() as u64
    }
}

op! {
    /// `y = alpha·x + beta·y`; with `beta` 0, `y` is not read.
    Axpby "axpby" {
        /// The values to add.
        x: In "float", "any";
        /// The values that are added to.
        y: OutOrInOut(op: op.beta != 0.0) "as x", "as x";
    } {
        /// Factor of `x`.
        alpha: f32, NotNan;
        /// Factor of the old `y`.
        beta: f32, NotNan;
    }
}

impl OpSpec for Axpby<'_> {
    fn reference<R: Real>(&self, host: &mut Host<'_, R>) -> Result<()> {
        let (alpha, beta) = (R::from(self.alpha), R::from(self.beta));
        let x = host.read(self.x)?;
        let kept = if self.beta == 0.0 {
            vec![R::from(0.0); x.len()]
        } else {
            let old = host.read(self.y.as_view())?;
            old.into_iter().map(|y| beta * y).collect()
        };
        let y = x.into_iter().zip(kept);
        host.write("y", y.map(|(x, kept)| alpha * x + kept).collect());
        Ok(())
    }

    fn flops(&self) -> u64 {
        2 * self.x.numel() as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn derivatives_are_central_differences() {
        let h = 1e-6;
        for kind in UnaryKind::ALL {
            for x in [-9.0, -3.1, -0.7, 0.01, 0.9, 2.6, 5.0] {
                let slope = (kind.value(x + h) - kind.value(x - h)) / (2.0 * h);
                let got = kind.derivative(x);
                assert!(
                    (got - slope).abs() <= 1e-8 * (1.0 + slope.abs()),
                    "{kind:?} {x}: {got} {slope}"
                );
            }
        }
    }
}
