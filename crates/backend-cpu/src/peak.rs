//! The machine's peak speeds, measured: multiply-adds per second, and bytes per second to and from
//! memory.
//!
//! The speed of an operation means something only as a share of these. They are measured in the
//! same process as the operations, because shared and throttled machines change by the minute.

use crate::simd;
use std::hint::black_box;
use std::time::Instant;

/// The fastest of this many rounds counts: other work on the machine only makes rounds slower.
const ROUNDS: usize = 8;

/// Independent sums a thread keeps in registers: more than latency times units on any x86 (4 · 2), and
/// few enough for AVX2's sixteen registers.
const SUMS: usize = 12;

/// Multiply-adds a sum takes part in during one round: some milliseconds.
const STEPS: usize = 1 << 20;

/// Floating-point operations per second in `f32` (a fused multiply-add counts as two) when
/// `threads` threads do nothing else, on values in registers: a ceiling for every operation. It
/// uses the instruction set that the backend uses, `LATIMER_SIMD` included.
#[must_use]
pub fn flops_per_s(threads: usize) -> f64 {
    let mut best = f64::INFINITY;
    for _ in 0..ROUNDS {
        best = best.min(seconds(threads, |_| {
            black_box(multiply_add(black_box(0.999_9), black_box(1e-4)));
        }));
    }
    (threads * 2 * SUMS * lanes() * STEPS) as f64 / best
}

/// Bytes that [`bytes_per_s`] moves at least, over all its rounds.
const MOVED: usize = 1 << 30;

/// Bytes per second that `threads` threads move to and from buffers of `bytes` bytes: the faster of
/// reading one and copying it to another, where a copy counts the bytes read and the bytes written.
/// Buffers that fit into a cache are read from there, so choose `bytes` as large as the data that
/// the result is compared with.
#[must_use]
pub fn bytes_per_s(threads: usize, bytes: usize) -> f64 {
    let threads = threads.max(1);
    let words = bytes.div_ceil(size_of::<u64>()).max(1);
    let bytes = words * size_of::<u64>();
    let from = vec![1u64; words];
    let mut to = vec![0u64; words];
    let part = words.div_ceil(threads);
    let (mut read, mut copied) = (f64::INFINITY, f64::INFINITY);
    for _ in 0..(MOVED / bytes).clamp(ROUNDS / 2, 8 * ROUNDS) {
        read = read.min(seconds(threads, |i| {
            let end = words.min((i + 1) * part);
            black_box(total(&from[words.min(i * part)..end]));
        }));
        let start = Instant::now();
        std::thread::scope(|scope| {
            for (from, to) in from.chunks(part).zip(to.chunks_mut(part)) {
                scope.spawn(move || black_box(&mut *to).copy_from_slice(from));
            }
        });
        copied = copied.min(start.elapsed().as_secs_f64());
    }
    (bytes as f64 / read).max(2.0 * bytes as f64 / copied)
}

/// Seconds until `work` has ended on all of `threads` threads, which start it together.
fn seconds(threads: usize, work: impl Fn(usize) + Sync) -> f64 {
    let (start, work) = (Instant::now(), &work);
    std::thread::scope(|scope| {
        for thread in 1..threads {
            scope.spawn(move || work(thread));
        }
        work(0);
    });
    start.elapsed().as_secs_f64()
}

/// `f32` values in a register.
fn lanes() -> usize {
    match simd::level() {
        simd::Level::Avx512 => 16,
        simd::Level::Avx2 => 8,
        simd::Level::Portable => 4,
    }
}

simd::simd! {
    /// The sum of all words.
    fn total(words: &[u64]) -> u64 {
        let _ = FMA;
        words.iter().fold(0, |sum: u64, word| sum.wrapping_add(*word))
    }
}

/// `STEPS` times `s ← s·a + b` on `SUMS` registers.
fn multiply_add(a: f32, b: f32) -> f32 {
    #[cfg(target_arch = "x86_64")]
    #[allow(unsafe_code, reason = "calls what the processor is known to have")]
    match simd::level() {
        // SAFETY: `level` answers this only after it has found AVX-512.
        simd::Level::Avx512 => return unsafe { x86::avx512(a, b) },
        // SAFETY: as above, for AVX2 and FMA.
        simd::Level::Avx2 => return unsafe { x86::avx2(a, b) },
        simd::Level::Portable => {}
    }
    let mut sums = [[1.0f32; 4]; SUMS];
    for _ in 0..STEPS {
        for sum in &mut sums {
            *sum = sum.map(|s| s * a + b);
        }
    }
    sums.as_flattened().iter().sum()
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use super::{STEPS, SUMS};
    use std::arch::x86_64::{
        _mm256_add_ps, _mm256_cvtss_f32, _mm256_fmadd_ps, _mm256_set1_ps, _mm512_fmadd_ps,
        _mm512_reduce_add_ps, _mm512_set1_ps,
    };

    #[target_feature(enable = "avx512f")]
    pub(super) fn avx512(a: f32, b: f32) -> f32 {
        let (a, b) = (_mm512_set1_ps(a), _mm512_set1_ps(b));
        let mut sums = [_mm512_set1_ps(1.0); SUMS];
        for _ in 0..STEPS {
            for sum in &mut sums {
                *sum = _mm512_fmadd_ps(*sum, a, b);
            }
        }
        sums.into_iter().map(|s| _mm512_reduce_add_ps(s)).sum()
    }

    #[target_feature(enable = "avx2,fma")]
    pub(super) fn avx2(a: f32, b: f32) -> f32 {
        let (a, b) = (_mm256_set1_ps(a), _mm256_set1_ps(b));
        let mut sums = [_mm256_set1_ps(1.0); SUMS];
        for _ in 0..STEPS {
            for sum in &mut sums {
                *sum = _mm256_fmadd_ps(*sum, a, b);
            }
        }
        let mut all = sums[0];
        for sum in &sums[1..] {
            all = _mm256_add_ps(all, *sum);
        }
        _mm256_cvtss_f32(all)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg_attr(miri, ignore = "millions of steps")]
    fn the_sums_are_what_the_recurrence_says() {
        // s ← s·½ + 1 tends to 2 in every lane.
        let got = multiply_add(0.5, 1.0);
        let counted = match simd::level() {
            simd::Level::Avx2 => SUMS,
            _ => SUMS * lanes(),
        };
        assert!((got - 2.0 * counted as f32).abs() < 1e-3, "{got}");
    }

    #[test]
    #[cfg_attr(miri, ignore = "it times")]
    fn every_byte_is_read_once() {
        assert_eq!(total(&vec![3; 1000]), 3000);
        let calls = std::sync::atomic::AtomicUsize::new(0);
        let took = seconds(3, |thread| {
            calls.fetch_add(1 << (8 * thread), std::sync::atomic::Ordering::Relaxed);
        });
        assert_eq!(calls.into_inner(), 0x01_01_01);
        assert!(took > 0.0);
    }
}
