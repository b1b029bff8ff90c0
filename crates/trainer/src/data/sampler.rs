//! Which window a row is: a permutation of each epoch, computed and never stored.
//!
//! A text is cut into windows side by side, elsewhere in each epoch. In order `spread`, they are
//! taken in steps of the golden ratio of their number. That is a permutation (the step has no
//! factor in common with the number), and any few rows in a row lie evenly over the whole text: a
//! batch is never all from one play. Low-discrepancy order is an old remedy for the variance of
//! sampled sums (Niederreiter 1992); on `baby`, its gain over a random order of the same windows
//! was smaller than the differences between seeds.
//!
//! In order `shuffle`, they are taken at random: a keyed permutation, four rounds of a balanced
//! Feistel network (Luby and Rackoff 1988) over the next even power of two, walked until it falls
//! below their number (Black and Rogaway 2002): below four turns on average.

use crate::config::Order;
use latimer_tensor::philox::{Stream, philox4x32};

/// Use of randomness: where an epoch's windows begin, and with which.
const EPOCH_SITE: u32 = 0x0FF5_E700;

/// `(√5 - 1) / 2`: of all steps, its multiples spread most evenly.
const GOLDEN_RATIO: f64 = 0.618_033_988_749_894_9;

/// The first token of row number `row`, counted over the whole run, in a text of `tokens` cut into
/// windows of `block_size` predictions: within an epoch no window comes twice, and each epoch cuts
/// elsewhere.
///
/// `tokens` must be greater than `block_size`.
#[must_use]
pub fn window_start(order: Order, tokens: usize, block_size: usize, seed: u64, row: u64) -> usize {
    let last = tokens - 1 - block_size;
    let windows = ((tokens - 1) / block_size) as u64;
    let (epoch, place) = (row / windows, row % windows);
    let mut stream = Stream::new(seed, EPOCH_SITE, epoch as u32);
    let (first, shift) = (
        stream.below(windows),
        stream.below(block_size as u64) as usize,
    );
    let place = match order {
        Order::Shuffle => shuffled(place, windows, [stream.next_u32(), stream.next_u32()]),
        Order::Spread => {
            let place = u128::from(first) + u128::from(place) * u128::from(stride(windows));
            (place % u128::from(windows)) as u64
        }
    };
    // Where the text ends, the last window gives way.
    (place as usize * block_size + shift).min(last)
}

/// Where `place` goes in a permutation of `0..n` that the key chooses.
fn shuffled(mut place: u64, n: u64, key: [u32; 2]) -> u64 {
    const ROUNDS: u32 = 4;
    // Two halves of this many bits each number all places; at least one bit.
    let half = (u64::BITS - (n - 1).leading_zeros()).div_ceil(2).max(1);
    let mask = (1u64 << half) - 1;
    loop {
        let (mut left, mut right) = (place >> half, place & mask);
        for round in 0..ROUNDS {
            let [a, b, ..] = philox4x32(key, [right as u32, (right >> 32) as u32, round, half]);
            let mixed = u64::from(a) | u64::from(b) << 32;
            (left, right) = (right, left ^ (mixed & mask));
        }
        place = left << half | right;
        if place < n {
            return place;
        }
    }
}

/// The step nearest below the golden ratio of `n` that reaches every place.
fn stride(n: u64) -> u64 {
    let mut stride = ((n as f64 * GOLDEN_RATIO) as u64).max(1);
    while greatest_common_divisor(stride, n) != 1 {
        stride -= 1;
    }
    stride
}

fn greatest_common_divisor(a: u64, b: u64) -> u64 {
    if b == 0 {
        a
    } else {
        greatest_common_divisor(b, a % b)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_epoch_predicts_no_token_twice() {
        let block_size = 16;
        let orders = [Order::Spread, Order::Shuffle];
        let texts = [17, 33, 100, 1000, 1009, 20_000];
        for (order, tokens) in orders
            .iter()
            .flat_map(|&order| texts.map(|tokens| (order, tokens)))
        {
            let windows = (tokens - 1) / block_size;
            for epoch in 0..4 {
                let rows = epoch * windows..(epoch + 1) * windows;
                let mut starts: Vec<usize> = rows
                    .map(|row| window_start(order, tokens, block_size, 5, row as u64))
                    .collect();
                starts.sort_unstable();
                assert!(starts.iter().all(|s| s + block_size < tokens));
                // The last window may have given way by less than itself.
                let close = starts
                    .windows(2)
                    .filter(|p| p[1] - p[0] < block_size)
                    .count();
                assert!(close <= 1, "{tokens} tokens: {starts:?}");
            }
        }
    }

    #[test]
    fn epochs_and_seeds_differ() {
        for order in [Order::Spread, Order::Shuffle] {
            let epoch = |seed, first: u64| -> Vec<usize> {
                (first..first + 62)
                    .map(|row| window_start(order, 1000, 16, seed, row))
                    .collect()
            };
            assert_ne!(epoch(1, 0), epoch(1, 62));
            assert_ne!(epoch(1, 0), epoch(2, 0));
        }
    }

    /// Every length has all places once, and is no simple step: as a random order would, hardly
    /// any place is followed by the one that its neighbours' distance suggests.
    #[test]
    fn a_shuffle_is_a_permutation() {
        for n in [1, 2, 3, 4, 5, 16, 17, 255, 256, 257, 1000, 4096] {
            let places: Vec<u64> = (0..n).map(|place| shuffled(place, n, [7, 9])).collect();
            let mut sorted = places.clone();
            sorted.sort_unstable();
            assert!(sorted.iter().copied().eq(0..n), "{n}");
            let steps: Vec<u64> = places.windows(2).map(|p| (p[1] + n - p[0]) % n).collect();
            let regular = steps.windows(2).filter(|s| s[0] == s[1]).count();
            assert!(n < 255 || regular < 10, "{n}: {regular}");
        }
        let far = 1 << 40;
        let places = [0, 1, far - 1].map(|place| shuffled(place, far, [1, 2]));
        assert!(places.iter().all(|&place| place < far));
    }

    #[test]
    fn a_batch_lies_over_the_whole_text() {
        let (tokens, block_size, rows) = (100_001, 10, 12);
        for step in 0..50 {
            let mut starts: Vec<usize> = (0..rows)
                .map(|r| window_start(Order::Spread, tokens, block_size, 3, step * rows + r))
                .collect();
            starts.sort_unstable();
            let gap = starts.windows(2).map(|p| p[1] - p[0]).max().unwrap_or(0);
            // Random places would leave a gap of about ln(12) = 2.5 times the mean.
            assert!(
                gap < 2 * tokens / rows as usize,
                "a gap of {gap} in {starts:?}"
            );
        }
    }
}
