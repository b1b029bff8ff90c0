//! The command as a user meets it: processes, exit statuses, files.

#![allow(clippy::unwrap_used, reason = "a test may fail wherever it stands")]

mod bad_input;
mod commands;
mod conversions;
mod data_files;
mod dtypes;
mod encodings;
mod eval;
mod faults;
mod hf;
mod kills;
mod ladder;
mod lessons;
mod mixtures;
mod outputs;
mod place;
mod runs;
mod scale;
mod stops;
mod tokenizers;
mod values;
