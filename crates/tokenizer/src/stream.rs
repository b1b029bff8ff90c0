//! Turning ids into text as they are generated.

use std::str;

use crate::error::Result;
use crate::tokenizer::Tokenizer;

/// Decodes ids one by one into text that can be shown at once.
///
/// A token may be part of a character, so bytes (at most three) are held back until the character
/// is complete. The pieces and the result of [`finish`](Self::finish), put together, are
/// [`Tokenizer::decode`] of all the ids.
///
/// ```
/// use latimer_tokenizer::{StreamDecoder, Tokenizer, WordTokenizer};
///
/// let tokenizer = WordTokenizer::from_words(["l'", "eau", "froide", "."])?;
/// let mut stream = StreamDecoder::new(&tokenizer);
/// let mut text = String::new();
/// for id in tokenizer.encode("l'eau froide.")? {
///     text += stream.push(id)?; // "l'", "eau", " froide", "."
/// }
/// text += stream.finish();
/// assert_eq!(text, "l'eau froide.");
/// # Ok::<(), latimer_tokenizer::Error>(())
/// ```
#[derive(Debug)]
pub struct StreamDecoder<'a> {
    tokenizer: &'a dyn Tokenizer,
    previous: Option<u32>,
    /// The start of a character whose rest has not come; while pushing, also the new bytes.
    pending: Vec<u8>,
    /// The text that the last push returned.
    text: String,
}

impl<'a> StreamDecoder<'a> {
    /// A decoder at the start of a text.
    #[must_use]
    pub fn new(tokenizer: &'a dyn Tokenizer) -> Self {
        Self {
            tokenizer,
            previous: None,
            pending: Vec::new(),
            text: String::new(),
        }
    }

    /// A decoder that continues a text, such as a prompt, whose last id was `previous`: the first
    /// piece starts with a space where one belongs. The prompt itself is not returned again. An
    /// unknown `previous` is reported by the first [`push`](Self::push).
    #[must_use]
    pub fn after(tokenizer: &'a dyn Tokenizer, previous: Option<u32>) -> Self {
        Self {
            previous,
            ..Self::new(tokenizer)
        }
    }

    /// The text that `id` completes; empty while a character is unfinished. Bytes that cannot be
    /// part of a character become U+FFFD.
    ///
    /// # Errors
    ///
    /// [`UnknownId`](crate::Error::UnknownId); the decoder is then unchanged.
    pub fn push(&mut self, id: u32) -> Result<&str> {
        self.tokenizer
            .decode_next(self.previous, id, &mut self.pending)?;
        self.previous = Some(self.tokenizer.remember(self.previous, id));
        self.text.clear();
        let mut left = self.pending.len();
        let mut unfinished = 0;
        for chunk in self.pending.utf8_chunks() {
            self.text.push_str(chunk.valid());
            let bad = chunk.invalid();
            left -= chunk.valid().len() + bad.len();
            let may_go_on =
                left == 0 && str::from_utf8(bad).is_err_and(|error| error.error_len().is_none());
            if may_go_on {
                unfinished = bad.len();
            } else if !bad.is_empty() {
                self.text.push(char::REPLACEMENT_CHARACTER);
            }
        }
        self.pending.drain(..self.pending.len() - unfinished);
        Ok(&self.text)
    }

    /// Ends the text: returns `"\u{FFFD}"` if a character was left unfinished, otherwise an empty
    /// text.
    #[must_use]
    pub fn finish(self) -> &'static str {
        if self.pending.is_empty() {
            ""
        } else {
            "\u{FFFD}"
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{Error, WordTokenizer};

    /// A foreign kind: one token a byte, as the base of a byte-level BPE.
    #[derive(Debug)]
    struct Bytes([u8; 256]);

    impl Bytes {
        fn new() -> Self {
            Self(std::array::from_fn(|byte| byte as u8))
        }
    }

    impl Tokenizer for Bytes {
        fn kind(&self) -> &'static str {
            "bytes"
        }
        fn vocab_size(&self) -> usize {
            256
        }
        fn encode_into(&self, text: &str, ids: &mut Vec<u32>) -> Result<()> {
            ids.extend(text.bytes().map(u32::from));
            Ok(())
        }
        fn decode_next(&self, _previous: Option<u32>, id: u32, bytes: &mut Vec<u8>) -> Result<()> {
            bytes.push(u8::try_from(id).map_err(|_| Error::UnknownId {
                id,
                vocab_size: 256,
            })?);
            Ok(())
        }
        fn is_lossless(&self) -> bool {
            true
        }
        fn special(&self, _name: &str) -> Option<u32> {
            None
        }
        fn token_bytes(&self, id: u32) -> Option<&[u8]> {
            self.0.get(id as usize).map(std::slice::from_ref)
        }
        fn to_json(&self) -> String {
            String::new()
        }
    }

    fn streamed(tokenizer: &dyn Tokenizer, ids: &[u32]) -> String {
        let mut stream = StreamDecoder::new(tokenizer);
        let mut text = String::new();
        for &id in ids {
            text += stream.push(id).unwrap();
            assert!(stream.pending.len() < 4);
        }
        text + stream.finish()
    }

    #[test]
    fn characters_come_whole() {
        let bytes = Bytes::new();
        let mut stream = StreamDecoder::new(&bytes);
        let pieces: Vec<String> = "a€"
            .bytes()
            .map(|byte| stream.push(byte.into()).unwrap().to_owned())
            .collect();
        assert_eq!(pieces, ["a", "", "", "€"]);
        assert_eq!(stream.finish(), "");
    }

    #[test]
    fn half_a_character_at_the_end_is_marked() {
        let bytes = Bytes::new();
        let mut stream = StreamDecoder::new(&bytes);
        assert_eq!(stream.push(0xe2).unwrap(), "");
        assert_eq!(stream.push(0x82).unwrap(), "");
        assert!(stream.push(256).is_err());
        assert_eq!(stream.finish(), "\u{FFFD}");
    }

    #[test]
    fn a_continued_prompt_gets_its_space() {
        let t = WordTokenizer::from_words(["l'", "eau", "=", "."]).unwrap();
        for (prompt, next, piece) in [
            ("l'eau", "=", " ="),
            ("l'", "eau", "eau"),
            ("eau", ".", "."),
            ("", "eau", "eau"),
        ] {
            let last = t.encode(prompt).unwrap().last().copied();
            let mut stream = StreamDecoder::after(&t, last);
            assert_eq!(
                stream.push(t.id(next).unwrap()).unwrap(),
                piece,
                "{prompt:?} {next:?}"
            );
        }
        assert!(StreamDecoder::after(&t, Some(4)).push(0).is_err());
    }

    proptest! {
        #[test]
        fn pieces_of_bytes_are_the_whole(
            ids in prop::collection::vec(
                // Weighted towards the bytes that start and continue long characters.
                prop_oneof![0u32..256, 0x80u32..0xc0, 0xe0u32..0xf8],
                0..40,
            ),
        ) {
            let bytes = Bytes::new();
            prop_assert_eq!(streamed(&bytes, &ids), bytes.decode(&ids).unwrap());
        }

        #[test]
        fn pieces_of_text_are_the_text(text: String) {
            let bytes = Bytes::new();
            prop_assert_eq!(streamed(&bytes, &bytes.encode(&text).unwrap()), text);
        }

        #[test]
        fn pieces_of_words_are_the_whole(ids in prop::collection::vec(0u32..8, 0..20)) {
            let words = ["\n", "!", "'", ".", ".5", "=", "eau", "l'"];
            let t = WordTokenizer::from_words(words).unwrap();
            prop_assert_eq!(streamed(&t, &ids), t.decode(&ids).unwrap());
        }
    }
}
