//! Ids to text: row by row, as the package does, or id by id, as a model writes.

use crate::error::{Error, Result};
use crate::tokenizer::Tokenizer;

use super::NgramTokenizer;

impl NgramTokenizer {
    /// The text of each row of ids: words and glued pieces, joined by single spaces.
    ///
    /// As in the package, the pieces of a row that ends before their `__eow` are lost, and a piece
    /// outside the marks is a word, unless [`strict`](super::NgramOptions::strict) refuses it.
    ///
    /// # Errors
    ///
    /// [`NoSuchToken`](Error::NoSuchToken) for an id without a token;
    /// [`Unbalanced`](Error::Unbalanced) if `strict`.
    pub fn inverse_transform<R: AsRef<[u32]>>(&self, rows: &[R]) -> Result<Vec<String>> {
        let row = |(number, ids): (usize, &R)| self.inverse_row(number, ids.as_ref());
        rows.iter().enumerate().map(row).collect()
    }

    fn inverse_row(&self, row: usize, ids: &[u32]) -> Result<String> {
        let mut text = String::new();
        let mut open = false;
        let mut word = String::new();
        let finish = |text: &mut String, word: &str| {
            if !text.is_empty() && !word.is_empty() {
                text.push(' ');
            }
            text.push_str(word);
        };
        for (position, &id) in ids.iter().enumerate() {
            let refuse = |fault| {
                Err(Error::Unbalanced {
                    id,
                    row,
                    position,
                    fault,
                })
            };
            let (token, is_subword) =
                self.token(id)
                    .ok_or(Error::NoSuchToken { id, row, position })?;
            if is_subword && token == self.options.sow {
                if open && self.options.strict {
                    return refuse("a word begins within a word");
                }
                open = true;
            } else if is_subword && token == self.options.eow {
                if !open && self.options.strict {
                    return refuse("a word ends that did not begin");
                }
                open = false;
                finish(&mut text, &word);
                word.clear();
            } else if open {
                word.push_str(token);
            } else {
                if is_subword && self.options.strict {
                    return refuse("a sub-word stands outside a word");
                }
                finish(&mut text, token);
            }
        }
        Ok(text)
    }

    /// The text that `id` adds after `previous`, which is the last id or the value that
    /// [`remember`](Tokenizer::remember) returned for it.
    pub(super) fn step(&self, previous: Option<u32>, id: u32) -> Result<Step<'_>> {
        Ok(self.state(previous)?.step(self, id)?.0)
    }

    /// Appends the text of `ids`.
    pub(super) fn decode_text(&self, ids: &[u32], bytes: &mut Vec<u8>) -> Result<()> {
        let kept = bytes.len();
        let mut state = State::START;
        for &id in ids {
            let (step, next) = state.step(self, id).inspect_err(|_| bytes.truncate(kept))?;
            if step.spaced {
                bytes.push(b' ');
            }
            bytes.extend_from_slice(step.text.as_bytes());
            state = next;
        }
        Ok(())
    }

    /// The state after `previous`. A plain id nearly always determines it. Only an id that a word
    /// and a piece share is ambiguous; it is taken for the word.
    fn state(&self, previous: Option<u32>) -> Result<State> {
        let Some(previous) = previous else {
            return Ok(State::START);
        };
        if let Some(state) = State::unpack(previous) {
            return Ok(state);
        }
        let (token, is_subword) = self.shown(previous)?;
        let is_open = is_subword && token != self.options.eow;
        Ok(State {
            open: is_open,
            begun: is_open && token != self.options.sow,
            blank: Some(previous) == self.line,
        })
    }

    /// As `token`, with `unk` for an id in the gap.
    fn shown(&self, id: u32) -> Result<(&str, bool)> {
        let vocab_size = self.vocab_size();
        match self.token(id) {
            Some(token) => Ok(token),
            None if (id as usize) < vocab_size => Ok((&self.options.unk, false)),
            None => Err(Error::UnknownId { id, vocab_size }),
        }
    }
}

/// The text that one id adds.
pub(super) struct Step<'t> {
    /// Whether a space comes first.
    pub(super) spaced: bool,
    pub(super) text: &'t str,
    /// The state to remember.
    pub(super) after: u32,
}

/// The position in a text where an id comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct State {
    /// Whether it is between the marks of a word.
    open: bool,
    /// Whether it is between the marks, after a piece that has text.
    begun: bool,
    /// Whether the line has no text yet.
    blank: bool,
}

impl State {
    const START: Self = Self {
        open: false,
        begun: false,
        blank: true,
    };
    /// A state is packed as one of the eight largest 32-bit numbers, which no id reaches.
    const PACKED: u32 = u32::MAX - 7;

    fn pack(self) -> u32 {
        let bits = [self.open, self.begun, self.blank];
        Self::PACKED + bits.iter().fold(0, |all, &bit| 2 * all + u32::from(bit))
    }

    fn unpack(number: u32) -> Option<Self> {
        let bits = number.checked_sub(Self::PACKED)?;
        Some(Self {
            open: bits & 4 != 0,
            begun: bits & 2 != 0,
            blank: bits & 1 != 0,
        })
    }

    fn step(self, tokenizer: &NgramTokenizer, id: u32) -> Result<(Step<'_>, Self)> {
        let (token, is_subword) = tokenizer.shown(id)?;
        let options = &tokenizer.options;
        let mut next = self;
        let mut spaced = false;
        let mut text = "";
        if Some(id) == tokenizer.line {
            text = "\n";
            next = Self::START;
        } else if is_subword && token == options.sow {
            next.open = true;
        } else if is_subword && token == options.eow {
            next.open = false;
            next.begun = false;
        } else if !token.is_empty() {
            text = token;
            spaced = !self.begun && !self.blank;
            next.begun = self.open;
            next.blank = false;
        }
        let after = next.pack();
        Ok((
            Step {
                spaced,
                text,
                after,
            },
            next,
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{NgramOptions, StreamDecoder};

    /// `__unk` 0, `__pad` 1, `__line` 2, `a` 3, …; `__sow` 6, `__eow` 7, `x` 8, `y` 9, `xy` 10.
    fn small() -> NgramTokenizer {
        let options = NgramOptions {
            pct_bpe: 0.5,
            ..NgramOptions::language_model(12)
        };
        let t = NgramTokenizer::fit_with(["a a a a b b b c c xy"], options).unwrap();
        assert_eq!(t.subword_id("xy"), Some(10));
        assert_eq!(t.word_id("c"), Some(5));
        t
    }

    #[test]
    fn states_pack_into_one_number() {
        for number in State::PACKED..=u32::MAX {
            assert_eq!(State::unpack(number).map(State::pack), Some(number));
        }
        assert_eq!(State::unpack(State::PACKED - 1), None);
    }

    #[test]
    fn pieces_are_glued_between_their_marks_only() {
        let t = small();
        for (ids, text) in [
            (&[3, 6, 8, 3, 4, 0, 7, 5][..], "a xab__unk c"),
            (&[6, 7, 3, 6, 7, 4], "a b"),
            (&[3, 8, 9, 4], "a x y b"),
            (&[6, 8, 6, 9, 7, 7, 3], "xy a"),
            (&[2, 2, 3, 4, 2, 5], "\n\na b\nc"),
            (&[3, 6, 8, 2, 9], "a x\ny"),
            (&[], ""),
        ] {
            assert_eq!(t.decode(ids).unwrap(), text, "{ids:?}");
            let mut stream = StreamDecoder::new(&t);
            let mut streamed = String::new();
            for &id in ids {
                streamed += stream.push(id).unwrap();
            }
            assert_eq!(streamed, text, "{ids:?}");
        }
    }

    #[test]
    fn a_plain_previous_id_is_nearly_as_good() {
        let t = small();
        for (previous, next, piece) in [
            (3, 4, " b"),
            (2, 4, "b"),
            (7, 4, " b"),
            (6, 4, " b"),
            (8, 4, "b"),
            (3, 6, ""),
            (3, 2, "\n"),
        ] {
            let mut stream = StreamDecoder::after(&t, Some(previous));
            assert_eq!(stream.push(next).unwrap(), piece, "{previous} {next}");
        }
        assert!(StreamDecoder::after(&t, Some(12)).push(3).is_err());
    }

    #[test]
    fn ids_without_a_token_are_unknown_to_a_model_and_refused_in_rows() {
        // Words 0 to 15, sub-words from 16.
        let options = NgramOptions {
            vocab_size: 20,
            required_tokens: vec!["__line".to_owned()],
            ..NgramOptions::default()
        };
        let t = NgramTokenizer::fit_with(["a"], options).unwrap();
        assert_eq!((t.words().len(), t.vocab_size()), (4, 18));
        assert_eq!(t.decode(&[3, 4, 15]).unwrap(), "a __unk __unk");
        assert_eq!(t.token_bytes(4), None);
        assert!(matches!(
            t.decode(&[3, 18]),
            Err(Error::UnknownId {
                id: 18,
                vocab_size: 18
            })
        ));
        assert_eq!(
            t.inverse_transform(&[vec![3], vec![3, 4]])
                .unwrap_err()
                .to_string(),
            "row 1, position 1: no word or sub-word has the id 4"
        );
    }

    #[test]
    fn strict_refuses_what_is_unbalanced() {
        let options = NgramOptions {
            strict: true,
            pct_bpe: 0.5,
            vocab_size: 12,
            required_tokens: vec!["__line".to_owned()],
            ..NgramOptions::default()
        };
        let t = NgramTokenizer::fit_with(["a a a a b b b c c xy"], options).unwrap();
        let message = |row: &[u32]| t.inverse_transform(&[row]).unwrap_err().to_string();
        assert_eq!(
            message(&[6, 8, 6]),
            "row 0, position 2: a word begins within a word (id 6)"
        );
        assert_eq!(
            message(&[3, 7]),
            "row 0, position 1: a word ends that did not begin (id 7)"
        );
        assert_eq!(
            message(&[8]),
            "row 0, position 0: a sub-word stands outside a word (id 8)"
        );
        let rows = [&[6u32, 8, 3, 7][..], &[6, 8], &[3, 2, 1]];
        let texts = t.inverse_transform(&rows).unwrap();
        assert_eq!(texts, ["xa", "", "a __line __pad"]);
    }
}
