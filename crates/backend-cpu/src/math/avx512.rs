//! Exponentials written with intrinsics: rounding and the power of two are one instruction each.

use super::{EXP, LN2_HIGH, LN2_LOW};
use std::arch::x86_64::{
    __m512, __mmask16, _CMP_NLT_UQ, _mm512_add_ps, _mm512_cmp_ps_mask, _mm512_fmadd_ps,
    _mm512_fnmadd_ps, _mm512_mask_add_ps, _mm512_mask_storeu_ps, _mm512_maskz_loadu_ps,
    _mm512_maskz_scalef_ps, _mm512_mul_ps, _mm512_reduce_add_ps, _mm512_roundscale_ps,
    _mm512_set1_ps, _mm512_setzero_ps, _mm512_sub_ps,
};
use std::f32::consts::LOG2_E;

/// Floats of a vector.
const LANES: usize = 16;

/// `(2^r - 1) / r` for `|r| <= 1/2`, interpolated at Chebyshev nodes: leaves a relative error of
/// 1e-8 in `2^r`.
const POWER: [f32; 6] = [
    std::f32::consts::LN_2,
    0.240_226_5,
    0.055_503_57,
    0.009_618_083,
    0.001_339_086_3,
    0.000_154_531_63,
];

/// `2^x` to 1.5 ulp in the lanes of `keep`; 0 in others and below the least subnormal. NaN stays.
#[inline]
#[target_feature(enable = "avx512f")]
pub(crate) fn power_of_two(x: __m512, keep: __mmask16) -> __m512 {
    // Masked lanes are excluded here, because underflowing lanes would be slowed by subnormals.
    let keep = keep & _mm512_cmp_ps_mask::<_CMP_NLT_UQ>(x, _mm512_set1_ps(-150.0));
    let n = _mm512_roundscale_ps::<0>(x);
    let r = _mm512_sub_ps(x, n);
    let mut sum = _mm512_set1_ps(POWER[5]);
    for c in POWER[..5].iter().rev() {
        sum = _mm512_fmadd_ps(sum, r, _mm512_set1_ps(*c));
    }
    let power = _mm512_fmadd_ps(sum, r, _mm512_set1_ps(1.0));
    _mm512_maskz_scalef_ps(keep, power, n)
}

/// `e^x` to 1.5 ulp for `x` below infinity, as [`super::exp`].
#[inline]
#[target_feature(enable = "avx512f")]
fn exp(x: __m512) -> __m512 {
    let keep = _mm512_cmp_ps_mask::<_CMP_NLT_UQ>(x, _mm512_set1_ps(-105.0));
    let n = _mm512_roundscale_ps::<0>(_mm512_mul_ps(x, _mm512_set1_ps(LOG2_E)));
    let r = _mm512_fnmadd_ps(n, _mm512_set1_ps(LN2_HIGH), x);
    let r = _mm512_fnmadd_ps(n, _mm512_set1_ps(LN2_LOW), r);
    let mut sum = _mm512_set1_ps(EXP[4]);
    for c in EXP[..4].iter().rev() {
        sum = _mm512_fmadd_ps(sum, r, _mm512_set1_ps(*c));
    }
    let tail = _mm512_fmadd_ps(_mm512_mul_ps(sum, r), r, r);
    let power = _mm512_add_ps(_mm512_set1_ps(1.0), tail);
    _mm512_maskz_scalef_ps(keep, power, n)
}

/// Replaces every `x` by `e^(x - most)` and returns the sum of these: 32 partial sums.
#[target_feature(enable = "avx512f")]
pub(crate) fn exponentials(x: &mut [f32], most: f32) -> f32 {
    let most = _mm512_set1_ps(most);
    let mut sums = [_mm512_setzero_ps(); 2];
    for x in x.chunks_mut(2 * LANES) {
        for (part, sum) in x.chunks_mut(LANES).zip(&mut sums) {
            let mask: __mmask16 = u16::MAX >> (LANES - part.len());
            let at = part.as_mut_ptr();
            // SAFETY: lanes beyond the part are masked.
            #[expect(unsafe_code, reason = "lanes are those of a slice")]
            let value = unsafe { _mm512_maskz_loadu_ps(mask, at) };
            let value = exp(_mm512_sub_ps(value, most));
            *sum = _mm512_mask_add_ps(*sum, mask, *sum, value);
            // SAFETY: as above.
            #[expect(unsafe_code, reason = "lanes are those of a slice")]
            unsafe {
                _mm512_mask_storeu_ps(at, mask, value);
            };
        }
    }
    _mm512_reduce_add_ps(_mm512_add_ps(sums[0], sums[1]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simd::{Level, level};
    use std::arch::x86_64::_mm512_storeu_ps;

    #[test]
    #[expect(unsafe_code, reason = "what is tested")]
    fn powers_of_two_are_within_their_bound() {
        if level() != Level::Avx512 {
            return;
        }
        let power = |x: f32| {
            let mut y = [0.0f32; 16];
            // SAFETY: the CPU supports AVX-512, and `y` is a vector long.
            unsafe { _mm512_storeu_ps(y.as_mut_ptr(), power_of_two(_mm512_set1_ps(x), u16::MAX)) };
            y[0]
        };
        for i in -126_000..126_000 {
            let x = i as f32 / 1000.0;
            let want = f64::from(x).exp2();
            let error = (f64::from(power(x)) / want - 1.0).abs();
            assert!(error <= 1.5 * f64::from(f32::EPSILON), "{x}");
        }
        assert_eq!(power(f32::NEG_INFINITY), 0.0);
        assert_eq!(power(-149.0), f32::from_bits(1));
        assert!(power(f32::NAN).is_nan());
    }

    #[test]
    fn exponentials_are_those_of_the_plain_loop() {
        if level() != Level::Avx512 {
            return;
        }
        for n in [1, 16, 31, 32, 100] {
            let x: Vec<f32> = (0..n).map(|i| i as f32 * -1.7 + 3.0).collect();
            let mut y = x.clone();
            // SAFETY: the CPU supports AVX-512.
            #[expect(unsafe_code, reason = "what is tested")]
            let total = unsafe { exponentials(&mut y, 3.0) };
            let want: Vec<f64> = x.iter().map(|&x| f64::from(x - 3.0).exp()).collect();
            for (&got, &want) in y.iter().zip(&want) {
                let error = (f64::from(got) - want).abs();
                assert!(
                    error <= 2.0 * f64::from(f32::EPSILON) * want + 1e-44,
                    "{want}"
                );
            }
            assert!((f64::from(total) - want.iter().sum::<f64>()).abs() < 1e-6);
        }
        let mut odd = [f32::NAN, f32::NEG_INFINITY, 0.0];
        // SAFETY: as above.
        #[expect(unsafe_code, reason = "what is tested")]
        let total = unsafe { exponentials(&mut odd, 0.0) };
        assert!(total.is_nan() && odd[0].is_nan());
        assert_eq!(odd[1..], [0.0, 1.0]);
    }
}
