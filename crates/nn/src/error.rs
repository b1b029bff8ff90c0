//! What can go wrong with a model, its files and its samples.

use std::path::PathBuf;

/// The result of anything in this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// An error of a model.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// An operation, the store or the device failed.
    #[error(transparent)]
    Autograd(#[from] latimer_autograd::Error),
    /// A configuration that describes no model.
    #[error("{key} is {got}: {reason}")]
    InvalidConfig {
        /// The key.
        key: &'static str,
        /// Its value.
        got: String,
        /// The requirement that it breaks.
        reason: String,
    },

    // ---- files
    /// A file could not be read or written.
    #[error("cannot {action} {}", path.display())]
    Io {
        /// `read` or `write`.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// The system's reason.
        #[source]
        source: std::io::Error,
    },
    /// A file is not text in UTF-8.
    #[error(transparent)]
    Text(latimer_text::Error),
    /// A file is not what it should be.
    #[error("{} is not a valid {what}: {reason}", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What it should be.
        what: &'static str,
        /// Why it is not.
        reason: String,
    },
    /// A key of a configuration file that asks for what Latimer does not compute, is of a wrong
    /// kind, or is not known.
    #[error("{}: {key} is {got}: {reason}", path.display())]
    ConfigKey {
        /// The file.
        path: PathBuf,
        /// The key.
        key: String,
        /// Its value, as JSON; a long one is cut.
        got: String,
        /// The requirement that it breaks, or the unsupported feature that it requests.
        reason: String,
    },
    /// A folder has a configuration, but no weights that are read.
    #[error("{} holds no weights: {found}", path.display())]
    NoWeights {
        /// The folder.
        path: PathBuf,
        /// What it holds instead, and what to do.
        found: String,
    },
    /// An index of weights names a file that is not there.
    #[error("{} names {name}, which is not in its folder", path.display())]
    MissingShard {
        /// The index.
        path: PathBuf,
        /// The file.
        name: String,
    },
    /// A weights file lacks a parameter.
    #[error("{} has no tensor {name}, which this model needs: {found}", path.display())]
    MissingTensor {
        /// The file.
        path: PathBuf,
        /// The parameter.
        name: String,
        /// What the file holds instead.
        found: String,
    },
    /// The names of a weights file have a prefix that no model of ours has.
    #[error(
        "{}: {having} of {of} tensors have names that begin with `{prefix}` ({example}), as a \
         wrapper around a model leaves them: save the state_dict of the wrapped model, or remove \
         the prefix",
        path.display()
    )]
    WrappedNames {
        /// The file.
        path: PathBuf,
        /// What stands before the name that was looked for.
        prefix: String,
        /// Tensors whose names begin so.
        having: usize,
        /// Tensors in all.
        of: usize,
        /// One of the names.
        example: String,
    },
    /// A weights file has a tensor that the model does not know.
    #[error("{} has a tensor {name}, which this model does not know", path.display())]
    UnknownTensor {
        /// The file.
        path: PathBuf,
        /// The tensor.
        name: String,
    },
    /// A tensor of a weights file has another shape than the model's.
    #[error("{}: {name} has shape {got:?}, but this model needs {expected:?}", path.display())]
    TensorShape {
        /// The file.
        path: PathBuf,
        /// The parameter.
        name: String,
        /// The model's shape.
        expected: Vec<usize>,
        /// The file's shape.
        got: Vec<usize>,
    },
    /// A tensor of a weights file has a type that is not read.
    #[error(
        "{}: {name} is of type {got}, but weights are read from F32, F16 and BF16: save the model in \
         one of these",
        path.display()
    )]
    TensorType {
        /// The file.
        path: PathBuf,
        /// The parameter.
        name: String,
        /// The file's type, by safetensors' name.
        got: String,
    },
    /// A weight is NaN or infinite.
    #[error(
        "{}: element {at} of {name} is {value}: the file is broken, or the training that wrote it \
         diverged",
        path.display()
    )]
    NotFinite {
        /// The file.
        path: PathBuf,
        /// The parameter.
        name: String,
        /// NaN or infinity.
        value: f32,
        /// The element, counted from 0.
        at: usize,
    },
    /// A tensor of a weights file contradicts another file, or what it is called.
    #[error("{}: {name} is not read: {reason}", path.display())]
    BadTensor {
        /// The file.
        path: PathBuf,
        /// The tensor.
        name: String,
        /// What is wrong with it.
        reason: String,
    },

    // ---- generation
    /// Nothing to go on from.
    #[error("the prompt is empty: generation needs at least one token to start from")]
    EmptyPrompt,
    /// A prompt id that the vocabulary does not have.
    #[error("id {id} is outside the vocabulary of {vocab_size}")]
    IdOutOfRange {
        /// The id.
        id: u32,
        /// Ids go from 0 to one below this.
        vocab_size: usize,
    },
    /// More positions than the model has.
    #[error("{got} positions were given, but this model has {block_size}")]
    TooLong {
        /// Positions given.
        got: usize,
        /// The longest context.
        block_size: usize,
    },
    /// The model's logits cannot be sampled from.
    #[error("the model's logits are not finite: its weights are broken, or training diverged")]
    BadLogits,
    /// A sampler that is to draw from no id at all.
    #[error("there is no id to draw: the tokenizer has no token for any of the model's ids")]
    NothingToDraw,
}

impl From<latimer_tensor::Error> for Error {
    fn from(error: latimer_tensor::Error) -> Self {
        Self::Autograd(error.into())
    }
}

impl From<latimer_text::Error> for Error {
    fn from(error: latimer_text::Error) -> Self {
        match error {
            latimer_text::Error::Read { path, source } => Self::Io {
                action: "read",
                path,
                source,
            },
            other => Self::Text(other),
        }
    }
}
