//! A model's whole folder.

use super::config_json::Source;
use super::files::WeightsBytes;
use super::read::{Heads, LM_HEAD, load};
use super::tensors::Tensors;
use crate::{Gpt, Result};
use latimer_autograd::Params;
use latimer_tensor::Device;
use std::path::Path;

/// A model's shape.
pub(super) const CONFIG: &str = "config.json";

/// A model read from its folder.
#[derive(Debug)]
pub struct ModelOnDisk {
    /// The model.
    pub gpt: Gpt,
    /// Its weights, for inference.
    pub params: Params,
    /// What was read in another way than the files say, a sentence each.
    pub notes: Vec<String>,
}

/// Reads a folder of ours, or a Hugging Face GPT-2's: `config.json` and the weights, which are in
/// `model.safetensors` or in the files that `model.safetensors.index.json` lists.
///
/// Nothing of a Hugging Face folder is passed over in silence:
///
/// - A key of `config.json` is used (sizes and their aliases, `n_inner`, `layer_norm_epsilon`,
///   `activation_function`, both `scale_attn_…`, `tie_word_embeddings`), or must say what is
///   computed here (`add_cross_attention`, `architectures`, `quantization_config` and their like),
///   or is of a kind that changes no logit (dropout, labels, generation, the library's own). Any
///   other key is refused: what it asks for is not known.
/// - A tensor is a parameter, or a causal mask that is one, or a tied head's copy.
/// - An index lists bare names of files in its folder, and each tensor where it is.
///
/// In a Hugging Face folder a head that differs from the token embedding is taken as the head, even
/// where the configuration ties the two: so does transformers. A note says it.
///
/// # Errors
/// As [`read_config`](super::read_config) and [`read_weights`](super::read_weights);
/// [`Error::NoWeights`](crate::Error::NoWeights),
/// [`Error::MissingShard`](crate::Error::MissingShard); the device's lack of memory.
pub fn load_model(device: &Device, folder: &Path) -> Result<ModelOnDisk> {
    let path = folder.join(CONFIG);
    let Source {
        mut config,
        foreign,
    } = Source::read(&path)?;
    let mut bytes = WeightsBytes::of_folder(folder)?;
    let mut notes = std::mem::take(&mut bytes.notes);
    let tensors = Tensors::of(&bytes)?;
    if foreign && config.tie && Heads::of(&tensors) == Heads::Differ {
        config.tie = false;
        notes.push(format!(
            "{} ties the head to the token embedding, but {} holds another {LM_HEAD}, which is the \
             head",
            path.display(),
            tensors.path.display()
        ));
    }
    let (gpt, declarations) = Gpt::new(&config)?;
    let params = load(device, declarations, &tensors)?;
    Ok(ModelOnDisk { gpt, params, notes })
}
