//! How close a result must be to the meaning.
//!
//! Let `want` be the meaning of a value, computed with [`Bounded`] numbers, and `magnitude` what it
//! knows of its error ([`Bounded::magnitude`]): the sum of all the terms that a straightforward
//! evaluation rounds, each as often as it is rounded (n·Σ|aᵢbᵢ| for a sum of n products). An
//! evaluation in precision `u_acc` whose every rounding is of relative size `u_acc` then errs, to
//! first order, by at most `u_acc · magnitude`; what it stores is rounded once more, by `u_out` of
//! itself. So
//!
//! `|got - want| <= u_out·(|want| + e) + e + floor`, `e = C·u_acc·magnitude`
//!
//! - `u_acc` is `F32`'s 2⁻²⁴, also for `Bf16` and `F16` operands, which are widened on the way in
//!   and rounded on the way out; `F64`'s for `F64`. Attention rounds once in between, its weights;
//!   its meaning says so ([`Real::rounded_to`]).
//! - [`C`] is the only constant that is not counted.
//! - `floor` is where relative roundings end: [`floor`]. Below it results may be flushed to zero.
//! - A value of magnitude 0 is exact: what one rounding of `want` gives (or two, through the
//!   accumulation type, where the output is narrower), and nothing else.
//! - Where one rounding of `want` overflows, the infinity of that sign is expected; within the
//!   tolerance of the largest number, either.
//! - `want` NaN asks for NaN, `want` infinite for that infinity, and nothing else may be either.
//!   A finite `want` whose magnitude is not finite may be any number.
//!
//! # The rule of the same precision
//!
//! The bound above is for the worst signs of all roundings. A long sum uses a tenth of it, so a
//! fault of a few roundings would go unnoticed. A tensor as a whole must therefore also be about as
//! precise as a naive evaluation of the equation in the accumulation type: as it stands, every sum
//! from left to right, widened inputs, the result rounded once to the output. Over a tensor of at
//! least
//! [`SPREAD`] finite elements
//!
//! `max|got - want| <= 2·max|naive - want| + u_out·max|want| + floor`
//!
//! The naive run has the same operands, so it suffers from their sizes and cancellations as well.
//! Why 2: another order of evaluation has other roundings, and the largest among hundreds may be
//! somewhat larger by chance; kernels sum in blocks, which loses less; and twice is what Flash
//! Attention's tests allow against a plain implementation in the same precision. The one rounding
//! of the output covers cases in which the naive run happens to be exact.
//!
//! Hundreds of elements do not always have hundreds of independent errors. All elements of an
//! attention row share the errors of its scores. If most rows have one weight of almost 1, the few
//! rows in which two keys compete decide the maximum; a naive run that is lucky in one score then
//! loses a tenth of what it loses with other operands. So a case that breaks the rule is drawn
//! again from other seeds, [`DRAWS`] times in all, and fails if it breaks the rule in most of them:
//! luck does not last, a lossy kernel does. (In 1500 cases an operation, the `F32` CPU backend
//! breaks it once in 8 of attention, 17 of its backward, 6 of decoding, 2 of the functions'
//! derivatives and one each of the norms; in 1000 cases, none breaks it in most draws.)
//!
//! The rule applies to the operations that add up or take exponentials (products, reductions,
//! norms, softmax, attention, losses, functions), on finite operands. It does not apply to `F64`,
//! which is the oracle's own precision, or to sums of squares, which have a single value and so no
//! greatest error among many.
//!
//! [`Real::rounded_to`]: latimer_tensor::Real::rounded_to

use crate::oracle::{rounded, widened};
use latimer_tensor::{Bounded, DType, Real, Result, Written};

/// The factor of the first-order bound. Two things make at most the bound again: the higher-order
/// terms (at most `magnitude·u_acc` times itself, which is well below 1 in every case drawn), and
/// the few roundings that another order of evaluation adds (the rescaling of a running softmax, a
/// fused bias). Measured: over 150 cases an operation, the CPU backend errs by up to 0.94 times
/// `u_acc · magnitude`, beyond the rounding of the output, in sums of few terms, by 0.84 times in
/// GELU, and by at most half of it elsewhere.
pub const C: f64 = 2.0;

/// The absolute error that is always allowed. For `F32`, `Bf16` and `F64` it is four times the
/// smallest normal number of the accumulation type, so that a result and three terms may be flushed
/// to zero. For `F16`, whose small numbers are normal `F32`s, it is the spacing of its subnormals,
/// 2⁻²⁴.
#[must_use]
pub fn floor(output: DType) -> f64 {
    match output {
        DType::F64 => 4.0 * f64::MIN_POSITIVE,
        DType::F16 => 2f64.powi(-24),
        _ => 4.0 * f64::from(f32::MIN_POSITIVE),
    }
}

/// The largest finite number of a float type.
fn largest(dtype: DType) -> f64 {
    match dtype {
        DType::F16 => 65504.0,
        DType::Bf16 => (2.0 - 2f64.powi(-7)) * 2f64.powi(127),
        DType::F64 => f64::MAX,
        _ => f64::from(f32::MAX),
    }
}

/// The lowest precision in which an operation on `operands` may accumulate an `output`.
#[must_use]
pub fn accumulation(operands: DType, output: DType) -> DType {
    if operands == DType::F64 && output == DType::F64 {
        DType::F64
    } else {
        DType::F32
    }
}

/// Describes in a sentence the first value that is not close enough; `None` if all are.
///
/// `got` are the raw elements of an output of type `output`, `want` its meaning, `operands` the
/// type of the operation's main operands.
///
/// # Errors
/// If the reference device fails.
pub fn first_misfit(
    want: &Written<Bounded>,
    got: &[u8],
    output: DType,
    operands: DType,
) -> Result<Option<String>> {
    let accumulate = accumulation(operands, output);
    let got = widened(got, output)?;
    let exact: Vec<f64> = want.values.iter().map(|want| want.value()).collect();
    let once = widened(&rounded(&exact, output)?, output)?;
    let twice = if output.is_float() {
        let stage = widened(&rounded(&exact, accumulate)?, accumulate)?;
        widened(&rounded(&stage, output)?, output)?
    } else {
        once.clone()
    };
    let name = want.operand;
    for (i, &got) in got.iter().enumerate() {
        let (exact, magnitude) = (exact[i], want.values[i].magnitude());
        let fits = got == once[i] || (got.is_nan() && exact.is_nan());
        if fits || (magnitude == 0.0 && got == twice[i]) {
            continue;
        }
        let allowed = if exact.is_nan() || exact.is_infinite() || magnitude == 0.0 {
            0.0
        } else if magnitude.is_finite() {
            let error = C * accumulate.unit_roundoff() * magnitude;
            output.unit_roundoff() * (exact.abs() + error) + error + floor(output)
        } else {
            f64::INFINITY
        };
        let overflows = got.is_infinite()
            && got.is_sign_negative() == exact.is_sign_negative()
            && exact.is_finite()
            && exact.abs() + allowed >= largest(output)
            && magnitude.is_finite();
        let close = got.is_finite() && allowed > 0.0 && (got - exact).abs() <= allowed;
        if !(close || overflows) {
            let expected = if allowed > 0.0 { exact } else { once[i] };
            return Ok(Some(format!(
                "{name}[{i}] is {got:e}, expected {expected:e} within {allowed:e}"
            )));
        }
    }
    Ok(None)
}

/// The smallest number of finite elements for which the greatest error is meaningful.
pub const SPREAD: usize = 256;

/// How often a case that breaks the rule of the same precision is drawn, the first time included;
/// odd, so that there is a majority. A case that breaks it by luck with probability `p` breaks it
/// in most of nine draws with probability `70·p⁴`, given the first: 6e-5 for 0.03, and 0.006 for
/// 0.1, where single scores decide.
pub const DRAWS: usize = 9;

/// The greatest error of a tensor, and the greatest that the rule of the same precision allows.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Spread {
    /// `max|got - want|`.
    pub error: f64,
    /// `max|naive - want|`, the naive result rounded once to the output's type.
    pub naive: f64,
    /// The largest value that [`Spread::error`] may have.
    pub allowed: f64,
    /// The element with the greatest error.
    pub element: usize,
}

impl Spread {
    /// Counts the elements that are finite in all three; `None` if there are fewer than [`SPREAD`].
    ///
    /// # Errors
    /// If the reference device fails.
    pub fn of(
        want: &Written<Bounded>,
        got: &[u8],
        naive: &[f32],
        output: DType,
    ) -> Result<Option<Self>> {
        let naive: Vec<f64> = naive.iter().map(|&x| x.into()).collect();
        let naive = widened(&rounded(&naive, output)?, output)?;
        let got = widened(got, output)?;
        let (mut finite, mut greatest) = (0, 0.0f64);
        let mut all = Self {
            error: 0.0,
            naive: 0.0,
            allowed: 0.0,
            element: 0,
        };
        for (i, ((want, got), naive)) in want.values.iter().zip(got).zip(naive).enumerate() {
            let want = want.value();
            if !(want.is_finite() && got.is_finite() && naive.is_finite()) {
                continue;
            }
            finite += 1;
            greatest = greatest.max(want.abs());
            all.naive = all.naive.max((naive - want).abs());
            if (got - want).abs() > all.error {
                (all.error, all.element) = ((got - want).abs(), i);
            }
        }
        all.allowed = 2.0 * all.naive + output.unit_roundoff() * greatest + floor(output);
        Ok(Some(all).filter(|_| finite >= SPREAD))
    }

    /// The part of the allowed error that is used; above 1 is too much.
    #[must_use]
    pub fn used(&self) -> f64 {
        self.error / self.allowed
    }
}

impl std::fmt::Display for Spread {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self {
            error,
            naive,
            allowed,
            element,
        } = self;
        write!(
            f,
            "errs by {error:e} at [{element}], a naive evaluation by {naive:e}: {allowed:e} is allowed"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use latimer_tensor::dtype::bytes_of;

    fn misfit(value: f64, magnitude: f64, got: f32) -> Option<String> {
        let want = Written {
            operand: "y",
            values: vec![Bounded::new(value, magnitude)],
        };
        first_misfit(&want, &got.to_ne_bytes(), DType::F32, DType::F32).unwrap()
    }

    #[test]
    fn magnitude_0_is_exact() {
        assert_eq!(misfit(0.1, 0.0, 0.1), None);
        assert!(misfit(0.1, 0.0, 0.1f32.next_up()).is_some());
        assert_eq!(misfit(0.1, 1.0, 0.1f32.next_up()), None);
    }

    #[test]
    fn the_bound_is_counted_in_units_of_roundoff() {
        let u = DType::F32.unit_roundoff();
        assert_eq!(misfit(0.0, 10.0, (19.9 * u) as f32), None);
        assert!(misfit(0.0, 10.0, (20.1 * u) as f32).is_some());
    }

    #[test]
    fn what_is_no_number_must_be_that() {
        assert_eq!(misfit(f64::NAN, f64::NAN, f32::NAN), None);
        assert!(misfit(f64::NAN, f64::NAN, 1.0).is_some());
        assert!(misfit(1.0, f64::INFINITY, f32::NAN).is_some());
        assert!(misfit(1.0, f64::INFINITY, f32::INFINITY).is_some());
        assert_eq!(misfit(1.0, f64::INFINITY, 2.0), None);
        assert!(misfit(f64::INFINITY, 1.0, f32::NEG_INFINITY).is_some());
    }

    #[test]
    fn overflow_is_an_infinity() {
        assert_eq!(misfit(1e39, 1.0, f32::INFINITY), None);
        assert!(misfit(1e39, 1.0, f32::MAX).is_some());
        assert!(misfit(1e38, 1.0, f32::INFINITY).is_some());
        let edge = f64::from(f32::MAX);
        assert_eq!(misfit(edge, 4.0 * edge, f32::INFINITY), None);
    }

    #[test]
    fn a_tensor_may_lose_twice_what_the_naive_run_loses() {
        let u = DType::F32.unit_roundoff();
        let want = Written {
            operand: "y",
            values: vec![Bounded::new(1.0, 1e6); SPREAD],
        };
        let spread = |got: f64, naive: f64, n: usize| {
            let mut all = vec![1.0f32; n];
            all[n / 2] = got as f32;
            let want = Written {
                values: want.values[..n].to_vec(),
                ..want
            };
            let (got, naive) = (bytes_of(&all).to_vec(), vec![naive as f32; n]);
            Spread::of(&want, &got, &naive, DType::F32).unwrap()
        };
        // The naive run allows 2·4u, the rounding of the output u.
        let used = |got| spread(1.0 + got * u, 1.0 - 4.0 * u, SPREAD).unwrap().used();
        assert!(used(8.0) < 1.0, "{}", used(8.0));
        assert!(used(10.0) > 1.0, "{}", used(10.0));
        let spread_at = spread(1.0 + 10.0 * u, 1.0, SPREAD).unwrap().element;
        assert_eq!(spread_at, SPREAD / 2);
        assert_eq!(spread(2.0, 1.0, SPREAD - 1), None, "too few to judge");
    }
}
