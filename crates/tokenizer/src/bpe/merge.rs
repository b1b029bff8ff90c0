//! Merging one piece: always the pair of lowest rank, the leftmost of equals.
//!
//! Three methods give the same ids:
//!
//! - up to [`LINEAR`] bytes, a scan of all ranks for every merge: the array stays in registers and
//!   the first level of cache, and nothing beats it;
//! - up to a few times as much, a heap, O(n log n);
//! - beyond, windows. Windows overlap, and where two of them agree on one token at one place the
//!   piece is spliced. That is exact: a list of tokens is the result of merging its text if and
//!   only if every two neighbours are the result of merging theirs. (Look at the first merge that
//!   crosses the border of two tokens. Until then each token's bytes went through what they go
//!   through alone, so the same merge would cross the border in the two tokens' text alone.) All
//!   neighbours of a splice are neighbours in one of its windows. Each window fits the cache, so
//!   that a piece of many megabytes takes as long per byte as a short one.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::pairs::{APART, Merged, NONE, Pairs};

/// The longest piece merged by scanning.
pub(super) const LINEAR: usize = 128;
/// The next window starts after this fraction (numerator, denominator) of a window.
const SETTLED: (usize, usize) = (3, 4);

/// The merges of a vocabulary.
#[derive(Debug, Clone)]
pub(super) struct Merges {
    /// The id of each byte; [`NONE`] for a byte without a token.
    pub(super) bytes: [u32; 256],
    /// Whether a byte has no token.
    pub(super) lacks_bytes: bool,
    /// The merge of every pair of single bytes, looked up first for every piece.
    byte_pairs: Vec<Merged>,
    pairs: Pairs,
    /// Bytes of each token, by id.
    lens: Vec<u32>,
}

/// Buffers that are kept from one piece to the next.
#[derive(Debug, Default)]
pub(super) struct Room {
    nodes: Vec<Node>,
    heap: BinaryHeap<Reverse<u64>>,
    window: Vec<u32>,
    next_window: Vec<u32>,
    last_window: Vec<u32>,
}

#[derive(Debug, Clone, Copy)]
struct Node {
    id: u32,
    prev: u32,
    next: u32,
    merged: Merged,
}

impl Merges {
    pub(super) fn new(bytes: [u32; 256], pairs: Pairs, lens: Vec<u32>) -> Self {
        let mut byte_pairs = vec![APART; 1 << 16];
        for (at, merged) in byte_pairs.iter_mut().enumerate() {
            *merged = pairs.get(bytes[at >> 8], bytes[at & 0xff]);
        }
        Self {
            lacks_bytes: bytes.contains(&NONE),
            bytes,
            byte_pairs,
            pairs,
            lens,
        }
    }

    /// Adds a merge; there must be room.
    pub(super) fn insert(&mut self, left: u32, right: u32, merged: Merged) {
        self.pairs.insert(left, right, merged);
        let byte = |id: u32| self.bytes.iter().position(|&byte| byte == id);
        let are_bytes = |id: u32| self.lens[id as usize] == 1;
        if are_bytes(left)
            && are_bytes(right)
            && let (Some(left), Some(right)) = (byte(left), byte(right))
        {
            self.byte_pairs[left << 8 | right] = merged;
        }
    }

    #[inline]
    pub(super) fn pair(&self, left: u32, right: u32) -> Merged {
        self.pairs.get(left, right)
    }

    #[inline]
    fn byte_pair(&self, left: u8, right: u8) -> Merged {
        self.byte_pairs[usize::from(left) << 8 | usize::from(right)]
    }

    /// Appends the ids of `piece`, of which bytes without a token are left out first, so that the
    /// bytes around them become neighbours. This is what `tokenizers` does with them.
    #[inline]
    pub(super) fn merge(&self, piece: &[u8], room: &mut Room, ids: &mut Vec<u32>) {
        if self.lacks_bytes && !piece.iter().all(|byte| self.has(*byte)) {
            let known: Vec<u8> = piece.iter().copied().filter(|b| self.has(*b)).collect();
            self.merge_known(&known, room, ids);
        } else {
            self.merge_known(piece, room, ids);
        }
    }

    /// Whether the byte has a token.
    #[inline]
    pub(super) fn has(&self, byte: u8) -> bool {
        self.bytes[usize::from(byte)] != NONE
    }

    /// Appends the ids of a piece whose bytes all have tokens.
    fn merge_known(&self, piece: &[u8], room: &mut Room, ids: &mut Vec<u32>) {
        match piece.len() {
            0 => {}
            1 => ids.push(self.bytes[usize::from(piece[0])]),
            2..=16 => self.scan::<16>(piece, ids),
            17..=32 => self.scan::<32>(piece, ids),
            33..=LINEAR => self.scan::<LINEAR>(piece, ids),
            _ => self.splice(piece, room, ids),
        }
    }

    /// Merges 2 to `N` bytes (`N` is at most 128): scans all ranks for the lowest before every
    /// merge.
    fn scan<const N: usize>(&self, piece: &[u8], ids: &mut Vec<u32>) {
        let n = piece.len();
        let mut rank = [NONE; N];
        let mut made = [NONE; N];
        let mut id = [NONE; N];
        let mut prev = [0u8; N];
        let mut next = [0u8; N];
        for i in 0..n {
            id[i] = self.bytes[usize::from(piece[i])];
            prev[i] = (i as u8).wrapping_sub(1);
            next[i] = i as u8 + 1;
            if i + 1 < n {
                let merged = self.byte_pair(piece[i], piece[i + 1]);
                rank[i] = merged.rank;
                made[i] = merged.id;
            }
        }
        loop {
            let lowest = rank.iter().fold(NONE, |a, &b| a.min(b));
            if lowest == NONE {
                break;
            }
            let at = rank.iter().position(|&r| r == lowest).unwrap_or(0);
            let right = usize::from(next[at]);
            let after = usize::from(next[right]);
            id[at] = made[at];
            next[at] = next[right];
            rank[right] = NONE;
            rank[at] = NONE;
            if after < n {
                prev[after] = at as u8;
                let merged = self.pair(id[at], id[after]);
                rank[at] = merged.rank;
                made[at] = merged.id;
            }
            let before = usize::from(prev[at]);
            if before < n && at > 0 {
                let merged = self.pair(id[before], id[at]);
                rank[before] = merged.rank;
                made[before] = merged.id;
            }
        }
        let mut at = 0;
        while at < n {
            ids.push(id[at]);
            at = usize::from(next[at]);
        }
    }

    /// Merges any number of bytes below 2^32, by a heap of ranks and places.
    pub(super) fn heap(&self, piece: &[u8], room: &mut Room, ids: &mut Vec<u32>) {
        let n = piece.len();
        let Room { nodes, heap, .. } = room;
        nodes.clear();
        let entry = |rank: u32, at: usize| Reverse(u64::from(rank) << 32 | at as u64);
        let mut entries = std::mem::take(heap).into_vec();
        entries.clear();
        for (i, &byte) in piece.iter().enumerate() {
            let merged = match piece.get(i + 1) {
                Some(&right) => self.byte_pair(byte, right),
                None => APART,
            };
            if merged.rank != NONE {
                entries.push(entry(merged.rank, i));
            }
            nodes.push(Node {
                id: self.bytes[usize::from(byte)],
                prev: (i as u32).wrapping_sub(1),
                next: i as u32 + 1,
                merged,
            });
        }
        *heap = BinaryHeap::from(entries);
        while let Some(Reverse(lowest)) = heap.pop() {
            let at = (lowest & u64::from(u32::MAX)) as usize;
            let node = nodes[at];
            if node.merged.rank != (lowest >> 32) as u32 {
                continue; // the pair that stood here is gone
            }
            let right = node.next as usize;
            let after = nodes[right].next as usize;
            nodes[right].merged = APART;
            nodes[at].id = node.merged.id;
            nodes[at].next = after as u32;
            nodes[at].merged = APART;
            if after < n {
                nodes[after].prev = at as u32;
                let merged = self.pair(node.merged.id, nodes[after].id);
                nodes[at].merged = merged;
                if merged.rank != NONE {
                    heap.push(entry(merged.rank, at));
                }
            }
            if at > 0 {
                let before = node.prev as usize;
                let merged = self.pair(nodes[before].id, node.merged.id);
                nodes[before].merged = merged;
                if merged.rank != NONE {
                    heap.push(entry(merged.rank, before));
                }
            }
        }
        let mut at = 0;
        while at < n {
            ids.push(nodes[at].id);
            at = nodes[at].next as usize;
        }
    }

    fn window(&self, bytes: &[u8], room: &mut Room, ids: &mut Vec<u32>) {
        if bytes.len() <= LINEAR {
            self.merge_known(bytes, room, ids);
        } else {
            self.heap(bytes, room, ids);
        }
    }

    /// Merges by overlapping windows; see the module's documentation.
    fn splice(&self, piece: &[u8], room: &mut Room, ids: &mut Vec<u32>) {
        let mut size = LINEAR;
        // The tokens of a window that starts where the settled ones in `ids` end.
        let mut tokens = std::mem::take(&mut room.window);
        let mut others = std::mem::take(&mut room.next_window);
        // In a run of one letter all windows are alike, so the last window's tokens are kept.
        let mut last = std::mem::take(&mut room.last_window);
        let mut last_bytes: &[u8] = &[];
        let mut start = 0;
        let mut end = size.min(piece.len());
        tokens.clear();
        self.window(&piece[..end], room, &mut tokens);
        while end < piece.len() {
            let settled = start + size * SETTLED.0 / SETTLED.1;
            let mut border = (0, start);
            while let Some(&token) = tokens.get(border.0) {
                let after = border.1 + self.lens[token as usize] as usize;
                if after > settled {
                    break;
                }
                border = (border.0 + 1, after);
            }
            others.clear();
            let other_end = (border.1 + size).min(piece.len());
            if border.0 > 0 {
                let bytes = &piece[border.1..other_end];
                if bytes != last_bytes {
                    last.clear();
                    self.window(bytes, room, &mut last);
                    last_bytes = bytes;
                }
                others.extend_from_slice(&last);
            }
            match self.agreement(&tokens, border, &others) {
                Some((i, j, at)) => {
                    ids.extend_from_slice(&tokens[..i]);
                    others.drain(..j);
                    std::mem::swap(&mut tokens, &mut others);
                    start = at;
                    end = other_end;
                }
                None => {
                    // The tokens are too long for the overlap: try a larger window, up to all that
                    // is left.
                    size *= 2;
                    end = (start + size).min(piece.len());
                    tokens.clear();
                    self.window(&piece[start..end], room, &mut tokens);
                }
            }
        }
        ids.extend_from_slice(&tokens);
        room.window = tokens;
        room.next_window = others;
        room.last_window = last;
    }

    /// The first token that stands in both lists at the same place: `tokens` from the one at
    /// `border`, and `others`, which starts there. Gives both indices and the place.
    fn agreement(
        &self,
        tokens: &[u32],
        border: (usize, usize),
        others: &[u32],
    ) -> Option<(usize, usize, usize)> {
        let (mut i, mut at) = border;
        let (mut j, mut other_at) = (0, at);
        loop {
            let (&token, &other) = (tokens.get(i)?, others.get(j)?);
            if at == other_at && token == other {
                return Some((i, j, at));
            }
            if at <= other_at {
                at += self.lens[token as usize] as usize;
                i += 1;
            } else {
                other_at += self.lens[other as usize] as usize;
                j += 1;
            }
        }
    }
}
