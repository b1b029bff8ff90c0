//! What can go wrong in a run.

use latimer_autograd::Slab;
use std::fmt;
use std::path::{Path, PathBuf};

/// The result of anything in this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// An error of a run: its configuration, data, folder or mathematics.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The configuration was refused.
    #[error(transparent)]
    Config(Box<crate::config::ConfigError>),
    /// The model, its files or the device failed.
    #[error(transparent)]
    Model(latimer_nn::Error),
    /// A tokenizer refused a text or a file.
    #[error(transparent)]
    Tokenizer(#[from] latimer_tokenizer::Error),

    // ---- data
    /// A data file could not be read.
    #[error("cannot read {}", path.display())]
    ReadData {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A text that the program makes could not be written into the cache.
    #[error("cannot write the data file {}", path.display())]
    WriteData {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A folder was given as data, and no text is in it.
    #[error(
        "the folder {} holds no text that ends in {extensions}: {not_read}; name endings with \
         --extensions",
        path.display()
    )]
    NoTextInFolder {
        /// The folder.
        path: PathBuf,
        /// The endings that were looked for.
        extensions: String,
        /// What it has instead, as a sentence.
        not_read: String,
    },
    /// A pattern of names that no file has.
    #[error("no file matches {pattern}{hint}")]
    NoMatch {
        /// The pattern.
        pattern: String,
        /// What may be the reason.
        hint: &'static str,
    },
    /// A name with `*`, `?` or `[` in it that is neither a file nor a pattern.
    #[error("{pattern} is not a valid pattern of names")]
    BadPattern {
        /// The name.
        pattern: String,
        /// Why.
        #[source]
        source: Box<glob::PatternError>,
    },
    /// A folder of tokens where text is needed.
    #[error(
        "{} is a folder of tokens, but text is needed here: give the text that it was made from",
        path.display()
    )]
    TokensForText {
        /// The folder.
        path: PathBuf,
    },
    /// A file is not text in UTF-8.
    #[error(transparent)]
    Text(#[from] latimer_text::Error),
    /// A data file holds nothing.
    #[error("{} is empty: there is nothing to train on", path.display())]
    EmptyData {
        /// The file.
        path: PathBuf,
    },
    /// The text is shorter than one window.
    #[error(
        "the {split} split has {tokens} tokens, but block_size = {block_size} needs at least {}: \
         give more text, or lower --block-size{hint}",
        block_size + 1
    )]
    TooShort {
        /// `training` or `validation`.
        split: &'static str,
        /// Its tokens.
        tokens: usize,
        /// The model's context.
        block_size: usize,
        /// ` or --val-fraction`, where that helps.
        hint: &'static str,
    },
    /// A folder of tokens among several corpora without weights.
    #[error(
        "{} is a folder of tokens, which cannot be joined with other data: give every name of \
         --data a weight with --data-weights, or train on this folder alone",
        path.display()
    )]
    JoinedTokens {
        /// The folder.
        path: PathBuf,
    },
    /// Of several corpora with weights, one is not usable.
    #[error("{name}, one of the weighted corpora, cannot be trained on")]
    InPart {
        /// What `--data` calls it.
        name: String,
        /// Why.
        #[source]
        source: Box<Error>,
    },
    /// A batch of a loop of one's own that no step can be done on.
    #[error("a batch cannot be trained on: {reason}")]
    BadBatch {
        /// What is wrong with it.
        reason: String,
    },
    /// A text that is measured has too few tokens.
    #[error(
        "the text has {tokens} tokens of the model's vocabulary: predicting one from another needs \
         at least 2"
    )]
    NothingToPredict {
        /// Its tokens.
        tokens: usize,
    },
    /// A stride that would skip tokens, or never end.
    #[error("the stride is {stride}: it must be from 1 to block_size = {block_size}")]
    BadStride {
        /// Tokens from one window to the next.
        stride: usize,
        /// The model's context.
        block_size: usize,
    },
    /// A text that a model's tokenizer has no ids for.
    #[error("the model cannot read {name}")]
    Unreadable {
        /// The text's file or corpus.
        name: String,
        /// What of it has no id.
        #[source]
        source: Box<latimer_tokenizer::Error>,
    },
    /// A task's own error.
    #[error(transparent)]
    Task(Box<dyn std::error::Error + Send + Sync>),
    /// A tokenizer that leaves out the ends of lines, where they mean something.
    #[error(
        "the tokenizer has no token for the end of a line, which ends an answer: use one that has \
         such a token, such as the kinds char and word"
    )]
    NoLineEnd,
    /// A corpus that is known, but not on this machine.
    #[error(
        "the corpus {name} is not in the cache: download {url} to {} (or give the text as --data FILE)",
        path.display()
    )]
    NotCached {
        /// Its name.
        name: &'static str,
        /// Where it is published.
        url: &'static str,
        /// Where it is looked for.
        path: PathBuf,
    },
    /// A cached corpus is not what was published.
    #[error("{} is damaged: its SHA-256 is {got}, not {expected}; delete it", path.display())]
    Damaged {
        /// The cached file.
        path: PathBuf,
        /// The published hash.
        expected: &'static str,
        /// The file's.
        got: String,
    },
    /// Neither a corpus nor a file.
    #[error("cannot read {name}: there is no such file or folder, nor a corpus of that name{hint}")]
    UnknownData {
        /// What was asked for.
        name: String,
        /// The nearest corpus, as a question.
        hint: String,
    },
    /// A corpus without an end among others.
    #[error("the {name} cannot be joined with other data: it is endless")]
    JoinedTask {
        /// Its name.
        name: &'static str,
    },
    /// A corpus without an end, where a text is needed.
    #[error("the corpus {name} is endless: name a text file, or a corpus with an end")]
    EndlessCorpus {
        /// Its name.
        name: &'static str,
    },
    /// A folder to prepare data in holds some already.
    #[error(
        "{} already holds prepared data: give another --out, or remove it first",
        path.display()
    )]
    PreparedExists {
        /// The folder.
        path: PathBuf,
    },
    /// A folder of tokens whose making was cut off at its very end.
    #[error(
        "{} is not finished: `latimer data prepare` was interrupted, and its tokenizer.json is \
         missing; remove the folder and prepare the data again",
        path.display()
    )]
    UnfinishedData {
        /// The folder.
        path: PathBuf,
    },
    /// A file of tokens is not whole, or none.
    #[error("{} is not a file of tokens: {reason}; prepare the data again", path.display())]
    BadShard {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// A file of tokens was made with another tokenizer.
    #[error(
        "{} was made with another tokenizer (fingerprint {got:016x}, not {expected:016x}): \
         use the tokenizer.json beside it, or prepare the data again",
        path.display()
    )]
    OtherTokenizer {
        /// The file.
        path: PathBuf,
        /// The fingerprint of the tokenizer in use.
        expected: u64,
        /// The one that the file names.
        got: u64,
    },
    /// Neither a kind of tokenizer nor a file.
    #[error(
        "cannot read {name}: there is no such file or folder, nor a tokenizer of that name (char, \
         word, ngram, bpe){hint}"
    )]
    UnknownTokenizer {
        /// What was asked for.
        name: String,
        /// The nearest kind, as a question.
        hint: String,
    },
    /// A kind of tokenizer that this version lacks, or the data cannot have.
    #[error("tokenizer {name} {reason}")]
    UnusableTokenizer {
        /// Its name.
        name: String,
        /// Why, and what to do.
        reason: String,
    },

    // ---- the run
    /// The predicted memory is more than there is.
    #[error(
        "this run needs about {needed} of memory, but {device} has {available}: lower --batch-size \
         or the model's sizes"
    )]
    NotEnoughMemory {
        /// Predicted.
        needed: String,
        /// Where.
        device: String,
        /// What there is.
        available: String,
    },
    /// Training ran into NaN or infinity.
    #[error("the {what} became {value} at step {step}, {place}: {remedy}")]
    NotFinite {
        /// `loss` or `gradient norm`; also a loss of an evaluation.
        what: &'static str,
        /// NaN or infinity.
        value: f32,
        /// The step.
        step: u64,
        /// The layer and the tensor in which it came up first, or that it is not known.
        place: String,
        /// What can be done.
        remedy: Remedy,
    },
    /// An update left weights, or the optimizer's state, that nothing can be computed with.
    #[error(
        "the {} became too large to compute with at step {step} ({name} holds {value:e}): {}",
        slab_name(*slab), Remedy::BeginAgain
    )]
    Unsound {
        /// Values or moments.
        slab: Slab,
        /// The parameter with the greatest of them, or the first with one that is not finite.
        name: String,
        /// That number.
        value: f32,
        /// The step.
        step: u64,
    },
    /// A computation was given up because the caller asked for it.
    #[error("stopped before it was done")]
    Stopped,

    // ---- folders
    /// The run's folder is in use.
    #[error(
        "{} already holds a run: choose another --out, continue it with --resume, or replace it \
         with --overwrite",
        path.display()
    )]
    RunExists {
        /// The folder.
        path: PathBuf,
    },
    /// A folder without a run that can be resumed.
    #[error("{} holds no checkpoint to resume: leave out --resume to start a run there", path.display())]
    NothingToResume {
        /// The folder.
        path: PathBuf,
    },
    /// A run is resumed under another configuration.
    #[error(
        "{} was started with another configuration ({differences}): resume it without these \
         changes, or start another run",
        path.display()
    )]
    ChangedConfig {
        /// The run's folder.
        path: PathBuf,
        /// Keys with their values then and now.
        differences: String,
    },
    /// A run is resumed on another text.
    #[error("{} was started on other data ({what}): give it that data, or start another run", path.display())]
    ChangedData {
        /// The run's folder.
        path: PathBuf,
        /// What differs.
        what: String,
    },
    /// No step stopped the run.
    #[error(
        "{} was not stopped by a step with numbers that are not finite: leave out --skip-batch", path.display()
    )]
    NothingToSkip {
        /// The folder.
        path: PathBuf,
    },
    /// The step that stopped the run would be followed by others like it.
    #[error(
        "leaving out step {step} of {} does not help, because the steps after it are not finite \
         either: {}",
        path.display(), Remedy::BeginAgain
    )]
    SkipDoesNotHelp {
        /// The folder.
        path: PathBuf,
        /// The step that stopped the run.
        step: u64,
    },
    /// Another process trains there.
    #[error(
        "{} is being trained in by another process: wait until it ends, or choose another --out",
        path.display()
    )]
    InUse {
        /// The folder.
        path: PathBuf,
    },
    /// A file of a checkpoint is not what was written.
    #[error(
        "{} is damaged: {reason}; give an earlier checkpoint, or a copy of this one", path.display()
    )]
    BadCheckpoint {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// A checkpoint's state is not to be understood.
    #[error("{} cannot be resumed from: {reason}", path.display())]
    BadState {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// A file of a run lost what was in it when the checkpoint was written.
    #[error(
        "{} has {got} bytes, but had {expected} when the checkpoint was written: restore it, or \
         start another run",
        path.display()
    )]
    CutShort {
        /// The file.
        path: PathBuf,
        /// What the checkpoint says.
        expected: u64,
        /// What there is.
        got: u64,
    },
    /// Something of a run could not be written.
    #[error("cannot write {}", path.display())]
    Write {
        /// The file or folder.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// Something of a run could not be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// The file or folder.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A folder that holds no model.
    #[error(
        "{} holds no model: {found}; a model is a run folder (with `latest`), or a folder with \
         `config.json` and `model.safetensors`",
        path.display()
    )]
    NoModel {
        /// The folder.
        path: PathBuf,
        /// What it is instead.
        found: &'static str,
    },
    /// No run to take a model from.
    #[error("there is no {what} in {}: train one with `latimer train`, or name one with --model", path.display())]
    NoRun {
        /// `run`, or with a preset's name before it.
        what: String,
        /// Where runs are looked for.
        path: PathBuf,
    },
    /// A model folder without a tokenizer, where text is to be read or written.
    #[error("{} has no tokenizer.json, nor vocab.json with merges.txt: it can compute logits of \
             ids, but not read text; give it a tokenizer with --tokenizer FILE", path.display())]
    NoTokenizer {
        /// The folder.
        path: PathBuf,
    },
    /// A model that was not read from a folder, and has been given no tokenizer.
    #[error("the model has no tokenizer: give it one by Model::with_tokenizer")]
    NoTokenizerGiven,
    /// A tokenizer with more tokens than its model's vocabulary has.
    #[error(
        "{}the tokenizer has {tokens} tokens, but the model has {vocab_size} ids: it cannot read \
         every text; give it the tokenizer that it was trained with",
        place(path)
    )]
    VocabularyMismatch {
        /// The model's folder; empty if it was not read from one.
        path: PathBuf,
        /// The tokenizer's.
        tokens: usize,
        /// The model's.
        vocab_size: usize,
    },
}

impl Error {
    /// Makes an error of writing this file.
    pub(crate) fn of_writing(path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.to_owned();
        |source| Self::Write { path, source }
    }

    /// An error of reading a file of a run.
    pub(crate) fn of_file(error: latimer_text::Error) -> Self {
        match error {
            latimer_text::Error::Read { path, source } => Self::Read { path, source },
            other => other.into(),
        }
    }
}

/// What can be done about a value that is not finite.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Remedy {
    /// Other steps can be computed with the same weights: the batch can be left out.
    SkipBatch,
    /// No step can be computed with these weights any more.
    BeginAgain,
    /// Nothing was learnt yet: the settings or the data are to blame.
    OtherSettings,
}

impl fmt::Display for Remedy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::SkipBatch => {
                "training diverged; lower --learning-rate or set --grad-clip, or leave the step out \
                 with --resume --skip-batch (what was saved before is kept)"
            }
            Self::BeginAgain => {
                "training diverged; start again with a lower --learning-rate or with --grad-clip \
                 (what was saved before is kept)"
            }
            Self::OtherSettings => {
                "nothing was learnt yet, so the configuration itself cannot be computed; lower \
                 --dropout, give --dtype f32, or try another --seed"
            }
        })
    }
}

/// A folder before a sentence about it; nothing for a model that has none.
fn place(path: &Path) -> String {
    match path.as_os_str().is_empty() {
        true => String::new(),
        false => format!("{}: ", path.display()),
    }
}

fn slab_name(slab: Slab) -> &'static str {
    match slab {
        Slab::Values => "weights",
        Slab::Gradients => "gradients",
        Slab::M | Slab::V => "moments of the optimizer",
    }
}

impl From<crate::config::ConfigError> for Error {
    fn from(error: crate::config::ConfigError) -> Self {
        Self::Config(Box::new(error))
    }
}

impl From<latimer_nn::Error> for Error {
    fn from(error: latimer_nn::Error) -> Self {
        match error {
            latimer_nn::Error::Autograd(latimer_autograd::Error::Stopped) => Self::Stopped,
            error => Self::Model(error),
        }
    }
}

impl From<latimer_tensor::Error> for Error {
    fn from(error: latimer_tensor::Error) -> Self {
        Self::from(latimer_nn::Error::from(error))
    }
}

impl From<latimer_autograd::Error> for Error {
    fn from(error: latimer_autograd::Error) -> Self {
        Self::from(latimer_nn::Error::from(error))
    }
}
