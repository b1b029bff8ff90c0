//! Distinct strings, numbered in the order of insertion.

use std::hash::{BuildHasher, RandomState};
use std::sync::LazyLock;

/// A list of distinct strings that finds the number of each.
///
/// All letters are kept in one string, and the table holds 16 bytes a slot: a vocabulary of words
/// costs little more than its letters. A string of up to eight bytes is stored in its slot, so that
/// most words of a text are found without reading the letters. Numbers follow the order of
/// insertion and never the hash.
#[derive(Clone)]
pub(super) struct Names {
    text: String,
    /// Where each string ends in `text`.
    ends: Vec<usize>,
    /// Open addressing with linear probing, at most half full; the length is a power of two.
    slots: Vec<Slot>,
    seed: u64,
}

/// The part of a string that the table compares.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Key {
    /// The bytes of a short string, the first lowest; a hash of a longer one.
    head: u64,
    /// Length in bytes; [`FREE`] for a slot without a string.
    len: u32,
}

/// A key and a number in 16 bytes.
#[derive(Clone, Copy)]
struct Slot {
    head: u64,
    len: u32,
    number: u32,
}

impl Slot {
    const EMPTY: Self = Self {
        head: 0,
        len: FREE,
        number: FREE,
    };

    fn key(self) -> Key {
        Key {
            head: self.head,
            len: self.len,
        }
    }
}

const FREE: u32 = u32::MAX;

/// The most bytes of a string that is stored in its slot.
const SHORT: usize = 8;

/// The most strings of one list.
pub(super) const MOST: usize = 1 << 31;

impl Key {
    pub(super) fn new(name: &str) -> Self {
        Self::within(name.as_bytes(), 0, name.len())
    }

    /// The key of a string of at most eight bytes: the first `len` of `eight`.
    #[inline]
    pub(super) fn short(eight: u64, len: usize) -> Self {
        // The shift is done in two steps, since a shift by 64 at once is an error.
        let others = u64::MAX << (4 * len) << (4 * len);
        Self {
            head: eight & !others,
            len: len as u32,
        }
    }

    /// The key of the `len` bytes from `start`; fastest if at least eight bytes follow `start`.
    #[inline]
    pub(super) fn within(text: &[u8], start: usize, len: usize) -> Self {
        let head = if len > SHORT {
            long_hash(&text[start..start + len])
        } else if let Some(eight) = text[start..].first_chunk::<SHORT>() {
            return Self::short(u64::from_le_bytes(*eight), len);
        } else {
            let bytes = text[start..start + len].iter().rev();
            bytes.fold(0, |head, &byte| head << 8 | u64::from(byte))
        };
        // Longer strings are compared by their letters too.
        let len = u32::try_from(len).unwrap_or(FREE).min(FREE - 1);
        Self { head, len }
    }

    /// The slot where the search begins, as a number of 32 bits.
    #[inline]
    fn place(self, seed: u64) -> usize {
        (mix(self.head ^ seed, u64::from(self.len)) >> 32) as usize
    }
}

impl Names {
    pub(super) fn new() -> Self {
        Self {
            text: String::new(),
            ends: Vec::new(),
            slots: Vec::new(),
            seed: SEEDS.0,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.ends.len()
    }

    pub(super) fn get(&self, number: usize) -> Option<&str> {
        let end = *self.ends.get(number)?;
        let start = number.checked_sub(1).map_or(0, |before| self.ends[before]);
        Some(&self.text[start..end])
    }

    pub(super) fn iter(&self) -> impl DoubleEndedIterator<Item = &str> + ExactSizeIterator {
        (0..self.len()).map(|number| self.get(number).unwrap_or_default())
    }

    /// The number of a string.
    pub(super) fn find(&self, name: &str) -> Option<u32> {
        self.find_key(Key::new(name), || name)
    }

    /// As [`find`](Self::find), for a string whose key is known; `name` is called only if the
    /// string is long.
    #[inline]
    pub(super) fn find_key<'n>(&self, key: Key, name: impl Fn() -> &'n str) -> Option<u32> {
        if self.slots.is_empty() {
            return None;
        }
        self.probe(key, name).ok()
    }

    /// Adds a string unless it is there; returns its number and whether it is new.
    pub(super) fn insert(&mut self, name: &str) -> (u32, bool) {
        self.insert_key(Key::new(name), || name)
    }

    /// As [`insert`](Self::insert), for a string whose key is known.
    #[inline]
    pub(super) fn insert_key<'n>(&mut self, key: Key, name: impl Fn() -> &'n str) -> (u32, bool) {
        if 2 * self.ends.len() >= self.slots.len() {
            self.grow();
        }
        match self.probe(key, &name) {
            Ok(number) => (number, false),
            Err(at) => {
                assert!(self.len() < MOST, "a list of names has fewer than 2^31");
                let number = self.len() as u32;
                self.text.push_str(name());
                self.ends.push(self.text.len());
                self.slots[at] = Slot {
                    head: key.head,
                    len: key.len,
                    number,
                };
                (number, true)
            }
        }
    }

    /// The number of a string, or the free slot where it belongs. At least one slot is always free.
    #[inline]
    fn probe<'n>(&self, key: Key, name: impl Fn() -> &'n str) -> Result<u32, usize> {
        let mask = self.slots.len() - 1;
        let mut at = key.place(self.seed) & mask;
        loop {
            let slot = self.slots[at];
            if slot.key() == key
                && (key.len as usize <= SHORT || self.get(slot.number as usize) == Some(name()))
            {
                return Ok(slot.number);
            }
            if slot.len == FREE {
                return Err(at);
            }
            at = (at + 1) & mask;
        }
    }

    #[cold]
    fn grow(&mut self) {
        const FIRST: usize = 64;
        let size = (2 * self.slots.len()).max(FIRST);
        let mask = size - 1;
        let mut slots = vec![Slot::EMPTY; size];
        for slot in self.slots.iter().filter(|slot| slot.len != FREE) {
            let mut at = slot.key().place(self.seed) & mask;
            while slots[at].len != FREE {
                at = (at + 1) & mask;
            }
            slots[at] = *slot;
        }
        self.slots = slots;
    }
}

impl<'n> FromIterator<&'n str> for Names {
    /// Adds all names; repeats are left out.
    fn from_iter<I: IntoIterator<Item = &'n str>>(names: I) -> Self {
        let mut list = Self::new();
        for name in names {
            list.insert(name);
        }
        list
    }
}

/// Random seeds for each process, so that the author of a text cannot know which strings collide.
static SEEDS: LazyLock<(u64, u64)> = LazyLock::new(|| {
    let state = RandomState::new();
    (state.hash_one(0u8), state.hash_one(1u8))
});

#[inline]
fn mix(state: u64, word: u64) -> u64 {
    // 2^64 divided by the golden ratio: odd, with its bits well mixed.
    const MULTIPLIER: u64 = 0x9e37_79b9_7f4a_7c15;
    let product = u128::from(state.wrapping_add(word)) * u128::from(MULTIPLIER);
    (product as u64) ^ (product >> 64) as u64
}

/// A hash of more than eight bytes.
fn long_hash(bytes: &[u8]) -> u64 {
    let (_, seed) = *SEEDS;
    let (words, rest) = bytes.as_chunks::<SHORT>();
    let state = words.iter().fold(seed, |state, word| {
        mix(state, u64::from_le_bytes(*word)).rotate_left(23)
    });
    let last = rest
        .iter()
        .fold(0, |last, &byte| last << 8 | u64::from(byte));
    mix(state, last)
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn numbers_follow_the_order_of_insertion() {
        let mut names = Names::new();
        assert_eq!(names.find(""), None);
        assert_eq!(names.insert("b"), (0, true));
        assert_eq!(names.insert(""), (1, true));
        assert_eq!(names.insert("b"), (0, false));
        assert_eq!(names.insert("\0"), (2, true));
        assert_eq!(names.find(""), Some(1));
        assert_eq!(names.iter().collect::<Vec<_>>(), ["b", "", "\0"]);
        assert_eq!((names.get(3), names.find("c")), (None, None));
    }

    #[test]
    fn many_like_strings_keep_apart() {
        let names: Vec<String> = (0..20_000).map(|n| format!("{n:x}")).collect();
        let list: Names = names.iter().map(String::as_str).collect();
        assert_eq!(list.len(), names.len());
        for (number, name) in names.iter().enumerate() {
            assert_eq!(list.find(name), Some(number as u32));
        }
        assert_eq!(list.find("z"), None);
    }

    #[test]
    fn keys_do_not_hang_on_what_surrounds_a_word() {
        let text = "abcdefghijklmnopqrst".as_bytes();
        for len in 0..12 {
            for start in 0..text.len() - len {
                let alone = str::from_utf8(&text[start..start + len]).unwrap();
                assert_eq!(Key::within(text, start, len), Key::new(alone), "{alone}");
            }
        }
        assert_ne!(Key::new("a"), Key::new("a\0"));
        assert_ne!(Key::new(""), Key::new("\0"));
    }

    proptest! {
        #[test]
        fn it_is_a_map(strings in prop::collection::vec("[ab]{0,3}|.{0,20}", 0..200)) {
            let mut names = Names::new();
            let mut model = HashMap::new();
            for string in &strings {
                let next = model.len() as u32;
                let number = *model.entry(string.as_str()).or_insert(next);
                prop_assert_eq!(names.insert(string), (number, number == next));
            }
            for (string, number) in model {
                prop_assert_eq!(names.find(string), Some(number));
                prop_assert_eq!(names.get(number as usize), Some(string));
            }
        }
    }
}
