//! The cutting rule: lower case, then runs of word characters and runs of other marks; white space
//! separates and is dropped. In Python: `re.findall(r"\w+|[^\w\s]+", line.lower().strip())`.

use super::names::Key;
use super::unicode::{Class, Classes, lower_into};

/// Number of white-space bytes added to every line, so that eight bytes can be read at every word
/// and the last word ends.
const END: usize = 8;

/// Lines are padded to a multiple of this many bytes, which are put in lower case at once.
const FILLED: usize = 32;

/// Number of bytes of an ASCII line that are classified together, one bit each.
const BLOCK: usize = 64;

/// A line, in lower case if that was asked for, ready to be cut.
pub(super) struct Line<'b> {
    /// The text with white space after it.
    text: &'b str,
    is_ascii: bool,
}

/// Copies a line into `buffer` and prepares it for cutting.
#[inline]
pub(super) fn prepare<'b>(line: &str, lowercase: bool, buffer: &'b mut String) -> Line<'b> {
    buffer.clear();
    buffer.push_str(line);
    fill(buffer);
    let is_ascii = buffer.bytes().fold(0, |all, byte| all | byte) < 0x80;
    if lowercase && is_ascii {
        buffer.make_ascii_lowercase();
    } else if lowercase {
        buffer.clear();
        lower_into(line, buffer);
        fill(buffer);
    }
    Line {
        text: buffer,
        is_ascii,
    }
}

/// Pads a line with white space.
fn fill(line: &mut String) {
    const SPACES: [u8; END + FILLED] = [b' '; END + FILLED];
    const FILL: &str = match str::from_utf8(&SPACES) {
        Ok(spaces) => spaces,
        Err(_) => panic!("spaces are UTF-8"),
    };
    let filled = (line.len() + END).next_multiple_of(FILLED);
    line.push_str(&FILL[..filled - line.len()]);
}

/// A word of a line.
#[derive(Debug, Clone, Copy)]
pub(super) struct Word<'b> {
    line: &'b str,
    start: usize,
    end: usize,
    pub(super) key: Key,
}

impl<'b> Word<'b> {
    #[inline]
    pub(super) fn text(self) -> &'b str {
        &self.line[self.start..self.end]
    }
}

impl<'b> Line<'b> {
    pub(super) fn words(self) -> Words<'b> {
        Words {
            line: self,
            at: 0,
            block: Block::default(),
        }
    }
}

/// Iterator of [`Line::words`].
pub(super) struct Words<'b> {
    line: Line<'b>,
    /// Where the search continues: the next block of an ASCII line, or the next character of
    /// another.
    at: usize,
    block: Block,
}

/// The rest of a block: where words start and end, and the class of its last byte.
#[derive(Default)]
struct Block {
    start: usize,
    starts: u64,
    ends: u64,
    ends_in_word: bool,
    ends_in_mark: bool,
}

impl<'b> Iterator for Words<'b> {
    type Item = Word<'b>;

    #[inline]
    fn next(&mut self) -> Option<Word<'b>> {
        if self.line.is_ascii {
            self.next_ascii()
        } else {
            self.next_any()
        }
    }
}

impl<'b> Words<'b> {
    /// Takes the next start and the next end, which belong together because words do not overlap.
    /// If the block has no further end, the word continues in the next block, and its start was the
    /// last one in this block.
    #[inline]
    fn next_ascii(&mut self) -> Option<Word<'b>> {
        while self.block.starts == 0 {
            self.next_block()?;
        }
        let start = self.block.start + self.block.starts.trailing_zeros() as usize;
        self.block.starts &= self.block.starts - 1;
        while self.block.ends == 0 {
            self.next_block()?;
        }
        let end = self.block.start + self.block.ends.trailing_zeros() as usize;
        self.block.ends &= self.block.ends - 1;
        let line = self.line.text;
        Some(Word {
            line,
            start,
            end,
            key: Key::within(line.as_bytes(), start, end - start),
        })
    }

    /// Classifies the next block; `None` after the last.
    #[inline]
    fn next_block(&mut self) -> Option<()> {
        let bytes = self.line.text.as_bytes().get(self.at..)?;
        if bytes.is_empty() {
            return None;
        }
        let (mut words, mut marks) = (0, 0);
        // The line is padded to a multiple of eight bytes.
        let (eights, _) = bytes[..bytes.len().min(BLOCK)].as_chunks();
        for (number, eight) in eights.iter().enumerate() {
            let (word, mark) = classes(u64::from_le_bytes(*eight));
            words |= word << (8 * number);
            marks |= mark << (8 * number);
        }
        let before = &self.block;
        let words_before = words << 1 | u64::from(before.ends_in_word);
        let marks_before = marks << 1 | u64::from(before.ends_in_mark);
        self.block = Block {
            start: self.at,
            starts: words & !words_before | marks & !marks_before,
            ends: !words & words_before | !marks & marks_before,
            ends_in_word: words >> (BLOCK - 1) != 0,
            ends_in_mark: marks >> (BLOCK - 1) != 0,
        };
        self.at += BLOCK;
        Some(())
    }

    /// Finds the next word character by character.
    fn next_any(&mut self) -> Option<Word<'b>> {
        let line = self.line.text;
        let classes = Classes::new();
        let mut chars = line[self.at..]
            .char_indices()
            .map(|(at, c)| (at, classes.of(c)));
        let (start, kind) = chars.find(|(_, class)| *class != Class::Space)?;
        let (end, _) = chars.find(|(_, class)| *class != kind)?; // white space at the latest
        let (start, end) = (self.at + start, self.at + end);
        self.at = end;
        Some(Word {
            line,
            start,
            end,
            key: Key::within(line.as_bytes(), start, end - start),
        })
    }
}

/// Two masks with a bit for each of eight ASCII bytes, the first byte lowest: the bytes of class
/// `Word`, and those of class `Mark`.
#[inline]
fn classes(eight: u64) -> (u64, u64) {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const TOPS: u64 = 0x80 * ONES;
    // No sum of two bytes up to 0x80 carries into the next byte; the top bit says "at least".
    let at_least = |bytes: u64, low: u8| bytes + (0x80 - u64::from(low)) * ONES;
    let within = |bytes: u64, low: u8, high: u8| at_least(bytes, low) & !at_least(bytes, high + 1);
    let letters = within(eight | (0x20 * ONES), b'a', b'z');
    let words = letters | within(eight, b'0', b'9') | within(eight, b'_', b'_');
    let spaces = within(eight, b'\t', b'\r') | within(eight, 28, b' ');
    // The product brings the top bit of byte i to bit 56 + i: 8i + 7 + 7(7 - i).
    let gather = |tops: u64| (tops & TOPS).wrapping_mul(0x0002_0408_1020_4081) >> 56;
    (gather(words), gather(!(words | spaces)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn cut(line: &str) -> Vec<String> {
        let mut buffer = String::new();
        prepare(line, true, &mut buffer)
            .words()
            .map(|word| word.text().to_owned())
            .collect()
    }

    #[test]
    fn words_and_marks_are_runs() {
        assert_eq!(
            cut("  Don't  pay $3.88, Cafe\u{301}!?\u{1c}x_1\u{200b}y "),
            [
                "don",
                "'",
                "t",
                "pay",
                "$",
                "3",
                ".",
                "88",
                ",",
                "cafe",
                "\u{301}!?",
                "x_1",
                "\u{200b}",
                "y"
            ]
        );
        assert_eq!(cut("İ"), ["i", "\u{307}"]);
        assert!(cut(" \t\u{a0}\u{85}").is_empty());
        assert!(cut("").is_empty());
    }

    #[test]
    fn eight_bytes_have_the_classes_of_each() {
        for byte in 0..128u8 {
            for at in 0..8 {
                let mut eight = *b"a@ Z_\t9[";
                eight[at] = byte;
                let expected = |kind| {
                    let is = |at: usize| {
                        u64::from(Classes::new().of(char::from(eight[at])) == kind) << at
                    };
                    (0..8).map(is).sum()
                };
                let found = classes(u64::from_le_bytes(eight));
                assert_eq!(
                    found,
                    (expected(Class::Word), expected(Class::Mark)),
                    "{byte}"
                );
            }
        }
    }

    proptest! {
        #[test]
        fn both_ways_of_cutting_agree(text in "([a-cZ09_]{1,70}|[ .,!\\x00-\\x7f]{0,70}){0,4}", lowercase: bool) {
            let mut buffers = [String::new(), String::new()];
            let [one, two] = &mut buffers;
            let quick = prepare(&text, lowercase, one);
            let slow = Line { is_ascii: false, ..prepare(&text, lowercase, two) };
            let quick: Vec<_> = quick.words().collect();
            prop_assert!(quick.iter().all(|word| word.key == Key::new(word.text())));
            let quick = quick.into_iter().map(Word::text);
            prop_assert!(quick.eq(slow.words().map(Word::text)));
        }
    }

    #[test]
    fn case_is_kept_where_asked() {
        let mut buffer = String::new();
        let line = prepare("Ab É", false, &mut buffer);
        assert!(line.words().map(Word::text).eq(["Ab", "É"]));
    }
}
