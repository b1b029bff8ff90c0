//! Models on disk.
//!
//! A folder holds `config.json` and weights: `model.safetensors`, or several files that
//! `model.safetensors.index.json` lists. [`load_model`] reads it whole.

mod config_hf;
mod config_json;
mod files;
mod json;
mod keys;
mod migrate;
mod model;
mod read;
mod tensors;
mod write;

pub use config_json::{config_from_json, config_to_json, read_config};
pub use migrate::migrate_config;
pub use model::{ModelOnDisk, load_model};
pub use read::{load_weights, read_slabs, read_weights};
pub use write::{write_slabs, write_tensor, write_weights};
