//! From text files of any size to shards of tokens, in one pass.

use super::DataFiles;
use super::shard::ShardWriter;
use super::text::of_data;
use crate::run_folder::folder::{DATA, write_synced};
use crate::{Error, Result};
use latimer_tokenizer::Tokenizer;
use std::fs::File;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

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

/// Bytes read at a time: less than a second's work for any tokenizer.
const READ: usize = 1 << 20;

/// Encodes texts, each beginning on a line of its own, and writes the tokens into a folder of
/// shards, which holds none yet; `data.txt` in it names the files that were read. No more than a
/// few MiB of text are in memory, unless the tokenizer finds no place to cut it.
///
/// `progress` gets the bytes read and the bytes in all, which are 0 if pipes are among the files.
/// Once `stop` is set, it is given up. What is given up or fails leaves nothing behind.
///
/// # Errors
/// [`Error::Stopped`]; what reading the texts gives; [`Error::Tokenizer`];
/// [`Error::PreparedExists`]; [`Error::Write`].
pub fn prepare(
    data: &DataFiles,
    tokenizer: &dyn Tokenizer,
    out: &Path,
    per_shard: u64,
    stop: &AtomicBool,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<Prepared> {
    let files = data.text_files()?;
    // A pipe does not say how long it is.
    let mut total = Some(0);
    for path in &files {
        let data = std::fs::metadata(path).map_err(|source| Error::ReadData {
            path: path.clone(),
            source,
        })?;
        total = total.filter(|_| data.is_file()).map(|sum| sum + data.len());
    }
    let total = total.unwrap_or(0);
    let mut writer = ShardWriter::new(out, tokenizer, per_shard)?;
    let mut text = Pending::new(tokenizer, &mut writer);
    let mut done = 0;
    for path in &files {
        let unreadable = |source| Error::ReadData {
            path: path.clone(),
            source,
        };
        let file = File::open(path).map_err(unreadable)?;
        let mut reader = latimer_text::Reader::new(file, path);
        text.begin()?;
        let mut is_empty = true;
        while let Some(part) = reader.next_part(READ).map_err(of_data)? {
            if stop.load(Ordering::Relaxed) {
                return Err(Error::Stopped);
            }
            is_empty = false;
            text.push(part)?;
            progress(done + reader.bytes_read(), total);
        }
        if is_empty {
            return Err(Error::EmptyData { path: path.clone() });
        }
        done += reader.bytes_read();
    }
    text.finish()?;
    write_synced(&out.join(DATA), data.listing().as_bytes())?;
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

#[cfg(test)]
mod tests {
    use super::*;
    use latimer_tokenizer::{CharTokenizer, Result as Encoded};
    use std::sync::Mutex;

    /// Keeps the length of every text it encodes.
    #[derive(Debug)]
    struct Watched(CharTokenizer, Mutex<Vec<usize>>);

    impl Tokenizer for Watched {
        fn kind(&self) -> &'static str {
            self.0.kind()
        }
        fn vocab_size(&self) -> usize {
            self.0.vocab_size()
        }
        fn encode_into(&self, text: &str, ids: &mut Vec<u32>) -> Encoded<()> {
            self.1.lock().unwrap().push(text.len());
            self.0.encode_into(text, ids)
        }
        fn decode_next(&self, previous: Option<u32>, id: u32, bytes: &mut Vec<u8>) -> Encoded<()> {
            self.0.decode_next(previous, id, bytes)
        }
        fn cut(&self, text: &str) -> usize {
            self.0.cut(text)
        }
        fn is_lossless(&self) -> bool {
            self.0.is_lossless()
        }
        fn special(&self, name: &str) -> Option<u32> {
            self.0.special(name)
        }
        fn token_bytes(&self, id: u32) -> Option<&[u8]> {
            self.0.token_bytes(id)
        }
        fn to_json(&self) -> String {
            self.0.to_json()
        }
    }

    #[test]
    fn a_long_text_is_encoded_while_it_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let line = "a line of a long text\n";
        let text = line.repeat(4 * READ / line.len());
        let names = ["one.txt", "two.txt"].map(|name| {
            let path = folder.path().join(name);
            std::fs::write(&path, &text).unwrap();
            path.display().to_string()
        });
        let tokenizer = Watched(CharTokenizer::fit(line).unwrap(), Mutex::default());
        let out = folder.path().join("shards");
        let mut told = Vec::new();
        let data = DataFiles::find(&names, &[], folder.path()).unwrap();
        let prepared = prepare(
            &data,
            &tokenizer,
            &out,
            1 << 24,
            &AtomicBool::new(false),
            &mut |at, of| {
                told.push((at, of));
            },
        );
        let bytes = 2 * text.len() as u64;
        let prepared = prepared.unwrap();
        assert_eq!((prepared.bytes, prepared.tokens), (bytes, bytes));
        // Reports how many of all bytes have been read so far.
        assert_eq!(told.last(), Some(&(bytes, bytes)));
        assert!(
            told.is_sorted() && told.iter().all(|&(_, of)| of == bytes),
            "{told:?}"
        );
        assert!(told.len() > 4, "{told:?}");
        let lengths = tokenizer.1.into_inner().unwrap();
        assert_eq!(lengths.iter().sum::<usize>() as u64, bytes);
        assert!(
            lengths.iter().all(|&length| length <= 2 * READ),
            "{lengths:?}"
        );
    }
}
