//! The library's one error.

use std::fmt;

/// The result of anything in this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Any error of the crates below, so that one `?` serves for all of them.
#[derive(thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// An operation on tensors, or a device.
    #[error(transparent)]
    Tensor(Box<latimer_tensor::Error>),
    /// A pass, the parameters or the optimizer.
    #[error(transparent)]
    Autograd(Box<latimer_autograd::Error>),
    /// A model or its files.
    #[error(transparent)]
    Model(Box<latimer_nn::Error>),
    /// A tokenizer or its file.
    #[error(transparent)]
    Tokenizer(Box<latimer_tokenizer::Error>),
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
    #[error("this program was built without CUDA: enable the feature `cuda` of the crate latimer")]
    NoCuda,
}

/// The sentence and its causes, as a `main` that returns the error prints them.
impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")?;
        let mut cause = std::error::Error::source(self);
        while let Some(error) = cause {
            write!(f, ": {error}")?;
            cause = error.source();
        }
        Ok(())
    }
}

macro_rules! from { ($($(#[$attribute:meta])* $variant:ident: $error:ty,)*) => { $(
    $(#[$attribute])*
    impl From<$error> for Error {
        fn from(error: $error) -> Self {
            Self::$variant(Box::new(error))
        }
    }
)* } }
from!(
    Tensor: latimer_tensor::Error,
    Autograd: latimer_autograd::Error,
    Model: latimer_nn::Error,
    Tokenizer: latimer_tokenizer::Error,
    Trainer: latimer_trainer::Error,
    Config: latimer_trainer::config::ConfigError,
    #[cfg(feature = "cuda")]
    Cuda: latimer_backend_cuda::Error,
);

#[cfg(test)]
mod tests {
    use crate::prelude::*;

    /// What `main` prints of an error is the sentence, with its reason.
    #[test]
    fn an_error_is_shown_as_a_sentence() {
        let error = crate::Error::from(Text::open("not/there.txt").unwrap_err());
        let shown = format!("{error:?}");
        assert!(
            shown.starts_with("cannot read not/there.txt: No such file"),
            "{shown}"
        );
    }
}
