//! Tokens in files: written once, mapped when they are trained on.
//!
//! A folder of shards holds `tokenizer.json` and `shard-00000.bin`, `shard-00001.bin`, …: one
//! stream of tokens, cut into files of about one size. A file is a header of 64 bytes, numbers
//! little-endian, and its tokens in two bytes each, or in four if the vocabulary needs them:
//!
//! | bytes | |
//! |---|---|
//! | 0..8 | `LATIMERS` |
//! | 8..12 | version, 1 |
//! | 12..16 | bytes of a token, 2 or 4 |
//! | 16..24 | [`fingerprint`](Tokenizer::fingerprint) of the tokenizer |
//! | 24..32 | size of its vocabulary |
//! | 32..40 | tokens |
//! | 40..64 | 0 |

use super::fingerprint::fingerprint_of_files;
use super::sampler::window_start;
use super::source::{RowKey, Source, Split, Windows, check_length};
use crate::config::Order;
use crate::{Error, Result};
use latimer_tokenizer::Tokenizer;
use std::borrow::Cow;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

const MAGIC: &[u8; 8] = b"LATIMERS";
const VERSION: u32 = 1;
const HEADER: usize = 64;
/// The tokenizer beside the shards. It is written last: a folder without it is not finished.
pub(crate) const TOKENIZER: &str = "tokenizer.json";

/// The header of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Header {
    /// Bytes of a token.
    width: u32,
    fingerprint: u64,
    vocab_size: u64,
    tokens: u64,
}

impl Header {
    fn to_bytes(self) -> [u8; HEADER] {
        let mut bytes = [0; HEADER];
        bytes[..8].copy_from_slice(MAGIC);
        bytes[8..12].copy_from_slice(&VERSION.to_le_bytes());
        bytes[12..16].copy_from_slice(&self.width.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.fingerprint.to_le_bytes());
        bytes[24..32].copy_from_slice(&self.vocab_size.to_le_bytes());
        bytes[32..40].copy_from_slice(&self.tokens.to_le_bytes());
        bytes
    }

    /// The header of a file's content, if it is one and the content as long as it says.
    fn of(file: &[u8]) -> Result<Self, String> {
        let Some(bytes) = file.first_chunk::<HEADER>() else {
            return Err("it is shorter than its header".to_owned());
        };
        if &bytes[..8] != MAGIC {
            return Err("it does not begin with the header of one".to_owned());
        }
        let word = |at: usize| {
            let mut word = [0; 4];
            word.copy_from_slice(&bytes[at..at + 4]);
            u32::from_le_bytes(word)
        };
        let long = |at: usize| u64::from(word(at)) | u64::from(word(at + 4)) << 32;
        if word(8) != VERSION {
            return Err(format!(
                "its version is {}, this program reads {VERSION}",
                word(8)
            ));
        }
        let header = Self {
            width: word(12),
            fingerprint: long(16),
            vocab_size: long(24),
            tokens: long(32),
        };
        if !matches!(header.width, 2 | 4) {
            return Err(format!("its tokens have {} bytes", header.width));
        }
        let expected = header
            .tokens
            .checked_mul(header.width.into())
            .and_then(|bytes| bytes.checked_add(HEADER as u64));
        if expected != Some(file.len() as u64) {
            return Err(format!(
                "it has {} bytes, but its header announces {} tokens of {}",
                file.len(),
                header.tokens,
                header.width
            ));
        }
        Ok(header)
    }
}

fn name(number: usize) -> String {
    format!("shard-{number:05}.bin")
}

/// A shard's name until all of them are written.
fn temporary(shard: &Path) -> PathBuf {
    shard.with_extension("bin.tmp")
}

/// The shards of a folder in order.
pub(super) fn shards(folder: &Path) -> Result<Vec<PathBuf>> {
    shards_ending(folder, ".bin")
}

fn shards_ending(folder: &Path, end: &str) -> Result<Vec<PathBuf>> {
    let failed = |source| Error::ReadData {
        path: folder.to_owned(),
        source,
    };
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let file = entry.file_name();
        if file
            .to_str()
            .is_some_and(|f| f.starts_with("shard-") && f.ends_with(end))
        {
            found.push(entry.path());
        }
    }
    found.sort();
    Ok(found)
}

/// Whether this is a folder of shards.
#[must_use]
pub fn is_prepared(folder: &Path) -> bool {
    folder.is_dir() && shards(folder).is_ok_and(|found| !found.is_empty())
}

/// The tokenizer of a folder of shards.
pub(crate) fn tokenizer(folder: &Path) -> Result<Arc<dyn Tokenizer>> {
    check_finished(folder)?;
    Ok(latimer_tokenizer::load(&folder.join(TOKENIZER))?)
}

fn check_finished(folder: &Path) -> Result<()> {
    match folder.join(TOKENIZER).is_file() {
        true => Ok(()),
        false => Err(Error::UnfinishedData {
            path: folder.to_owned(),
        }),
    }
}

/// Removes what [`prepare`](super::prepare) has written to a folder and not finished, and the
/// folder if nothing else is in it: for a process that ends in the middle of it.
pub fn discard_unfinished(folder: &Path) {
    for path in shards_ending(folder, ".bin.tmp").into_iter().flatten() {
        // What cannot be removed now is removed when the data is prepared again.
        let _ = std::fs::remove_file(path);
    }
    let _ = std::fs::remove_dir(folder);
}

/// Writes a stream of tokens into a folder. All files have temporary names until the last is
/// written: what breaks off leaves nothing, or after a crash nothing that is taken for tokens.
#[derive(Debug)]
pub(super) struct ShardWriter {
    folder: PathBuf,
    /// The folders that were made for it, the innermost first.
    made: Vec<PathBuf>,
    /// The shards that are written.
    written: Vec<PathBuf>,
    header: Header,
    per_shard: u64,
    /// Shards begun.
    shards: usize,
    /// Tokens in all.
    tokens: u64,
    open: Option<Shard>,
}

/// The shard that is being written.
#[derive(Debug)]
struct Shard {
    path: PathBuf,
    file: BufWriter<File>,
    tokens: u64,
}

impl ShardWriter {
    /// A writer into a folder that is made if need be and holds no shards.
    pub(super) fn new(folder: &Path, tokenizer: &dyn Tokenizer, per_shard: u64) -> Result<Self> {
        let vocab_size = tokenizer.vocab_size() as u64;
        let failed = |source| Error::Write {
            path: folder.to_owned(),
            source,
        };
        if is_prepared(folder) || folder.join(TOKENIZER).exists() {
            return Err(Error::PreparedExists {
                path: folder.to_owned(),
            });
        }
        let made = folder.ancestors().take_while(|folder| !folder.exists());
        let made = made.map(Path::to_owned).collect();
        std::fs::create_dir_all(folder).map_err(failed)?;
        // Of one that was killed.
        for path in shards_ending(folder, ".bin.tmp")? {
            std::fs::remove_file(&path).map_err(|source| Error::Write { path, source })?;
        }
        Ok(Self {
            folder: folder.to_owned(),
            made,
            written: Vec::new(),
            header: Header {
                width: if vocab_size <= 1 << 16 { 2 } else { 4 },
                fingerprint: tokenizer.fingerprint(),
                vocab_size,
                tokens: 0,
            },
            per_shard: per_shard.max(1),
            shards: 0,
            tokens: 0,
            open: None,
        })
    }

    pub(super) fn push(&mut self, mut ids: &[u32]) -> Result<()> {
        while !ids.is_empty() {
            let (per_shard, width) = (self.per_shard, self.header.width);
            let shard = self.shard()?;
            let room = usize::try_from(per_shard - shard.tokens).unwrap_or(usize::MAX);
            let (now, later) = ids.split_at(ids.len().min(room));
            let written = now.iter().try_for_each(|&id| {
                let bytes = id.to_le_bytes();
                shard.file.write_all(&bytes[..width as usize])
            });
            written.map_err(|source| Error::Write {
                path: shard.path.clone(),
                source,
            })?;
            shard.tokens += now.len() as u64;
            let full = shard.tokens == per_shard;
            self.tokens += now.len() as u64;
            ids = later;
            if full {
                self.close()?;
            }
        }
        Ok(())
    }

    /// The open shard, or a new one.
    fn shard(&mut self) -> Result<&mut Shard> {
        if self.open.is_none() {
            let path = self.folder.join(name(self.shards));
            let file = File::create(temporary(&path)).and_then(|mut file| {
                // Written again with the count when it is known.
                file.write_all(&self.header.to_bytes())?;
                Ok(file)
            });
            let file = file.map_err(|source| Error::Write {
                path: path.clone(),
                source,
            })?;
            self.shards += 1;
            self.open = Some(Shard {
                path,
                file: BufWriter::with_capacity(1 << 20, file),
                tokens: 0,
            });
        }
        match &mut self.open {
            Some(shard) => Ok(shard),
            None => unreachable!("it was just opened"),
        }
    }

    /// Ends the open shard: its header, the disk.
    fn close(&mut self) -> Result<()> {
        use std::io::{Seek, SeekFrom};
        let Some(Shard { path, file, tokens }) = self.open.take() else {
            return Ok(());
        };
        self.written.push(path.clone());
        let header = Header {
            tokens,
            ..self.header
        };
        let written = file
            .into_inner()
            .map_err(std::io::IntoInnerError::into_error)
            .and_then(|mut file| {
                file.seek(SeekFrom::Start(0))?;
                file.write_all(&header.to_bytes())?;
                file.sync_all()
            });
        written.map_err(|source| Error::Write { path, source })
    }

    /// Ends the folder: tokens and shards.
    pub(super) fn finish(mut self, tokenizer: &dyn Tokenizer) -> Result<(u64, usize)> {
        self.close()?;
        for path in std::mem::take(&mut self.written) {
            let renamed = std::fs::rename(temporary(&path), &path);
            renamed.map_err(|source| Error::Write { path, source })?;
        }
        self.made.clear();
        tokenizer.save(&self.folder.join(TOKENIZER))?;
        Ok((self.tokens, self.shards))
    }
}

impl Drop for ShardWriter {
    /// What was not finished leaves nothing.
    fn drop(&mut self) {
        let open = self.open.take().map(|shard| shard.path);
        for path in self.written.iter().chain(&open) {
            let _ = std::fs::remove_file(temporary(path));
        }
        for folder in &self.made {
            let _ = std::fs::remove_dir(folder);
        }
    }
}

/// A folder of shards, mapped: its last `val_fraction` of tokens is for validation.
#[derive(Debug)]
pub struct ShardTokens {
    files: Vec<Mapped>,
    /// Tokens of the training split.
    train: usize,
    /// Tokens of the validation split, which follows it; mapped like it.
    validation: usize,
    block_size: usize,
    order: Order,
}

#[derive(Debug)]
struct Mapped {
    map: latimer_files::Mapped,
    width: usize,
    /// The place of its first token in the stream, and of the first beyond it.
    first: usize,
    end: usize,
}

impl Mapped {
    fn open(path: &Path, first: usize, fingerprint: u64) -> Result<Self> {
        let unreadable = |source| Error::ReadData {
            path: path.to_owned(),
            source,
        };
        // The help of `data prepare` says that the files must not change while a run trains on
        // them.
        let map = latimer_files::Mapped::open(path).map_err(unreadable)?;
        let header = Header::of(&map).map_err(|reason| Error::BadShard {
            path: path.to_owned(),
            reason,
        })?;
        if header.fingerprint != fingerprint {
            return Err(Error::OtherTokenizer {
                path: path.to_owned(),
                expected: fingerprint,
                got: header.fingerprint,
            });
        }
        Ok(Self {
            map,
            width: header.width as usize,
            first,
            end: first + header.tokens as usize,
        })
    }

    /// Copies tokens from place `from` of the stream on, until `ids` is full or the stream ends.
    fn copy(&self, from: usize, ids: &mut [u32]) -> usize {
        let n = ids.len().min(self.end - from);
        let bytes = &self.map[HEADER + (from - self.first) * self.width..][..n * self.width];
        let ids = &mut ids[..n];
        if self.width == 2 {
            for (id, bytes) in ids.iter_mut().zip(bytes.as_chunks::<2>().0) {
                *id = u16::from_le_bytes(*bytes).into();
            }
        } else {
            for (id, bytes) in ids.iter_mut().zip(bytes.as_chunks::<4>().0) {
                *id = u32::from_le_bytes(*bytes);
            }
        }
        n
    }
}

impl ShardTokens {
    /// Opens a folder that [`prepare`](super::prepare) made, with its tokenizer.
    ///
    /// # Errors
    /// [`Error::UnfinishedData`], [`Error::ReadData`], [`Error::BadShard`],
    /// [`Error::OtherTokenizer`], [`Error::TooShort`].
    pub fn open(
        folder: &Path,
        tokenizer: &dyn Tokenizer,
        val_fraction: f64,
        block_size: usize,
    ) -> Result<Self> {
        check_finished(folder)?;
        let (mut files, fingerprint) = (Vec::<Mapped>::new(), tokenizer.fingerprint());
        for path in shards(folder)? {
            let first = files.last().map_or(0, |file| file.end);
            files.push(Mapped::open(&path, first, fingerprint)?);
        }
        let total = files.last().map_or(0, |file| file.end);
        let train = (total as f64 * (1.0 - val_fraction)) as usize;
        let validation = total - train;
        check_length(train, validation, val_fraction, block_size)?;
        Ok(Self {
            files,
            train,
            validation,
            block_size,
            order: Order::Spread,
        })
    }

    /// The same, its windows trained on in another order.
    #[must_use]
    pub fn in_order(self, order: Order) -> Self {
        Self { order, ..self }
    }

    /// Tokens from place `from` of the stream on.
    fn copy(&self, mut from: usize, mut ids: &mut [u32]) {
        let mut file = self.files.partition_point(|file| file.end <= from);
        while !ids.is_empty() {
            let n = self.files[file].copy(from, ids);
            ids = &mut ids[n..];
            from += n;
            file += 1;
        }
    }
}

impl Source for ShardTokens {
    fn row(&self, seed: u64, key: RowKey, ids: &mut [u32]) {
        match key.split {
            Split::Validation => {
                let first = key.place_below(self.validation - ids.len() + 1, seed);
                self.copy(self.train + first, ids);
            }
            Split::Train if key.estimate => {
                self.copy(key.place_below(self.train - ids.len() + 1, seed), ids);
            }
            Split::Train => {
                let first = window_start(self.order, self.train, ids.len() - 1, seed, key.number());
                self.copy(first, ids);
            }
        }
    }

    fn validation(&self) -> Windows<'_> {
        let places = (0..self.validation.saturating_sub(1)).step_by(self.block_size);
        Box::new(places.map(|first| {
            let mut window = vec![0; (self.block_size + 1).min(self.validation - first)];
            self.copy(self.train + first, &mut window);
            Cow::Owned(window)
        }))
    }

    fn validation_tokens(&self) -> usize {
        self.validation
    }

    fn training_tokens(&self) -> Option<usize> {
        Some(self.train)
    }

    fn fingerprint(&self) -> u64 {
        let files: Vec<&[u8]> = self.files.iter().map(|file| &file.map[..]).collect();
        fingerprint_of_files(&files)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

    use super::*;
    use crate::data::{DataFiles, TextTokens};
    use crate::evaluate::NEVER;
    use latimer_tokenizer::CharTokenizer;

    #[test]
    fn rows_are_those_of_the_text_in_memory() {
        let folder = tempfile::tempdir().unwrap();
        let (text, out) = (folder.path().join("text.txt"), folder.path().join("out"));
        let words: String = (0..300).map(|i: u32| format!("{} ", i * i % 91)).collect();
        std::fs::write(&text, &words).unwrap();
        let tokenizer = CharTokenizer::fit(&words).unwrap();
        let names = [text.display().to_string()];
        let data = DataFiles::find(&names, &[], folder.path()).unwrap();
        // Rows cross the borders of files.
        let prepared = super::super::prepare(&data, &tokenizer, &out, 50, &NEVER, &mut |_, _| ());
        let made = prepared.unwrap();
        let listing = std::fs::read_to_string(out.join("data.txt")).unwrap();
        assert_eq!(listing, format!("# {0}: files read: 1\n{0}\n", names[0]));
        let of_tokens = DataFiles::find(&[out.display().to_string()], &[], folder.path()).unwrap();
        assert_eq!(of_tokens.files().count(), made.shards);
        let refused = of_tokens.text().unwrap_err().to_string();
        assert!(
            refused.contains("is a folder of tokens, but text is needed"),
            "{refused}"
        );
        assert_eq!(made.tokens as usize, words.len());
        assert_eq!(made.shards, words.len().div_ceil(50));
        let shards = ShardTokens::open(&out, &tokenizer, 0.1, 16).unwrap();
        let memory = TextTokens::new(&words, &tokenizer, 0.1, 16).unwrap();
        assert_eq!(shards.training_tokens(), memory.training_tokens());
        assert!(shards.validation().eq(memory.validation()));
        for split in [Split::Train, Split::Validation] {
            for (step, estimate) in [(1, false), (2, true), (77, false), (u64::MAX, false)] {
                for row in 0..4 {
                    let key = RowKey {
                        split,
                        estimate,
                        step,
                        row,
                        rows: 4,
                    };
                    let (mut got, mut want) = ([0; 17], [0; 17]);
                    shards.row(3, key, &mut got);
                    memory.row(3, key, &mut want);
                    assert_eq!(got, want, "{key:?}");
                }
            }
        }
    }
}
