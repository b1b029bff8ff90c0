//! Character classes that the patterns need, looked up in one table.
//!
//! The sets are those of the `regex` family of crates, which tiktoken's patterns run on: they are
//! built from `regex-syntax` at first use, so that an update of Unicode reaches both.

use std::sync::LazyLock;

use regex_syntax::hir::{Class, HirKind};

/// `\p{L}`
pub(super) const LETTER: u8 = 1;
/// `\p{N}`
pub(super) const NUMBER: u8 = 1 << 1;
/// `\s`
pub(super) const SPACE: u8 = 1 << 2;
/// `[\r\n]`, which are [`SPACE`] too.
pub(super) const NEWLINE: u8 = 1 << 3;
/// `[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]`
pub(super) const UPPER: u8 = 1 << 4;
/// `[\p{Ll}\p{Lm}\p{Lo}\p{M}]`
pub(super) const LOWER: u8 = 1 << 5;
/// `[^\s\p{L}\p{N}]`
pub(super) const OTHER: u8 = 1 << 6;
/// In the table of bytes: the first byte of a longer character.
const LONG: u8 = 1 << 7;

/// Characters in one block of the table; blocks that are equal are kept once.
const BLOCK: usize = 256;

/// The classes of all characters.
#[derive(Debug)]
pub(super) struct Classes {
    bytes: [u8; 256],
    /// The block of `c / BLOCK`.
    index: Vec<u16>,
    blocks: Vec<u8>,
}

/// The table, made once.
pub(super) fn classes() -> &'static Classes {
    static CLASSES: LazyLock<Classes> = LazyLock::new(Classes::new);
    &CLASSES
}

impl Classes {
    fn new() -> Self {
        let mut all = vec![0u8; 0x11_0000];
        for (set, bit) in [
            (r"\p{L}", LETTER),
            (r"\p{N}", NUMBER),
            (r"\s", SPACE),
            (r"[\r\n]", NEWLINE),
            (r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]", UPPER),
            (r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]", LOWER),
            (r"[^\s\p{L}\p{N}]", OTHER),
        ] {
            for (first, last) in ranges(set) {
                for class in &mut all[first as usize..=last as usize] {
                    *class |= bit;
                }
            }
        }
        let bytes = std::array::from_fn(|byte| if byte < 0x80 { all[byte] } else { LONG });
        let mut blocks: Vec<u8> = Vec::new();
        let index = all
            .chunks_exact(BLOCK)
            .map(|block| {
                let known = blocks.chunks_exact(BLOCK).position(|b| b == block);
                let at = known.unwrap_or_else(|| {
                    blocks.extend_from_slice(block);
                    blocks.len() / BLOCK - 1
                });
                at as u16 // at most 0x1100 blocks
            })
            .collect();
        Self {
            bytes,
            index,
            blocks,
        }
    }

    /// The class and the length in bytes of the character at `at`; `(0, 0)` at the end.
    ///
    /// `text` must be UTF-8 and `at` the start of a character; otherwise the class is arbitrary.
    #[inline]
    pub(super) fn at(&self, text: &[u8], at: usize) -> (u8, usize) {
        match text.get(at) {
            None => (0, 0),
            Some(&byte) => match self.bytes[usize::from(byte)] {
                LONG => self.long(text, at),
                class => (class, 1),
            },
        }
    }

    /// The first place from `at` whose character is in none of the classes of `mask`.
    #[inline]
    pub(super) fn skip(&self, text: &[u8], mut at: usize, mask: u8) -> usize {
        while let Some(&byte) = text.get(at) {
            let class = self.bytes[usize::from(byte)];
            if class == LONG {
                let (class, len) = self.long(text, at);
                if class & mask == 0 {
                    break;
                }
                at += len;
            } else if class & mask == 0 {
                break;
            } else {
                at += 1;
            }
        }
        at
    }

    /// [`skip`](Self::skip) for letters, which are most of every text. Eight bytes are tested at
    /// once, so the end of a short word is computed instead of searched for.
    #[inline]
    pub(super) fn skip_letters(&self, text: &[u8], mut at: usize) -> usize {
        loop {
            if let Some(eight) = text.get(at..at + 8) {
                let letters =
                    ascii_letters(u64::from_le_bytes(eight.try_into().unwrap_or_default()));
                at += letters;
                if letters == 8 {
                    continue;
                }
                if text[at] < 0x80 {
                    return at;
                }
            }
            // Go on by characters: a longer one or the end of the text is near.
            loop {
                let (class, len) = self.at(text, at);
                if class & LETTER == 0 {
                    return at;
                }
                at += len;
                if len == 1 {
                    break;
                }
            }
        }
    }

    /// A character of two bytes or more.
    #[inline]
    fn long(&self, text: &[u8], at: usize) -> (u8, usize) {
        let byte = |i: usize| u32::from(text.get(at + i).copied().unwrap_or(0x80));
        let low = |i: usize| byte(i) & 0x3f;
        let (c, len) = match byte(0) {
            ..0xe0 => ((byte(0) & 0x1f) << 6 | low(1), 2),
            0xe0..0xf0 => ((byte(0) & 0xf) << 12 | low(1) << 6 | low(2), 3),
            _ => (
                (byte(0) & 0x7) << 18 | low(1) << 12 | low(2) << 6 | low(3),
                4,
            ),
        };
        let c = c as usize;
        let class = self.index.get(c / BLOCK).map_or(OTHER, |&block| {
            self.blocks[usize::from(block) * BLOCK + c % BLOCK]
        });
        (class, len)
    }
}

/// Counts the ASCII letters at the start of eight bytes (lowest byte first), up to the first other
/// byte.
#[inline]
fn ascii_letters(eight: u64) -> usize {
    const ONES: u64 = u64::MAX / 0xff;
    const HIGH: u64 = ONES << 7;
    // With lower-case letters and the high bit cleared, no byte's sum exceeds 2^8 - 1: the high bit
    // of a sum says whether the byte is at least `a`, or greater than `z`.
    let small = (eight | (ONES * 0x20)) & !HIGH;
    let from_a = small + ONES * (0x80 - b'a' as u64);
    let past_z = small + ONES * (0x7f - b'z' as u64);
    let others = !(from_a & !past_z) | eight;
    (others & HIGH).trailing_zeros() as usize / 8
}

/// The code points of a set.
pub(super) fn ranges(set: &str) -> Vec<(u32, u32)> {
    let hir = regex_syntax::parse(set).expect("the sets are ours and their tables are compiled in");
    match hir.kind() {
        HirKind::Class(Class::Unicode(class)) => class
            .ranges()
            .iter()
            .map(|range| (u32::from(range.start()), u32::from(range.end())))
            .collect(),
        other => unreachable!("a set of characters is a class, not {other:?}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_character_has_the_class_of_its_sets() {
        let sets = [
            (r"^\p{L}$", LETTER),
            (r"^\p{N}$", NUMBER),
            (r"^\s$", SPACE),
            (r"^[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]$", UPPER),
            (r"^[\p{Ll}\p{Lm}\p{Lo}\p{M}]$", LOWER),
            (r"^[^\s\p{L}\p{N}]$", OTHER),
        ]
        .map(|(set, bit)| (fancy_regex::Regex::new(set).unwrap(), bit));
        let mut text = String::new();
        for c in '\0'..=char::MAX {
            text.clear();
            text.push(c);
            let (class, len) = classes().at(text.as_bytes(), 0);
            assert_eq!(len, c.len_utf8());
            for (set, bit) in &sets {
                assert_eq!(
                    class & bit != 0,
                    set.is_match(&text).unwrap(),
                    "{c:?} {set}"
                );
            }
            assert_eq!(class & NEWLINE != 0, c == '\r' || c == '\n');
        }
    }

    #[test]
    fn letters_are_skipped_alike() {
        for byte in 0..=255u8 {
            for place in 0..8 {
                let mut eight = *b"aZzAkQmy";
                eight[place] = byte;
                let expected = eight
                    .iter()
                    .position(|b| !b.is_ascii_alphabetic())
                    .unwrap_or(8);
                assert_eq!(
                    ascii_letters(u64::from_le_bytes(eight)),
                    expected,
                    "{eight:?}"
                );
            }
        }
        for text in [
            "",
            "a",
            "été fini",
            "abcdefghijk",
            "abcdefghéàü中文字 x",
            "abcdefg1",
            "1",
        ] {
            let text = text.as_bytes();
            let letters = classes().skip_letters(text, 0);
            assert_eq!(letters, classes().skip(text, 0, LETTER), "{text:?}");
        }
    }

    #[test]
    fn bytes_that_are_no_text_do_no_harm() {
        for bytes in [
            &[0xffu8][..],
            &[0xf4, 0x90, 0x80, 0x80],
            &[0xc3],
            &[0x80, 0x80],
        ] {
            let (_, len) = classes().at(bytes, 0);
            assert!(len > 0);
            classes().skip(bytes, 0, OTHER);
        }
        assert_eq!(classes().at(b"", 0), (0, 0));
    }
}
