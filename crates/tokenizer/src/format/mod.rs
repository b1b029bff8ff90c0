//! Reading and writing other programs' files of byte-level BPE.

pub(crate) mod alphabet;
mod differences;
pub(crate) mod gpt2;
pub(crate) mod hf;
pub(crate) mod tiktoken;

pub use differences::differences;
pub use tiktoken::Encoding;
