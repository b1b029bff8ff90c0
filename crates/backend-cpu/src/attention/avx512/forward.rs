//! Forward, a block of queries at a time.

use super::{Before, Down, LANES, Left, Mix, blocks, by_height, load, pack, power_of_two};
use crate::attention::heads::Head;
use crate::attention::{Drops, Lines, QUERIES, Tile, lanes};
use crate::math::ln;
use crate::scratch::scratch;
use std::arch::x86_64::{
    __m512, _mm512_add_ps, _mm512_cmplt_epi32_mask, _mm512_fmadd_ps, _mm512_mask_mov_ps,
    _mm512_max_ps, _mm512_mul_ps, _mm512_reduce_add_ps, _mm512_set1_epi32, _mm512_set1_ps,
    _mm512_setr_epi32, _mm512_setzero_ps, _mm512_storeu_ps, _mm512_sub_ps,
};
use std::f32::consts::{LN_2, LOG2_E};
use std::ops::Range;

/// Keys of a tile: with 32 queries, 8 KiB of scores.
const KEYS: usize = 64;

/// Computes the `lse.len()` queries from `top` on; returns whether all of their `y` is finite.
///
/// # Safety
/// Same contract as [`crate::attention::forward::block_forward`]. The CPU must support AVX-512F.
pub(in crate::attention) unsafe fn block_forward(
    head: &Head,
    top: usize,
    drops: Option<&Drops>,
    lse: &mut [f32],
) -> bool {
    let lanes = lanes(lse.len());
    scratch(head.d * lanes + 2 * KEYS * lanes + KEYS, |memory| {
        if lanes == LANES {
            // SAFETY: the caller's promise.
            unsafe { block::<1>(head, top, drops, lse, memory) }
        } else {
            // SAFETY: the caller's promise.
            unsafe { block::<2>(head, top, drops, lse, memory) }
        }
    })
}

/// # Safety
/// Same contract as [`block_forward`], for at most `16·V` queries, and more than 16 if `V` is 2.
#[target_feature(enable = "avx512f")]
unsafe fn block<const V: usize>(
    head: &Head,
    top: usize,
    drops: Option<&Drops>,
    lse: &mut [f32],
    memory: &mut [f32],
) -> bool {
    let (d, queries, lanes) = (head.d, lse.len(), V * LANES);
    let (packed, rest) = memory.split_at_mut(d * lanes);
    let (tile, rest) = rest.split_at_mut(KEYS * lanes);
    let (mask, line) = rest.split_at_mut(KEYS * lanes);
    let (q, y) = (head.q.from(top), head.y.from(top));
    // SAFETY: these rows of q, by the caller's promise.
    // mutant: tile512_scale_missing
    unsafe { pack(q, queries, d, lanes, head.scale * LOG2_E, packed) };
    let seen = head.reach(top + queries - 1);
    let mut most = [_mm512_set1_ps(f32::NEG_INFINITY); V];
    let mut total = [_mm512_setzero_ps(); V];
    let mut poison = _mm512_setzero_ps();
    let (mut shrink, mut factors) = ([0.0; QUERIES], [0.0; QUERIES]);
    for first in (0..seen).step_by(KEYS) {
        let keys = KEYS.min(seen - first);
        // The number of these keys that the lower vector of queries sees; the upper one sees them
        // all.
        let both = match V {
            1 => keys,
            _ => head.reach(top + LANES - 1).saturating_sub(first).min(keys),
        };
        // Key `first + j` is hidden from query lane `i` where `first + j > top + i + offset`.
        let hidden = head.causal.map_or(i32::MIN / 2, |offset| {
            (first as isize - (top + offset) as isize) as i32
        });
        let (k, upper) = (head.k.from(first), LANES * (V - 1));
        let before = most;
        let scores = Scores {
            k,
            d,
            packed: packed.as_ptr(),
            lanes,
            hidden,
            tile: tile.as_mut_ptr(),
        };
        // SAFETY: keys of this tile against the packed queries.
        unsafe { scores.run(0..both, &mut most) };
        // SAFETY: the same, for the upper vector.
        unsafe { scores.upper(upper).run(both..keys, &mut most[V - 1..]) };
        if first > 0 {
            for v in 0..V {
                let change = power_of_two(_mm512_sub_ps(before[v], most[v]), u16::MAX);
                // mutant: tile512_total_never_shrinks
                total[v] = _mm512_mul_ps(total[v], change);
                // SAFETY: 16 floats of 32.
                unsafe { _mm512_storeu_ps(shrink[v * LANES..].as_mut_ptr(), change) };
            }
        }
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
        let weights = Weights {
            tile: tile.as_mut_ptr(),
            mask,
            lanes,
        };
        // SAFETY: rows of the tile, and of the mask if there is one.
        unsafe { weights.run::<V>(0..both, &most, &mut total) };
        if both < keys {
            let (most, total) = (&most[V - 1..], &mut total[V - 1..]);
            // SAFETY: as above.
            unsafe { weights.upper(upper).run::<1>(both..keys, most, total) };
            for row in tile[both * lanes..keys * lanes].chunks_exact_mut(lanes) {
                row[..upper].fill(0.0);
            }
        }
        let last = first + keys == seen;
        if last {
            finish(&most, &total, &mut factors, lse);
        }
        let mix = Mix {
            terms: 0,
            left: Left::Turned(tile.as_ptr(), lanes),
            right: head.v.from(first),
            out: y,
            before: match first {
                // mutant: tile512_adds_to_old_output
                0 => Before::Nothing,
                // mutant: tile512_never_shrinks
                _ => Before::Scaled(&shrink),
            },
            after: last.then_some(&factors),
        };
        for rows in blocks(queries, Mix::most_rows(d)) {
            let reach = head.reach(top + rows.end - 1);
            let terms = reach.saturating_sub(first).min(keys);
            // SAFETY: weights of this tile and values `first .. first + terms`, into these rows of
            // y, which are the caller's own.
            unsafe { Mix { terms, ..mix }.run(rows, d, &mut poison) };
        }
    }
    _mm512_reduce_add_ps(poison) == 0.0
}

/// Writes one over each sum, and the logarithm of each sum of exponentials.
#[target_feature(enable = "avx512f")]
fn finish(most: &[__m512], total: &[__m512], factors: &mut [f32; QUERIES], lse: &mut [f32]) {
    let mut tops = [0.0; QUERIES];
    let mut sums = [1.0; QUERIES];
    for (v, (&most, &total)) in most.iter().zip(total).enumerate() {
        // SAFETY: 16 floats of 32.
        unsafe { _mm512_storeu_ps(tops[v * LANES..].as_mut_ptr(), most) };
        // SAFETY: as above.
        unsafe { _mm512_storeu_ps(sums[v * LANES..].as_mut_ptr(), total) };
    }
    for i in 0..QUERIES {
        factors[i] = 1.0 / sums[i];
        tops[i] = tops[i].mul_add(LN_2, ln::<true>(sums[i]));
    }
    lse.copy_from_slice(&tops[..lse.len()]);
}

/// Computes scores of keys against packed queries, into a tile.
#[derive(Clone, Copy, Debug)]
struct Scores {
    k: Lines,
    d: usize,
    /// `[d, lanes]`.
    packed: *const f32,
    lanes: usize,
    /// Lane `i` does not see key `j` where `i < hidden + j`.
    hidden: i32,
    /// `[keys, lanes]`.
    tile: *mut f32,
}

impl Scores {
    /// The same work for the queries from lane `lanes` on.
    fn upper(self, lanes: usize) -> Self {
        Self {
            packed: self.packed.wrapping_add(lanes),
            hidden: self.hidden - lanes as i32,
            tile: self.tile.wrapping_add(lanes),
            ..self
        }
    }

    /// Computes the scores of keys `rows`, for as many vectors of queries as `most` has, and raises
    /// `most` to the greatest of them; NaNs are ignored.
    ///
    /// # Safety
    /// These keys and the packed queries may be read, and the tile's rows be written.
    #[target_feature(enable = "avx512f")]
    unsafe fn run(self, rows: Range<usize>, most: &mut [__m512]) {
        let high = if most.len() == 1 { 16 } else { 12 };
        for block in blocks(rows.len(), high) {
            let (start, height) = (rows.start + block.start, block.len());
            let part = Self {
                k: self.k.from(start),
                hidden: self.hidden + start as i32,
                tile: self.tile.wrapping_add(start * self.lanes),
                ..self
            };
            if most.len() == 1 {
                by_height!(height, scores, (1), (part, most): 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16);
            } else {
                by_height!(height, scores, (2), (part, most): 1 2 3 4 5 6 7 8 9 10 11 12);
            }
        }
    }
}

/// # Safety
/// Same contract as [`Scores::run`], for `ROWS` keys.
#[target_feature(enable = "avx512f")]
unsafe fn scores<const ROWS: usize, const V: usize>(s: Scores, most: &mut [__m512]) {
    let mut sums = [[_mm512_setzero_ps(); V]; ROWS];
    let (mut k, mut packed) = (Down::new(s.k), s.packed);
    for _ in 0..s.d {
        let mut right = [_mm512_setzero_ps(); V];
        for (v, right) in right.iter_mut().enumerate() {
            // SAFETY: a row of the packed queries.
            *right = unsafe { load(packed.add(v * LANES)) };
        }
        for (j, sums) in sums.iter_mut().enumerate() {
            // SAFETY: an element of key j.
            let left = _mm512_set1_ps(unsafe { *k.at(j) });
            for (sum, right) in sums.iter_mut().zip(right) {
                *sum = _mm512_fmadd_ps(left, right, *sum);
            }
        }
        k.step();
        packed = packed.wrapping_add(s.lanes);
    }
    let lane = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
    if s.hidden + ROWS as i32 > 1 {
        for (j, sums) in sums.iter_mut().enumerate() {
            for (v, sum) in sums.iter_mut().enumerate() {
                // mutant: tile512_sees_one_key_ahead
                let sees = _mm512_set1_epi32(s.hidden + j as i32 - (v * LANES) as i32);
                let blind = _mm512_cmplt_epi32_mask(lane, sees);
                *sum = _mm512_mask_mov_ps(*sum, blind, _mm512_set1_ps(f32::NEG_INFINITY));
            }
        }
    }
    for (v, most) in most.iter_mut().enumerate().take(V) {
        for (j, sums) in sums.iter().enumerate() {
            // The instruction answers with its second operand if either is NaN.
            *most = _mm512_max_ps(sums[v], *most);
            // SAFETY: row j of the tile.
            unsafe { _mm512_storeu_ps(s.tile.add(j * s.lanes + v * LANES), sums[v]) };
        }
    }
}

/// Turns the scores of a tile into weights.
#[derive(Clone, Copy, Debug)]
struct Weights {
    /// `[keys, lanes]`.
    tile: *mut f32,
    /// The factors of dropout, of the tile's shape.
    mask: Option<*const f32>,
    lanes: usize,
}

impl Weights {
    /// The same work for the queries from lane `lanes` on.
    fn upper(self, lanes: usize) -> Self {
        Self {
            tile: self.tile.wrapping_add(lanes),
            mask: self.mask.map(|mask| mask.wrapping_add(lanes)),
            ..self
        }
    }

    /// Subtracts `most` from the scores, exponentiates, adds the weights to `total`, then applies
    /// dropout.
    ///
    /// # Safety
    /// The tile has these rows, and so has the mask.
    #[target_feature(enable = "avx512f")]
    unsafe fn run<const V: usize>(self, rows: Range<usize>, most: &[__m512], total: &mut [__m512]) {
        for j in rows {
            for v in 0..V {
                let place = j * self.lanes + v * LANES;
                let at = self.tile.wrapping_add(place);
                // SAFETY: within the tile.
                let score = unsafe { load(at) };
                let mut weight = power_of_two(_mm512_sub_ps(score, most[v]), u16::MAX);
                total[v] = _mm512_add_ps(total[v], weight);
                if let Some(mask) = self.mask {
                    // SAFETY: within the mask.
                    weight = _mm512_mul_ps(weight, unsafe { load(mask.wrapping_add(place)) });
                }
                // SAFETY: within the tile.
                unsafe { _mm512_storeu_ps(at, weight) };
            }
        }
    }
}
