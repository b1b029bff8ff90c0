//! Word characters, white space and lower case, as in Python 3.11 (Unicode 14.0).
//!
//! The vocabulary depends on every detail of these, so they are tables of our own, independent of
//! the compiler's Unicode version. They were read from Python itself
//! (`tests/ngram/make_tables.py`):
//!
//! - word characters are letters, numbers and `_` (general categories `L*` and `N*`, no marks);
//! - white space is Unicode's and U+001C to U+001F;
//! - lower case is the full mapping: `İ` becomes two characters, `Σ` becomes `ς` at the end of a
//!   word.

use std::sync::LazyLock;

use super::tables::{CASED, IGNORABLE, LOWER, SPACE, WORD};

/// The classes of characters that the cutting rule distinguishes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Class {
    Space,
    /// Joined by `\w+`.
    Word,
    /// Everything else, joined by `[^\w\s]+`.
    Mark,
}

/// Bits of a character: its class and, for characters that change, `CHANGES`.
const IS_WORD: u8 = 1;
const IS_SPACE: u8 = 2;
const IS_CASED: u8 = 4;
const IS_IGNORABLE: u8 = 8;
const CHANGES: u8 = 16;

/// The bits of the basic plane, where nearly all text lies, computed at the first use.
static PLANE: LazyLock<Box<[u8]>> = LazyLock::new(|| {
    let mut plane = vec![0; 0x1_0000];
    for (set, bit) in SETS {
        let (ranges, _) = set.as_chunks::<2>();
        for &[first, end] in ranges {
            let inside = plane.iter_mut().take(end as usize).skip(first as usize);
            inside.for_each(|bits| *bits |= bit);
        }
    }
    let (groups, _) = LOWER.as_chunks::<4>();
    for &[first, last, step, _] in groups {
        let moved = plane
            .iter_mut()
            .take(last as usize + 1)
            .skip(first as usize);
        moved
            .step_by(step as usize)
            .for_each(|bits| *bits |= CHANGES);
    }
    plane[DOTTED_I as usize] |= CHANGES;
    plane.into()
});

const SETS: [(&[u32], u8); 4] = [
    (&WORD, IS_WORD),
    (&SPACE, IS_SPACE),
    (&CASED, IS_CASED),
    (&IGNORABLE, IS_IGNORABLE),
];

/// The classes of all characters. Made once, used for many look-ups.
#[derive(Clone, Copy)]
pub(super) struct Classes(&'static [u8]);

impl Classes {
    pub(super) fn new() -> Self {
        Self(&PLANE)
    }

    #[inline]
    pub(super) fn of(self, c: char) -> Class {
        let bits = self.bits(c);
        if bits & IS_WORD != 0 {
            Class::Word
        } else if bits & IS_SPACE != 0 {
            Class::Space
        } else {
            Class::Mark
        }
    }

    #[inline]
    fn bits(self, c: char) -> u8 {
        let point = u32::from(c);
        match self.0.get(point as usize) {
            Some(&bits) => bits,
            None => search(point),
        }
    }
}

/// The bits of a character, by binary search in every table.
fn search(point: u32) -> u8 {
    // A set lists the points where membership changes: an odd number of changes up to here means
    // inside.
    let inside = |set: &[u32]| set.partition_point(|&change| change <= point) % 2 == 1;
    let mut bits = 0;
    for (set, bit) in SETS {
        if inside(set) {
            bits |= bit;
        }
    }
    if lowered(point) != point || point == u32::from(DOTTED_I) {
        bits |= CHANGES;
    }
    bits
}

/// The one character whose lower case is two characters, `i` and U+0307.
const DOTTED_I: char = 'İ';

/// The lower case of a single code point.
fn lowered(point: u32) -> u32 {
    let point = point as i32; // at most 0x10FFFF
    let (groups, _) = LOWER.as_chunks::<4>();
    let after = groups.partition_point(|&[first, ..]| first <= point);
    let moved = match after.checked_sub(1).map(|at| groups[at]) {
        Some([first, last, step, by]) if point <= last && (point - first) % step == 0 => point + by,
        _ => point,
    };
    moved as u32
}

/// Appends the lower case of `text`, Python's `str.lower`.
///
/// A sigma becomes `ς` if the nearest character before it, case-ignorable ones aside, is cased and
/// the nearest after it is not: the rule `Final_Sigma` of Unicode's `SpecialCasing.txt`.
pub(super) fn lower_into(text: &str, out: &mut String) {
    let classes = Classes::new();
    // Whether the nearest character before, case-ignorable ones aside, is cased.
    let mut after_cased = false;
    // Unchanged stretches are copied as a whole.
    let mut copied = 0;
    for (at, c) in text.char_indices() {
        let bits = classes.bits(c);
        if bits & CHANGES != 0 {
            let rest = at + c.len_utf8();
            out.push_str(&text[copied..at]);
            copied = rest;
            if c == DOTTED_I {
                out.push_str("i\u{307}");
            } else if c == 'Σ' && after_cased && !before_cased(classes, &text[rest..]) {
                out.push('ς');
            } else {
                out.push(char::from_u32(lowered(u32::from(c))).unwrap_or(c));
            }
        }
        if bits & IS_IGNORABLE == 0 {
            after_cased = bits & IS_CASED != 0;
        }
    }
    out.push_str(&text[copied..]);
}

/// Whether the first character of `rest` that is not case-ignorable is cased. The search from a
/// sigma ends at the next sigma at the latest, since that is cased; so a text is read at most
/// twice.
fn before_cased(classes: Classes, rest: &str) -> bool {
    rest.chars()
        .map(|c| classes.bits(c))
        .find(|bits| bits & IS_IGNORABLE == 0)
        .is_some_and(|bits| bits & IS_CASED != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn class(c: char) -> Class {
        Classes::new().of(c)
    }

    fn lower(text: &str) -> String {
        let mut out = String::new();
        lower_into(text, &mut out);
        out
    }

    #[test]
    fn the_plane_is_what_searching_finds() {
        assert!(
            (0..0x1_0000)
                .zip(PLANE.iter())
                .all(|(c, &bits)| search(c) == bits)
        );
    }

    #[test]
    fn classes_are_pythons() {
        for c in ['a', 'é', '_', '7', '²', '½', 'Ⅷ', '٣', '中', 'ª', '𝟘', '𐐀'] {
            assert_eq!(class(c), Class::Word, "{c:?}");
        }
        for c in [
            '\t', '\u{1c}', '\u{1f}', '\u{85}', '\u{a0}', '\u{1680}', '\u{3000}',
        ] {
            assert_eq!(class(c), Class::Space, "{c:?}");
        }
        for c in [
            '\0', '\'', '\u{301}', '\u{180e}', '\u{200b}', '\u{200d}', '‿', '€', '😀', 'ः',
        ] {
            assert_eq!(class(c), Class::Mark, "{c:?}");
        }
    }

    #[test]
    fn sigma_is_final_at_the_end_of_a_word() {
        for (text, expected) in [
            ("ΟΔΟΣ", "οδος"),
            ("ΣΟΣ ΣΑΣ", "σος σας"),
            ("Σ", "σ"),
            ("1Σ", "1σ"),
            ("ΑΣ'", "ας'"),
            ("ΑΣ'Α", "ασ'α"),
            ("Α.\u{301}Σ", "α.\u{301}ς"),
            ("ΑΣ\nΑΣ", "ας\nας"),
            ("ΣΣΣ", "σσς"),
        ] {
            assert_eq!(lower(text), expected, "{text}");
        }
        assert_eq!(lower("İIıẞǅÅ𐐀"), "i\u{307}iıßǆå𐐨");
    }

    #[test]
    fn every_code_point_is_as_python_says() {
        let mut bytes = Vec::new();
        for c in '\0'..=char::MAX {
            bytes.push(match class(c) {
                Class::Mark => 0,
                Class::Word => 1,
                Class::Space => 2,
            });
            let shown = format!("{c}Σ{c}AΣ{c}{c}");
            bytes.extend_from_slice(lower(&shown).as_bytes());
        }
        assert_eq!(
            latimer_files::fnv1a(&bytes),
            super::super::tables::FINGERPRINT
        );
    }

    #[test]
    fn lowering_twice_is_lowering_once() {
        for c in '\0'..=char::MAX {
            let once = lower(&format!("Α{c}Σ"));
            assert_eq!(lower(&once), once, "{c:?}");
        }
    }
}
