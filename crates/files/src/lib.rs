//! Files that are whole or not there, mapped files, and hashes.
//!
//! Errors are [`std::io::Error`]: the caller adds the path and what it was doing.

mod hash;
mod map;
mod write;

pub use hash::fnv1a;
#[cfg(feature = "sha256")]
pub use hash::{sha256, sha256_of_file};
pub use map::Mapped;
pub use write::{replace, replace_alone, sync_folder, sync_names, usual_permissions, write_synced};

/// Runs the README's example as a test.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
#[derive(Debug)]
pub struct Readme;
