//! How close is close enough.
//!
//! Let `want` be the f64 meaning of a value and `magnitude` what [`Host::write`] got with it: the
//! sum of all the terms that a straightforward evaluation rounds, each as often as it is rounded
//! (n·Σ|aᵢbᵢ| for a sum of n products). An evaluation in precision `u_acc` whose every rounding is
//! of relative size `u_acc` then errs, to first order, by at most `u_acc · magnitude`; what it
//! stores is rounded once more, by `u_out` of itself. So
//!
//! `|got - want| <= u_out·(|want| + e) + e + floor`, `e = C·u_acc·magnitude`
//!
//! - `u_acc` is `F32`'s 2⁻²⁴, also for `Bf16` and `F16` operands, which are widened on the way in
//!   and rounded on the way out; `F64`'s for `F64`.
//! - [`C`] is the only constant that is not counted.
//! - `floor` is where relative roundings end: [`floor`]. Below it results may be flushed to zero.
//! - A value of magnitude 0 is exact: what one rounding of `want` gives (or two, through the
//!   accumulation type, where the output is narrower), and nothing else.
//! - Where one rounding of `want` overflows, the infinity of that sign is expected; within the
//!   tolerance of the largest number, either.
//! - `want` NaN asks for NaN, `want` infinite for that infinity, and nothing else may be either.
//!   A finite `want` whose magnitude is not finite may be any number.
//!
//! [`Host::write`]: latimer_tensor::Host::write

use crate::oracle::{rounded, widened};
use latimer_tensor::{DType, Result, Written};

/// What the first-order bound is multiplied by: the higher-order terms (at most `magnitude·u_acc`
/// times itself, and that is well below 1 in every case drawn) and the few roundings that
/// another order of evaluation adds (the rescaling of a running softmax, a fused bias, an
/// elementary function that is right to two units rather than half a one) make at most the bound
/// again. Measured: over 200 cases an operation, the `F32` CPU backend errs by up to 1.02 times
/// `u_acc · magnitude` in GELU, 0.5 times in short sums, 0.05 to 0.2 times in long ones.
pub const C: f64 = 2.0;

/// The absolute error always allowed. For `F32`, `Bf16` and `F64`: four times the smallest normal
/// number of the accumulation type, so that a result and three terms may be flushed to zero.
/// For `F16`, whose small numbers are normal `F32`s, the distance of its subnormals, 2⁻²⁴.
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

/// The precision that an operation on `operands` accumulates an `output` in, at the least.
#[must_use]
pub fn accumulation(operands: DType, output: DType) -> DType {
    if operands == DType::F64 && output == DType::F64 {
        DType::F64
    } else {
        DType::F32
    }
}

/// The first value that is not close enough, as a sentence.
///
/// `got` are the raw elements of an output of type `output`, `want` its meaning, `operands` the
/// type of the operation's main operands.
///
/// # Errors
/// When the reference device fails.
pub fn first_misfit(
    want: &Written,
    got: &[u8],
    output: DType,
    operands: DType,
) -> Result<Option<String>> {
    let accumulate = accumulation(operands, output);
    let got = widened(got, output)?;
    let once = widened(&rounded(&want.values, output)?, output)?;
    let twice = if output.is_float() {
        let stage = widened(&rounded(&want.values, accumulate)?, accumulate)?;
        widened(&rounded(&stage, output)?, output)?
    } else {
        once.clone()
    };
    let name = want.operand;
    for (i, &got) in got.iter().enumerate() {
        let (exact, magnitude) = (want.values[i], want.magnitudes[i]);
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

#[cfg(test)]
mod tests {
    use super::*;

    fn misfit(value: f64, magnitude: f64, got: f32) -> Option<String> {
        let want = Written {
            operand: "y",
            values: vec![value],
            magnitudes: vec![magnitude],
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
}
