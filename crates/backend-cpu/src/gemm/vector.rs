//! Products with very few rows, at the speed of memory: the right operand is read once, in the
//! order in which it is stored.
//!
//! Each thread reads one stretch of memory after the other from end to end. Where the right operand is
//! row-major, a stretch is some of its rows, terms of all sums; the sums of the stretches, whose number
//! depends on the shape only, are added in pairs. Where it is transposed, a stretch is some columns.

use super::Gemm;
use crate::math::{dot, sum};
use crate::memory::Shared;
use crate::parallel::{Par, RowsMut};
use crate::real::Real;
use crate::scratch::{op_scratch, scratch};
use crate::simd::{fma, simd, soon};
use std::ops::Range;
use std::sync::atomic::{AtomicU32, Ordering};

/// Rows of a row-major right operand that are added at a time: as many streams of memory.
const STREAMS: usize = 4;
/// If there are several stretches, each has at least this many terms, and there are at most
/// `MOST_STRETCHES`: every further stretch means more sums to add.
const TERMS: usize = 96;
const MOST_STRETCHES: usize = 16;
/// Columns handed out together.
const UNIT: usize = 64;
/// How far ahead of its use memory is prefetched, in bytes.
const AHEAD: usize = 2048;
/// Columns of a transposed right operand that are read at a time.
const COLUMNS: usize = 4;
/// Floats of a vector.
const LANES: usize = 16;

pub(super) fn run<E: Real, Y: Real>(gemm: &Gemm<'_, E>, y: &mut [Y], par: Par) {
    let (m, k) = (gemm.m, gemm.k);
    let mut work = |a: &[f32]| {
        if gemm.trans_b {
            by_columns(gemm, a, y, par);
        } else {
            by_stretches(gemm, a, y, par);
        }
    };
    if !gemm.trans_a {
        return E::read(gemm.a, work);
    }
    op_scratch(m * k, |a| {
        for (i, row) in a.chunks_exact_mut(k).enumerate() {
            for (l, a) in row.iter_mut().enumerate() {
                // mutant: matmul_ignores_the_transpose
                *a = gemm.a[l * m + i].load();
            }
        }
        work(a);
    });
}

/// About how many nanoseconds it takes to read the right operand from memory.
fn nanoseconds(k: usize, n: usize) -> usize {
    n * k / 3
}

fn by_columns<E: Real, Y: Real>(gemm: &Gemm<'_, E>, a: &[f32], y: &mut [Y], par: Par) {
    let (m, n, k) = (gemm.m, gemm.n, gemm.k);
    let y = Shared::new(y);
    let units = n.div_ceil(UNIT);
    let work = |units: Range<usize>| {
        let columns = units.start * UNIT..(units.end * UNIT).min(n);
        scratch(m * columns.len(), |sums| {
            dots(a, gemm.b, k, columns.clone(), sums);
            for (i, sums) in sums.chunks_exact(columns.len()).enumerate() {
                let y = part(y, i * n, &columns);
                let bias = gemm.bias.map(|bias| &bias[columns.clone()]);
                finish(gemm.alpha, sums, bias, gemm.beta, y);
            }
        });
    };
    par.split(units, nanoseconds(k, n), 0..units, &work);
}

fn by_stretches<E: Real, Y: Real>(gemm: &Gemm<'_, E>, a: &[f32], y: &mut [Y], par: Par) {
    let (m, n, k) = (gemm.m, gemm.n, gemm.k);
    let stretches = (k / TERMS).clamp(1, MOST_STRETCHES);
    op_scratch(stretches * m * n, |sums| {
        // Bit `s`: the sum of stretch `s` has been added to another.
        let added = AtomicU32::new(0);
        let parts = (0..stretches, RowsMut(&mut *sums, m * n));
        let stretch = |(which, sums): (Range<usize>, RowsMut<'_>)| {
            for (s, sums) in which.clone().zip(sums.0.chunks_exact_mut(m * n)) {
                // mutant: stretches_of_equal_length
                let terms = k * s / stretches..k * (s + 1) / stretches;
                streams(a, k, terms, gemm.b, n, sums);
            }
            // A thread adds the sums that it owns while they are in its cache.
            for pair in additions(stretches).filter(|pair| pair.is_in(&which)) {
                let (before, after) = sums.0.split_at_mut((pair.right - which.start) * m * n);
                let left = &mut before[(pair.left - which.start) * m * n..][..m * n];
                add(&after[..m * n], left);
                added.fetch_or(1 << pair.right, Ordering::Relaxed);
            }
        };
        par.split(stretches, nanoseconds(k, n), parts, &stretch);
        let added = added.into_inner();
        let (sums, y) = (Shared::new(sums), Shared::new(y));
        let units = n.div_ceil(UNIT);
        let work = |units: Range<usize>| {
            let columns = units.start * UNIT..(units.end * UNIT).min(n);
            for i in 0..m {
                let sum = |stretch: usize| part(sums, (stretch * m + i) * n, &columns);
                // mutant: sums_of_threads_are_left_out
                for pair in additions(stretches).filter(|pair| added & 1 << pair.right == 0) {
                    add(sum(pair.right), sum(pair.left));
                }
                let y = part(y, i * n, &columns);
                let bias = gemm.bias.map(|bias| &bias[columns.clone()]);
                finish(gemm.alpha, sum(0), bias, gemm.beta, y);
            }
        };
        // One sum is left for each thread that had a part.
        let left = par.threads().min(stretches);
        par.split(units, left * m * n / 8, 0..units, &work);
    });
}

/// Adds the sum of stretches `right .. end` to that of stretches `left .. right`, which then holds
/// both.
struct Addition {
    left: usize,
    right: usize,
    end: usize,
}

impl Addition {
    /// Whether both sums are of `stretches` alone.
    fn is_in(&self, stretches: &Range<usize>) -> bool {
        stretches.start <= self.left && self.end <= stretches.end
    }
}

/// Pairwise order in which the stretches' sums become one: neighbours first, then pairs of pairs,
/// and so on. A thread that owns adjacent sums can do most of the additions itself. The order is
/// the same for any number of threads.
fn additions(stretches: usize) -> impl Iterator<Item = Addition> {
    let widths = (0..usize::BITS).map(|level| 1 << level);
    let widths = widths.take_while(move |&width| width < stretches);
    widths.flat_map(move |width| {
        let rights = (width..stretches).step_by(2 * width);
        rights.map(move |right| Addition {
            left: right - width,
            right,
            end: (right + width).min(stretches),
        })
    })
}

/// These columns of the row that begins at element `row`; they are the caller's own.
#[allow(
    unsafe_code,
    reason = "columns of a row-major output cannot be split safely"
)]
fn part<'a, T>(rows: Shared<T>, row: usize, columns: &Range<usize>) -> &'a mut [T] {
    // SAFETY: `row + columns` lies in what `run` borrows exclusively, outputs or scratch memory (rows
    // below m, or below m times the stretches; columns below n); columns go to one thread each, which
    // asks for one row's at a time, or for different rows'.
    unsafe { std::slice::from_raw_parts_mut(rows.get().add(row + columns.start), columns.len()) }
}

simd! {
    /// `y ← alpha·sums + bias + beta·y`; where `beta` is 0, `y` is not read.
    fn finish<E: Real, Y: Real>(
        alpha: f32,
        sums: &[f32],
        bias: Option<&[E]>,
        beta: f32,
        y: &mut [Y],
    ) {
        let _ = FMA;
        let put = |y: &mut Y, value: f32| {
            *y = Y::store(if beta == 0.0 { value } else { value + beta * y.load() });
        };
        if let Some(bias) = bias {
            for ((y, &sum), &bias) in y.iter_mut().zip(sums).zip(bias) {
                put(y, alpha * sum + bias.load());
            }
        } else {
            for (y, &sum) in y.iter_mut().zip(sums) {
                put(y, alpha * sum + 0.0);
            }
        }
    }
}

simd! {
    /// `sums[i, j] = Σ_l a[i, l]·b[j, l]` for the columns `j`.
    fn dots<E: Real>(a: &[f32], b: &[E], k: usize, columns: Range<usize>, sums: &mut [f32]) {
        let width = columns.len();
        for at in (0..width).step_by(COLUMNS) {
            let few = COLUMNS.min(width - at);
            let b = &b[(columns.start + at) * k..][..few * k];
            for (i, a) in a.chunks_exact(k).enumerate() {
                let sums = &mut sums[i * width + at..][..few];
                if let Ok(sums) = <&mut [f32; COLUMNS]>::try_from(&mut *sums) {
                    *sums = dots_together::<FMA, E>(a, b);
                } else {
                    for (sum, b) in sums.iter_mut().zip(b.chunks_exact(k)) {
                        *sum = dot::<FMA, _, _>(a, b);
                    }
                }
            }
        }
    }
}

/// `Σ_l a[l]·b[j, l]` for every column `j`. The sums are separate variables, because the compiler
/// would split the vectors of an array of them.
#[inline(always)]
fn dots_together<const FMA: bool, E: Real>(a: &[f32], b: &[E]) -> [f32; COLUMNS] {
    let k = a.len();
    let columns: [&[E]; COLUMNS] = std::array::from_fn(|j| &b[j * k..][..k]);
    let [b0, b1, b2, b3] = columns.map(|b| b.as_chunks::<LANES>().0);
    let [mut s0, mut s1, mut s2, mut s3] = [[0.0f32; LANES]; COLUMNS];
    let (vectors, tail) = a.as_chunks::<LANES>();
    for (a, ((b0, b1), (b2, b3))) in vectors.iter().zip(b0.iter().zip(b1).zip(b2.iter().zip(b3))) {
        for b in [b0, b1, b2, b3] {
            // The same terms of the next columns.
            soon(b, COLUMNS * k);
        }
        for i in 0..LANES {
            s0[i] = fma::<FMA>(a[i], b0[i].load(), s0[i]);
            s1[i] = fma::<FMA>(a[i], b1[i].load(), s1[i]);
            s2[i] = fma::<FMA>(a[i], b2[i].load(), s2[i]);
            s3[i] = fma::<FMA>(a[i], b3[i].load(), s3[i]);
        }
    }
    let lanes = [s0, s1, s2, s3];
    let from = k - tail.len();
    std::array::from_fn(|j| {
        let rest = tail.iter().zip(&columns[j][from..]);
        let rest = rest.fold(0.0, |sum, (&a, &b)| fma::<FMA>(a, b.load(), sum));
        sum::<FMA, _>(&lanes[j], |x| x) + rest
    })
}

simd! {
    /// `sums[i, j] = Σ_l a[i, l]·b[l, j]` for all columns `j` and these terms, several rows of `b` at
    /// a time. Rows of `a` have `k` elements, those of `b` and `sums` have `n`.
    fn streams<E: Real>(
        a: &[f32],
        k: usize,
        terms: Range<usize>,
        b: &[E],
        n: usize,
        sums: &mut [f32],
    ) {
        // mutant: matmul_stale_scratch
        sums.fill(0.0);
        // Each stream reads a run of adjacent rows, so its memory is contiguous.
        let run = terms.len() / STREAMS;
        let ahead = AHEAD / size_of::<E>();
        for r in 0..run {
            // Written out, because the compiler turns mapped arrays into calls.
            let first = terms.start + r;
            let l = [first, first + run, first + 2 * run, first + 3 * run];
            let row = |s: usize| b[l[s] * n..][..n].as_chunks::<LANES>();
            let [(b0, t0), (b1, t1), (b2, t2), (b3, t3)] = [row(0), row(1), row(2), row(3)];
            for (a, sums) in a.chunks_exact(k).zip(sums.chunks_exact_mut(n)) {
                let [a0, a1, a2, a3] = [a[l[0]], a[l[1]], a[l[2]], a[l[3]]];
                let (vectors, tail) = sums.as_chunks_mut::<LANES>();
                let rows = b0.iter().zip(b1).zip(b2.iter().zip(b3));
                for (sum, ((b0, b1), (b2, b3))) in vectors.iter_mut().zip(rows) {
                    for b in [b0, b1, b2, b3] {
                        soon(b, ahead);
                    }
                    for i in 0..LANES {
                        let near = fma::<FMA>(a1, b1[i].load(), fma::<FMA>(a0, b0[i].load(), sum[i]));
                        sum[i] = fma::<FMA>(a3, b3[i].load(), fma::<FMA>(a2, b2[i].load(), near));
                    }
                }
                for (j, sum) in tail.iter_mut().enumerate() {
                    let near = fma::<FMA>(a1, t1[j].load(), fma::<FMA>(a0, t0[j].load(), *sum));
                    *sum = fma::<FMA>(a3, t3[j].load(), fma::<FMA>(a2, t2[j].load(), near));
                }
            }
        }
        for l in terms.start + run * STREAMS..terms.end {
            let row = &b[l * n..][..n];
            for (a, sums) in a.chunks_exact(k).zip(sums.chunks_exact_mut(n)) {
                for (sum, &b) in sums.iter_mut().zip(row) {
                    *sum = fma::<FMA>(a[l], b.load(), *sum);
                }
            }
        }
    }
}

simd! {
    /// `sum ← sum + x`.
    fn add(x: &[f32], sum: &mut [f32]) {
        for (sum, x) in sum.iter_mut().zip(x) {
            // mutant: stretches_overwrite_each_other
            *sum += x;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The sum of `stretches` stretches as a formula, when each of `pieces` pieces first adds its
    /// own.
    fn formula(stretches: usize, pieces: usize) -> String {
        let mut sums: Vec<_> = (0..stretches).map(|s| s.to_string()).collect();
        let mut add = |pair: &Addition| {
            sums[pair.left] = format!("({} + {})", sums[pair.left], sums[pair.right]);
            sums[pair.right] = "taken".into();
        };
        let mut rest: Vec<_> = additions(stretches).collect();
        for piece in 0..pieces {
            let which = stretches * piece / pieces..stretches * (piece + 1) / pieces;
            rest.extract_if(.., |pair| pair.is_in(&which))
                .for_each(|pair| add(&pair));
        }
        rest.iter().for_each(add);
        sums.swap_remove(0)
    }

    #[test]
    fn sums_are_the_same_for_any_number_of_pieces() {
        assert_eq!(formula(5, 1), "(((0 + 1) + (2 + 3)) + 4)");
        for stretches in 1..=MOST_STRETCHES {
            let whole = formula(stretches, 1);
            for s in 0..stretches {
                let is_s = |number: &&str| *number == s.to_string();
                let numbers = whole.split(|c: char| !c.is_ascii_digit());
                assert_eq!(numbers.filter(is_s).count(), 1, "{s} in {whole}");
            }
            for pieces in 2..=stretches {
                assert_eq!(formula(stretches, pieces), whole);
            }
        }
    }
}
