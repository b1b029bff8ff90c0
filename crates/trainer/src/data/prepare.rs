//! From text files of any size to shards of tokens, in one pass.

use super::corpora;
use super::shard::ShardWriter;
use crate::{Error, Result};
use latimer_tokenizer::Tokenizer;
use std::fs::File;
use std::io::Read;
use std::path::Path;

/// What [`prepare`] made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Prepared {
    /// Tokens in all.
    pub tokens: u64,
    /// Files they lie in.
    pub shards: usize,
    /// Bytes of text read.
    pub bytes: u64,
}

/// Bytes read at a time.
const READ: usize = 4 << 20;

/// Encodes texts (files, folders, corpora by name; each text begins on a line of its own) and writes
/// the tokens into a folder of shards, which holds none yet. No more than a few MiB of text are in
/// memory, unless the tokenizer finds no place to cut it.
///
/// `progress` is told the bytes read and the bytes in all.
///
/// # Errors
/// What reading the texts gives; [`Error::Tokenizer`]; [`Error::PreparedExists`]; [`Error::Write`].
pub fn prepare(
    names: &[String],
    cache: &Path,
    tokenizer: &dyn Tokenizer,
    out: &Path,
    per_shard: u64,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<Prepared> {
    let files = corpora::text_files(names, cache)?;
    let mut total = 0;
    for path in &files {
        let size = std::fs::metadata(path).map(|data| data.len());
        total += size.map_err(|source| Error::ReadData {
            path: path.clone(),
            source,
        })?;
    }
    let mut writer = ShardWriter::new(out, tokenizer, per_shard)?;
    let mut text = Pending::new(tokenizer, &mut writer);
    let mut done = 0;
    for path in &files {
        let unreadable = |source| Error::ReadData {
            path: path.clone(),
            source,
        };
        let mut file = File::open(path).map_err(unreadable)?;
        text.begin()?;
        let mut at = 0;
        let mut bytes = Vec::with_capacity(READ);
        loop {
            let got = file
                .by_ref()
                .take((READ - bytes.len()) as u64)
                .read_to_end(&mut bytes)
                .map_err(unreadable)?;
            let whole = match std::str::from_utf8(&bytes) {
                Ok(whole) => whole,
                // A character may go on in what comes next.
                Err(error) if error.error_len().is_none() && got > 0 => {
                    std::str::from_utf8(&bytes[..error.valid_up_to()]).unwrap_or_default()
                }
                Err(error) => {
                    return Err(Error::NotText {
                        path: path.clone(),
                        position: at + error.valid_up_to(),
                    });
                }
            };
            let len = whole.len();
            text.push(whole)?;
            bytes.drain(..len);
            at += len;
            done += got as u64;
            progress(done, total);
            if got == 0 {
                break;
            }
        }
        if at == 0 {
            return Err(Error::EmptyData { path: path.clone() });
        }
    }
    text.finish()?;
    let (tokens, shards) = writer.finish(tokenizer)?;
    Ok(Prepared {
        tokens,
        shards,
        bytes: done,
    })
}

/// Text that is not encoded yet.
struct Pending<'a> {
    tokenizer: &'a dyn Tokenizer,
    writer: &'a mut ShardWriter,
    text: String,
    ids: Vec<u32>,
    /// Whether anything was read, and whether it ended in a line's end.
    begun: bool,
    at_line: bool,
}

impl<'a> Pending<'a> {
    fn new(tokenizer: &'a dyn Tokenizer, writer: &'a mut ShardWriter) -> Self {
        Self {
            tokenizer,
            writer,
            text: String::new(),
            ids: Vec::new(),
            begun: false,
            at_line: true,
        }
    }

    /// A new text, on a line of its own.
    fn begin(&mut self) -> Result<()> {
        if self.begun && !self.at_line {
            self.push("\n")?;
        }
        Ok(())
    }

    fn push(&mut self, text: &str) -> Result<()> {
        if text.is_empty() {
            return Ok(());
        }
        (self.begun, self.at_line) = (true, text.ends_with('\n'));
        self.text.push_str(text);
        // Only then is a place to cut looked for: a text without one is looked through a few times.
        if self.text.len() >= READ.max(self.text.capacity() / 2) {
            let cut = self.tokenizer.cut(&self.text);
            self.encode(cut)?;
        }
        Ok(())
    }

    fn encode(&mut self, to: usize) -> Result<()> {
        self.ids.clear();
        self.tokenizer
            .encode_into(&self.text[..to], &mut self.ids)?;
        self.writer.push(&self.ids)?;
        self.text.drain(..to);
        Ok(())
    }

    fn finish(mut self) -> Result<()> {
        self.encode(self.text.len())
    }
}
