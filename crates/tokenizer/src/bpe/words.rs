//! Whole pieces with known ids: the tokens of the vocabulary, and the pieces seen lately.

use std::sync::{Mutex, PoisonError};

use memmap2::MmapMut;

use super::hash;
use super::merge::Room;
use super::pairs::NONE;
use super::pattern::Piece;

/// The bytes of every token, by id.
#[derive(Debug, Clone, Default)]
pub(super) struct Tokens {
    bytes: Vec<u8>,
    /// Where each token starts, and where the last one ends. An empty entry is an id without a
    /// token.
    starts: Vec<usize>,
}

impl Tokens {
    pub(super) fn new<'b>(tokens: impl IntoIterator<Item = &'b [u8]>) -> Self {
        let mut bytes = Vec::new();
        let mut starts = vec![0];
        for token in tokens {
            bytes.extend_from_slice(token);
            starts.push(bytes.len());
        }
        Self { bytes, starts }
    }

    pub(super) fn len(&self) -> usize {
        self.starts.len().saturating_sub(1)
    }

    #[inline]
    pub(super) fn get(&self, id: u32) -> Option<&[u8]> {
        let start = *self.starts.get(id as usize)?;
        let end = *self.starts.get(id as usize + 1)?;
        (start < end).then(|| &self.bytes[start..end])
    }
}

/// Ids of byte strings: an open hash table at most half full.
#[derive(Debug, Clone)]
pub(super) struct Index {
    slots: Vec<u32>,
    shift: u32,
}

impl Index {
    /// Room for `len` tokens.
    pub(super) fn with_capacity(len: usize) -> Self {
        let size = (2 * len).next_power_of_two().max(2);
        Self {
            slots: vec![NONE; size],
            shift: 64 - size.trailing_zeros(),
        }
    }

    /// Adds a token of `tokens`; if another one has the same bytes, returns its id.
    pub(super) fn insert(&mut self, tokens: &Tokens, id: u32) -> Option<u32> {
        let token = tokens.get(id).unwrap_or_default();
        let mask = self.slots.len() - 1;
        let mut at = (hash::bytes(token, 0) >> self.shift) as usize;
        while self.slots[at] != NONE {
            if tokens.get(self.slots[at]) == Some(token) {
                return Some(self.slots[at]);
            }
            at = (at + 1) & mask;
        }
        self.slots[at] = id;
        None
    }

    #[inline]
    pub(super) fn get(&self, tokens: &Tokens, bytes: &[u8]) -> Option<u32> {
        let mask = self.slots.len() - 1;
        let mut at = (hash::bytes(bytes, 0) >> self.shift) as usize;
        loop {
            let id = self.slots[at & mask];
            if id == NONE {
                return None;
            }
            if tokens.get(id) == Some(bytes) {
                return Some(id);
            }
            at += 1;
        }
    }
}

/// The longest piece that is remembered, in bytes: with its length it fills a `u128`.
const SHORT: usize = 15;
/// Number of sets in the memory of pieces (log2), two pieces each. Memory of unused sets is never
/// touched.
const SETS_LOG2: u32 = 17;
/// Bytes of a set: one cache line.
const SET: usize = 64;

/// Masks of the lowest bytes, indexed by how many.
const MASKS: [u128; SHORT + 1] = {
    let mut masks = [0; SHORT + 1];
    let mut len = 0;
    while len <= SHORT {
        masks[len] = (1 << (8 * len)) - 1;
        len += 1;
    }
    masks
};

/// The longest piece in the second table, in bytes; and the most ids of such a piece.
const MIDDLE: usize = 48;
const MIDDLE_IDS: usize = 18;
/// Number of pieces in the second table (log2), of 128 bytes each.
const MIDDLE_SLOTS_LOG2: u32 = 15;

/// A piece longer than [`SHORT`], up to [`MIDDLE`] bytes, and its ids.
#[derive(Debug, Clone)]
struct SeenMiddle {
    bytes: [u8; MIDDLE],
    len: u8,
    ids_len: u8,
    ids: [u32; MIDDLE_IDS],
}

/// A piece and its ids: the bytes and their number as two words, then up to four ids. Each id is
/// stored plus one, so that 0 means no piece or no id.
type Seen = [u64; 4];

/// The piece as a number, if it is short. No piece is 0, since the number contains its length.
#[inline]
fn key(piece: Piece<'_>) -> Option<u128> {
    let len = piece.end - piece.start;
    if len > SHORT {
        return None;
    }
    let bytes = match piece.text.get(piece.start..piece.start + 16) {
        Some(bytes) => u128::from_le_bytes(bytes.try_into().unwrap_or_default()) & MASKS[len],
        None => {
            let mut bytes = [0; 16];
            bytes[..len].copy_from_slice(piece.bytes());
            u128::from_le_bytes(bytes)
        }
    };
    Some(bytes | (len as u128) << 120)
}

/// The state that one thread needs to encode: remembered pieces and buffers for merging.
#[derive(Debug)]
pub(super) struct Workspace {
    /// Pieces seen lately. Each set keeps the last two that were stored in it. The memory is
    /// mapped, so it starts at a page (each set is one cache line) and may use large pages. If
    /// mapping fails, nothing is remembered.
    seen: Option<MmapMut>,
    /// Pieces longer than [`SHORT`] seen lately; made when the first one comes.
    seen_middle: Vec<SeenMiddle>,
    pub(super) room: Room,
}

impl Workspace {
    fn new() -> Self {
        let seen = MmapMut::map_anon(SET << SETS_LOG2).ok();
        #[cfg(target_os = "linux")]
        if let Some(seen) = &seen {
            // This only makes it faster, so a refusal is ignored.
            let _: std::io::Result<()> = seen.advise(memmap2::Advice::HugePage);
        }
        Self {
            seen,
            seen_middle: Vec::new(),
            room: Room::default(),
        }
    }

    /// Appends the ids of a piece: the remembered ones, or those of `find`, which is then
    /// remembered.
    #[inline(always)]
    pub(super) fn ids(
        &mut self,
        piece: Piece<'_>,
        ids: &mut Vec<u32>,
        find: impl FnOnce(&[u8], &mut Room, &mut Vec<u32>),
    ) {
        let Some(key) = key(piece) else {
            self.middle_ids(piece.bytes(), ids, find);
            return;
        };
        let (low, high) = (key as u64, (key >> 64) as u64);
        let place = (hash::wide(key) >> (64 - SETS_LOG2)) as usize;
        let at = SET * place..SET * (place + 1);
        let found = self.seen.as_mut().and_then(|all| all.get_mut(at.clone()));
        let Some(set) = found else {
            self.unseen_ids(piece.bytes(), [low, high], ids, find);
            return;
        };
        let ([low0, high0, two0, more0], [low1, high1, two1, more1]) = (read(set, 0), read(set, 1));
        if low0 == low && high0 == high {
            push(two0, more0, ids);
        } else if low1 == low && high1 == high {
            push(two1, more1, ids);
            set.rotate_left(SET / 2);
        } else {
            let new = self.unseen_ids(piece.bytes(), [low, high], ids, find);
            if let Some(new) = new
                && let Some(set) = self.seen.as_mut().and_then(|all| all.get_mut(at))
            {
                set.copy_within(..SET / 2, SET / 2);
                for (bytes, word) in set.chunks_exact_mut(8).zip(new) {
                    bytes.copy_from_slice(&word.to_ne_bytes());
                }
            }
        }
    }

    /// The slow path, for pieces that were not seen: finds the ids and returns what to remember.
    #[cold]
    #[inline(never)]
    fn unseen_ids(
        &mut self,
        piece: &[u8],
        [low, high]: [u64; 2],
        ids: &mut Vec<u32>,
        find: impl FnOnce(&[u8], &mut Room, &mut Vec<u32>),
    ) -> Option<Seen> {
        let start = ids.len();
        find(piece, &mut self.room, ids);
        let found = &ids[start..];
        let id = |i: usize| found.get(i).map_or(0, |id| u64::from(*id) + 1);
        // A piece whose bytes have no tokens has no ids, which this form cannot say.
        (1..=4)
            .contains(&found.len())
            .then(|| [low, high, id(0) | id(1) << 32, id(2) | id(3) << 32])
    }
}

/// Reads one of the two pieces of a set.
#[inline(always)]
fn read(set: &[u8], which: usize) -> Seen {
    std::array::from_fn(|i| {
        let bytes = set.get(32 * which + 8 * i..).and_then(<[u8]>::first_chunk);
        bytes.map_or(0, |bytes| u64::from_ne_bytes(*bytes))
    })
}

/// Appends the ids of a piece that was seen.
#[inline(always)]
fn push(two: u64, more: u64, ids: &mut Vec<u32>) {
    ids.push((two as u32).wrapping_sub(1));
    if two >> 32 != 0 {
        ids.push((two >> 32) as u32 - 1);
        for id in [more as u32, (more >> 32) as u32] {
            if id != 0 {
                ids.push(id - 1);
            }
        }
    }
}

impl Workspace {
    /// As [`ids`](Self::ids), for pieces longer than [`SHORT`].
    #[inline(never)]
    fn middle_ids(
        &mut self,
        piece: &[u8],
        ids: &mut Vec<u32>,
        find: impl FnOnce(&[u8], &mut Room, &mut Vec<u32>),
    ) {
        if piece.len() > MIDDLE {
            find(piece, &mut self.room, ids);
            return;
        }
        if self.seen_middle.is_empty() {
            let none = SeenMiddle {
                bytes: [0; MIDDLE],
                len: 0,
                ids_len: 0,
                ids: [0; MIDDLE_IDS],
            };
            self.seen_middle = vec![none; 1 << MIDDLE_SLOTS_LOG2];
        }
        let slot = (hash::bytes(piece, 0) >> (64 - MIDDLE_SLOTS_LOG2)) as usize;
        let seen = &mut self.seen_middle[slot];
        if seen.bytes[..usize::from(seen.len)] == *piece {
            ids.extend_from_slice(&seen.ids[..usize::from(seen.ids_len)]);
            return;
        }
        let start = ids.len();
        find(piece, &mut self.room, ids);
        let found = &ids[start..];
        if found.len() <= MIDDLE_IDS {
            seen.bytes[..piece.len()].copy_from_slice(piece);
            seen.len = piece.len() as u8;
            seen.ids[..found.len()].copy_from_slice(found);
            seen.ids_len = found.len() as u8;
        }
    }
}

/// Workspaces that are not in use: as many as were ever used at once.
#[derive(Debug, Default)]
pub(super) struct Pool(Mutex<Vec<Workspace>>);

impl Pool {
    pub(super) fn with<T>(&self, work: impl FnOnce(&mut Workspace) -> T) -> T {
        let taken = self.lock().pop();
        let mut workspace = taken.unwrap_or_else(Workspace::new);
        let result = work(&mut workspace);
        self.lock().push(workspace);
        result
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Workspace>> {
        // A push or pop that panics leaves the list intact.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Clone for Pool {
    /// A clone starts with an empty pool: what is remembered never affects a result.
    fn clone(&self) -> Self {
        Self::default()
    }
}
