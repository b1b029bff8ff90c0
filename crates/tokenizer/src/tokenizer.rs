//! The trait: what a trainer, a sampler or a server needs from any vocabulary.

use std::any::Any;
use std::fmt::Debug;
use std::path::Path;

use crate::error::Result;
use crate::file;

/// A vocabulary of `vocab_size` tokens, ids `0..vocab_size`, with the rule that cuts text into
/// tokens.
///
/// Decoding is a fold that remembers one number, mostly the last id:
/// [`decode_next`](Self::decode_next) says which bytes an id adds after it. Whole texts and streams
/// are both made from it, so that they agree.
///
/// A `dyn Tokenizer` is also a `dyn Any`, so that a kind can be asked for what only it can do.
///
/// A text never yields a special id such as an unknown-word token unless whoever made the tokenizer
/// asked for it.
pub trait Tokenizer: Any + Debug + Send + Sync {
    /// The kind, as in the file's `"kind"`: `"char"`, `"word"`, `"ngram"`; `"bpe"`.
    fn kind(&self) -> &'static str;

    /// The number of ids, special ones included. Models may pad their tables beyond it; the
    /// tokenizer never sees that.
    fn vocab_size(&self) -> usize;

    /// Appends the ids of `text`.
    ///
    /// # Errors
    ///
    /// When a part of the text has no id; `ids` is then as it was.
    fn encode_into(&self, text: &str, ids: &mut Vec<u32>) -> Result<()>;

    /// Appends the bytes that `id` adds to a text whose last token was `previous`, an id or what
    /// [`remember`](Self::remember) gave for it; `None` at its start. The bytes may be a part of a
    /// character (see [`StreamDecoder`](crate::StreamDecoder)).
    ///
    /// # Errors
    ///
    /// [`UnknownId`](crate::Error::UnknownId) if `id` or `previous` has no token; `bytes` is then
    /// as it was.
    fn decode_next(&self, previous: Option<u32>, id: u32, bytes: &mut Vec<u8>) -> Result<()>;

    /// What decoding remembers of `id`, as the `previous` of the next
    /// [`decode_next`](Self::decode_next): the id itself, unless an id may mean one thing or
    /// another and only those before it tell. A kind with such ids gives a number above all its
    /// ids, which its `decode_next` understands. `previous` is what was remembered before.
    fn remember(&self, _previous: Option<u32>, id: u32) -> u32 {
        id
    }

    /// A place in `text`, as far back as is easily found, where it can be cut in two that encode, one
    /// after the other, to the ids of the whole; 0 where none is known. Long texts are encoded in
    /// parts by it.
    fn cut(&self, text: &str) -> usize {
        let _ = text;
        0
    }

    /// Whether `decode(encode(text)) == text` for *every* text that encodes. If not, the kind's own
    /// documentation says for which.
    fn is_lossless(&self) -> bool;

    /// The id of the special token `name` (for instance `__unk`), if this vocabulary has it.
    fn special(&self, name: &str) -> Option<u32>;

    /// The bytes of one token by itself, for display; `None` if there is no such id.
    fn token_bytes(&self, id: u32) -> Option<&[u8]>;

    /// The whole tokenizer as the content of its file. The same tokenizer gives the same bytes, on
    /// every machine.
    fn to_json(&self) -> String;

    /// Appends the bytes of a whole text.
    ///
    /// A kind may do this faster than by [`decode_next`](Self::decode_next), but not differently.
    ///
    /// # Errors
    ///
    /// [`UnknownId`](crate::Error::UnknownId); `bytes` is then as it was.
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

    /// The text of `ids`. A model may write bytes that are no UTF-8 where tokens are parts of
    /// characters: each such place becomes one U+FFFD, as in [`String::from_utf8_lossy`].
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

    /// Writes [`to_json`](Self::to_json) to `path`, whose folder must exist. It is written beside
    /// its place under a temporary name and then renamed, so that `path` always holds a whole file:
    /// the new one, or after an error the one before.
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
    /// Token files and checkpoints keep it and refuse to be read with another tokenizer. It guards
    /// against mistakes, not against an adversary. It is computed anew at each call, and in JSON it
    /// belongs in a string, `format!("{:016x}")`, since many readers keep 53 bits of a number.
    fn fingerprint(&self) -> u64 {
        latimer_files::fnv1a(self.to_json().as_bytes())
    }
}
