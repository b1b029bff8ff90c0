//! Which window a row is: a keyed permutation of each epoch, computed and never stored.

use latimer_tensor::philox::{Stream, philox4x32, split};

/// Use of randomness: where an epoch's windows begin.
const OFFSET_SITE: u32 = 0x0FF5_E700;
/// Use of randomness: the order of an epoch's windows.
const ORDER_SITE: u32 = 0x0DE4_0000;
/// Rounds of the Feistel network; four give a strong pseudo-random permutation (Luby and Rackoff
/// 1988), two more are cheap.
const ROUNDS: u32 = 6;

/// A permutation of `0..n` that is a function of a key: a Feistel network over the next even power
/// of two, walked until it lands below `n` (Black and Rogaway 2002).
#[derive(Clone, Copy, Debug)]
pub struct Permutation {
    n: u64,
    half_bits: u32,
    key: [u32; 2],
    tweak: [u32; 2],
}

impl Permutation {
    /// The permutation of `0..n` under a seed and a number.
    #[must_use]
    pub fn new(n: u64, seed: u64, number: u64) -> Self {
        let bits = u64::BITS - n.saturating_sub(1).leading_zeros();
        Self {
            n,
            half_bits: bits.div_ceil(2).max(1),
            key: split(seed),
            tweak: split(number),
        }
    }

    /// Where `i` goes; `i` must be below `n`.
    #[must_use]
    pub fn at(&self, i: u64) -> u64 {
        assert!(i < self.n, "{i} is not below {}", self.n);
        let mask = (1u64 << self.half_bits) - 1;
        let mut x = i;
        loop {
            let (mut left, mut right) = (x >> self.half_bits, x & mask);
            for round in 0..ROUNDS {
                let [low, high] = self.tweak;
                let counter = [right as u32, ORDER_SITE + round, low, high];
                let drawn = u64::from(philox4x32(self.key, counter)[0]);
                (left, right) = (right, left ^ (drawn & mask));
            }
            x = left << self.half_bits | right;
            if x < self.n {
                return x;
            }
        }
    }
}

/// The first token of row number `row`, counted over the whole run, in a text of `tokens` cut into
/// windows of `block_size` predictions: within an epoch no token is predicted twice, and each epoch
/// cuts elsewhere.
#[must_use]
pub fn window_start(tokens: usize, block_size: usize, seed: u64, row: u64) -> usize {
    let slack = (tokens - 1) % block_size;
    let windows = ((tokens - 1) / block_size) as u64;
    let (epoch, place) = (row / windows, row % windows);
    // Shifted by up to a window; the last window gives way where the text ends.
    let shift = Stream::new(seed, OFFSET_SITE, epoch as u32).below(block_size as u64) as usize;
    let shift = if shift > slack && windows == 1 {
        shift % (slack + 1)
    } else {
        shift
    };
    let start = Permutation::new(windows, seed, epoch).at(place) as usize * block_size + shift;
    start.min(tokens - 1 - block_size)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn every_number_is_reached_once() {
        for n in (1..70).chain([255, 256, 257, 1000, 4097]) {
            let permutation = Permutation::new(n, 7, 3);
            let reached: HashSet<u64> = (0..n).map(|i| permutation.at(i)).collect();
            assert_eq!(reached.len() as u64, n);
            assert!(reached.iter().all(|&x| x < n));
        }
    }

    #[test]
    fn orders_differ_by_seed_and_epoch() {
        let order = |seed, epoch| -> Vec<u64> {
            (0..100)
                .map(|i| Permutation::new(100, seed, epoch).at(i))
                .collect()
        };
        assert_ne!(order(1, 0), order(1, 1));
        assert_ne!(order(1, 0), order(2, 0));
        let fixed = order(1, 0)
            .iter()
            .enumerate()
            .filter(|(i, x)| *i as u64 == **x)
            .count();
        assert!(
            fixed < 8,
            "{fixed} of 100 stay where they are; one is expected"
        );
    }

    #[test]
    fn an_epoch_predicts_no_token_twice() {
        let (tokens, block_size) = (1000, 16);
        let windows = (tokens - 1) / block_size;
        for epoch in 0..4 {
            let rows = epoch * windows..(epoch + 1) * windows;
            let mut starts: Vec<usize> = rows
                .map(|row| window_start(tokens, block_size, 5, row as u64))
                .collect();
            starts.sort_unstable();
            assert!(starts.iter().all(|s| s + block_size < tokens));
            // The last window may have given way by less than itself.
            let close = starts
                .windows(2)
                .filter(|pair| pair[1] - pair[0] < block_size)
                .count();
            assert!(close <= 1, "{starts:?}");
        }
        assert_eq!(window_start(17, 16, 5, 123), 0);
    }
}
