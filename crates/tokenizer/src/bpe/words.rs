//! Whole pieces that are known: the tokens of the vocabulary, and the pieces seen lately.

use std::sync::{Mutex, PoisonError};

use super::hash;
use super::merge::Room;
use super::pairs::NONE;
use super::pattern::Piece;

/// The bytes of every token, by id.
#[derive(Debug, Clone, Default)]
pub(super) struct Tokens {
    bytes: Vec<u8>,
    /// Where each token starts, and the last one ends. A token without bytes is no token.
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

    /// Adds a token of `tokens`; the id of the one with the same bytes if there is one.
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
/// Pieces remembered: 2^15 times 32 bytes stay in the second level of cache.
const SLOTS_LOG2: u32 = 15;

#[derive(Debug, Clone, Copy)]
struct Seen {
    /// The bytes and their number; 0 is no piece.
    key: u128,
    /// Filled up with [`NONE`].
    ids: [u32; 4],
}

/// Pieces seen lately with their ids. Each has one place, which the next with the same hash takes.
#[derive(Debug)]
struct Cache(Vec<Seen>);

/// The piece as a number, if it is short.
#[inline]
fn key(piece: Piece<'_>) -> Option<u128> {
    let len = piece.end - piece.start;
    if len > SHORT {
        return None;
    }
    let bytes = match piece.text.get(piece.start..piece.start + 16) {
        Some(bytes) => {
            let all = u128::from_le_bytes(bytes.try_into().unwrap_or_default());
            all & ((1 << (8 * len)) - 1)
        }
        None => {
            let mut bytes = [0; 16];
            bytes[..len].copy_from_slice(piece.bytes());
            u128::from_le_bytes(bytes)
        }
    };
    Some(bytes | (len as u128) << 120)
}

/// What one thread needs to encode: memory of pieces and room for merging.
#[derive(Debug)]
pub(super) struct Workspace {
    cache: Cache,
    pub(super) room: Room,
}

impl Workspace {
    fn new() -> Self {
        let none = Seen {
            key: 0,
            ids: [NONE; 4],
        };
        Self {
            cache: Cache(vec![none; 1 << SLOTS_LOG2]),
            room: Room::default(),
        }
    }

    /// Appends the ids of a piece: the remembered ones, or those of `find`, which is then
    /// remembered.
    #[inline]
    pub(super) fn ids(
        &mut self,
        piece: Piece<'_>,
        ids: &mut Vec<u32>,
        find: impl FnOnce(&[u8], &mut Room, &mut Vec<u32>),
    ) {
        let Some(key) = key(piece) else {
            find(piece.bytes(), &mut self.room, ids);
            return;
        };
        let slot = (hash::wide(key) >> (64 - SLOTS_LOG2)) as usize;
        let seen = &mut self.cache.0[slot];
        if seen.key == key {
            if seen.ids[1] == NONE {
                ids.push(seen.ids[0]);
            } else {
                let len = seen.ids.iter().position(|&id| id == NONE).unwrap_or(4);
                ids.extend_from_slice(&seen.ids[..len]);
            }
            return;
        }
        let start = ids.len();
        find(piece.bytes(), &mut self.room, ids);
        let found = &ids[start..];
        if found.len() <= 4 {
            seen.key = key;
            seen.ids = [NONE; 4];
            seen.ids[..found.len()].copy_from_slice(found);
        }
    }
}

/// Workspaces at rest, as many as were ever used at once.
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
        // A push or pop that panics leaves a whole list.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Clone for Pool {
    /// A pool of its own: what is remembered is never part of a result.
    fn clone(&self) -> Self {
        Self::default()
    }
}
