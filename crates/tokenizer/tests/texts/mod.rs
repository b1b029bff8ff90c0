//! Texts for tests, made from seeds: many scripts, code, emoji, runs, and bytes that are not text.
#![allow(dead_code, reason = "every test takes the part it needs")]

/// SplitMix64 (Steele, Lea and Flood, 2014).
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A random number below `n`.
    pub(crate) fn below(&mut self, n: usize) -> usize {
        (self.next() % n as u64) as usize
    }

    pub(crate) fn pick<T: Copy>(&mut self, list: &[T]) -> T {
        list[self.below(list.len())]
    }
}

/// First and last letter of scripts, in their Unicode blocks.
const SCRIPTS: &[(u32, u32)] = &[
    (0x61, 0x7a),
    (0x41, 0x7a),
    (0xc0, 0x17f),
    (0x370, 0x3ff),
    (0x400, 0x4ff),
    (0x531, 0x587),
    (0x5d0, 0x5ea),
    (0x620, 0x669),
    (0x900, 0x97f),
    (0x980, 0x9ff),
    (0xb80, 0xbff),
    (0xe01, 0xe5b),
    (0x10a0, 0x10ff),
    (0x1200, 0x137f),
    (0x1780, 0x17e9),
    (0x1e00, 0x1eff),
    (0x3041, 0x30ff),
    (0x4e00, 0x9fff),
    (0xac00, 0xd7a3),
    (0x1f300, 0x1f64f),
    (0x1f900, 0x1f9ff),
    (0x1d400, 0x1d7ff),
    (0x2000, 0x206f),
    (0x2190, 0x22ff),
];

const ENGLISH: &[&str] = &[
    "the",
    "of",
    "and",
    "tokenizer",
    "I'm",
    "don't",
    "WE'LL",
    "they've",
    "quick",
    "Brown",
    "internationalization",
    "antidisestablishmentarianism",
    "O'Neill",
    "naïve",
    "e.g.",
    "3.14159",
    "1234567",
    "2024-11-24",
    "https://example.org/a?b=c&d=%20",
    "user@example.com",
    "…",
    "—",
    "(see",
    "below)",
    "\"quoted\"",
    "CamelCaseWord",
    "snake_case_word",
    "HTTPServer2",
    "x'S",
    "'tis",
];
const CODE: &[&str] = &[
    "fn",
    "let mut",
    "=>",
    "::",
    "();",
    "{",
    "}",
    "\n    ",
    "\n        ",
    "\t",
    "\n\t\t",
    "//",
    "/*",
    "*/",
    "0x1F",
    "1e-9",
    "self.",
    "return",
    "if (i < n && a[i] != b[j])",
    "#include <stdio.h>",
    "def f(x: int) -> str:",
    "\r\n",
    "  ",
    "    ",
    "!=",
    "===",
    "<|endoftext|>",
    "\\n",
    "$1",
    "@",
    "`",
    "~~~",
    "-----",
    "\u{a0}",
    "\u{3000}",
    "\u{200d}",
];

/// One line of text; `number` selects its kind.
pub(crate) fn line(random: &mut Random, number: usize) -> String {
    let mut line = String::new();
    let words = 1 + random.below(20);
    match number % 5 {
        0 => {
            for _ in 0..words {
                line += random.pick(ENGLISH);
                line += random.pick(&[" ", " ", " ", ", ", "  ", ""]);
            }
        }
        1 => {
            for _ in 0..words {
                line += random.pick(CODE);
                line += random.pick(&["", " ", "x", "i"]);
            }
        }
        2 | 3 => {
            let (first, last) = random.pick(SCRIPTS);
            for _ in 0..words {
                for _ in 0..random.below(9) {
                    let c = first + random.below((last - first + 1) as usize) as u32;
                    line.extend(char::from_u32(c));
                }
                line += random.pick(&[" ", " ", "", "\u{301}", ".", "\n", " \n ", "1"]);
            }
        }
        _ => {
            let unit = random.pick(&[
                "a",
                " ",
                "\n",
                "ab",
                "1",
                "é",
                "中",
                "😀",
                "=",
                "-",
                "\t",
                "A",
                "'",
                "\r\n",
                "x ",
                "👩\u{200d}👩\u{200d}👧",
                "\u{301}",
            ]);
            line = unit.repeat(1 + random.below(200));
            line += random.pick(&["", "b", " ", "\n"]);
        }
    }
    line
}

/// `number` lines.
pub(crate) fn lines(seed: u64, number: usize) -> Vec<String> {
    let mut random = Random(seed);
    (0..number).map(|i| line(&mut random, i)).collect()
}

/// Long inputs, each of one kind and of `len` bytes or a little less.
pub(crate) fn odd(len: usize) -> Vec<(&'static str, String)> {
    let mut random = Random(7);
    let mut from =
        |letters: &[u8]| -> String { (0..len).map(|_| char::from(random.pick(letters))).collect() };
    let base64 = from(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/");
    let letters = from(b"abcdefghijklmnopqrstuvwxyz");
    let capitals = from(b"ABCDEFGHIJKLMNOPQRSTUVWXYZ");
    let two = from(b"ab");
    vec![
        ("one letter", "a".repeat(len)),
        ("blanks", " ".repeat(len)),
        ("newlines", "\n".repeat(len)),
        ("letters", letters),
        ("base64", base64),
        ("capitals", capitals),
        ("two letters", two),
        ("digits", "7".repeat(len)),
        ("marks", "=".repeat(len)),
        ("pairs", "ab".repeat(len / 2)),
        ("ideographs", "中".repeat(len / 3)),
    ]
}
