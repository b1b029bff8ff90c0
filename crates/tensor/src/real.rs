//! The numbers that the meaning of an operation is computed with.
//!
//! An operation says what it computes in plain loops over any [`Real`]. With `f64` the loops
//! compute its values and nothing else: this is how a device runs an operation that its backend has
//! no kernel for. With [`Bounded`] the same loops also compute how far an evaluation in lower
//! precision may be off, from which the conformance suite derives its tolerance.

use crate::DType;
use std::fmt::Debug;
use std::ops::{Add, Div, Mul, Neg, Sub};

/// A real number: `f64`, or [`Bounded`], which also knows the rounding errors of its evaluation.
///
/// `From` makes numbers that are known exactly: operands, attributes, small integers. Comparison is
/// by value.
pub trait Real:
    Copy
    + Debug
    + PartialOrd
    + From<f64>
    + From<f32>
    + Neg<Output = Self>
    + Add<Output = Self>
    + Sub<Output = Self>
    + Mul<Output = Self>
    + Div<Output = Self>
{
    /// The value.
    fn value(self) -> f64;

    /// A number that narrower types cannot represent, such as `0.044715`, and round.
    #[must_use]
    fn constant(value: f64) -> Self;

    /// Adds a term to a sum whose terms an implementation may add in any order; with `+` it may
    /// not. A sum times an exact number is still such a sum.
    fn accumulate(&mut self, term: Self);

    /// The sum of some terms, which an implementation may add in any order.
    #[must_use]
    fn sum(terms: impl IntoIterator<Item = Self>) -> Self {
        // The start of the standard library's sums, which is -0 so that a sum of -0 stays -0.
        let mut sum = Self::from(std::iter::empty::<f64>().sum::<f64>());
        terms.into_iter().for_each(|term| sum.accumulate(term));
        sum
    }

    /// `√x`.
    #[must_use]
    fn sqrt(self) -> Self;

    /// `eˣ`.
    #[must_use]
    fn exp(self) -> Self;

    /// The natural logarithm.
    #[must_use]
    fn ln(self) -> Self;

    /// The hyperbolic tangent.
    #[must_use]
    fn tanh(self) -> Self;

    /// The error function.
    #[must_use]
    fn erf(self) -> Self;

    /// `1 - x²`, the slope of `tanh` where its value is `x`.
    #[must_use]
    fn one_minus_square(self) -> Self {
        Self::constant(1.0) - self * self
    }

    /// The smaller of two numbers; a NaN is ignored.
    #[must_use]
    fn min(self, other: Self) -> Self;

    /// The same value as an exact number. It is for values that the result does not depend on, such
    /// as the greatest score of a softmax, which is subtracted from all.
    #[must_use]
    fn as_exact(self) -> Self {
        self
    }

    /// The same value, which an implementation may round to this type before it uses it again.
    #[must_use]
    fn rounded_to(self, _dtype: DType) -> Self {
        self
    }

    /// The same value, which an implementation may take for 0 if it is below the smallest normal
    /// number of the type that it computes in: `F64` for operands of that type, otherwise `F32`.
    #[must_use]
    fn flushed(self, _dtype: DType) -> Self {
        self
    }

    /// The value rounded to `F32`, as an output of that type holds it when another output is made
    /// from it.
    #[must_use]
    fn read_back_from_f32(self) -> Self {
        self
    }
}

impl Real for f64 {
    fn value(self) -> f64 {
        self
    }

    fn constant(value: f64) -> Self {
        value
    }

    fn accumulate(&mut self, term: Self) {
        *self += term;
    }

    fn sqrt(self) -> Self {
        self.sqrt()
    }

    fn exp(self) -> Self {
        self.exp()
    }

    fn ln(self) -> Self {
        self.ln()
    }

    fn tanh(self) -> Self {
        self.tanh()
    }

    fn erf(self) -> Self {
        erf(self)
    }

    fn min(self, other: Self) -> Self {
        self.min(other)
    }

    fn read_back_from_f32(self) -> Self {
        f64::from(self as f32)
    }
}

/// A value with the error that a plain evaluation in lower precision may carry.
///
/// If every operation rounds its result by at most `u` of itself, the evaluation errs by at most
/// `u` times [`Bounded::magnitude`], to first order in `u`. An operation multiplies the errors of
/// its operands by its derivatives, adds them up, and adds its own rounding.
///
/// The last rounding is kept apart: if nothing follows, it is the rounding of the output. So a
/// product or sum of two exact numbers is known to the bit, and its magnitude is 0.
///
/// ```
/// use latimer_tensor::{Bounded, Real};
/// let [a, b, c] = [3.0, 4.0, -12.5].map(Bounded::from);
/// assert_eq!((a * b).magnitude(), 0.0);
/// assert_eq!((a * b + c).magnitude(), 12.0 + 0.5); // the product, and the sum
/// // In any order, so each of the two additions may round a partial sum of 19.5.
/// assert_eq!(Bounded::sum([a, b, c]).magnitude(), 2.0 * 19.5);
/// ```
// Its arithmetic is inlined, since the conformance suite computes everything with it.
#[derive(Clone, Copy, Debug)]
pub struct Bounded {
    value: f64,
    /// The error from everything but the last operation, in units of `u`.
    error: f64,
    /// How often the last operation rounds: once, or in a sum once fewer than it has terms; 0 if
    /// the number is exact.
    roundings: f64,
    /// The greatest number that it rounds: the value, or in a sum the sum of the absolute terms.
    size: f64,
}

/// The finest unit roundoff: that of `f64`, which the values are computed in.
const FINEST: f64 = f64::EPSILON / 2.0;
/// An error of [`FINEST`], counted in units of `F32`.
const FINEST_IN_F32: f64 = FINEST / DType::F32.unit_roundoff();

impl Bounded {
    /// A value of this magnitude.
    #[must_use]
    #[inline]
    pub fn new(value: f64, magnitude: f64) -> Self {
        Self {
            value,
            error: magnitude,
            roundings: 0.0,
            size: value.abs(),
        }
    }

    /// The bound of the error in units of `u`; 0 if only the rounding of an output changes the
    /// value.
    #[must_use]
    #[inline]
    pub fn magnitude(self) -> f64 {
        if self.error == 0.0 && self.roundings <= 1.0 {
            0.0
        } else {
            self.total()
        }
    }

    /// A result of one operation that rounds once, and the error that it got from its operands.
    #[inline]
    fn rounded(value: f64, error: f64) -> Self {
        Self {
            roundings: 1.0,
            ..Self::new(value, error)
        }
    }

    /// A result of an elementary function. Those are right to two units rather than half a one.
    fn function(value: f64, error: f64) -> Self {
        Self::rounded(value, error + value.abs())
    }

    /// A result of a function that approaches 1 and never exceeds it, so it is off by at most its
    /// distance to 1, or by `own` if that is less.
    fn saturating(value: f64, error: f64, own: f64) -> Self {
        let to_one = (1.0 - value.abs()) / FINEST + FINEST_IN_F32;
        Self::new(value, error + own.min(to_one))
    }

    /// The error, the last rounding included.
    #[inline]
    fn total(self) -> f64 {
        self.error + times(self.roundings, self.size)
    }
}

/// The product of an error and a factor; an error of 0 stays 0, even times infinity.
#[inline]
fn times(error: f64, factor: f64) -> f64 {
    if error == 0.0 {
        0.0
    } else {
        error * factor.abs()
    }
}

impl PartialEq for Bounded {
    fn eq(&self, other: &Self) -> bool {
        self.value == other.value
    }
}

impl PartialOrd for Bounded {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        self.value.partial_cmp(&other.value)
    }
}

impl From<f64> for Bounded {
    #[inline]
    fn from(value: f64) -> Self {
        Self::new(value, 0.0)
    }
}

impl From<f32> for Bounded {
    #[inline]
    fn from(value: f32) -> Self {
        Self::new(value.into(), 0.0)
    }
}

impl Neg for Bounded {
    type Output = Self;

    #[inline]
    fn neg(self) -> Self {
        let value = -self.value;
        Self { value, ..self }
    }
}

impl Add for Bounded {
    type Output = Self;

    #[inline]
    fn add(self, other: Self) -> Self {
        Self::rounded(self.value + other.value, self.total() + other.total())
    }
}

impl Sub for Bounded {
    type Output = Self;

    #[inline]
    fn sub(self, other: Self) -> Self {
        self + -other
    }
}

impl Mul for Bounded {
    type Output = Self;

    #[inline]
    fn mul(self, other: Self) -> Self {
        let value = self.value * other.value;
        let passed = |a: Self, b: Self| times(a.total(), b.value);
        match [self, other] {
            [one, x] | [x, one] if one.value.abs() == 1.0 && one.total() == 0.0 => {
                Self { value, ..x }
            }
            // Every term of the sum may be multiplied instead.
            [factor, sum] | [sum, factor] if factor.total() == 0.0 && sum.roundings > 1.0 => Self {
                value,
                error: times(sum.error, factor.value) + value.abs(),
                roundings: sum.roundings,
                size: times(sum.size, factor.value),
            },
            [a, b] => Self::rounded(value, passed(a, b) + passed(b, a)),
        }
    }
}

impl Div for Bounded {
    type Output = Self;

    #[inline]
    fn div(self, other: Self) -> Self {
        let value = self.value / other.value;
        if other.value.is_infinite() {
            return Self::rounded(value, 0.0);
        }
        let passed = self.total() + times(other.total(), value);
        Self::rounded(value, times(passed, 1.0 / other.value))
    }
}

impl Real for Bounded {
    #[inline]
    fn value(self) -> f64 {
        self.value
    }

    fn constant(value: f64) -> Self {
        Self::rounded(value, 0.0)
    }

    #[inline]
    fn accumulate(&mut self, term: Self) {
        let (sum, error) = (*self, term.total());
        let value = sum.value + term.value;
        let is_zero = |x: Self, error: f64| x.value == 0.0 && error == 0.0;
        *self = if is_zero(sum, sum.total()) {
            // Adding to 0 rounds nothing.
            Self {
                value,
                ..Self::new(term.value, error)
            }
        } else {
            Self {
                value,
                error: sum.error + error,
                roundings: sum.roundings + f64::from(u8::from(!is_zero(term, error))),
                size: sum.size + term.value.abs(),
            }
        };
    }

    fn sqrt(self) -> Self {
        let value = self.value.sqrt();
        Self::function(value, times(self.total(), 0.5 / value))
    }

    fn exp(self) -> Self {
        let value = self.value.exp();
        // The argument is scaled to a power of two, and rounded, before it is an exponent.
        let error = self.total() + self.value.abs();
        Self::function(value, times(value, error))
    }

    fn ln(self) -> Self {
        Self::function(self.value.ln(), times(self.total(), 1.0 / self.value))
    }

    fn tanh(self) -> Self {
        let value = self.value.tanh();
        let slope = 1.0 - value * value;
        Self::saturating(value, times(self.total(), slope), 2.0 * value.abs())
    }

    fn erf(self) -> Self {
        let slope = std::f64::consts::FRAC_2_SQRT_PI * (-self.value * self.value).exp();
        // Implementations approximate the distance to 1, so the error is not relative to the value.
        Self::saturating(erf(self.value), times(self.total(), slope), 5.0)
    }

    fn one_minus_square(self) -> Self {
        let value = 1.0 - self.value * self.value;
        // The square, too, cannot be off by more than its distance to 1.
        let own = (self.value * self.value).min(value.abs() / FINEST);
        Self::rounded(value, times(self.total(), 2.0 * self.value) + own)
    }

    fn min(self, other: Self) -> Self {
        let value = self.value.min(other.value);
        // An error may make the other one the smaller one if they are close.
        let close = |x: &Self| (x.value - value).abs() <= 0.01 * value.abs();
        let totals = [self, other].into_iter().filter(close).map(Self::total);
        Self::new(value, totals.fold(0.0, f64::max))
    }

    fn as_exact(self) -> Self {
        Self::from(self.value)
    }

    fn rounded_to(self, dtype: DType) -> Self {
        match dtype {
            // This rounding is the last operation's own.
            DType::F64 | DType::F32 => self,
            narrow => {
                let units = narrow.unit_roundoff() / DType::F32.unit_roundoff();
                let error = self.error + times(units, self.value);
                Self { error, ..self }
            }
        }
    }

    fn flushed(self, dtype: DType) -> Self {
        let smallest = match dtype {
            DType::F64 => f64::MIN_POSITIVE / DType::F64.unit_roundoff(),
            _ => f64::from(f32::MIN_POSITIVE) / DType::F32.unit_roundoff(),
        };
        let error = self.error + smallest;
        Self { error, ..self }
    }

    fn read_back_from_f32(self) -> Self {
        let value = f64::from(self.value as f32);
        Self { value, ..self }
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

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: Bounded = Bounded {
        value: 1.0,
        error: 0.0,
        roundings: 0.0,
        size: 1.0,
    };

    /// A number that carries an error of `error` units.
    fn off(value: f64, error: f64) -> Bounded {
        Bounded::new(value, error)
    }

    #[test]
    fn one_rounding_is_the_outputs_own() {
        let [a, b] = [3.0, -0.5].map(Bounded::from);
        for once in [a * b, a + b, a - b, a / b, Bounded::sum([a, b]), -a, a] {
            assert_eq!(once.magnitude(), 0.0);
        }
        assert_eq!((a * b * a).magnitude(), 4.5 + 4.5);
        assert_eq!(a.sqrt().magnitude(), 2.0 * 3f64.sqrt());
    }

    #[test]
    fn a_sum_is_bounded_in_any_order() {
        let terms = [1e8, -1e8, 3.0, 0.5].map(Bounded::from);
        let size = 2e8 + 3.5;
        assert_eq!(Bounded::sum(terms).magnitude(), 3.0 * size);
        // In this order the partial sums are 0, 3 and 3.5.
        let [a, b, c, d] = terms;
        assert_eq!((a + b + c + d).magnitude(), 6.5);
        // A factor multiplies all terms, and the product is rounded.
        let mut scaled = Bounded::from(0.5) * Bounded::sum(terms);
        assert_eq!(scaled.magnitude(), 1.5 * size + 1.75);
        scaled.accumulate(Bounded::from(4.0));
        assert_eq!(scaled.magnitude(), 4.0 * (0.5 * size + 4.0) + 1.75);
        // Zeros round nothing.
        let zero = Bounded::from(0.0);
        assert_eq!(Bounded::sum([zero, ONE, zero]).magnitude(), 0.0);
    }

    #[test]
    fn errors_grow_by_the_derivative() {
        let x = off(2.0, 10.0);
        // The derivative times 10, the function's own error and its rounding.
        let near = |got: Bounded, want: f64| {
            let got = got.magnitude();
            assert!((got - want).abs() <= 1e-12 * want, "{got}, {want}");
        };
        near(x.sqrt(), 10.0 / (2.0 * 2f64.sqrt()) + 2.0 * 2f64.sqrt());
        near(x.ln(), 10.0 / 2.0 + 2.0 * 2f64.ln());
        near(x.exp(), 2f64.exp() * (10.0 + 2.0 + 2.0));
        near(x.tanh(), 10.0 / 2f64.cosh().powi(2) + 2.0 * 2f64.tanh());
        near(x * x, 2.0 * 2.0 * 10.0 + 4.0);
        near(ONE / x, 10.0 / 4.0 + 0.5);
        near(x - ONE, 10.0 + 1.0);
        near(ONE * x, 10.0);
        near(x.rounded_to(DType::Bf16), 10.0 + 2.0 * 65536.0);
        near(x.as_exact() * x, 2.0 * 10.0 + 4.0);
    }

    #[test]
    fn saturated_functions_are_nearly_exact() {
        let x = off(40.0, 1.0);
        assert!(x.tanh().magnitude() < 1e-8);
        assert!((off(-40.0, 1.0).erf() + ONE).magnitude() < 1e-8);
        assert!(x.tanh().one_minus_square().magnitude() < 1e-8);
    }

    #[test]
    fn infinities_leave_finite_results_bounded() {
        let [infinite, x] = [f64::INFINITY, 3.0].map(Bounded::from);
        assert_eq!((x / infinite).magnitude(), 0.0);
        assert_eq!((-infinite).exp().magnitude(), 0.0);
        assert_eq!((-infinite - x).exp().magnitude(), 0.0);
    }

    #[test]
    fn a_minimum_that_is_close_may_be_either() {
        let limited = |x: f64| off(x, 7.0).min(ONE).magnitude();
        assert_eq!([0.5, 1.001, 2.0].map(limited), [7.0, 7.0, 0.0]);
    }

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
}
