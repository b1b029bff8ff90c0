//! Finding the merges.
//!
//! All distinct pieces lie in one row of cells, one cell a byte, with a cell between pieces. A
//! token is a stretch of cells; its first and its last cell hold its id, so that both neighbours
//! are found from its place, and its first cell holds the pair that it makes with the token after
//! it. Each pair has the list of places where it was made. A merge goes through the list of its
//! pair, from left to right, and changes the counts of the pairs it touches. Every merge of two
//! tokens makes at most two places, so that all work is linear in the size of the pieces, but for
//! the queue.

use super::TrainProgress;
use super::count::Pieces;
use super::queue::{self, Queue, Tie};
use crate::bpe::BpeError;
use crate::error::Result;

/// In place of a pair or token: the cell between two pieces.
const NONE: u32 = u32::MAX;
/// The largest number of cells: places and pairs, at most three to a cell, are counted in 32 bits.
const LIMIT: u64 = 1 << 30;

/// The vocabulary to learn.
#[derive(Debug)]
pub(super) struct Goal {
    /// The id of each byte.
    pub(super) bytes: [u32; 256],
    /// The id of the first merge.
    pub(super) first: u32,
    /// The largest number of merges.
    pub(super) merges: usize,
    /// The smallest count of a pair that is merged.
    pub(super) min_frequency: u64,
    /// Whether ties are broken by place in the text instead of by ids.
    pub(super) first_seen: bool,
    /// Tokens that no merge may make.
    pub(super) never: Vec<Vec<u8>>,
}

impl Goal {
    /// Whether `left` and `right` together are a token that must not be made.
    fn forbids(&self, left: u32, right: u32, merges: &[(u32, u32)], len: usize) -> bool {
        self.never
            .iter()
            .filter(|token| token.len() == len)
            .any(|token| {
                let mut parts = vec![right, left];
                let mut bytes = Vec::with_capacity(len);
                while let Some(id) = parts.pop() {
                    match id.checked_sub(self.first) {
                        Some(rank) => {
                            let (left, right) = merges[rank as usize];
                            parts.extend([right, left]);
                        }
                        None => bytes.extend(self.bytes.iter().position(|byte| *byte == id)),
                    }
                }
                bytes
                    .iter()
                    .copied()
                    .eq(token.iter().map(|byte| usize::from(*byte)))
            })
    }
}

#[derive(Debug, Clone, Copy)]
struct Cell {
    id: u32,
    pair: u32,
    piece: u32,
}

#[derive(Debug, Clone, Copy)]
struct Pair {
    left: u32,
    right: u32,
    count: u64,
    /// The pair's places: `len` entries from `start` in `places`, rising.
    start: usize,
    len: u32,
}

struct State {
    cells: Vec<Cell>,
    /// How often each piece occurs in the text.
    counts: Vec<u64>,
    pairs: Vec<Pair>,
    places: Vec<u32>,
    /// Bytes of each token.
    lens: Vec<u32>,
    first_seen: bool,
}

impl queue::Pairs for State {
    fn count(&self, pair: u32) -> u64 {
        self.pairs[pair as usize].count
    }

    fn tie(&mut self, number: u32) -> Tie {
        let pair = &mut self.pairs[number as usize];
        if !self.first_seen {
            return u64::from(pair.left) << 32 | u64::from(pair.right);
        }
        // Find the first place where the pair still stands.
        while pair.len > 0 {
            let place = self.places[pair.start];
            if self.cells[place as usize].pair == number {
                return u64::from(place);
            }
            pair.start += 1;
            pair.len -= 1;
        }
        Tie::MAX
    }
}

/// The merges in their order, as pairs of ids.
pub(super) fn learn(
    pieces: &Pieces,
    goal: &Goal,
    progress: &mut (dyn FnMut(TrainProgress) + Send),
) -> Result<Vec<(u32, u32)>> {
    /// Merges between two calls of `progress`.
    const STEP: usize = 64;
    let mut state = State::new(pieces, goal)?;
    let mut queue = Queue::new(goal.min_frequency);
    for pair in 0..state.pairs.len() as u32 {
        queue.push(pair, &mut state);
    }
    let mut maker = Maker::default();
    let mut merges = Vec::new();
    let total = goal.merges;
    while merges.len() < total
        && let Some(pair) = queue.pop(&mut state)
    {
        if merges.len().is_multiple_of(STEP) {
            let merges = merges.len();
            progress(TrainProgress::Merging { merges, total });
        }
        let Pair { left, right, .. } = state.pairs[pair as usize];
        let len = state.lens[left as usize] + state.lens[right as usize];
        if goal.forbids(left, right, &merges, len as usize) {
            continue;
        }
        merges.push((left, right));
        let first_new = state.pairs.len() as u32;
        state.merge(pair, &mut maker);
        for new in first_new..state.pairs.len() as u32 {
            queue.push(new, &mut state);
        }
    }
    progress(TrainProgress::Merging {
        merges: merges.len(),
        total,
    });
    Ok(merges)
}

/// The pairs that one merge makes, and where.
#[derive(Debug, Default)]
struct Maker {
    /// The pair made in this merge, if any, by the token before the new one (`before`) and by the
    /// token after it (`after`).
    before: Vec<u32>,
    after: Vec<u32>,
    made: Vec<(u32, u32)>,
}

impl State {
    fn new(pieces: &Pieces, goal: &Goal) -> Result<Self> {
        if pieces.len() as u64 > LIMIT {
            return Err(BpeError::TooMuchText {
                bytes: pieces.len() as u64,
                limit: LIMIT,
            }
            .into());
        }
        let border = Cell {
            id: NONE,
            pair: NONE,
            piece: 0,
        };
        let mut cells = Vec::with_capacity(2 * pieces.len() + 1);
        let mut counts = Vec::new();
        // The number of each pair of bytes, and how many places the pair has.
        let mut numbers = vec![NONE; 1 << 16];
        let mut pairs: Vec<Pair> = Vec::new();
        cells.push(border);
        for (bytes, count) in pieces.in_order().filter(|(bytes, _)| bytes.len() > 1) {
            for (i, &byte) in bytes.iter().enumerate() {
                let id = goal.bytes[usize::from(byte)];
                let mut number = NONE;
                if let Some(&next) = bytes.get(i + 1) {
                    let slot = &mut numbers[usize::from(byte) << 8 | usize::from(next)];
                    if *slot == NONE {
                        *slot = pairs.len() as u32;
                        pairs.push(Pair {
                            left: id,
                            right: goal.bytes[usize::from(next)],
                            count: 0,
                            start: 0,
                            len: 0,
                        });
                    }
                    number = *slot;
                    let pair = &mut pairs[number as usize];
                    pair.count += count;
                    pair.len += 1;
                }
                cells.push(Cell {
                    id,
                    pair: number,
                    piece: counts.len() as u32,
                });
            }
            counts.push(count);
            cells.push(border);
        }
        let mut state = Self {
            cells,
            counts,
            pairs,
            places: Vec::new(),
            lens: vec![1; goal.first as usize],
            first_seen: goal.first_seen,
        };
        state.allot(0);
        for place in 0..state.cells.len() as u32 {
            state.list(state.cells[place as usize].pair, place);
        }
        Ok(state)
    }

    /// Makes room for the places of the pairs from `first` on, as many as their `len` says, and
    /// sets `len` to 0.
    fn allot(&mut self, first: usize) {
        let mut start = self.places.len();
        for pair in &mut self.pairs[first..] {
            pair.start = start;
            start += pair.len as usize;
            pair.len = 0;
        }
        self.places.resize(start, 0);
    }

    /// Adds a place to the list of its pair, if the pair still stands there.
    fn list(&mut self, number: u32, place: u32) {
        if number != NONE && self.cells[place as usize].pair == number {
            let pair = &mut self.pairs[number as usize];
            self.places[pair.start + pair.len as usize] = place;
            pair.len += 1;
        }
    }

    /// Merges a pair wherever it occurs and adds the pairs that this makes.
    fn merge(&mut self, number: u32, maker: &mut Maker) {
        let Pair {
            left,
            right,
            start,
            len,
            ..
        } = self.pairs[number as usize];
        let new = self.lens.len() as u32;
        let left_len = self.lens[left as usize] as usize;
        let len_of_both = left_len + self.lens[right as usize] as usize;
        self.lens.push(len_of_both as u32);
        maker.before.resize(self.lens.len(), NONE);
        maker.after.resize(self.lens.len(), NONE);
        maker.made.clear();
        let first_new = self.pairs.len();
        for i in start..start + len as usize {
            let at = self.places[i] as usize;
            if self.cells[at].pair != number {
                continue;
            }
            let count = self.counts[self.cells[at].piece as usize];
            self.pairs[number as usize].count -= count;
            let second = at + left_len;
            let end = at + len_of_both;

            let before = self.cells[at - 1].id;
            if before != NONE {
                let place = at - self.lens[before as usize] as usize;
                let old = self.cells[place].pair;
                self.pairs[old as usize].count -= count;
                let made = self.made(&mut maker.before[before as usize], before, new, count);
                self.cells[place].pair = made;
                maker.made.push((made, place as u32));
            }
            let after = self.cells[end].id;
            let mut made = NONE;
            if after != NONE {
                let old = self.cells[second].pair;
                self.pairs[old as usize].count -= count;
                made = self.made(&mut maker.after[after as usize], new, after, count);
                maker.made.push((made, at as u32));
            }
            self.cells[second].pair = NONE;
            self.cells[at].pair = made;
            self.cells[at].id = new;
            self.cells[end - 1].id = new;
        }
        self.allot(first_new);
        for &(made, place) in &maker.made {
            self.list(made, place);
        }
        for pair in &self.pairs[first_new..] {
            maker.before[pair.left as usize] = NONE;
            maker.after[pair.right as usize] = NONE;
        }
        // The pair never comes again, so the rest of its list is dropped.
        self.pairs[number as usize].len = 0;
    }

    /// The pair that this merge makes in `slot`, created if it is new; adds one place and `count`
    /// to it.
    fn made(&mut self, slot: &mut u32, left: u32, right: u32, count: u64) -> u32 {
        if *slot == NONE {
            *slot = self.pairs.len() as u32;
            self.pairs.push(Pair {
                left,
                right,
                count: 0,
                start: 0,
                len: 0,
            });
        }
        let pair = &mut self.pairs[*slot as usize];
        pair.count += count;
        pair.len += 1;
        *slot
    }
}
