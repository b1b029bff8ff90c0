//! The patterns as hand-written splitters: each finds the end of the piece that starts at a place.
//!
//! A regular expression with a look-ahead costs more than the merges themselves. Each function here
//! is one expression of [`Pattern`](super::Pattern), alternative by alternative in the same order;
//! the tests compare them with the expressions on every character and on random text. Every
//! function looks at each character a bounded number of times.

use super::class::{Classes, LETTER, LOWER, NEWLINE, NUMBER, OTHER, SPACE, UPPER};

/// `'(?:[sdmt]|ll|ve|re)`, or the same in any case; the length of the match, or 0.
#[inline]
fn contraction(text: &[u8], at: usize, any_case: bool) -> usize {
    if text.get(at) != Some(&b'\'') {
        return 0;
    }
    let letter = |i: usize| match text.get(at + i) {
        Some(byte) if any_case => byte.to_ascii_lowercase(),
        Some(byte) => *byte,
        None => 0,
    };
    match (letter(1), letter(2)) {
        (b's' | b'd' | b'm' | b't', _) => 2,
        (b'l', b'l') | (b'v' | b'r', b'e') => 3,
        // The long s, which folds to s.
        (0xc5, 0xbf) if any_case => 3,
        _ => 0,
    }
}

/// `\s+(?!\S)|\s+` at the white space `at..end`: all of it at the end of the text, else all but its
/// last character, which may start the next piece.
#[inline]
fn blanks(text: &[u8], at: usize, end: usize) -> usize {
    if end == text.len() {
        return end;
    }
    let mut last = end - 1;
    while last > at && text[last] & 0xc0 == 0x80 {
        last -= 1;
    }
    if last == at { end } else { last }
}

/// `\s*[\r\n]+|\s+(?!\S)|\s+`
#[inline]
fn lines_and_blanks(classes: &Classes, text: &[u8], at: usize) -> usize {
    let end = classes.skip(text, at, SPACE);
    match last_newline(&text[at..end]) {
        Some(last) => at + last + 1,
        None => blanks(text, at, end),
    }
}

fn last_newline(blanks: &[u8]) -> Option<usize> {
    blanks
        .iter()
        .rposition(|byte| matches!(byte, b'\r' | b'\n'))
}

/// `'(?:[sdmt]|ll|ve|re)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+`
#[inline]
pub(super) fn gpt2(classes: &Classes, text: &[u8], at: usize) -> usize {
    let (mut class, mut len) = classes.at(text, at);
    let mut start = at;
    if text[at] == b' ' {
        let next = classes.at(text, at + 1);
        if next.0 & (LETTER | NUMBER | OTHER) == 0 {
            return blanks(text, at, classes.skip(text, at, SPACE));
        }
        (class, len) = next;
        start += 1;
    } else if class & SPACE != 0 {
        return blanks(text, at, classes.skip(text, at, SPACE));
    } else {
        let end = at + contraction(text, at, false);
        if end > at {
            return end;
        }
    }
    if class & LETTER != 0 {
        return classes.skip_letters(text, start + len);
    }
    classes.skip(text, start + len, class & (NUMBER | OTHER))
}

/// `\p{N}`, and [`gpt2`] for the stretches between numbers.
#[inline]
pub(super) fn smollm(classes: &Classes, text: &[u8], at: usize) -> usize {
    let (class, len) = classes.at(text, at);
    if class & NUMBER != 0 {
        return at + len;
    }
    if class & SPACE != 0 {
        let end = classes.skip(text, at, SPACE);
        let is_one_blank = text[at] == b' ' && end == at + 1;
        let next = classes.at(text, end).0;
        // A number ends the stretch, so the white space before it is like that at the end of a
        // text.
        if next & NUMBER != 0 {
            return end;
        }
        if !is_one_blank {
            return blanks(text, at, end);
        }
    }
    gpt2(classes, text, at)
}

/// `'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,DIGITS}| ?[^\s\p{L}\p{N}]+[\r\n]*|`
/// and then, with `WHOLE_END`, `\s+$|`, and `\s*[\r\n]+|\s+(?!\S)|\s+`.
#[inline]
pub(super) fn gpt4<const DIGITS: usize, const WHOLE_END: bool>(
    classes: &Classes,
    text: &[u8],
    at: usize,
) -> usize {
    // Fast path for a space and a letter, as most pieces start; the general code below gives the
    // same.
    if text[at] == b' ' && text.get(at + 1).is_some_and(u8::is_ascii_alphabetic) {
        return classes.skip_letters(text, at + 2);
    }
    let (class, len) = classes.at(text, at);
    if class & LETTER != 0 {
        return classes.skip_letters(text, at + len);
    }
    if class & NUMBER != 0 {
        return digits(classes, text, at + len, DIGITS - 1);
    }
    if class & NEWLINE == 0 {
        let end = at + contraction(text, at, true);
        if end > at {
            return end;
        }
        let next = classes.at(text, at + len);
        if next.0 & LETTER != 0 {
            return classes.skip_letters(text, at + len + next.1);
        }
        if class & OTHER != 0 || text[at] == b' ' && next.0 & OTHER != 0 {
            let end = classes.skip(text, at + len, OTHER);
            return classes.skip(text, end, NEWLINE);
        }
    }
    if WHOLE_END {
        let end = classes.skip(text, at, SPACE);
        return match last_newline(&text[at..end]) {
            _ if end == text.len() => end,
            Some(last) => at + last + 1,
            None => blanks(text, at, end),
        };
    }
    lines_and_blanks(classes, text, at)
}

/// Skips at most `more` further numbers.
#[inline]
fn digits(classes: &Classes, text: &[u8], mut at: usize, more: usize) -> usize {
    for _ in 0..more {
        let (class, len) = classes.at(text, at);
        if class & NUMBER == 0 {
            break;
        }
        at += len;
    }
    at
}

/// With `U` for [`UPPER`], `W` for [`LOWER`] and `C` for `(?i:'s|'t|'re|'ve|'m|'ll|'d)`:
/// `[^\r\n\p{L}\p{N}]?U*W+C?|[^\r\n\p{L}\p{N}]?U+W*C?|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|`
/// `\s*[\r\n]+|\s+(?!\S)|\s+`
#[inline]
pub(super) fn o200k(classes: &Classes, text: &[u8], at: usize) -> usize {
    let (class, len) = classes.at(text, at);
    if class & NUMBER != 0 {
        return digits(classes, text, at + len, 2);
    }
    if class & NEWLINE != 0 {
        return lines_and_blanks(classes, text, at);
    }
    let is_letter = class & LETTER != 0;
    let word = if is_letter {
        lowered(classes, text, at).or_else(|| raised(classes, text, at))
    } else {
        // Any one character may stand before a word; a combining mark may also start the word
        // itself.
        lowered(classes, text, at + len)
            .or_else(|| lowered(classes, text, at))
            .or_else(|| raised(classes, text, at + len))
            .or_else(|| raised(classes, text, at))
    };
    if let Some(end) = word {
        return end + contraction(text, end, true);
    }
    let before = if text[at] == b' ' { 1 } else { 0 };
    if classes.at(text, at + before).0 & OTHER != 0 {
        let end = classes.skip(text, at + before, OTHER);
        let more = text[end..]
            .iter()
            .take_while(|byte| matches!(byte, b'\r' | b'\n' | b'/'))
            .count();
        return end + more;
    }
    lines_and_blanks(classes, text, at)
}

/// `U*W+`: as many upper as possible, then lower. If nothing lower follows, the upper part gives
/// back characters until the lower part is a single character that is in both classes.
#[inline]
fn lowered(classes: &Classes, text: &[u8], at: usize) -> Option<usize> {
    let mut end = at;
    let mut both = None;
    loop {
        let (class, len) = classes.at(text, end);
        if class & UPPER == 0 {
            if class & LOWER != 0 {
                return Some(classes.skip(text, end + len, LOWER));
            }
            return both;
        }
        end += len;
        if class & LOWER != 0 {
            both = Some(end);
        }
    }
}

/// `U+W*`
#[inline]
fn raised(classes: &Classes, text: &[u8], at: usize) -> Option<usize> {
    let end = classes.skip(text, at, UPPER);
    (end > at).then(|| classes.skip(text, end, LOWER))
}
