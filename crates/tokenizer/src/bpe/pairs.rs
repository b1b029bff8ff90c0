//! Which two tokens merge: a table from pairs of ids to ranks.

use super::hash;

/// Marks the absence of a rank or an id.
pub(super) const NONE: u32 = u32::MAX;

/// The result of looking up a pair.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Merged {
    /// The place in the order of merges, [`NONE`] if the pair does not merge.
    pub(super) rank: u32,
    /// The id of the merged token.
    pub(super) id: u32,
}

pub(super) const APART: Merged = Merged {
    rank: NONE,
    id: NONE,
};

#[derive(Debug, Clone, Copy)]
struct Slot {
    key: u64,
    merged: Merged,
}

/// Bits of the filter for each slot: with two slots or more to a pair, at most one in 16 is set.
const FILTER_BITS: usize = 8;

/// Key of an empty slot. No pair has it, since ids stay below [`NONE`].
const FREE: u64 = u64::MAX;

/// An open hash table at most half full.
///
/// Most pairs that are looked up do not merge, and the table is larger than the near caches. So a
/// small filter comes first: one bit says whether the table holds any pair with these bits of the
/// hash.
#[derive(Debug, Clone)]
pub(super) struct Pairs {
    slots: Vec<Slot>,
    shift: u32,
    filter: Vec<u64>,
}

#[inline]
fn key(left: u32, right: u32) -> u64 {
    u64::from(left) << 32 | u64::from(right)
}

impl Pairs {
    /// Room for `len` pairs.
    pub(super) fn with_capacity(len: usize) -> Self {
        let size = (2 * len).next_power_of_two().max(2);
        Self {
            slots: vec![
                Slot {
                    key: FREE,
                    merged: APART,
                };
                size
            ],
            shift: 64 - size.trailing_zeros(),
            filter: vec![0; (size * FILTER_BITS / 64).next_power_of_two()],
        }
    }

    /// The word of the filter and the bit in it for this hash.
    #[inline]
    fn filter_at(&self, hash: u64) -> (usize, u64) {
        let word = hash as usize >> 6 & (self.filter.len() - 1);
        (word, 1 << (hash & 63))
    }

    /// Adds a pair; returns `false` if it was there already. There must be room.
    pub(super) fn insert(&mut self, left: u32, right: u32, merged: Merged) -> bool {
        let key = key(left, right);
        let mask = self.slots.len() - 1;
        let hash = hash::number(key);
        let (word, bit) = self.filter_at(hash);
        self.filter[word] |= bit;
        let mut at = (hash >> self.shift) as usize;
        loop {
            let slot = &mut self.slots[at];
            if slot.key == FREE {
                *slot = Slot { key, merged };
                return true;
            }
            if slot.key == key {
                return false;
            }
            at = (at + 1) & mask;
        }
    }

    /// The rank and the merged token of `left` and `right`; [`APART`] if they do not merge.
    #[inline]
    pub(super) fn get(&self, left: u32, right: u32) -> Merged {
        let key = key(left, right);
        let hash = hash::number(key);
        let (word, bit) = self.filter_at(hash);
        if self.filter[word] & bit == 0 {
            return APART;
        }
        let mask = self.slots.len() - 1;
        let mut at = (hash >> self.shift) as usize;
        loop {
            let slot = &self.slots[at & mask];
            if slot.key == key {
                return slot.merged;
            }
            if slot.key == FREE {
                return APART;
            }
            at += 1;
        }
    }
}
