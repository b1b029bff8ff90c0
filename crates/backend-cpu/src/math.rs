//! Functions of one `f32` without branches, so that loops over them become vector code, and sums
//! and maxima over rows in a fixed order of additions.
//!
//! Range reduction of `exp` is Cody and Waite's ("Software Manual for the Elementary Functions",
//! 1980): `x = n·ln 2 + r` with `ln 2` in two parts. The polynomials interpolate at Chebyshev nodes
//! and were computed in exact rational arithmetic for this file.

#[cfg(target_arch = "x86_64")]
pub(crate) mod avx512;

use crate::real::Real;
use crate::simd::{Level, fma, level};

/// Adding this to a small number rounds it to an integer, which is then in the low bits.
const ROUND: f32 = 12_582_912.0; // 1.5 * 2^23
/// `ln 2`, its first 12 bits: `n` times this is exact for `|n| < 2^12`.
const LN2_HIGH: f32 = 0.693_359_4;
/// The rest of `ln 2`.
const LN2_LOW: f32 = -2.121_944_4e-4;
/// `(e^r - 1 - r) / r²` for `|r| <= 0.347`; leaves a relative error of 2e-9 in `e^r`.
const EXP: [f32; 5] = [
    0.5,
    0.166_665_77,
    0.041_666_556,
    0.008_363_247,
    0.001_392_626_8,
];
/// `(tanh √z - √z) / z^1.5` for `z <= 0.42`.
const TANH: [f32; 5] = [
    -0.333_333_27,
    0.133_325_84,
    -0.053_823_76,
    0.020_873_46,
    -0.005_923_726,
];

#[inline(always)]
fn polynomial<const FMA: bool>(c: [f32; 5], x: f32) -> f32 {
    let mut sum = c[4];
    for i in (0..4).rev() {
        sum = fma::<FMA>(sum, x, c[i]);
    }
    sum
}

/// `e^x` to 1.5 ulp: 0 and infinity where it under- and overflows, subnormal in between; NaN stays.
#[inline(always)]
pub(crate) fn exp<const FMA: bool>(x: f32) -> f32 {
    // Not `clamp` or `min`: a comparison with NaN is false, so NaN goes through.
    let x = if x > 89.0 { 89.0 } else { x };
    let x = if x < -105.0 { -105.0 } else { x };
    let shifted = fma::<FMA>(x, std::f32::consts::LOG2_E, ROUND);
    let n = shifted - ROUND;
    let r = fma::<FMA>(n, -LN2_LOW, fma::<FMA>(n, -LN2_HIGH, x));
    let tail = polynomial::<FMA>(EXP, r) * r;
    let power = 1.0 + fma::<FMA>(tail, r, r);
    // 2^n in two factors: n reaches from -152 to 129, an exponent from -126 to 127.
    let n = (shifted.to_bits() as i32).wrapping_sub(ROUND.to_bits() as i32);
    let half = n >> 1;
    power * power_of_two(half) * power_of_two(n.wrapping_sub(half))
}

#[inline(always)]
fn power_of_two(n: i32) -> f32 {
    f32::from_bits((n.wrapping_add(127) as u32) << 23)
}

/// `tanh x` to 2 ulp.
#[inline(always)]
pub(crate) fn tanh<const FMA: bool>(x: f32) -> f32 {
    let size = x.abs();
    let square = x * x;
    let near = fma::<FMA>(polynomial::<FMA>(TANH, square) * square, x, x);
    let far = 1.0 - 2.0 / (exp::<FMA>(2.0 * size) + 1.0);
    if size < 0.625 { near } else { far.copysign(x) }
}

/// `ln x` of a positive normal number, to 2e-7 of `1 + |ln x|`: with `x = m·2^n`, `m` near 1 and
/// `s = (m - 1)/(m + 1)`, it is `n·ln 2 + 2·(s + s³/3 + s⁵/5 + …)`. NaN stays.
#[inline(always)]
pub(crate) fn ln<const FMA: bool>(x: f32) -> f32 {
    // Subtracting the bits of √½ makes the exponent that of the nearest power of two.
    let shifted = x
        .to_bits()
        .wrapping_sub(std::f32::consts::FRAC_1_SQRT_2.to_bits()) as i32;
    let n = shifted >> 23;
    let m = f32::from_bits(x.to_bits().wrapping_sub((n << 23) as u32));
    let s = (m - 1.0) / (m + 1.0);
    let square = s * s;
    let c = [1.0, 1.0 / 3.0, 0.2, 1.0 / 7.0, 1.0 / 9.0];
    let near = 2.0 * s * polynomial::<FMA>(c, square);
    let value = fma::<FMA>(n as f32, std::f32::consts::LN_2, near);
    if x > 0.0 && x < f32::INFINITY {
        value
    } else {
        x
    }
}

/// `1 - erf(z)` for `z >= 0`, given `e^(-z²)`: within 3e-7. Abramowitz and Stegun 7.1.26.
#[inline(always)]
pub(crate) fn erf_complement<const FMA: bool>(z: f32, exp_minus_square: f32) -> f32 {
    let t = 1.0 / fma::<FMA>(0.327_591_1, z, 1.0);
    let c = [
        0.254_829_6,
        -0.284_496_74,
        1.421_413_7,
        -1.453_152,
        1.061_405_4,
    ];
    polynomial::<FMA>(c, t) * t * exp_minus_square
}

/// Replaces every `x` by `e^(x - most)` and returns the sum of these.
#[inline(always)]
pub(crate) fn exponentials<const FMA: bool>(x: &mut [f32], most: f32) -> f32 {
    match level() {
        #[cfg(target_arch = "x86_64")]
        #[allow(unsafe_code, reason = "an intrinsic's features are checked")]
        // SAFETY: the CPU has the features.
        Level::Avx512 => unsafe { avx512::exponentials(x, most) },
        _ => {
            for x in x.iter_mut() {
                *x = exp::<FMA>(*x - most);
            }
            sum::<FMA, _>(x, |x| x)
        }
    }
}

/// Partial results kept side by side: two vectors of the widest machine.
const LANES: usize = 32;
/// One vector of the widest machine.
const VECTOR: usize = 16;

/// How two partial results are combined.
#[derive(Clone, Copy)]
enum Join {
    Add,
    Max,
}

impl Join {
    #[inline(always)]
    fn of(self, a: f32, b: f32) -> f32 {
        match self {
            Self::Add => a + b,
            Self::Max if b > a => b,
            Self::Max => a,
        }
    }
}

/// Folds lanes in halves.
#[inline(always)]
fn tree<const FMA: bool>(lanes: &[f32; LANES], join: Join) -> f32 {
    #[cfg(target_arch = "x86_64")]
    if FMA {
        #[allow(
            unsafe_code,
            reason = "an intrinsic's features were checked by `simd!`"
        )]
        // SAFETY: bodies with FMA are compiled for, and run on, processors with AVX2 only.
        let folded = unsafe { x86::tree(lanes, join) };
        return folded;
    }
    let sixteen: [f32; 16] = std::array::from_fn(|i| join.of(lanes[i], lanes[i + 16]));
    let eight: [f32; 8] = std::array::from_fn(|i| join.of(sixteen[i], sixteen[i + 8]));
    let four: [f32; 4] = std::array::from_fn(|i| join.of(eight[i], eight[i + 4]));
    join.of(join.of(four[0], four[2]), join.of(four[1], four[3]))
}

/// The tree of additions in intrinsics. The compiler alone works backwards from the last addition
/// and vectorises pairs of lanes, in the loop before the tree as well, which is three times as
/// slow.
#[cfg(target_arch = "x86_64")]
mod x86 {
    use super::{Join, LANES};
    use std::arch::x86_64::{
        __m256, _mm_add_ps, _mm_add_ss, _mm_cvtss_f32, _mm_max_ps, _mm_max_ss, _mm_movehl_ps,
        _mm_shuffle_ps, _mm256_add_ps, _mm256_castps256_ps128, _mm256_extractf128_ps,
        _mm256_loadu_ps, _mm256_max_ps,
    };

    #[inline]
    #[target_feature(enable = "avx2")]
    pub(super) fn tree(lanes: &[f32; LANES], join: Join) -> f32 {
        let (parts, _) = lanes.as_chunks::<8>();
        // SAFETY: each part has eight floats.
        #[allow(unsafe_code, reason = "loads from arrays of the right length")]
        let load = |i: usize| -> __m256 { unsafe { _mm256_loadu_ps(parts[i].as_ptr()) } };
        let (a, b, c, d) = (load(0), load(1), load(2), load(3));
        match join {
            Join::Add => {
                let eight = _mm256_add_ps(_mm256_add_ps(a, c), _mm256_add_ps(b, d));
                let high = _mm256_extractf128_ps::<1>(eight);
                let four = _mm_add_ps(_mm256_castps256_ps128(eight), high);
                let two = _mm_add_ps(four, _mm_movehl_ps(four, four));
                _mm_cvtss_f32(_mm_add_ss(two, _mm_shuffle_ps::<1>(two, two)))
            }
            Join::Max => {
                let eight = _mm256_max_ps(_mm256_max_ps(a, c), _mm256_max_ps(b, d));
                let high = _mm256_extractf128_ps::<1>(eight);
                let four = _mm_max_ps(_mm256_castps256_ps128(eight), high);
                let two = _mm_max_ps(four, _mm_movehl_ps(four, four));
                _mm_cvtss_f32(_mm_max_ss(two, _mm_shuffle_ps::<1>(two, two)))
            }
        }
    }
}

/// Folds `x` by `f(lane, x)`: blocks of 32 and then of 16 into lanes, the rest into one more
/// variable. A lane chosen at run time would force all lanes into memory.
#[inline(always)]
fn fold<const FMA: bool, E: Real>(
    x: &[E],
    start: f32,
    f: impl Fn(f32, f32) -> f32,
    join: Join,
) -> f32 {
    let mut lanes = [start; LANES];
    let (blocks, tail) = x.as_chunks::<LANES>();
    for block in blocks {
        for i in 0..LANES {
            lanes[i] = f(lanes[i], block[i].load());
        }
    }
    let (vectors, tail) = tail.as_chunks::<VECTOR>();
    for vector in vectors {
        for i in 0..VECTOR {
            lanes[i] = f(lanes[i], vector[i].load());
        }
    }
    let folded = tree::<FMA>(&lanes, join);
    if tail.is_empty() {
        return folded;
    }
    let rest = tail.iter().fold(start, |rest, &x| f(rest, x.load()));
    join.of(folded, rest)
}

/// `Σ f(x)`, 32 partial sums added as a tree.
#[inline(always)]
pub(crate) fn sum<const FMA: bool, E: Real>(x: &[E], f: impl Fn(f32) -> f32) -> f32 {
    fold::<FMA, E>(x, 0.0, |lane, x| lane + f(x), Join::Add)
}

/// The greatest `x`, or minus infinity if `x` is empty; NaNs are ignored.
#[inline(always)]
pub(crate) fn max<const FMA: bool, E: Real>(x: &[E]) -> f32 {
    fold::<FMA, E>(x, f32::NEG_INFINITY, |a, b| Join::Max.of(a, b), Join::Max)
}

/// `Σ x·y`, added in the same order as [`sum`].
#[inline(always)]
pub(crate) fn dot<const FMA: bool, A: Real, B: Real>(x: &[A], y: &[B]) -> f32 {
    let mut lanes = [0.0; LANES];
    let (x_blocks, x_tail) = x.as_chunks::<LANES>();
    let (y_blocks, y_tail) = y.as_chunks::<LANES>();
    for (x, y) in x_blocks.iter().zip(y_blocks) {
        for i in 0..LANES {
            lanes[i] = fma::<FMA>(x[i].load(), y[i].load(), lanes[i]);
        }
    }
    let (x_vectors, x_tail) = x_tail.as_chunks::<VECTOR>();
    let (y_vectors, y_tail) = y_tail.as_chunks::<VECTOR>();
    for (x, y) in x_vectors.iter().zip(y_vectors) {
        for i in 0..VECTOR {
            lanes[i] = fma::<FMA>(x[i].load(), y[i].load(), lanes[i]);
        }
    }
    let mut rest = 0.0;
    for (&x, &y) in x_tail.iter().zip(y_tail) {
        rest = fma::<FMA>(x.load(), y.load(), rest);
    }
    tree::<FMA>(&lanes, Join::Add) + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Distance in units in the last place of the exact value.
    fn ulps(got: f32, want: f64) -> f64 {
        let near = want as f32;
        if got == near || (got.is_nan() && want.is_nan()) {
            return 0.0;
        }
        let ulp = f64::from(near.abs().next_up()) - f64::from(near.abs());
        (f64::from(got) - want).abs() / ulp
    }

    fn grid() -> impl Iterator<Item = f32> {
        // Every 977th float of either sign up to 128, and the edges.
        let bits = (0..128f32.to_bits()).step_by(977).map(f32::from_bits);
        bits.flat_map(|x| [x, -x]).chain([
            f32::INFINITY,
            f32::NEG_INFINITY,
            f32::NAN,
            f32::MAX,
            -f32::MAX,
        ])
    }

    #[test]
    fn exp_and_tanh_are_within_two_ulps() {
        for x in grid() {
            let wide = f64::from(x);
            assert!(ulps(exp::<true>(x), wide.exp()) <= 2.0, "exp {x:e}");
            assert!(ulps(exp::<false>(x), wide.exp()) <= 2.0, "exp {x:e}");
            assert!(ulps(tanh::<true>(x), wide.tanh()) <= 2.0, "tanh {x:e}");
            assert!(ulps(tanh::<false>(x), wide.tanh()) <= 2.5, "tanh {x:e}");
        }
    }

    #[test]
    fn ln_is_within_its_bound() {
        for x in grid().filter(|x| x.is_normal() && *x > 0.0) {
            let want = f64::from(x).ln();
            let error = (f64::from(ln::<true>(x)) - want).abs();
            assert!(error <= 2e-7 * (1.0 + want.abs()), "{x:e}");
        }
        assert!(ln::<true>(f32::NAN).is_nan());
    }

    #[test]
    fn erf_complement_is_within_its_bound() {
        // Abramowitz and Stegun, table 7.1.
        for (z, want) in [
            (0.0, 1.0),
            (0.5, 0.479_500_122),
            (1.0, 0.157_299_207),
            (2.0, 0.004_677_735),
        ] {
            let got = erf_complement::<true>(z, (-z * z).exp());
            assert!((got - want as f32).abs() < 3e-7, "{z}: {got}");
        }
    }

    #[test]
    fn sums_take_every_element_once() {
        for n in [0, 1, 31, 32, 33, 100] {
            let x: Vec<f32> = (1..=n).map(|i| i as f32).collect();
            let total = (n * (n + 1) / 2) as f32;
            assert_eq!(sum::<false, f32>(&x, |x| x), total);
            assert_eq!(dot::<false, f32, f32>(&x, &vec![1.0; n]), total);
            assert_eq!(
                max::<false, f32>(&x),
                if n == 0 { f32::NEG_INFINITY } else { n as f32 }
            );
        }
    }
}
