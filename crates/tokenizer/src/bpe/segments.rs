//! What comes before merging: a text is parted at its added tokens, and brought to form NFC if the
//! vocabulary asks for it.

use std::borrow::Cow;
use std::sync::LazyLock;

use super::class::ranges;
use super::nfc;
use super::tokenizer::BpeTokenizer;
use crate::special::{Finder, Finders};

/// A stretch of text, or an added token with the text that it stands for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Segment<'t> {
    pub(super) text: &'t str,
    pub(super) token: Option<u32>,
}

impl BpeTokenizer {
    /// Whether every text is one segment, as it comes.
    #[inline]
    pub(super) fn is_plain(&self) -> bool {
        !self.nfc && self.specials.always().is_none()
    }

    /// Calls `segment` with every segment in order until it returns `false`; whether it never did.
    ///
    /// As in `tokenizers`: first the tokens whose names are not normalized are found, then each
    /// stretch between them is normalized, and the other tokens are found in it.
    pub(super) fn segments(
        &self,
        text: &str,
        finders: &Finders,
        segment: &mut dyn FnMut(Segment<'_>) -> bool,
    ) -> bool {
        self.part(text, &finders.raw, &mut |raw| {
            if raw.token.is_some() {
                return segment(raw);
            }
            let normal = self.normal(raw.text);
            self.part(&normal, &finders.normalized, segment)
        })
    }

    /// As [`segments`](Self::segments), for a text in which no special token is allowed.
    #[inline]
    pub(super) fn text_segments(
        &self,
        text: &str,
        segment: &mut dyn FnMut(Segment<'_>) -> bool,
    ) -> bool {
        if self.is_plain() {
            return segment(stretch(text));
        }
        let none = Finders::default();
        self.segments(text, self.specials.always().unwrap_or(&none), segment)
    }

    fn normal<'t>(&self, text: &'t str) -> Cow<'t, str> {
        if self.nfc {
            nfc::nfc(text)
        } else {
            Cow::Borrowed(text)
        }
    }

    /// The text that ids are made of: all of it in form NFC if [`is_nfc`](Self::is_nfc), except
    /// added tokens whose names are not normalized.
    #[must_use]
    pub fn normalized<'t>(&self, text: &'t str) -> Cow<'t, str> {
        if !self.nfc {
            return Cow::Borrowed(text);
        }
        let mut normal = String::with_capacity(text.len());
        self.text_segments(text, &mut |part| {
            normal.push_str(part.text);
            true
        });
        Cow::Owned(normal)
    }

    /// Parts a text at the tokens that `finder` finds.
    fn part(
        &self,
        text: &str,
        finder: &Finder,
        segment: &mut dyn FnMut(Segment<'_>) -> bool,
    ) -> bool {
        let is_word = |c: Option<char>| c.is_some_and(is_word);
        let mut settled = 0;
        let mut from = 0;
        while let Some((mut start, mut end, id)) = finder.next(text, from) {
            from = end;
            let flags = self.specials.flags(id);
            let (before, after) = (&text[..start], &text[end..]);
            if flags.single_word
                && (is_word(before.chars().next_back()) || is_word(after.chars().next()))
            {
                continue;
            }
            if flags.lstrip {
                start = before.trim_end().len().max(settled);
            }
            if flags.rstrip {
                end = text.len() - after.trim_start().len();
            }
            let between = text.get(settled..start).unwrap_or_default();
            let text_of = text.get(start..end).unwrap_or_default();
            let token = Segment {
                text: text_of,
                token: Some(id),
            };
            if !(between.is_empty() || segment(stretch(between))) || !segment(token) {
                return false;
            }
            settled = end;
        }
        let rest = &text[settled..];
        rest.is_empty() || segment(stretch(rest))
    }
}

fn stretch(text: &str) -> Segment<'_> {
    Segment { text, token: None }
}

/// `\w`
fn is_word(c: char) -> bool {
    static WORD: LazyLock<Vec<(u32, u32)>> = LazyLock::new(|| ranges(r"\w"));
    let at = WORD.partition_point(|(_, last)| *last < u32::from(c));
    WORD.get(at)
        .is_some_and(|(first, _)| *first <= u32::from(c))
}
