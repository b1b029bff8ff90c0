#![doc = include_str!("../README.md")]

mod device;
mod error;
pub mod prelude;

pub use latimer_autograd as autograd;
pub use latimer_backend_cpu as backend_cpu;
#[cfg(feature = "cuda")]
pub use latimer_backend_cuda as backend_cuda;
pub use latimer_nn as nn;
pub use latimer_tensor as tensor;
pub use latimer_tokenizer as tokenizer;
pub use latimer_trainer as trainer;

pub use device::OpenDevice;
pub use error::{Error, Result};
