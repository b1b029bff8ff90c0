//! Models on disk.

mod config_json;
mod weights;

pub use config_json::{config_from_json, config_to_json, read_config};
pub use weights::{
    load_weights, read_slabs, read_weights, write_slabs, write_tensor, write_weights,
};
