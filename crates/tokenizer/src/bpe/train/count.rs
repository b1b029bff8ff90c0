//! Counting pieces: the text is divided into parts at places where a piece ends in any context.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use super::TrainProgress;
use crate::bpe::class::{self, classes};
use crate::bpe::hash;
use crate::bpe::pattern::Pattern;

/// Approximate bytes in one part: many parts for each thread, yet much more text than one piece.
const PART: usize = 1 << 20;

/// Distinct pieces and how often each occurs in the text.
#[derive(Debug)]
pub(super) struct Pieces {
    bytes: Vec<u8>,
    list: Vec<Piece>,
    /// Places in `list` with 32 bits of the hash, an open table at most half full.
    slots: Vec<(u32, u32)>,
    seed: u64,
}

#[derive(Debug, Clone, Copy)]
struct Piece {
    start: usize,
    len: usize,
    count: u64,
    /// Where the piece first occurs, counted over all texts put together.
    first: u64,
}

const FREE: u32 = u32::MAX;

impl Pieces {
    fn new(seed: u64) -> Self {
        Self {
            bytes: Vec::new(),
            list: Vec::new(),
            slots: vec![(0, FREE); 1 << 12],
            seed,
        }
    }

    /// Bytes of all distinct pieces.
    pub(super) fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Every distinct piece with its count, in the order of first occurrence in the text.
    pub(super) fn in_order(&self) -> impl Iterator<Item = (&[u8], u64)> {
        let mut order: Vec<&Piece> = self.list.iter().collect();
        order.sort_unstable_by_key(|piece| piece.first);
        order.into_iter().map(|piece| {
            (
                &self.bytes[piece.start..piece.start + piece.len],
                piece.count,
            )
        })
    }

    #[inline]
    fn add(&mut self, bytes: &[u8], count: u64, first: u64) {
        let hash = hash::bytes(bytes, self.seed);
        let mask = self.slots.len() - 1;
        let tag = hash as u32;
        let mut at = (hash >> 32) as usize & mask;
        loop {
            let (known, place) = self.slots[at];
            if place == FREE {
                break;
            }
            if known == tag {
                let piece = &mut self.list[place as usize];
                if self.bytes[piece.start..piece.start + piece.len] == *bytes {
                    piece.count += count;
                    piece.first = piece.first.min(first);
                    return;
                }
            }
            at = (at + 1) & mask;
        }
        self.slots[at] = (tag, self.list.len() as u32);
        self.list.push(Piece {
            start: self.bytes.len(),
            len: bytes.len(),
            count,
            first,
        });
        self.bytes.extend_from_slice(bytes);
        if 2 * self.list.len() > self.slots.len() {
            self.grow();
        }
    }

    fn grow(&mut self) {
        let mask = 2 * self.slots.len() - 1;
        self.slots = vec![(0, FREE); mask + 1];
        for (place, piece) in (0u32..).zip(&self.list) {
            let bytes = &self.bytes[piece.start..piece.start + piece.len];
            let hash = hash::bytes(bytes, self.seed);
            let mut at = (hash >> 32) as usize & mask;
            while self.slots[at].1 != FREE {
                at = (at + 1) & mask;
            }
            self.slots[at] = (hash as u32, place);
        }
    }

    /// The counts of both.
    fn join(self, other: Self) -> Self {
        let (mut all, less) = if self.list.len() < other.list.len() {
            (other, self)
        } else {
            (self, other)
        };
        for piece in &less.list {
            let bytes = &less.bytes[piece.start..piece.start + piece.len];
            all.add(bytes, piece.count, piece.first);
        }
        all
    }
}

/// A part of a text.
#[derive(Debug, Clone, Copy)]
struct Part<'t> {
    /// The bytes up to and including the character after the part, which decides where its last
    /// pieces end.
    bytes: &'t [u8],
    /// Where the part ends in `bytes`.
    end: usize,
    /// Where the part starts, counted over all texts put together.
    offset: u64,
}

/// Counts the pieces of all texts.
pub(super) fn count(
    pattern: Pattern,
    texts: &[&[u8]],
    progress: &mut (dyn FnMut(TrainProgress) + Send),
) -> Pieces {
    let mut parts = Vec::new();
    let mut offset = 0;
    for text in texts {
        cut(pattern, text, offset, &mut parts);
        offset += text.len() as u64;
    }
    let total = offset;
    let next = AtomicUsize::new(0);
    let done = Mutex::new((0, progress));
    let seed = hash::seed();
    let worker = || {
        let mut pieces = Pieces::new(seed);
        while let Some(part) = parts.get(next.fetch_add(1, Ordering::Relaxed)) {
            count_part(pattern, *part, &mut pieces);
            let mut done = done.lock().unwrap_or_else(PoisonError::into_inner);
            done.0 += part.end as u64;
            let bytes = done.0;
            (done.1)(TrainProgress::Counting { bytes, total });
        }
        pieces
    };
    #[cfg(feature = "rayon")]
    {
        use rayon::prelude::*;
        let threads = rayon::current_num_threads().min(parts.len()).max(1);
        (0..threads)
            .into_par_iter()
            .with_max_len(1)
            .map(|_| worker())
            .reduce_with(Pieces::join)
            .unwrap_or_else(|| Pieces::new(seed))
    }
    #[cfg(not(feature = "rayon"))]
    Pieces::new(seed).join(worker())
}

fn count_part(pattern: Pattern, part: Part<'_>, pieces: &mut Pieces) {
    let base = part.bytes.as_ptr() as usize;
    pattern.byte_pieces(part.bytes, |piece| {
        let bytes = piece.bytes();
        let at = bytes.as_ptr() as usize - base;
        if at >= part.end {
            return false;
        }
        pieces.add(bytes, 1, part.offset + at as u64);
        true
    });
}

/// Cuts a text into parts of about [`PART`] bytes, if the pattern cuts it at all.
fn cut<'t>(pattern: Pattern, text: &'t [u8], offset: u64, parts: &mut Vec<Part<'t>>) {
    let mut start = 0;
    while start < text.len() {
        let end = match pattern {
            Pattern::None => text.len(),
            _ => border(text, start + PART),
        };
        let after = classes().at(text, end).1;
        parts.push(Part {
            bytes: &text[start..(end + after).min(text.len())],
            end: end - start,
            offset: offset + start as u64,
        });
        start = end;
    }
}

/// The first place from `from` where a piece ends in any context and for every pattern: after a
/// letter or digit and before a space or line feed, or after a line feed and before a character
/// that is neither white space nor a slash (`o200k` joins a slash to the marks before the line
/// feed).
fn border(text: &[u8], from: usize) -> usize {
    let is_border = |at: usize| match (text[at - 1], text[at]) {
        (before, b' ' | b'\n') => before.is_ascii_alphanumeric(),
        (b'\n', b'/') => false,
        (b'\n', _) => classes().at(text, at).0 & class::SPACE == 0,
        _ => false,
    };
    (from.max(1)..text.len())
        .find(|&at| is_border(at))
        .unwrap_or(text.len())
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;

    fn counted(pieces: &Pieces) -> Vec<(Vec<u8>, u64)> {
        pieces.in_order().map(|(b, n)| (b.to_vec(), n)).collect()
    }

    proptest! {
        #[test]
        fn parts_have_the_pieces_of_the_whole(
            words in prop::collection::vec(prop::sample::select(vec![
                "a", "B7", " ", "\n", "\n\n", "\r\n", "/", "!", "'s", "中", "\u{3000}", "\u{85}",
                "\u{301}", "  ", "\t", "x ", "9\n",
            ]), 0..60),
            tail in prop::collection::vec(any::<u8>(), 0..8),
        ) {
            let mut text = words.concat().into_bytes();
            text.extend(tail);
            for pattern in Pattern::ALL {
                let mut whole = Vec::new();
                pattern.byte_pieces(&text, |piece| {
                    whole.push(piece.bytes().to_vec());
                    true
                });
                // Cut at every possible border.
                let mut start = 0;
                let mut parts = Vec::new();
                while pattern != Pattern::None && start < text.len() {
                    let end = border(&text, start + 1);
                    let after = classes().at(&text, end).1;
                    let part = Part {
                        bytes: &text[start..(end + after).min(text.len())],
                        end: end - start,
                        offset: 0,
                    };
                    let base = part.bytes.as_ptr() as usize;
                    pattern.byte_pieces(part.bytes, |piece| {
                        let at = piece.bytes().as_ptr() as usize - base;
                        let is_mine = at < part.end;
                        if is_mine {
                            parts.push(piece.bytes().to_vec());
                        }
                        is_mine
                    });
                    start = end;
                }
                if pattern != Pattern::None {
                    prop_assert_eq!(&parts, &whole, "{}", pattern);
                }
            }
        }
    }

    #[test]
    fn counts_are_those_of_a_map() {
        let text: String = (0..40_000)
            .map(|i: u32| format!("{} w{}\n", i % 97, i.wrapping_mul(2_654_435_761) % 4096))
            .collect();
        let mut last = (0, 0);
        let pieces = count(Pattern::Gpt2, &[text.as_bytes(), b"", b"w1 w1"], &mut |p| {
            if let TrainProgress::Counting { bytes, total } = p {
                assert!(bytes > last.0 && bytes <= total);
                last = (bytes, total);
            }
        });
        assert_eq!(last, (text.len() as u64 + 5, text.len() as u64 + 5));
        let mut expected: HashMap<Vec<u8>, u64> = HashMap::new();
        let mut order = Vec::new();
        for text in [&text, "w1 w1"] {
            Pattern::Gpt2.pieces(text, |piece| {
                let count = expected.entry(piece.bytes().to_vec()).or_insert(0);
                if *count == 0 {
                    order.push(piece.bytes().to_vec());
                }
                *count += 1;
                true
            });
        }
        let expected: Vec<_> = order
            .into_iter()
            .map(|b| (b.clone(), expected[&b]))
            .collect();
        assert_eq!(counted(&pieces), expected);
    }
}
