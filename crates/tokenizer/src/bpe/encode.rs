//! Encoding: the entry points, all of which merge pieces in the same way.

use std::ops::Range;

use super::error::BpeError;
use super::pattern::Piece;
use super::segments::Segment;
use super::tokenizer::BpeTokenizer;
use super::words::Workspace;
use crate::error::Result;
use crate::special::AllowedSpecial;
use crate::tokenizer::Tokenizer;

impl BpeTokenizer {
    /// Appends the ids of a piece.
    #[inline]
    fn piece(&self, piece: Piece<'_>, workspace: &mut Workspace, ids: &mut Vec<u32>) {
        workspace.ids(piece, ids, |bytes, room, ids| {
            // Longer than every token: no need to hash it.
            let whole = (bytes.len() <= self.longest)
                .then(|| self.whole.get(&self.tokens, bytes))
                .flatten();
            match whole {
                Some(id) => ids.push(id),
                None => self.merges.merge(bytes, room, ids),
            }
        });
    }

    /// Appends the ids of a text, in which the tokens that are not special are found.
    #[inline]
    pub(super) fn encode_text(&self, text: &str, ids: &mut Vec<u32>) {
        self.text_segments(text, &mut |segment| self.encode_segment(segment, ids));
    }

    /// Appends the ids of a segment; always true.
    fn encode_segment(&self, segment: Segment<'_>, ids: &mut Vec<u32>) -> bool {
        match segment.token {
            Some(id) => ids.push(id),
            None => self.encode_stretch(segment.text, ids),
        }
        true
    }

    /// Appends the ids of a text without added tokens.
    ///
    /// Pieces are found in batches and then looked up. Cutting is full of branches that no
    /// processor predicts, and memory can be prefetched only in code without such branches.
    fn encode_stretch(&self, text: &str, ids: &mut Vec<u32>) {
        const BATCH: usize = 128;
        ids.reserve(text.len() / 3);
        self.pool.with(|workspace| {
            let mut ends = [0; BATCH];
            let mut filled = 0;
            let mut start = 0;
            let mut look_up = |ends: &[usize]| {
                for &end in ends {
                    let text = text.as_bytes();
                    self.piece(Piece { text, start, end }, workspace, ids);
                    start = end;
                }
            };
            self.pattern.pieces(text, |piece| {
                ends[filled] = piece.end;
                filled += 1;
                if filled == BATCH {
                    look_up(&ends);
                    filled = 0;
                }
                true
            });
            look_up(&ends[..filled]);
        });
    }

    /// The ids of arbitrary bytes. Valid UTF-8 gets the ids of [`encode`](Tokenizer::encode).
    /// Otherwise each valid stretch is encoded as a text of its own and each invalid sequence as a
    /// piece, except that [`Pattern::None`](super::Pattern::None) takes everything as one piece if
    /// the vocabulary has no form NFC and no tokens that are found in every text.
    #[must_use]
    pub fn encode_bytes(&self, bytes: &[u8]) -> Vec<u32> {
        let mut ids = Vec::with_capacity(bytes.len() / 4);
        if !self.is_plain() {
            for chunk in bytes.utf8_chunks() {
                self.encode_text(chunk.valid(), &mut ids);
                let (text, start, end) = (chunk.invalid(), 0, chunk.invalid().len());
                if end > 0 {
                    self.pool.with(|workspace| {
                        self.piece(Piece { text, start, end }, workspace, &mut ids);
                    });
                }
            }
            return ids;
        }
        self.pool.with(|workspace| {
            self.pattern.byte_pieces(bytes, |piece| {
                self.piece(piece, workspace, &mut ids);
                true
            });
        });
        ids
    }

    /// The ids of a text in which the names of allowed special tokens encode to those tokens. If
    /// several start at the same place, the longest counts. The stretches between them are encoded
    /// as texts of their own. [Tokens that are not special](Self::text_tokens) need no permission.
    /// Names of other special tokens are ordinary text.
    ///
    /// ```
    /// use latimer_tokenizer::{AllowedSpecial, BpeTokenizer, Pattern};
    ///
    /// let tokenizer = BpeTokenizer::from_merges(Pattern::Gpt2, &[], &["<|end|>"])?;
    /// let ids = |allowed| tokenizer.encode_with_special("a<|end|>", allowed);
    /// assert_eq!(ids(AllowedSpecial::All)?, [97, 256]);
    /// assert_eq!(ids(AllowedSpecial::None)?.len(), 8);
    /// # Ok::<(), latimer_tokenizer::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`UnknownSpecial`](BpeError::UnknownSpecial) for an allowed name that the vocabulary lacks.
    pub fn encode_with_special(&self, text: &str, allowed: AllowedSpecial<'_>) -> Result<Vec<u32>> {
        let finders = self
            .specials
            .finders(allowed)
            .map_err(|token| BpeError::UnknownSpecial {
                token: token.to_owned(),
            })?;
        let mut ids = Vec::new();
        self.segments(text, &finders, &mut |segment| {
            self.encode_segment(segment, &mut ids)
        });
        Ok(ids)
    }

    /// As [`encode_with_special`](Self::encode_with_special), with the tokens of the model's
    /// template [`around`](Self::around) them: the ids that `tokenizers` gives with
    /// `add_special_tokens=True`. Without a template nothing is added.
    ///
    /// # Errors
    ///
    /// As [`encode_with_special`](Self::encode_with_special).
    pub fn encode_with_template(
        &self,
        text: &str,
        allowed: AllowedSpecial<'_>,
    ) -> Result<Vec<u32>> {
        let (before, after) = self.around();
        let ids = self.encode_with_special(text, allowed)?;
        Ok([before, &ids, after].concat())
    }

    /// The ids of a text, each with its range of bytes in the [`normalized`](Self::normalized)
    /// text. A token may cover part of a character, so the ends of a range need not be `char` boundaries.
    /// The range of an added token includes the white space that it takes with it.
    #[must_use]
    pub fn encode_with_offsets(&self, text: &str) -> Vec<(u32, Range<usize>)> {
        let mut found = Vec::new();
        let mut ids = Vec::new();
        let mut from = 0;
        let mut add = |segment: Segment<'_>| {
            let end = from + segment.text.len();
            match segment.token {
                Some(id) => found.push((id, from..end)),
                None => {
                    ids.clear();
                    self.encode_stretch(segment.text, &mut ids);
                    self.offsets(segment.text, from, &ids, &mut found);
                }
            }
            from = end;
            true
        };
        self.text_segments(text, &mut add);
        found
    }

    /// Appends the ids of `text` with their ranges, for a text that starts at `from`.
    fn offsets(&self, text: &str, from: usize, ids: &[u32], found: &mut Vec<(u32, Range<usize>)>) {
        let text = text.as_bytes();
        let mut end = 0;
        found.extend(ids.iter().map(|&id| {
            let token = self.token_bytes(id).unwrap_or_default();
            if !self.merges.lacks_bytes {
                end += token.len();
                return (id, from + end - token.len()..from + end);
            }
            // Bytes without a token lie before the token or inside it.
            let place = |byte: &u8, from: usize| {
                let left = text.get(from..).unwrap_or_default();
                from + left.iter().take_while(|other| *other != byte).count()
            };
            let start = token.first().map_or(end, |byte| place(byte, end));
            end = token.iter().fold(start, |at, byte| place(byte, at) + 1);
            (id, from + start..from + end)
        }));
    }

    /// The number of tokens of a text, without keeping them.
    #[must_use]
    pub fn count(&self, text: &str) -> usize {
        self.count_while(text, |_, _| true)
    }

    /// The number of tokens of a text if it is at most `limit`, else `None`. Reading stops at the
    /// end of the piece that shows that the text has more.
    #[must_use]
    pub fn count_up_to(&self, text: &str, limit: usize) -> Option<usize> {
        let count = self.count_while(text, |count, next| {
            // No token is longer than `longest`, so the next piece has at least this many tokens,
            // unless bytes without a token are left out of it.
            let least = if self.merges.lacks_bytes {
                0
            } else {
                next.div_ceil(self.longest)
            };
            count + least <= limit
        });
        (count <= limit).then_some(count)
    }

    /// Counts tokens while `go_on(tokens so far, bytes of the next piece)` is true; returns
    /// `usize::MAX` if it turns false.
    fn count_while(&self, text: &str, go_on: impl Fn(usize, usize) -> bool) -> usize {
        let mut count = 0;
        let mut ids = Vec::new();
        let mut count_stretch = |text: &str, count: &mut usize| {
            self.pool.with(|workspace| {
                self.pattern.pieces(text, |piece| {
                    if !go_on(*count, piece.end - piece.start) {
                        return false;
                    }
                    ids.clear();
                    self.piece(piece, workspace, &mut ids);
                    *count += ids.len();
                    true
                })
            })
        };
        let all = self.text_segments(text, &mut |segment| match segment.token {
            Some(_) => {
                count += 1;
                go_on(count, 0)
            }
            None => count_stretch(segment.text, &mut count),
        });
        if all { count } else { usize::MAX }
    }

    /// The ids of many texts, in the order of the texts. With the feature `rayon` they are encoded
    /// in parallel, on the threads of the pool that this is called in; without it one after the
    /// other.
    #[must_use]
    pub fn encode_batch<S: AsRef<str> + Sync>(&self, texts: &[S]) -> Vec<Vec<u32>> {
        let one = |text: &S| {
            let mut ids = Vec::new();
            self.encode_text(text.as_ref(), &mut ids);
            ids
        };
        #[cfg(feature = "rayon")]
        {
            use rayon::prelude::*;
            texts.par_iter().map(one).collect()
        }
        #[cfg(not(feature = "rayon"))]
        texts.iter().map(one).collect()
    }
}
