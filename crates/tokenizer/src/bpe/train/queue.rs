//! The pairs in the order of their counts.
//!
//! Once a pair is in the queue its count only falls, so an entry may be too high but never too low:
//! it is checked again when it reaches the top. Most pairs are rare and never get there. Those are
//! kept in one list for each count, which costs nothing until that count is reached. The other
//! pairs, and those of the count that is reached, are in a heap.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// Counts below this have a list each.
const LISTS: u64 = 1 << 12;

/// A pair's place among equally frequent ones: the lowest first.
pub(super) type Tie = u64;

#[derive(Debug)]
pub(super) struct Queue {
    /// The pairs with counts of [`LISTS`] or more.
    high: BinaryHeap<(u64, Reverse<Tie>, u32)>,
    /// The pairs with lower counts: one list for each count.
    lists: Vec<Vec<u32>>,
    /// The count of the pairs in `now`; pairs with higher counts are only in `high`.
    level: u64,
    now: BinaryHeap<Reverse<(Tie, u32)>>,
    least: u64,
}

/// The pairs as the queue sees them: their current counts and their ties.
pub(super) trait Pairs {
    fn count(&self, pair: u32) -> u64;
    fn tie(&mut self, pair: u32) -> Tie;
}

impl Queue {
    /// A queue of pairs of at least this count.
    pub(super) fn new(least: u64) -> Self {
        Self {
            high: BinaryHeap::new(),
            lists: vec![Vec::new(); LISTS as usize],
            level: LISTS,
            now: BinaryHeap::new(),
            least: least.max(1),
        }
    }

    /// Adds a pair, whose count is at most that of the last one taken.
    pub(super) fn push(&mut self, pair: u32, pairs: &mut impl Pairs) {
        let count = pairs.count(pair);
        if count < self.least {
        } else if count >= LISTS {
            self.high.push((count, Reverse(pairs.tie(pair)), pair));
        } else if count == self.level {
            self.now.push(Reverse((pairs.tie(pair), pair)));
        } else {
            self.lists[count as usize].push(pair);
        }
    }

    /// Takes the most frequent pair; among equally frequent ones, that with the lowest tie.
    pub(super) fn pop(&mut self, pairs: &mut impl Pairs) -> Option<u32> {
        while let Some((count, Reverse(tie), pair)) = self.high.pop() {
            if pairs.count(pair) == count && pairs.tie(pair) == tie {
                return Some(pair);
            }
            self.push(pair, pairs);
        }
        loop {
            while let Some(Reverse((tie, pair))) = self.now.pop() {
                if pairs.count(pair) == self.level && pairs.tie(pair) == tie {
                    return Some(pair);
                }
                self.push(pair, pairs);
            }
            if self.level <= self.least {
                return None;
            }
            self.level -= 1;
            let list = std::mem::take(&mut self.lists[self.level as usize]);
            let mut entries = Vec::with_capacity(list.len());
            for pair in list {
                if pairs.count(pair) == self.level {
                    entries.push(Reverse((pairs.tie(pair), pair)));
                } else {
                    self.push(pair, pairs);
                }
            }
            self.now = BinaryHeap::from(entries);
        }
    }
}
