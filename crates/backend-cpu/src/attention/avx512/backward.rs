//! Backward, one head at a time. Scores and the gradients of weights of a few keys are summed side
//! by side, and become weights and gradients of scores before they leave the registers.

use super::{Before, Down, LANES, Left, Mix, blocks, by_height, load, pack, power_of_two};
use crate::attention::heads::HeadBackward;
use crate::attention::{Drops, Lines, QUERIES, Tile, gather, gathers, scatter};
use crate::scratch::scratch;
use std::arch::x86_64::{
    __m512, __m512d, _mm512_add_ps, _mm512_castpd_ps, _mm512_castps_pd, _mm512_cmpge_epi32_mask,
    _mm512_fmadd_ps, _mm512_fmsub_ps, _mm512_maskz_loadu_ps, _mm512_mul_ps, _mm512_reduce_add_ps,
    _mm512_set1_epi32, _mm512_set1_ps, _mm512_setr_epi32, _mm512_setzero_ps, _mm512_shuffle_f32x4,
    _mm512_storeu_ps, _mm512_sub_ps, _mm512_unpackhi_pd, _mm512_unpackhi_ps, _mm512_unpacklo_pd,
    _mm512_unpacklo_ps,
};
use std::f32::consts::LOG2_E;
use std::ops::Range;

/// Keys of a tile, as many as queries: a block of keys is then first met by one block of queries.
const KEYS: usize = QUERIES;

/// Writes the head's gradients; returns whether all of them are finite.
///
/// # Safety
/// Same contract as [`crate::attention::backward::head_backward`]. The CPU must support AVX-512F.
pub(in crate::attention) unsafe fn head_backward(
    head: &HeadBackward<'_>,
    drops: Option<&Drops>,
) -> bool {
    let (t, d) = (head.seq_len, head.d);
    scratch(5 * d * QUERIES + 3 * KEYS * QUERIES + KEYS, |memory| {
        (0..t).step_by(QUERIES).fold(true, |finite, top| {
            let queries = QUERIES.min(t - top);
            // SAFETY: the caller's promise.
            let here = unsafe {
                if queries <= LANES {
                    block::<1>(head, top, queries, drops, memory)
                } else {
                    block::<2>(head, top, queries, drops, memory)
                }
            };
            finite & here
        })
    })
}

/// Computes a block of queries against all keys that they see; returns whether the sums that are
/// complete after this block are finite.
///
/// # Safety
/// Same contract as [`head_backward`], for at most `16·V` queries, and more than 16 if `V` is 2.
#[target_feature(enable = "avx512f")]
unsafe fn block<const V: usize>(
    head: &HeadBackward<'_>,
    top: usize,
    queries: usize,
    drops: Option<&Drops>,
    memory: &mut [f32],
) -> bool {
    let (t, d, lanes) = (head.seq_len, head.d, V * LANES);
    let (packed_q, rest) = memory.split_at_mut(d * lanes);
    let (packed_dy, rest) = rest.split_at_mut(d * lanes);
    let (weights, rest) = rest.split_at_mut(KEYS * QUERIES);
    let (scores, rest) = rest.split_at_mut(KEYS * QUERIES);
    let (mask, rest) = rest.split_at_mut(KEYS * lanes);
    let (line, near) = rest.split_at_mut(KEYS);
    let [mut q, y, mut dy, mut dq] =
        [head.q, head.y, head.dy, head.dq].map(|lines| lines.from(top));
    let (near, result) = (&mut near[..3 * queries * d], dq);
    if gathers(t, d) {
        let (near_q, rest) = near.split_at_mut(queries * d);
        let (near_dy, near_dq) = rest.split_at_mut(queries * d);
        // SAFETY: these rows of q.
        q = unsafe { gather(q, d, near_q) };
        // SAFETY: these rows of dy.
        dy = unsafe { gather(dy, d, near_dy) };
        dq = Lines {
            start: near_dq.as_mut_ptr(),
            row: d,
        };
    }
    // SAFETY: these rows of q.
    unsafe { pack(q, queries, d, lanes, head.scale * LOG2_E, packed_q) };
    // SAFETY: these rows of dy.
    unsafe { pack(dy, queries, d, lanes, 1.0, packed_dy) };
    let (mut lse, mut delta) = ([_mm512_setzero_ps(); V], [_mm512_setzero_ps(); V]);
    for v in 0..V {
        let first = v * LANES;
        let rows = (queries - first).min(LANES);
        let here = &head.lse[top + first..][..rows];
        let mask = u16::MAX >> (LANES - rows);
        // SAFETY: lanes beyond these are masked.
        let here = unsafe { _mm512_maskz_loadu_ps(mask, here.as_ptr()) };
        lse[v] = _mm512_mul_ps(here, _mm512_set1_ps(LOG2_E));
        // SAFETY: these rows of dy and y.
        delta[v] = unsafe { row_products(dy.from(first), y.from(first), rows, d) };
    }
    let seen = if head.causal { top + queries } else { t };
    let mut poison = _mm512_setzero_ps();
    for first in (0..seen).step_by(KEYS) {
        let keys = KEYS.min(seen - first);
        let [k, v, dk, dv] = [head.k, head.v, head.dk, head.dv].map(|lines| lines.from(first));
        // Query lane `i` does not see key `first + j` where `i < hidden + j`.
        let hidden = match head.causal {
            true => (first as isize - top as isize) as i32,
            false => i32::MIN / 2,
        };
        let (both, upper) = match V {
            2 if head.causal => ((top + LANES - first).min(keys), LANES),
            _ => (keys, 0),
        };
        let mask = drops.map(|drops| {
            let at = Tile {
                b: head.b,
                h: head.h,
                top,
                queries,
                lanes,
                first,
            };
            drops.tile(at, &mut mask[..keys * lanes], &mut line[..keys]);
            mask.as_ptr()
        });
        let pairs = Pairs {
            k,
            v,
            d,
            packed_q: packed_q.as_ptr(),
            packed_dy: packed_dy.as_ptr(),
            lanes,
            hidden,
            mask,
            scale: head.scale,
            weights: weights.as_mut_ptr(),
            scores: scores.as_mut_ptr(),
        };
        // SAFETY: keys and values of this tile against the packed queries.
        unsafe { pairs.run(0..both, &lse, &delta) };
        if both < keys {
            let (lse, delta) = (&lse[V - 1..], &delta[V - 1..]);
            // SAFETY: the same, for the upper vector.
            unsafe { pairs.upper(upper).run(both..keys, lse, delta) };
            for tile in [&mut *weights, &mut *scores] {
                for row in tile[both * QUERIES..keys * QUERIES].chunks_exact_mut(QUERIES) {
                    row[..upper].fill(0.0);
                }
            }
        }
        // The block of queries that meets these keys first overwrites their gradients.
        let per_key = |tile: &[f32], right: Lines, out: Lines, from: usize| Mix {
            terms: queries - from,
            left: Left::Upright(tile.as_ptr().wrapping_add(from)),
            right: right.from(from),
            out,
            // mutant: backward512_adds_to_old_gradients
            before: match if head.causal { first < top } else { top > 0 } {
                true => Before::Sum,
                false => Before::Nothing,
            },
            after: None,
        };
        for rows in blocks(keys, Mix::most_rows(d)) {
            // No earlier query sees any of these keys.
            let from = (hidden + rows.start as i32).max(0) as usize;
            // SAFETY: the tile against these rows of dy, into dv of these keys.
            unsafe { per_key(weights, dy, dv, from).run(rows.clone(), d, &mut poison) };
            // SAFETY: the tile against these rows of q, into dk of these keys.
            unsafe { per_key(scores, q, dk, from).run(rows, d, &mut poison) };
        }
        for rows in blocks(queries, Mix::most_rows(d)) {
            let reach = if head.causal { top + rows.end } else { t };
            let mix = Mix {
                terms: reach.saturating_sub(first).min(keys),
                left: Left::Turned(scores.as_ptr(), QUERIES),
                right: k,
                out: dq,
                before: match first {
                    0 => Before::Nothing,
                    _ => Before::Sum,
                },
                after: None,
            };
            // SAFETY: the tile, transposed, against these keys, into dq of these queries.
            unsafe { mix.run(rows, d, &mut poison) };
        }
    }
    if gathers(t, d) {
        // SAFETY: these rows of dq, which are the caller's own.
        unsafe { scatter(&near[2 * queries * d..], d, result) };
    }
    // A sum that is not finite stays so, whatever is added to it.
    _mm512_reduce_add_ps(poison) == 0.0
}

/// Scores of keys and gradients of their weights, which become weights (with dropout) and gradients
/// of scores, `p·(m·dp - delta)·scale`.
#[derive(Clone, Copy, Debug)]
struct Pairs {
    k: Lines,
    v: Lines,
    d: usize,
    /// `[d, lanes]`, as [`Pairs::packed_dy`].
    packed_q: *const f32,
    packed_dy: *const f32,
    lanes: usize,
    /// Lane `i` does not see key `j` where `i < hidden + j`.
    hidden: i32,
    /// The factors of dropout, `[keys, lanes]`.
    mask: Option<*const f32>,
    scale: f32,
    /// `[keys, 32]`, as [`Pairs::scores`].
    weights: *mut f32,
    scores: *mut f32,
}

impl Pairs {
    /// The same work for the queries from lane `lanes` on.
    fn upper(self, lanes: usize) -> Self {
        Self {
            packed_q: self.packed_q.wrapping_add(lanes),
            packed_dy: self.packed_dy.wrapping_add(lanes),
            hidden: self.hidden - lanes as i32,
            mask: self.mask.map(|mask| mask.wrapping_add(lanes)),
            weights: self.weights.wrapping_add(lanes),
            scores: self.scores.wrapping_add(lanes),
            ..self
        }
    }

    /// The same work for the keys from `first` on.
    fn from(self, first: usize) -> Self {
        Self {
            k: self.k.from(first),
            v: self.v.from(first),
            hidden: self.hidden + first as i32,
            mask: self.mask.map(|mask| mask.wrapping_add(first * self.lanes)),
            weights: self.weights.wrapping_add(first * QUERIES),
            scores: self.scores.wrapping_add(first * QUERIES),
            ..self
        }
    }

    /// Computes keys `rows`, for as many vectors of queries as `lse` and `delta` have.
    ///
    /// # Safety
    /// These keys, the packed queries and the mask may be read, and the tiles' rows be written.
    #[target_feature(enable = "avx512f")]
    unsafe fn run(self, rows: Range<usize>, lse: &[__m512], delta: &[__m512]) {
        let high = if lse.len() == 1 { 12 } else { 6 };
        for block in blocks(rows.len(), high) {
            let (part, height) = (self.from(rows.start + block.start), block.len());
            if lse.len() == 1 {
                by_height!(height, pairs, (1), (part, lse, delta): 1 2 3 4 5 6 7 8 9 10 11 12);
            } else {
                by_height!(height, pairs, (2), (part, lse, delta): 1 2 3 4 5 6);
            }
        }
    }
}

/// # Safety
/// Same contract as [`Pairs::run`], for `ROWS` keys.
#[target_feature(enable = "avx512f")]
unsafe fn pairs<const ROWS: usize, const V: usize>(p: Pairs, lse: &[__m512], delta: &[__m512]) {
    let mut sums = [[[_mm512_setzero_ps(); V]; 2]; ROWS];
    let mut lefts = [Down::new(p.k), Down::new(p.v)];
    for x in 0..p.d {
        let mut right = [[_mm512_setzero_ps(); V]; 2];
        for (packed, right) in [p.packed_q, p.packed_dy].into_iter().zip(&mut right) {
            for (v, right) in right.iter_mut().enumerate() {
                // SAFETY: row x of the packed queries or of their dy.
                *right = unsafe { load(packed.add(x * p.lanes + v * LANES)) };
            }
        }
        for (j, sums) in sums.iter_mut().enumerate() {
            for ((left, right), sums) in lefts.iter().zip(right).zip(sums) {
                // SAFETY: an element of key or value j.
                let left = _mm512_set1_ps(unsafe { *left.at(j) });
                for (sum, right) in sums.iter_mut().zip(right) {
                    *sum = _mm512_fmadd_ps(left, right, *sum);
                }
            }
        }
        for left in &mut lefts {
            left.step();
        }
    }
    let lane = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
    let scale = _mm512_set1_ps(p.scale);
    for (j, [scores, gradients]) in sums.into_iter().enumerate() {
        for v in 0..V {
            let sees = _mm512_set1_epi32(p.hidden + j as i32 - (v * LANES) as i32);
            let keep = _mm512_cmpge_epi32_mask(lane, sees);
            let weight = power_of_two(_mm512_sub_ps(scores[v], lse[v]), keep);
            let place = j * QUERIES + v * LANES;
            let (kept, gradient) = if let Some(mask) = p.mask {
                // SAFETY: within the mask.
                let mask = unsafe { load(mask.add(j * p.lanes + v * LANES)) };
                let gradient = _mm512_fmsub_ps(mask, gradients[v], delta[v]);
                // mutant: backward512_keeps_what_was_dropped
                (_mm512_mul_ps(weight, mask), gradient)
            } else {
                // mutant: backward512_without_delta
                (weight, _mm512_sub_ps(gradients[v], delta[v]))
            };
            let gradient = _mm512_mul_ps(_mm512_mul_ps(weight, gradient), scale);
            // SAFETY: row j of the tile.
            unsafe { _mm512_storeu_ps(p.weights.add(place), kept) };
            // SAFETY: as above.
            unsafe { _mm512_storeu_ps(p.scores.add(place), gradient) };
        }
    }
}

/// `Σ_x a[i, x]·b[i, x]` in lane `i`; 0 in lanes from `rows` on.
///
/// # Safety
/// Rows `0 .. rows` may be read, `d` elements each.
#[target_feature(enable = "avx512f")]
unsafe fn row_products(a: Lines, b: Lines, rows: usize, d: usize) -> __m512 {
    let mut sums = [_mm512_setzero_ps(); LANES];
    for (i, sum) in sums.iter_mut().enumerate().take(rows) {
        for x in (0..d).step_by(LANES) {
            let mask = u16::MAX >> LANES.saturating_sub(d - x);
            let [a, b] = [a, b].map(|lines| {
                // SAFETY: within row i; lanes beyond its end are masked.
                unsafe { _mm512_maskz_loadu_ps(mask, lines.from(i).start.wrapping_add(x)) }
            });
            *sum = _mm512_fmadd_ps(a, b, *sum);
        }
    }
    lane_sums(sums)
}

/// The sum of vector `i` in lane `i`: halves of vectors are added, of two vectors at a time.
#[target_feature(enable = "avx512f")]
fn lane_sums(vectors: [__m512; LANES]) -> __m512 {
    let wide = |x: __m512| -> __m512d { _mm512_castps_pd(x) };
    let mut fours = [_mm512_setzero_ps(); 4];
    for (g, four) in fours.iter_mut().enumerate() {
        let pair = |i: usize| {
            let (a, b) = (vectors[4 * g + i], vectors[4 * g + i + 1]);
            _mm512_add_ps(_mm512_unpacklo_ps(a, b), _mm512_unpackhi_ps(a, b))
        };
        let (ab, cd) = (wide(pair(0)), wide(pair(2)));
        let (low, high) = (_mm512_unpacklo_pd(ab, cd), _mm512_unpackhi_pd(ab, cd));
        *four = _mm512_add_ps(_mm512_castpd_ps(low), _mm512_castpd_ps(high));
    }
    // Now every quarter has a partial sum of each of its four vectors.
    let eight = |a: __m512, b: __m512| {
        let (low, high) = (
            _mm512_shuffle_f32x4::<0x44>(a, b),
            _mm512_shuffle_f32x4::<0xEE>(a, b),
        );
        _mm512_add_ps(low, high)
    };
    let (a, b) = (eight(fours[0], fours[1]), eight(fours[2], fours[3]));
    let (even, odd) = (
        _mm512_shuffle_f32x4::<0x88>(a, b),
        _mm512_shuffle_f32x4::<0xDD>(a, b),
    );
    _mm512_add_ps(even, odd)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simd::{Level, level};

    #[test]
    #[expect(unsafe_code, reason = "what is tested")]
    fn row_products_are_in_order() {
        if level() != Level::Avx512 {
            return;
        }
        for [rows, d] in [[1, 1], [16, 16], [13, 40]] {
            let a: Vec<f32> = (0..rows * d).map(|x| (x % 7) as f32).collect();
            let b: Vec<f32> = (0..rows * d).map(|x| (x % 5) as f32).collect();
            let mut got = [0.0f32; LANES];
            // SAFETY: the CPU supports AVX-512; `rows` rows of `d` floats, and a vector.
            unsafe {
                let sums = row_products(Lines::of(&a, 0, d), Lines::of(&b, 0, d), rows, d);
                _mm512_storeu_ps(got.as_mut_ptr(), sums);
            }
            for (i, got) in got.into_iter().enumerate() {
                let row = (i * d..(i + 1) * d).filter(|_| i < rows);
                assert_eq!(got, row.map(|x| a[x] * b[x]).sum::<f32>(), "row {i}");
            }
        }
    }
}
