//! GELU (by tanh) for AVX-512, from `s = 1/(1 + e^(-2u))` alone: with `e = 2^(-|z|)`, which cannot
//! overflow, `s` is `1/(1 + e)` on one side of 0 and `e/(1 + e)` on the other, and `s·(1 - s)` is
//! `e/(1 + e)²` on both. A reciprocal refined once takes the place of the quotient, which alone would
//! take as long as all the rest.

use super::GELU;
use crate::math::avx512::power_of_two;
use crate::real::Real;
use std::arch::x86_64::{
    __m512, __mmask16, _CMP_GT_OQ, _mm512_abs_ps, _mm512_add_ps, _mm512_cmp_ps_mask,
    _mm512_fmadd_ps, _mm512_fnmadd_ps, _mm512_loadu_ps, _mm512_mask_mul_ps, _mm512_min_ps,
    _mm512_mul_ps, _mm512_rcp14_ps, _mm512_set1_ps, _mm512_setzero_ps, _mm512_storeu_ps,
    _mm512_sub_ps,
};

/// Floats of a vector.
const LANES: usize = 16;

/// `y = gelu(x)`, of equal lengths.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma")]
pub(super) fn value<E: Real>(x: &[E], y: &mut [E]) {
    let (xs, x_tail) = x.as_chunks::<LANES>();
    let (ys, y_tail) = y.as_chunks_mut::<LANES>();
    for (x, y) in xs.iter().zip(ys) {
        *y = store(values(load(x)));
    }
    let y: [E; LANES] = store(values(load(&padded(x_tail))));
    y_tail.copy_from_slice(&y[..y_tail.len()]);
}

/// `dx = gelu'(x)·dy`, of equal lengths.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma")]
pub(super) fn derivative<E: Real>(x: &[E], dy: &[E], dx: &mut [E]) {
    let (xs, x_tail) = x.as_chunks::<LANES>();
    let (dys, dy_tail) = dy.as_chunks::<LANES>();
    let (dxs, dx_tail) = dx.as_chunks_mut::<LANES>();
    for ((x, dy), dx) in xs.iter().zip(dys).zip(dxs) {
        *dx = store(_mm512_mul_ps(derivatives(load(x)), load(dy)));
    }
    let (x, dy) = (padded(x_tail), padded(dy_tail));
    let dx: [E; LANES] = store(_mm512_mul_ps(derivatives(load(&x)), load(&dy)));
    dx_tail.copy_from_slice(&dx[..dx_tail.len()]);
}

/// The last elements of a slice, padded with zeros.
fn padded<E: Real>(tail: &[E]) -> [E; LANES] {
    std::array::from_fn(|i| tail.get(i).copied().unwrap_or(E::store(0.0)))
}

#[inline]
#[target_feature(enable = "avx512f")]
fn load<E: Real>(x: &[E; LANES]) -> __m512 {
    let x = x.map(E::load);
    // SAFETY: 16 floats.
    #[expect(unsafe_code, reason = "a load from an array of the right length")]
    unsafe {
        _mm512_loadu_ps(x.as_ptr())
    }
}

#[inline]
#[target_feature(enable = "avx512f")]
fn store<E: Real>(y: __m512) -> [E; LANES] {
    let mut floats = [0.0; LANES];
    // SAFETY: 16 floats.
    #[expect(unsafe_code, reason = "a store to an array of the right length")]
    unsafe {
        _mm512_storeu_ps(floats.as_mut_ptr(), y);
    }
    floats.map(E::store)
}

/// `e`, `1/(1 + e)`, and a mask of the lanes where `z` is above 0.
#[inline]
#[target_feature(enable = "avx512f,avx512dq")]
fn parts(x: __m512) -> (__m512, __m512, __mmask16) {
    let [a, b] = GELU.map(|c| _mm512_set1_ps(c * std::f32::consts::LOG2_E));
    let z = _mm512_mul_ps(x, _mm512_fmadd_ps(_mm512_mul_ps(b, x), x, a));
    let above = _mm512_cmp_ps_mask::<_CMP_GT_OQ>(z, _mm512_setzero_ps());
    let e = power_of_two(
        _mm512_sub_ps(_mm512_setzero_ps(), _mm512_abs_ps(z)),
        u16::MAX,
    );
    let one = _mm512_set1_ps(1.0);
    let sum = _mm512_add_ps(one, e);
    let near = _mm512_rcp14_ps(sum);
    let error = _mm512_fnmadd_ps(sum, near, one);
    (e, _mm512_fmadd_ps(near, error, near), above)
}

#[inline]
#[target_feature(enable = "avx512f,avx512dq")]
fn values(x: __m512) -> __m512 {
    let (e, inverse, above) = parts(x);
    _mm512_mul_ps(x, _mm512_mask_mul_ps(inverse, above, inverse, e))
}

/// `s + x·s·(1 - s)·(2u)'`; NaN where the meaning has infinity times 0.
#[inline]
#[target_feature(enable = "avx512f,avx512dq")]
fn derivatives(x: __m512) -> __m512 {
    let (e, inverse, above) = parts(x);
    let es = _mm512_mul_ps(e, inverse);
    let s = _mm512_mask_mul_ps(inverse, above, inverse, e);
    // Beyond 16 the second term is 0 in f32; the square must not overflow. NaN goes through.
    let square = _mm512_min_ps(_mm512_set1_ps(256.0), _mm512_mul_ps(x, x));
    let (three_b, a) = (_mm512_set1_ps(-3.0 * GELU[1]), _mm512_set1_ps(-GELU[0]));
    let slope = _mm512_fmadd_ps(three_b, square, a);
    let spread = _mm512_mul_ps(x, _mm512_mul_ps(es, inverse));
    _mm512_fmadd_ps(spread, slope, s)
}
