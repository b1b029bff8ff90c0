//! Hashing for the tables of this module: a few multiplications, without protection against chosen
//! keys.
//!
//! Tables whose keys come from a text therefore take a random seed; no result depends on it.

use std::hash::{BuildHasher, RandomState};

const K0: u64 = 0x9e37_79b9_7f4a_7c15; // 2^64 / golden ratio, odd
const K1: u64 = 0xd6e8_feb8_6659_fd93; // a random odd number

/// Multiplies to 128 bits and folds both halves: every bit of `a` and `b` affects every bit.
#[inline]
fn fold(a: u64, b: u64) -> u64 {
    let product = u128::from(a) * u128::from(b);
    (product as u64) ^ (product >> 64) as u64
}

#[inline]
pub(super) fn number(key: u64) -> u64 {
    fold(key ^ K1, K0)
}

#[inline]
pub(super) fn wide(key: u128) -> u64 {
    fold(key as u64 ^ K0, (key >> 64) as u64 ^ K1)
}

/// A hash of `bytes`.
#[inline]
pub(super) fn bytes(bytes: &[u8], seed: u64) -> u64 {
    let mut hash = seed ^ (bytes.len() as u64).wrapping_mul(K0);
    let mut words = bytes.chunks_exact(8);
    for word in &mut words {
        let word = u64::from_le_bytes(word.try_into().unwrap_or_default());
        hash = fold(hash ^ word, K1);
    }
    let mut last = [0; 8];
    let rest = words.remainder();
    last[..rest.len()].copy_from_slice(rest);
    fold(hash ^ u64::from_le_bytes(last), K0)
}

/// A random seed that nobody outside the process can guess.
pub(super) fn seed() -> u64 {
    RandomState::new().hash_one(0)
}
