//! The library's one error.

/// The result of anything in this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Any error of the crates below, so that one `?` serves for all of them.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// An operation on tensors, or a device.
    #[error(transparent)]
    Tensor(#[from] latimer_tensor::Error),
    /// A pass, the parameters or the optimizer.
    #[error(transparent)]
    Autograd(#[from] latimer_autograd::Error),
    /// A model or its files.
    #[error(transparent)]
    Model(#[from] latimer_nn::Error),
    /// A tokenizer or its file.
    #[error(transparent)]
    Tokenizer(#[from] latimer_tokenizer::Error),
    /// Data, training or a run's folder.
    #[error(transparent)]
    Trainer(Box<latimer_trainer::Error>),
    /// The configuration of a run.
    #[error(transparent)]
    Config(Box<latimer_trainer::config::ConfigError>),
    /// No NVIDIA GPU can be used.
    #[cfg(feature = "cuda")]
    #[error(transparent)]
    Cuda(Box<latimer_backend_cuda::Error>),
    /// The program has no CUDA backend.
    #[error("this program was built without CUDA: turn on the feature `cuda` of the crate latimer")]
    NoCuda,
}

impl From<latimer_trainer::Error> for Error {
    fn from(error: latimer_trainer::Error) -> Self {
        Self::Trainer(Box::new(error))
    }
}

impl From<latimer_trainer::config::ConfigError> for Error {
    fn from(error: latimer_trainer::config::ConfigError) -> Self {
        Self::Config(Box::new(error))
    }
}

#[cfg(feature = "cuda")]
impl From<latimer_backend_cuda::Error> for Error {
    fn from(error: latimer_backend_cuda::Error) -> Self {
        Self::Cuda(Box::new(error))
    }
}
