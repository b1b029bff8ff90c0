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
    #[error("{key} is {got}, but {reason}")]
    InvalidConfig {
        /// The key.
        key: &'static str,
        /// Its value.
        got: String,
        /// What is asked of it.
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
    /// A file is not what it should be.
    #[error("{} is no {what}: {reason}", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What it should be.
        what: &'static str,
        /// Why it is not.
        reason: String,
    },
    /// A weights file lacks a parameter.
    #[error("{} has no tensor {name}, which this model needs", path.display())]
    MissingTensor {
        /// The file.
        path: PathBuf,
        /// The parameter.
        name: String,
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

    // ---- generation
    /// Nothing to go on from.
    #[error("the prompt is empty: generation needs at least one token to go on from")]
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
}

impl From<latimer_tensor::Error> for Error {
    fn from(error: latimer_tensor::Error) -> Self {
        Self::Autograd(error.into())
    }
}
