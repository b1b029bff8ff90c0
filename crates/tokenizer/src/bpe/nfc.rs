//! Unicode's form NFC, as `tokenizers` computes it.

use std::borrow::Cow;

use unicode_normalization::{IsNormalized, UnicodeNormalization, is_nfc_quick};

/// Characters that NFC changes in today's Unicode but not in Unicode 9, whose table `tokenizers`
/// (0.23.3) uses. All other characters are alike in both tables, since Unicode never changes what it
/// has assigned. The test below compares this list with `tests/peers/nfc.json`.
#[rustfmt::skip]
const NEWER: &[(char, char)] = &[
    ('\u{5c8}', '\u{5c9}'), ('\u{7fd}', '\u{7fd}'), ('\u{897}', '\u{89f}'), ('\u{8ca}', '\u{8d3}'),
    ('\u{9fe}', '\u{9fe}'), ('\u{c3c}', '\u{c3c}'), ('\u{d3b}', '\u{d3c}'), ('\u{eba}', '\u{eba}'),
    ('\u{1715}', '\u{1715}'), ('\u{1abf}', '\u{1af0}'), ('\u{1df6}', '\u{1dfa}'),
    ('\u{a82c}', '\u{a82c}'), ('\u{105c9}', '\u{105c9}'), ('\u{105d2}', '\u{105d2}'),
    ('\u{105da}', '\u{105da}'), ('\u{105e4}', '\u{105e4}'), ('\u{10d24}', '\u{10d27}'),
    ('\u{10d69}', '\u{10d6d}'), ('\u{10eab}', '\u{10eac}'), ('\u{10ecb}', '\u{10ecf}'),
    ('\u{10ef0}', '\u{10efb}'), ('\u{10efd}', '\u{10eff}'), ('\u{10f46}', '\u{10f50}'),
    ('\u{10f82}', '\u{10f85}'), ('\u{11070}', '\u{11070}'), ('\u{1133b}', '\u{1133b}'),
    ('\u{11382}', '\u{11385}'), ('\u{1138b}', '\u{1138b}'), ('\u{1138e}', '\u{1138e}'),
    ('\u{11390}', '\u{11391}'), ('\u{113b8}', '\u{113b8}'), ('\u{113bb}', '\u{113bb}'),
    ('\u{113c2}', '\u{113c2}'), ('\u{113c5}', '\u{113c5}'), ('\u{113c7}', '\u{113c9}'),
    ('\u{113ce}', '\u{113d0}'), ('\u{1145e}', '\u{1145e}'), ('\u{11839}', '\u{1183a}'),
    ('\u{11930}', '\u{11930}'), ('\u{11935}', '\u{11935}'), ('\u{11938}', '\u{11938}'),
    ('\u{1193d}', '\u{1193e}'), ('\u{11943}', '\u{11943}'), ('\u{119e0}', '\u{119e0}'),
    ('\u{11a34}', '\u{11a34}'), ('\u{11a47}', '\u{11a47}'), ('\u{11a99}', '\u{11a99}'),
    ('\u{11d42}', '\u{11d42}'), ('\u{11d44}', '\u{11d45}'), ('\u{11d97}', '\u{11d97}'),
    ('\u{11f41}', '\u{11f42}'), ('\u{1611e}', '\u{16129}'), ('\u{1612f}', '\u{1612f}'),
    ('\u{16d63}', '\u{16d63}'), ('\u{16d67}', '\u{16d6a}'), ('\u{16ff0}', '\u{16ff1}'),
    ('\u{1d127}', '\u{1d128}'), ('\u{1d250}', '\u{1d252}'), ('\u{1d25b}', '\u{1d25c}'),
    ('\u{1d25f}', '\u{1d25f}'), ('\u{1d280}', '\u{1d281}'), ('\u{1e08f}', '\u{1e08f}'),
    ('\u{1e130}', '\u{1e136}'), ('\u{1e2ae}', '\u{1e2ae}'), ('\u{1e2ec}', '\u{1e2ef}'),
    ('\u{1e4ec}', '\u{1e4ef}'), ('\u{1e5ee}', '\u{1e5ef}'), ('\u{1e6e3}', '\u{1e6e3}'),
    ('\u{1e6e6}', '\u{1e6e6}'), ('\u{1e6ee}', '\u{1e6ef}'), ('\u{1e6f5}', '\u{1e6f5}'),
];

fn is_newer(c: char) -> bool {
    let at = NEWER.partition_point(|(_, last)| *last < c);
    NEWER.get(at).is_some_and(|(first, _)| *first <= c)
}

/// The text in form NFC.
pub(crate) fn nfc(text: &str) -> Cow<'_, str> {
    // A newer character parts the text in the older table. A text that needs no change by the newer
    // table has its marks in order and nothing to compose, so it needs none by the older table.
    if text.is_ascii() || is_nfc_quick(text.chars()) == IsNormalized::Yes {
        return Cow::Borrowed(text);
    }
    let mut normal = String::with_capacity(text.len());
    for stretch in text.split_inclusive(is_newer) {
        let known = stretch.trim_end_matches(is_newer);
        normal.extend(known.nfc());
        normal.push_str(&stretch[known.len()..]);
    }
    if normal == text {
        Cow::Borrowed(text)
    } else {
        Cow::Owned(normal)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use unicode_normalization::char::{canonical_combining_class, decompose_canonical};

    use super::*;

    #[test]
    fn composed_and_in_order() {
        for (text, normal) in [
            ("abc", "abc"),
            ("e\u{301}", "\u{e9}"),
            ("\u{e9}", "\u{e9}"),
            ("\u{212b}\u{212a}", "\u{c5}K"),
            ("q\u{307}\u{323}", "q\u{323}\u{307}"),
            ("\u{1112}\u{1161}\u{11ab}", "\u{d55c}"),
            ("\u{958}", "\u{915}\u{93c}"),
            // Newer characters: U+08D3 is a mark since Unicode 11, U+16D67 composes since 16.
            ("a\u{301}\u{8d3}", "\u{e1}\u{8d3}"),
            ("a\u{8d3}\u{301}", "a\u{8d3}\u{301}"),
            (
                "e\u{301}\u{8d3}\u{8d3}e\u{301}",
                "\u{e9}\u{8d3}\u{8d3}\u{e9}",
            ),
            ("\u{16d67}\u{16d67}", "\u{16d67}\u{16d67}"),
        ] {
            assert_eq!(nfc(text), normal, "{text:?}");
        }
    }

    /// The characters that the table in use decomposes or moves beside those of `tokenizers`, and
    /// the starters that only new characters are composed of. `tests/peers/nfc.py` makes the file.
    #[test]
    fn the_list_is_that_of_the_newer_characters() {
        let file = include_str!("../../tests/peers/nfc.json");
        let known: Vec<(u32, u32)> = serde_json::from_str(file).unwrap();
        let is_known = |c: char| {
            let at = known.partition_point(|(_, last)| *last < u32::from(c));
            known
                .get(at)
                .is_some_and(|(first, _)| *first <= u32::from(c))
        };
        let mut newer = BTreeSet::new();
        for c in '\0'..=char::MAX {
            let mut parts = Vec::new();
            decompose_canonical(c, |part| parts.push(part));
            let is_mark = |c: &char| canonical_combining_class(*c) != 0;
            if is_known(c) {
                assert!(parts != [c] || is_mark(&c), "{c:?}");
            } else if parts != [c] {
                newer.insert(c);
                newer.extend(parts.iter().filter(|part| !is_mark(part)));
            } else if is_mark(&c) {
                newer.insert(c);
            }
        }
        let listed: BTreeSet<char> = NEWER.iter().flat_map(|(a, b)| *a..=*b).collect();
        assert_eq!(listed, newer);
        assert!(NEWER.windows(2).all(|two| two[0].1 < two[1].0));
    }
}
