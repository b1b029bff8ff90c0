//! Patterns: how a text is cut into pieces before merging. No token crosses from one piece to the
//! next.

use std::fmt;

use super::class::classes;
use super::split;

/// The rule that cuts a text into pieces; merges never cross from one piece into the next.
///
/// Each is the regular expression of a known tokenizer, recognised by its text and run by code
/// written for it. Other expressions are refused: their pieces would be right, but slow, and a
/// training run could not be cut into parts safely.
///
/// In bytes that are not UTF-8, each valid stretch is cut as a text of its own and each invalid
/// sequence is a piece; [`None`](Pattern::None) takes everything as one piece.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Pattern {
    /// The whole text is one piece.
    None,
    /// GPT-2, `r50k_base` and `p50k_base`: words, numbers and marks, each with one space before it.
    Gpt2,
    /// The pattern of GPT-4 as minbpe, rustbpe and files of Hugging Face have it. It differs from
    /// [`Cl100k`](Pattern::Cl100k) in the white space at the very end of a text only.
    Gpt4,
    /// `cl100k_base` as tiktoken has it: white space that ends the text is one piece.
    Cl100k,
    /// `o200k_base`: words are also cut where small letters are followed by capitals.
    O200k,
    /// nanochat: [`Gpt4`](Pattern::Gpt4) with numbers cut into two digits, not three.
    Nanochat,
    /// Qwen2, Qwen2.5 and Qwen3: [`Gpt4`](Pattern::Gpt4) with each digit apart. Llama-3 and SmolLM3
    /// are cut by [`Gpt4`](Pattern::Gpt4) itself.
    Qwen2,
    /// SmolLM and SmolLM2: each digit apart, and the stretches between digits cut as texts of their
    /// own by [`Gpt2`](Pattern::Gpt2).
    Smollm,
}

/// GPT-2's expression, in the spelling that both tiktoken and Hugging Face's engine accept.
const GPT2: &str = r"'(?:[sdmt]|ll|ve|re)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+";
const GPT4: &str = r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
const CL100K: &str = r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s+\z|\s*[\r\n]+|\s+(?!\S)|\s+";
const O200K: &str = r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+";
const NANOCHAT: &str = r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,2}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
const QWEN2: &str = r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
/// One expression for two steps, `Digits` and GPT-2's: white space also ends before a digit.
const SMOLLM: &str =
    r"'(?:[sdmt]|ll|ve|re)|\p{N}| ?\p{L}+| ?[^\s\p{L}\p{N}]+|\s+(?![^\s\p{N}])|\s+";

/// Other spellings of the same expressions, from the tools that use them.
const SPELLINGS: &[(&str, Pattern)] = &[
    (
        r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+",
        Pattern::Gpt2,
    ),
    (
        r"'s|'t|'re|'ve|'m|'ll|'d| ?[\p{L}]+| ?[\p{N}]+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+",
        Pattern::Gpt2,
    ),
    (
        r"'(?:[sdmt]|ll|ve|re)| ?\p{L}++| ?\p{N}++| ?[^\s\p{L}\p{N}]++|\s++$|\s+(?!\S)|\s",
        Pattern::Gpt2,
    ),
    (
        r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
        Pattern::Gpt4,
    ),
    (
        r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]++[\r\n]*|\s*[\r\n]|\s+(?!\S)|\s+",
        Pattern::Gpt4,
    ),
    (
        r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}+|\p{N}{1,2}| ?[^\s\p{L}\p{N}]++[\r\n]*|\s*[\r\n]|\s+(?!\S)|\s+",
        Pattern::Nanochat,
    ),
    (
        r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
        Pattern::Qwen2,
    ),
];

/// tiktoken's own spelling, whose `$` and `{1,3}+` mean something else to Hugging Face's engine.
const TIKTOKEN_CL100K: &str = r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}++|\p{N}{1,3}+| ?[^\s\p{L}\p{N}]++[\r\n]*+|\s++$|\s*[\r\n]|\s+(?!\S)|\s";

impl Pattern {
    /// Every pattern.
    pub const ALL: [Self; 8] = [
        Self::None,
        Self::Gpt2,
        Self::Gpt4,
        Self::Cl100k,
        Self::O200k,
        Self::Nanochat,
        Self::Qwen2,
        Self::Smollm,
    ];

    /// The name: `none`, `gpt2`, `gpt4`, `cl100k`, `o200k`, `nanochat`, `qwen2`,
    /// `smollm`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Gpt2 => "gpt2",
            Self::Gpt4 => "gpt4",
            Self::Cl100k => "cl100k",
            Self::O200k => "o200k",
            Self::Nanochat => "nanochat",
            Self::Qwen2 => "qwen2",
            Self::Smollm => "smollm",
        }
    }

    /// The pattern called `name`.
    ///
    /// # Errors
    ///
    /// [`UnknownPattern`](super::BpeError::UnknownPattern).
    pub fn from_name(name: &str) -> Result<Self, super::BpeError> {
        Self::ALL
            .into_iter()
            .find(|pattern| pattern.name() == name)
            .ok_or_else(|| super::BpeError::UnknownPattern {
                name: name.to_owned(),
            })
    }

    /// The regular expression, which Python's `regex`, tiktoken and `tokenizers` read alike;
    /// `None` if the text is not cut. In `\s+\z` of [`Cl100k`](Pattern::Cl100k), `\z` is the end of
    /// the text.
    #[must_use]
    pub fn regex(self) -> Option<&'static str> {
        match self {
            Self::None => None,
            Self::Gpt2 => Some(GPT2),
            Self::Gpt4 => Some(GPT4),
            Self::Cl100k => Some(CL100K),
            Self::O200k => Some(O200K),
            Self::Nanochat => Some(NANOCHAT),
            Self::Qwen2 => Some(QWEN2),
            Self::Smollm => Some(SMOLLM),
        }
    }

    /// The pattern of a regular expression, recognised by its text: the one of
    /// [`regex`](Self::regex) or another known spelling.
    #[must_use]
    pub fn from_regex(regex: &str) -> Option<Self> {
        if regex == TIKTOKEN_CL100K {
            return Some(Self::Cl100k);
        }
        let written = Self::ALL.into_iter().find(|p| p.regex() == Some(regex));
        let known = || SPELLINGS.iter().find(|(text, _)| *text == regex);
        written.or_else(|| known().map(|(_, pattern)| *pattern))
    }

    /// Calls `piece` with every piece of `text` in order until it returns `false`.
    #[inline]
    pub(crate) fn pieces<'t>(self, text: &'t str, piece: impl FnMut(Piece<'t>) -> bool) -> bool {
        let classes = classes();
        let text = text.as_bytes();
        match self {
            Self::None => walk(text, |text, _| text.len(), piece),
            Self::Gpt2 => walk(text, |text, at| split::gpt2(classes, text, at), piece),
            Self::Gpt4 => walk(
                text,
                |text, at| split::gpt4::<3, false>(classes, text, at),
                piece,
            ),
            Self::Cl100k => walk(
                text,
                |text, at| split::gpt4::<3, true>(classes, text, at),
                piece,
            ),
            Self::O200k => walk(text, |text, at| split::o200k(classes, text, at), piece),
            Self::Nanochat => walk(
                text,
                |text, at| split::gpt4::<2, false>(classes, text, at),
                piece,
            ),
            Self::Qwen2 => walk(
                text,
                |text, at| split::gpt4::<1, false>(classes, text, at),
                piece,
            ),
            Self::Smollm => walk(text, |text, at| split::smollm(classes, text, at), piece),
        }
    }

    /// As [`pieces`](Self::pieces), but for arbitrary bytes.
    pub(crate) fn byte_pieces<'t>(
        self,
        bytes: &'t [u8],
        mut piece: impl FnMut(Piece<'t>) -> bool,
    ) -> bool {
        if self == Self::None {
            return bytes.is_empty()
                || piece(Piece {
                    text: bytes,
                    start: 0,
                    end: bytes.len(),
                });
        }
        bytes.utf8_chunks().all(|chunk| {
            let invalid = chunk.invalid();
            self.pieces(chunk.valid(), &mut piece)
                && (invalid.is_empty()
                    || piece(Piece {
                        text: invalid,
                        start: 0,
                        end: invalid.len(),
                    }))
        })
    }
}

/// A piece and the text around it.
#[derive(Clone, Copy)]
pub(crate) struct Piece<'t> {
    pub(crate) text: &'t [u8],
    pub(crate) start: usize,
    pub(crate) end: usize,
}

impl<'t> Piece<'t> {
    #[inline]
    pub(crate) fn bytes(self) -> &'t [u8] {
        &self.text[self.start..self.end]
    }
}

#[inline]
fn walk<'t>(
    text: &'t [u8],
    end_of: impl Fn(&[u8], usize) -> usize,
    mut piece: impl FnMut(Piece<'t>) -> bool,
) -> bool {
    let mut start = 0;
    while start < text.len() {
        let end = end_of(text, start);
        if !piece(Piece { text, start, end }) {
            return false;
        }
        start = end;
    }
    true
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use fancy_regex::Regex;
    use proptest::prelude::*;

    use super::*;

    fn pieces(pattern: Pattern, text: &str) -> Vec<&[u8]> {
        let mut pieces = Vec::new();
        pattern.pieces(text, |piece| {
            pieces.push(piece.bytes());
            true
        });
        pieces
    }

    /// Every spelling, compiled by the engine that tiktoken uses.
    fn spellings() -> Vec<(Pattern, Regex)> {
        let own = Pattern::ALL.iter().filter_map(|p| Some((*p, p.regex()?)));
        let known = SPELLINGS.iter().map(|(text, pattern)| (*pattern, *text));
        own.chain(known)
            .chain([(Pattern::Cl100k, TIKTOKEN_CL100K)])
            .map(|(pattern, text)| {
                assert_eq!(Pattern::from_regex(text), Some(pattern));
                (pattern, Regex::new(text).unwrap())
            })
            .collect()
    }

    #[track_caller]
    fn check(spellings: &[(Pattern, Regex)], text: &str) {
        for (pattern, regex) in spellings {
            let expected: Vec<&[u8]> = regex
                .find_iter(text)
                .map(|found| found.unwrap().as_str().as_bytes())
                .collect();
            assert_eq!(
                pieces(*pattern, text),
                expected,
                "{pattern} {text:?} {regex}"
            );
        }
    }

    #[test]
    fn every_character_in_every_neighbourhood() {
        let spellings = spellings();
        // All characters of a class are alike (class.rs), so a few of each stand for all; the
        // others are those that a contraction could fold to.
        let mut text = String::new();
        for c in ('\0'..'\u{250}').chain("K\u{301}ǅʰ中अ٣Ⅷ²😀\u{2028}\u{3000}ſﬀﬆ𝐀𝟘\u{1e9e}".chars())
        {
            for frame in [
                "x", "'", " ", "\n", "a ", "A", " 'a", "1", "'S", "!\n", "l", "/\n",
            ] {
                text.clear();
                text.extend([frame, &c.to_string(), frame, &c.to_string(), "a"]);
                check(&spellings, &text);
                text.pop();
                check(&spellings, &text);
            }
        }
    }

    #[test]
    fn long_runs_are_read_a_few_times_only() {
        // If every step looked back, these would take hours.
        for pattern in Pattern::ALL {
            for unit in ["A", "ªA", " ", "\n ", "\u{301}", "'", "1", "é"] {
                let text = unit.repeat(1 << 18);
                let total: usize = pieces(pattern, &text).iter().map(|p| p.len()).sum();
                assert_eq!(total, text.len());
            }
        }
    }

    #[test]
    fn names_lead_back() {
        for pattern in Pattern::ALL {
            assert_eq!(Pattern::from_name(pattern.name()).unwrap(), pattern);
        }
        assert!(Pattern::from_name("gpt5").is_err());
        assert_eq!(Pattern::from_regex(r"\w+|\W+"), None);
    }

    #[test]
    fn bytes_that_are_no_text_are_pieces() {
        let mut found = Vec::new();
        Pattern::Gpt2.byte_pieces(b"a b\xff\xfe c\xe2\x82", |piece| {
            found.push(piece.bytes());
            true
        });
        let expected: [&[u8]; 6] = [b"a", b" b", b"\xff", b"\xfe", b" c", b"\xe2\x82"];
        assert_eq!(found, expected);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]
        #[test]
        fn pieces_are_the_matches(
            text in prop::collection::vec(
                prop_oneof![
                    4 => prop::sample::select(vec![
                        " ", "  ", "\n", "\r\n", "\t", "'", "'s", "'LL", "'ſ", "a", "B", "ab", "Éa",
                        "7", "123", "4567", "!", "/", "//", "...", "\u{a0}", "\u{3000}", "\u{2028}",
                        "\u{301}", "ʰ", "中文", "ǅ", "١٢", "²", "😀", "𝐀", "v", "e", "'re", "\u{85}",
                    ]).prop_map(str::to_owned),
                    1 => any::<char>().prop_map(String::from),
                ],
                0..24,
            ).prop_map(|parts| parts.concat())
        ) {
            thread_local!(static SPELLINGS: Vec<(Pattern, Regex)> = spellings());
            SPELLINGS.with(|spellings| check(spellings, &text));
        }
    }
}
