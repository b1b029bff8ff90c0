//! The trait: everything that a trainer, a sampler or a server needs from any vocabulary.

use std::any::Any;
use std::fmt::Debug;
use std::path::Path;

use crate::error::Result;
use crate::file;

/// A vocabulary of `vocab_size` tokens, ids `0..vocab_size`, with the rule that cuts text into
/// tokens.
///
/// Decoding is a fold whose state is one number, mostly the last id:
/// [`decode_next`](Self::decode_next) says which bytes an id adds after it. Whole texts and streams
/// are both decoded with it, so that they agree.
///
/// A `dyn Tokenizer` is also a `dyn Any`, so a caller can get at what only one kind can do.
///
/// A text never yields a special id, such as that of an unknown word, unless the tokenizer was made
/// to do so.
pub trait Tokenizer: Any + Debug + Send + Sync {
    /// The kind, as in the file's `"kind"`: `"char"`, `"word"`, `"ngram"` or `"bpe"`.
    fn kind(&self) -> &'static str;

    /// The number of ids, special ones included. Models may pad their tables beyond it; the
    /// tokenizer does not know of the padding.
    fn vocab_size(&self) -> usize;

    /// Appends the ids of `text`.
    ///
    /// # Errors
    ///
    /// An error if a part of the text has no id; `ids` is then unchanged.
    fn encode_into(&self, text: &str, ids: &mut Vec<u32>) -> Result<()>;

    /// Appends the bytes that `id` adds after `previous`, which is the last id or the value that
    /// [`remember`](Self::remember) returned for it; `None` at the start of a text. The bytes may
    /// be part of a character (see [`StreamDecoder`](crate::StreamDecoder)).
    ///
    /// # Errors
    ///
    /// [`UnknownId`](crate::Error::UnknownId) if `id` or `previous` has no token; `bytes` is then
    /// unchanged.
    fn decode_next(&self, previous: Option<u32>, id: u32, bytes: &mut Vec<u8>) -> Result<()>;

    /// The value to pass as `previous` to the next [`decode_next`](Self::decode_next). It is the id
    /// itself, unless the meaning of an id depends on those before it. A kind with such ids returns
    /// a number above all its ids, which its `decode_next` understands. The first argument is the
    /// value that was remembered before.
    fn remember(&self, _previous: Option<u32>, id: u32) -> u32 {
        id
    }

    /// A place near the end of `text` where it can be cut in two: the ids of the two parts, one
    /// after the other, are the ids of the whole. 0 if no such place is known. Long texts are
    /// encoded in parts, cut at these places.
    fn cut(&self, text: &str) -> usize {
        let _ = text;
        0
    }

    /// Whether `decode(encode(text)) == text` for *every* text that encodes. If not, the
    /// documentation of the kind says for which texts it holds.
    fn is_lossless(&self) -> bool;

    /// The id of the special token `name` (for instance `__unk`), if this vocabulary has it.
    fn special(&self, name: &str) -> Option<u32>;

    /// The bytes of one token by itself, for display; `None` if the id does not exist.
    fn token_bytes(&self, id: u32) -> Option<&[u8]>;

    /// The whole tokenizer as the content of its file. Equal tokenizers give equal bytes, on every
    /// machine.
    fn to_json(&self) -> String;

    /// Appends the bytes of a whole text.
    ///
    /// A kind may do this faster than with [`decode_next`](Self::decode_next), but with the same
    /// result.
    ///
    /// # Errors
    ///
    /// [`UnknownId`](crate::Error::UnknownId); `bytes` is then unchanged.
    fn decode_into(&self, ids: &[u32], bytes: &mut Vec<u8>) -> Result<()> {
        let kept = bytes.len();
        let mut previous = None;
        for &id in ids {
            self.decode_next(previous, id, bytes)
                .inspect_err(|_| bytes.truncate(kept))?;
            previous = Some(self.remember(previous, id));
        }
        Ok(())
    }

    /// The ids of `text`.
    ///
    /// # Errors
    ///
    /// As [`encode_into`](Self::encode_into).
    fn encode(&self, text: &str) -> Result<Vec<u32>> {
        let mut ids = Vec::new();
        self.encode_into(text, &mut ids)?;
        Ok(ids)
    }

    /// The text of `ids`. Where tokens are parts of characters, a model may write bytes that are
    /// not UTF-8; each such place becomes one U+FFFD, as in [`String::from_utf8_lossy`].
    ///
    /// # Errors
    ///
    /// As [`decode_into`](Self::decode_into).
    fn decode(&self, ids: &[u32]) -> Result<String> {
        let mut bytes = Vec::new();
        self.decode_into(ids, &mut bytes)?;
        Ok(String::from_utf8(bytes)
            .unwrap_or_else(|e| String::from_utf8_lossy(e.as_bytes()).into_owned()))
    }

    /// Writes [`to_json`](Self::to_json) to `path`, whose folder must exist. The file is written
    /// beside it under a temporary name and then renamed, so that `path` always holds a whole file:
    /// the new one or, after an error, the old one.
    ///
    /// # Errors
    ///
    /// [`Io`](crate::Error::Io).
    fn save(&self, path: &Path) -> Result<()> {
        file::write_whole(path, self.to_json().as_bytes())
    }

    /// A number that identifies this tokenizer: 64-bit FNV-1a of the bytes of
    /// [`to_json`](Self::to_json).
    ///
    /// Token files and checkpoints store it, and refuse to be read with another tokenizer. It
    /// guards against mistakes, not against an adversary. It is computed at each call. In JSON
    /// write it as a string, `format!("{:016x}")`, since many readers keep only 53 bits of a
    /// number.
    fn fingerprint(&self) -> u64 {
        latimer_files::fnv1a(self.to_json().as_bytes())
    }
}
