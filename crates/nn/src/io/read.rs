//! Reads weights from safetensors files, under GPT-2's names.

use super::files::WeightsBytes;
use super::tensors::{Tensors, first_not_finite, is_read, refuse, to_f32};
use crate::{Error, Result};
use latimer_autograd::{Declarations, Param, ParamInfo, Params, Slab};
use latimer_tensor::Device;
use safetensors::Dtype;
use safetensors::tensor::TensorView;
use std::collections::HashSet;
use std::path::Path;

/// What files of a model without a head leave out of every name.
const TRANSFORMER: &str = "transformer.";
/// The token embedding.
const WTE: &str = "transformer.wte.weight";
/// The head, where it is not the token embedding.
pub(super) const LM_HEAD: &str = "lm_head.weight";
/// The greatest number that a mask adds to a score so that `exp` of the sum is 0 in f32: GPT-2's
/// own.
const MASKED: f32 = -1e4;

/// Reads the values of all parameters: names with or without the prefix `transformer.`, `F32`,
/// `F16` or `BF16`. Every parameter must be there, in its logical shape and finite, and nothing
/// unknown but the causal masks that Hugging Face's files carry and a tied head's copy, which must
/// be what they are called.
///
/// # Errors
/// [`Error::Io`], [`Error::Malformed`], [`Error::MissingTensor`], [`Error::WrappedNames`],
/// [`Error::UnknownTensor`], [`Error::TensorShape`], [`Error::TensorType`], [`Error::NotFinite`],
/// [`Error::BadTensor`].
pub fn read_weights(params: &mut Params, path: &Path) -> Result<()> {
    read_slabs(params, &[(Slab::Values, "")], path)
}

/// Places a declared model on a device, with the values that [`read_weights`] reads. The device is
/// asked for room only when the file is known to have every parameter: a small file that speaks of
/// a large model costs nothing.
///
/// # Errors
/// As [`read_weights`], and the device's lack of memory.
pub fn load_weights(device: &Device, declarations: Declarations, path: &Path) -> Result<Params> {
    let bytes = WeightsBytes::of_file(path)?;
    load(device, declarations, &Tensors::of(&bytes)?)
}

/// As [`load_weights`], from one file or several.
pub(super) fn load(
    device: &Device,
    declarations: Declarations,
    tensors: &Tensors<'_>,
) -> Result<Params> {
    let found = find(tensors, &[("", declarations.params())])?;
    let mut params = Params::zeroed(device, declarations)?;
    let all: Vec<Param> = params.iter().map(|(param, _)| param).collect();
    for (param, tensor) in all.into_iter().zip(found) {
        params.set(Slab::Values, param, &to_f32(&tensor))?;
    }
    Ok(params)
}

/// Reads what [`write_slabs`](super::write_slabs) wrote.
///
/// # Errors
/// As [`read_weights`].
pub fn read_slabs(params: &mut Params, slabs: &[(Slab, &str)], path: &Path) -> Result<()> {
    let bytes = WeightsBytes::of_file(path)?;
    let tensors = Tensors::of(&bytes)?;
    let infos: Vec<ParamInfo> = params.iter().map(|(_, info)| info.clone()).collect();
    let parts: Vec<(&str, &[ParamInfo])> =
        slabs.iter().map(|&(_, prefix)| (prefix, &*infos)).collect();
    let found = find(&tensors, &parts)?;
    // Only now is the file as a whole known to be what the slabs need.
    let all: Vec<Param> = params.iter().map(|(param, _)| param).collect();
    let places = slabs
        .iter()
        .flat_map(|&(slab, _)| all.iter().map(move |&param| (slab, param)));
    for ((slab, param), tensor) in places.zip(found) {
        params.set(slab, param, &to_f32(&tensor))?;
    }
    Ok(())
}

/// The tensors of parameters, each under a prefix and its own name, in order; and nothing else may
/// be there that means something.
fn find<'b>(tensors: &Tensors<'b>, parts: &[(&str, &[ParamInfo])]) -> Result<Vec<TensorView<'b>>> {
    let (mut found, mut known) = (Vec::new(), HashSet::new());
    for &(prefix, infos) in parts {
        let tied = !infos.iter().any(|info| info.name() == LM_HEAD);
        for info in infos {
            let full = format!("{prefix}{}", info.name());
            let name = name_of(tensors, &full, tied)?;
            let (path, tensor) = tensors
                .get(&name)
                .ok_or_else(|| tensors.missing(&full, &full))?;
            check(path, &name, &tensor, info.shape().dims())?;
            known.insert(name);
            found.push(tensor);
        }
    }
    let layers: HashSet<&str> = parts
        .iter()
        .flat_map(|(_, infos)| *infos)
        .filter_map(|info| info.name().strip_suffix(".attn.c_attn.weight"))
        .collect();
    for name in tensors.names().filter(|&name| !known.contains(name)) {
        check_extra(tensors, name, &layers)?;
    }
    Ok(found)
}

/// A parameter's name in the files: its own, the same without [`TRANSFORMER`], or, of a tied token
/// embedding, the head's.
fn name_of(tensors: &Tensors<'_>, full: &str, tied: bool) -> Result<String> {
    let short = full.replacen(TRANSFORMER, "", 1);
    let there = |name: &str| tensors.get(name).is_some();
    if there(full) {
        Ok(full.to_owned())
    } else if there(&short) {
        Ok(short)
    } else if tied && full == WTE && there(LM_HEAD) {
        Ok(LM_HEAD.to_owned())
    } else {
        Err(tensors.missing(full, &short))
    }
}

/// Whether a tensor has the shape that is needed, a type that is read, and finite elements.
fn check(path: &Path, name: &str, tensor: &TensorView<'_>, expected: &[usize]) -> Result<()> {
    if tensor.shape() != expected {
        return Err(Error::TensorShape {
            path: path.to_owned(),
            name: name.to_owned(),
            expected: expected.to_vec(),
            got: tensor.shape().to_vec(),
        });
    }
    if !is_read(tensor.dtype()) {
        return Err(Error::TensorType {
            path: path.to_owned(),
            name: name.to_owned(),
            got: format!("{:?}", tensor.dtype()),
        });
    }
    match first_not_finite(tensor) {
        None => Ok(()),
        Some(at) => Err(Error::NotFinite {
            path: path.to_owned(),
            name: name.to_owned(),
            value: to_f32(tensor)[at],
            at,
        }),
    }
}

/// Whether a tensor that is no parameter may be there: a layer's causal mask, or the copy of a
/// token embedding that is the head as well.
fn check_extra(tensors: &Tensors<'_>, name: &str, layers: &HashSet<&str>) -> Result<()> {
    let Some((path, tensor)) = tensors.get(name) else {
        return Ok(());
    };
    let unknown = Error::UnknownTensor {
        path: path.to_owned(),
        name: name.to_owned(),
    };
    if name == LM_HEAD {
        return match Heads::of(tensors) {
            Heads::Alike => Ok(()),
            Heads::Differ => {
                let reason = "it differs from the token embedding, which is this model's head";
                Err(refuse(path, name, reason))
            }
            Heads::One => Err(unknown),
        };
    }
    let of_layer = |end: &str| {
        let layer = name.strip_suffix(end)?;
        let full = format!("{TRANSFORMER}{layer}");
        (layers.contains(layer) || layers.contains(&*full)).then_some(())
    };
    if of_layer(".attn.bias").is_some() {
        return match is_causal(&tensor) {
            true => Ok(()),
            false => Err(refuse(
                path,
                name,
                "it is not the causal mask that GPT-2 has",
            )),
        };
    }
    if of_layer(".attn.masked_bias").is_some() {
        let masks = is_read(tensor.dtype()) && to_f32(&tensor).iter().all(|&x| x <= MASKED);
        return match masks {
            true => Ok(()),
            false => Err(refuse(
                path,
                name,
                "the number that it adds to a masked score is not as low as GPT-2's -10000",
            )),
        };
    }
    Err(unknown)
}

/// Whether a mask is 1 up to the diagonal and 0 beyond, of any type.
fn is_causal(tensor: &TensorView<'_>) -> bool {
    let [1, 1, rows, columns] = tensor.shape()[..] else {
        return false;
    };
    let size = tensor.dtype().bitsize() / 8;
    if rows != columns || size == 0 {
        return false;
    }
    let one: Vec<u8> = match tensor.dtype() {
        Dtype::BOOL | Dtype::U8 | Dtype::I8 => vec![1],
        Dtype::F32 => 1.0f32.to_le_bytes().into(),
        Dtype::F16 => half::f16::ONE.to_le_bytes().into(),
        Dtype::BF16 => half::bf16::ONE.to_le_bytes().into(),
        _ => return false,
    };
    let zero = vec![0; size];
    let rows = tensor.data().chunks_exact((columns * size).max(1));
    rows.enumerate().all(|(i, row)| {
        let (seen, later) = row.split_at((i + 1) * size);
        seen.chunks_exact(size).all(|x| x == one) && later.chunks_exact(size).all(|x| x == zero)
    })
}

/// What files hold of a token embedding and a head of the same shape.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Heads {
    /// Not both.
    One,
    /// Both, and each value is the same.
    Alike,
    /// Both, and they differ.
    Differ,
}

impl Heads {
    pub(super) fn of(tensors: &Tensors<'_>) -> Self {
        let wte = [WTE, &WTE[TRANSFORMER.len()..]]
            .into_iter()
            .find_map(|name| tensors.get(name));
        let (Some((_, wte)), Some((_, head))) = (wte, tensors.get(LM_HEAD)) else {
            return Self::One;
        };
        let values = is_read(wte.dtype()) && is_read(head.dtype());
        if wte.shape() != head.shape() || !values {
            return Self::Differ;
        }
        let alike = match wte.dtype() == head.dtype() {
            true => wte.data() == head.data(),
            false => to_f32(&wte) == to_f32(&head),
        };
        match alike {
            true => Self::Alike,
            false => Self::Differ,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::write_tensor;
    use super::*;
    use crate::{Gpt, GptConfig};

    /// The model would take 300 GiB, the file has none of it: the answer is the file's fault, and
    /// no memory is asked for.
    #[test]
    fn a_small_file_of_a_large_model_is_refused_before_any_memory_is_taken() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("model.safetensors");
        let name = "transformer.wte.weight";
        write_tensor(name, vec![0.0; 6], [3, 2], &path).unwrap();
        let (_, declarations) = Gpt::new(&GptConfig {
            n_layer: 1,
            n_head: 1,
            n_embd: 2,
            block_size: 4,
            ..GptConfig::gpt2(3)
        })
        .unwrap();
        let refused = load_weights(&Device::reference(), declarations, &path).unwrap_err();
        assert!(
            matches!(&refused, Error::MissingTensor { name, .. } if name.contains(".wpe.")),
            "{refused}"
        );
        let config = GptConfig {
            n_layer: 96,
            n_head: 1,
            n_embd: 1 << 13,
            block_size: 4,
            ..GptConfig::gpt2(1 << 16)
        };
        let (_, declarations) = Gpt::new(&config).unwrap();
        let refused = load_weights(&Device::reference(), declarations, &path).unwrap_err();
        assert!(matches!(refused, Error::TensorShape { .. }), "{refused}");
    }
}
