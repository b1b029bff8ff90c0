//! Elementwise operations: fill, cast, functions of one value, of two, and scaled sums.

use super::{OpSpec, op};
use crate::{Host, Result};

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
    fn reference(&self, host: &mut Host<'_>) -> Result<()> {
        host.write_exact("y", vec![self.value; self.y.numel()]);
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
    fn reference(&self, host: &mut Host<'_>) -> Result<()> {
        let x = host.read(self.x)?;
        host.write_exact("y", x);
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
        match self {
            // Not `f64::max`, which would turn NaN into 0.
            Self::Relu => {
                if x <= 0.0 {
                    0.0
                } else {
                    x
                }
            }
            Self::GeluTanh => 0.5 * x * (1.0 + (GELU_SCALE * (x + GELU_CUBIC * x * x * x)).tanh()),
            Self::GeluErf => 0.5 * x * (1.0 + erf(x * std::f64::consts::FRAC_1_SQRT_2)),
            Self::Tanh => x.tanh(),
            Self::Exp => x.exp(),
        }
    }

    /// `f'(x)`.
    #[must_use]
    pub fn derivative(self, x: f64) -> f64 {
        match self {
            Self::Relu => {
                if x <= 0.0 {
                    0.0
                } else if x.is_nan() {
                    x
                } else {
                    1.0
                }
            }
            Self::GeluTanh => {
                let t = (GELU_SCALE * (x + GELU_CUBIC * x * x * x)).tanh();
                let inner = GELU_SCALE * (1.0 + 3.0 * GELU_CUBIC * x * x);
                0.5 * (1.0 + t) + 0.5 * x * (1.0 - t * t) * inner
            }
            Self::GeluErf => {
                let density = (-0.5 * x * x).exp()
                    * (0.5 * std::f64::consts::FRAC_2_SQRT_PI)
                    * std::f64::consts::FRAC_1_SQRT_2;
                0.5 * (1.0 + erf(x * std::f64::consts::FRAC_1_SQRT_2)) + x * density
            }
            Self::Tanh => 1.0 - x.tanh().powi(2),
            Self::Exp => x.exp(),
        }
    }

    /// Size of the roundings in `f(x)` and `f'(x)`. Where `1 + tanh` cancels, the error is that of
    /// the terms, `|x|`, not of the small result; exponentials amplify their argument's rounding.
    fn magnitudes(self, x: f64) -> (f64, f64) {
        let size = x.abs();
        match self {
            Self::Relu => (0.0, 0.0),
            Self::GeluTanh | Self::GeluErf => (4.0 * size, 8.0 * (1.0 + size.min(8.0))),
            Self::Tanh => (4.0 * x.tanh().abs(), 4.0),
            Self::Exp => (x.exp() * (2.0 + size), x.exp() * (2.0 + size)),
        }
    }
}

/// The error function, to about 1e-15: its Taylor series near 0, a continued fraction for its
/// complement beyond (Abramowitz and Stegun 7.1.6 and 7.1.14).
fn erf(x: f64) -> f64 {
    let size = x.abs();
    if size.is_nan() {
        return x;
    }
    let value = if size < 2.5 {
        let (mut term, mut sum) = (size, size);
        for n in 1..200 {
            term *= 2.0 * size * size / (2 * n + 1) as f64;
            sum += term;
            if term < 1e-17 * sum {
                break;
            }
        }
        std::f64::consts::FRAC_2_SQRT_PI * (-size * size).exp() * sum
    } else if size < 6.5 {
        let fraction = (1..=120)
            .rev()
            .fold(size, |f, n| size + 0.5 * f64::from(n) / f);
        1.0 - (-size * size).exp() * 0.5 * std::f64::consts::FRAC_2_SQRT_PI / fraction
    } else {
        1.0
    };
    value.copysign(x)
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
    fn reference(&self, host: &mut Host<'_>) -> Result<()> {
        let x = host.read(self.x)?;
        let values = x.iter().map(|&x| self.kind.value(x)).collect();
        host.write(
            "y",
            values,
            x.iter().map(|&x| self.kind.magnitudes(x).0).collect(),
        );
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
    fn reference(&self, host: &mut Host<'_>) -> Result<()> {
        let (x, dy) = (host.read(self.x)?, host.read(self.dy)?);
        let values = x
            .iter()
            .zip(&dy)
            .map(|(&x, dy)| self.kind.derivative(x) * dy)
            .collect();
        let sizes = x
            .iter()
            .zip(&dy)
            .map(|(&x, dy)| self.kind.magnitudes(x).1 * dy.abs())
            .collect();
        host.write("dx", values, sizes);
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
    pub fn value(self, a: f64, b: f64) -> f64 {
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
    fn reference(&self, host: &mut Host<'_>) -> Result<()> {
        let (a, b) = (host.read(self.a)?, host.read(self.b)?);
        let values = a
            .iter()
            .zip(b.iter().cycle())
            .map(|(&a, &b)| self.kind.value(a, b))
            .collect();
        // The result is rounded once, to the output's type.
        host.write_exact("y", values);
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
    fn reference(&self, host: &mut Host<'_>) -> Result<()> {
        let (alpha, beta) = (f64::from(self.alpha), f64::from(self.beta));
        let x = host.read(self.x)?;
        let old = if beta == 0.0 {
            vec![0.0; x.len()]
        } else {
            host.read(self.y.as_view())?
        };
        let terms = || {
            x.iter()
                .zip(&old)
                .map(|(x, y)| (alpha * x, if beta == 0.0 { 0.0 } else { beta * y }))
        };
        let values = terms().map(|(x, y)| x + y).collect();
        host.write(
            "y",
            values,
            terms().map(|(x, y)| 2.0 * (x.abs() + y.abs())).collect(),
        );
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
    fn erf_of_known_values() {
        // Abramowitz and Stegun, table 7.1.
        for (x, want) in [
            (0.5, 0.520_499_877_813_046_5),
            (1.0, 0.842_700_792_949_714_9),
            (2.0, 0.995_322_265_018_952_7),
            (3.0, 0.999_977_909_503_001_4),
        ] {
            assert!((erf(x) - want).abs() < 2e-15, "{x}: {} {want}", erf(x));
            assert_eq!(erf(-x), -erf(x));
        }
    }

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
