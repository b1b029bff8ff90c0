//! The folder of a run: what it holds, how it is written, and what is read back from it.
//!
//! Read [`RunFolder`] first; a checkpoint in it is written by `checkpoints`, verified by
//! `manifest`, gone on from by [`Resume`] and used by [`Model`](crate::Model).

pub(crate) mod bad_steps;
pub(crate) mod checkpoints;
pub(crate) mod folder;
mod lock;
pub(crate) mod log;
pub(crate) mod manifest;
pub(crate) mod resume;

pub use folder::{Existing, RunFolder, newest_run, newest_to_resume};
pub use resume::Resume;
