//! Cutting a word into sub-words: from the left, the longest first.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

use super::names::Names;

/// The sub-words as a tree of characters. Finding the longest sub-word at one place takes one step
/// for each of its characters, and never more steps than the longest sub-word has characters.
#[derive(Clone)]
pub(super) struct Pieces {
    /// The next node for a node and a character.
    edges: HashMap<u64, u32, BuildHasherDefault<Multiply>>,
    /// For each node, the sub-word that ends there, or [`NONE`].
    ends: Vec<u32>,
    /// The most characters of a piece.
    longest: usize,
}

const NONE: u32 = u32::MAX;
const ROOT: u32 = 0;

impl Pieces {
    /// The tree of all `subwords`.
    pub(super) fn new(subwords: &Names, longest: usize) -> Self {
        let mut tree = Self {
            edges: HashMap::default(),
            ends: vec![NONE],
            longest,
        };
        for (number, subword) in (0u32..).zip(subwords.iter()) {
            let mut node = ROOT;
            for c in subword.chars().take(longest) {
                let next = tree.ends.len() as u32;
                node = *tree.edges.entry(edge(node, c)).or_insert(next);
                if node == next {
                    tree.ends.push(NONE);
                }
            }
            // A sub-word longer than the longest piece is never used.
            if subword.chars().nth(longest).is_none() {
                tree.ends[node as usize] = number;
            }
        }
        tree
    }

    /// The pieces of `word` in order, as numbers of sub-words; `None` for a character that starts
    /// no sub-word. Sub-words for which `usable` is false are skipped.
    pub(super) fn cut<'a>(
        &'a self,
        word: &'a str,
        usable: impl Fn(u32) -> bool + 'a,
    ) -> impl Iterator<Item = Option<u32>> + 'a {
        let mut rest = word;
        std::iter::from_fn(move || {
            let first = rest.chars().next()?;
            let (piece, len) = match self.longest_at(rest, &usable) {
                Some((number, len)) => (Some(number), len),
                None => (None, first.len_utf8()),
            };
            rest = &rest[len..];
            Some(piece)
        })
    }

    /// The longest usable sub-word at the start of `rest`, and its length in bytes.
    fn longest_at(&self, rest: &str, usable: &impl Fn(u32) -> bool) -> Option<(u32, usize)> {
        let mut node = ROOT;
        let mut found = None;
        for (at, c) in rest.char_indices().take(self.longest) {
            let Some(&next) = self.edges.get(&edge(node, c)) else {
                break;
            };
            node = next;
            let number = self.ends[node as usize];
            if number != NONE && usable(number) {
                found = Some((number, at + c.len_utf8()));
            }
        }
        found
    }
}

fn edge(node: u32, c: char) -> u64 {
    u64::from(node) << 32 | u64::from(c)
}

/// A hasher of edges, which are one number each.
#[derive(Default)]
struct Multiply(u64);

impl Hasher for Multiply {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.write_u64(byte.into());
        }
    }

    fn write_u64(&mut self, number: u64) {
        // 2^64 divided by the golden ratio, an odd number with its bits well mixed.
        let product = u128::from(self.0 ^ number) * 0x9e37_79b9_7f4a_7c15;
        self.0 = (product as u64) ^ (product >> 64) as u64;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn cut(subwords: &Names, longest: usize, word: &str) -> Vec<Option<u32>> {
        Pieces::new(subwords, longest).cut(word, |_| true).collect()
    }

    /// The rule as the package implements it.
    fn naive(subwords: &Names, longest: usize, word: &str) -> Vec<Option<u32>> {
        let word: Vec<char> = word.chars().collect();
        let mut pieces = Vec::new();
        let mut start = 0;
        let mut end = word.len().min(longest);
        while start < word.len() {
            let piece: String = word[start..end].iter().collect();
            let known = subwords.find(&piece);
            if known.is_some() || end - start == 1 {
                pieces.push(known);
                start = end;
                end = word.len().min(start + longest);
            } else {
                end -= 1;
            }
        }
        pieces
    }

    #[test]
    fn the_longest_comes_first_and_the_unknown_alone() {
        let subwords: Names = ["__sow", "a", "abcd", "bc", "é"].into_iter().collect();
        assert_eq!(cut(&subwords, 9, "abcé"), [Some(1), Some(3), Some(4)]);
        assert_eq!(cut(&subwords, 9, "xabcdx"), [None, Some(2), None]);
        assert_eq!(cut(&subwords, 3, "abcd"), [Some(1), Some(3), None]);
        assert_eq!(cut(&subwords, 9, "__sow"), [Some(0)]);
        assert_eq!(cut(&subwords, 9, ""), []);
        let without: Vec<_> = Pieces::new(&subwords, 9).cut("abcd", |n| n != 2).collect();
        assert_eq!(without, [Some(1), Some(3), None]);
    }

    proptest! {
        #[test]
        fn the_tree_is_the_rule(
            subwords in prop::collection::vec("[abé𐐀]{0,4}", 0..12),
            longest in 1usize..6,
            word in "[abé𐐀x]{0,20}",
        ) {
            let subwords: Names = subwords.iter().map(String::as_str).collect();
            prop_assert_eq!(cut(&subwords, longest, &word), naive(&subwords, longest, &word));
        }
    }
}
