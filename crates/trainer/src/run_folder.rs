//! The folder of a run: what it holds, how it is written, and what is read back from it.
//!
//! Read [`RunFolder`] first; a checkpoint in it is written by `checkpoints`, verified by `manifest`,
//! gone on from by [`Resume`] and used by [`LoadedModel`].

pub(crate) mod bad_steps;
mod checkpoints;
pub(crate) mod folder;
mod loaded;
mod lock;
pub(crate) mod log;
mod manifest;
pub(crate) mod resume;

pub use folder::{Existing, RunFolder, newest_run, newest_to_resume};
pub use loaded::{LoadedModel, load_tokenizer};
pub use resume::Resume;
