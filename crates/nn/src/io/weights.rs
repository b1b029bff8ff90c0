//! Weights in safetensors files, under GPT-2's names.

use crate::{Error, Result};
use latimer_autograd::{Declarations, Param, ParamInfo, Params, Slab};
use latimer_tensor::Device;
use latimer_tensor::dtype::bytes_of;
use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors, View};
use std::borrow::Cow;
use std::cell::Cell;
use std::collections::{HashMap, HashSet};
use std::path::Path;

/// Writes the values of all parameters, in their logical shapes, `F32`.
///
/// # Errors
/// [`Error::Io`], or the device's failure.
pub fn write_weights(params: &Params, path: &Path) -> Result<()> {
    write_slabs(params, &[(Slab::Values, "")], path)
}

/// Writes parts of several slabs, each parameter's under a prefix of the slab's and its own name.
///
/// # Errors
/// [`Error::Io`], or the device's failure.
pub fn write_slabs(params: &Params, slabs: &[(Slab, &str)], path: &Path) -> Result<()> {
    let failed = Cell::new(None);
    let mut entries = Vec::new();
    for &(slab, prefix) in slabs {
        for (param, info) in params.iter() {
            let entry = Stored {
                params,
                slab,
                param,
                shape: info.shape().dims().to_vec(),
                failed: &failed,
            };
            entries.push((format!("{prefix}{}", info.name()), entry));
        }
    }
    write_entries(entries, path)?;
    match failed.take() {
        None => Ok(()),
        Some(error) => {
            // What stands there has zeros for what the device did not give.
            let _ = std::fs::remove_file(path);
            Err(error.into())
        }
    }
}

/// Writes one tensor of `F32`, `[rows, columns]`, under a name.
///
/// # Errors
/// [`Error::Io`]; also when there are not `rows * columns` values.
pub fn write_tensor(name: &str, values: Vec<f32>, shape: [usize; 2], path: &Path) -> Result<()> {
    let shape = shape.to_vec();
    write_entries(vec![(name.to_owned(), Entry { values, shape })], path)
}

fn write_entries(entries: Vec<(String, impl View)>, path: &Path) -> Result<()> {
    let metadata = HashMap::from([("format".to_owned(), "pt".to_owned())]);
    // `serialize_to_file` writes beside the place and renames, so there is a whole file or none;
    // but it is its owner's alone, which nobody expects of a model.
    let written = usual_permissions(path).and_then(|usual| {
        safetensors::serialize_to_file(entries, Some(metadata), path).map_err(
            |error| match error {
                safetensors::SafeTensorError::IoError(source) => source,
                other => std::io::Error::other(other.to_string()),
            },
        )?;
        std::fs::set_permissions(path, usual)
    });
    written.map_err(|source| Error::Io {
        action: "write",
        path: path.to_owned(),
        source,
    })
}

/// A parameter's part of a slab, copied from the device when its turn to be written comes: a
/// checkpoint takes the memory of the largest, not of all.
struct Stored<'a> {
    params: &'a Params,
    slab: Slab,
    param: Param,
    shape: Vec<usize>,
    /// The first failure of the device.
    failed: &'a Cell<Option<latimer_autograd::Error>>,
}

impl View for Stored<'_> {
    fn dtype(&self) -> Dtype {
        Dtype::F32
    }

    fn shape(&self) -> &[usize] {
        &self.shape
    }

    fn data(&self) -> Cow<'_, [u8]> {
        let mut bytes = vec![0; self.data_len()];
        if let Err(error) = self.params.copy_to(self.slab, self.param, &mut bytes) {
            let first = self.failed.take().unwrap_or(error);
            self.failed.set(Some(first));
        }
        Cow::Owned(bytes)
    }

    fn data_len(&self) -> usize {
        self.shape.iter().product::<usize>() * size_of::<f32>()
    }
}

/// The permissions that any new file gets in the folder of `path`.
fn usual_permissions(path: &Path) -> std::io::Result<std::fs::Permissions> {
    let probe = path.with_file_name(format!(".{}.tmp", std::process::id()));
    let permissions = std::fs::File::create(&probe)?.metadata()?.permissions();
    std::fs::remove_file(&probe)?;
    Ok(permissions)
}

struct Entry {
    values: Vec<f32>,
    shape: Vec<usize>,
}

impl View for Entry {
    fn dtype(&self) -> Dtype {
        Dtype::F32
    }

    fn shape(&self) -> &[usize] {
        &self.shape
    }

    fn data(&self) -> Cow<'_, [u8]> {
        Cow::Borrowed(bytes_of(&self.values))
    }

    fn data_len(&self) -> usize {
        size_of_val(&*self.values)
    }
}

/// Reads the values of all parameters: names with or without the prefix `transformer.`, `F32`,
/// `F16` or `BF16`. Every parameter must be there, in its logical shape, and nothing unknown but
/// the causal masks that Hugging Face's files carry and a tied head's copy.
///
/// # Errors
/// [`Error::Io`], [`Error::Malformed`], [`Error::MissingTensor`], [`Error::UnknownTensor`],
/// [`Error::TensorShape`].
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
    let bytes = read_bytes(path)?;
    let file = WeightsFile::new(&bytes, path)?;
    for info in declarations.params() {
        file.tensor("", info)?;
    }
    let mut params = Params::zeroed(device, declarations)?;
    file.read_into(&mut params, &[(Slab::Values, "")])?;
    Ok(params)
}

/// Reads what [`write_slabs`] wrote.
///
/// # Errors
/// As [`read_weights`].
pub fn read_slabs(params: &mut Params, slabs: &[(Slab, &str)], path: &Path) -> Result<()> {
    let bytes = read_bytes(path)?;
    WeightsFile::new(&bytes, path)?.read_into(params, slabs)
}

fn read_bytes(path: &Path) -> Result<Vec<u8>> {
    std::fs::read(path).map_err(|source| Error::Io {
        action: "read",
        path: path.to_owned(),
        source,
    })
}

/// A file whose header is read.
struct WeightsFile<'b> {
    tensors: SafeTensors<'b>,
    path: &'b Path,
}

impl<'b> WeightsFile<'b> {
    fn new(bytes: &'b [u8], path: &'b Path) -> Result<Self> {
        let tensors =
            SafeTensors::deserialize(bytes).map_err(|error| malformed(path, error.to_string()))?;
        Ok(Self { tensors, path })
    }

    /// The tensor of a parameter, in its shape and of a type that is read, under its name here.
    fn tensor(&self, prefix: &str, info: &ParamInfo) -> Result<(String, TensorView<'_>)> {
        let full = format!("{prefix}{}", info.name());
        let short = full.replacen("transformer.", "", 1);
        let found = [&full, &short]
            .into_iter()
            .find_map(|name| Some((name.clone(), self.tensors.tensor(name).ok()?)));
        let path = || self.path.to_owned();
        let Some((name, tensor)) = found else {
            return Err(Error::MissingTensor {
                path: path(),
                name: full,
            });
        };
        let expected = info.shape().dims().to_vec();
        if tensor.shape() != expected {
            let got = tensor.shape().to_vec();
            return Err(Error::TensorShape {
                path: path(),
                name,
                expected,
                got,
            });
        }
        match tensor.dtype() {
            Dtype::F32 | Dtype::F16 | Dtype::BF16 => Ok((name, tensor)),
            other => {
                let reason = format!("{name} is {other:?}, not F32, F16 or BF16");
                Err(malformed(self.path, reason))
            }
        }
    }

    /// Overwrites slabs, but only when the file as a whole is what they need.
    fn read_into(&self, params: &mut Params, slabs: &[(Slab, &str)]) -> Result<()> {
        let mut found: Vec<(Slab, Param, Vec<f32>)> = Vec::new();
        let mut known = HashSet::new();
        for &(slab, prefix) in slabs {
            for (param, info) in params.iter() {
                let (name, tensor) = self.tensor(prefix, info)?;
                known.insert(name);
                found.push((slab, param, to_f32(tensor.dtype(), tensor.data())));
            }
        }
        let expected_extra = |name: &str| {
            name.ends_with(".attn.bias")
                || name.ends_with(".attn.masked_bias")
                || name == "lm_head.weight"
        };
        if let Some(name) = self
            .tensors
            .names()
            .into_iter()
            .find(|&n| !known.contains(n) && !expected_extra(n))
        {
            return Err(Error::UnknownTensor {
                path: self.path.to_owned(),
                name: name.to_owned(),
            });
        }
        for (slab, param, values) in found {
            params.set(slab, param, &values)?;
        }
        Ok(())
    }
}

fn malformed(path: &Path, reason: String) -> Error {
    Error::Malformed {
        path: path.to_owned(),
        what: "safetensors file",
        reason,
    }
}

/// Elements of any type that [`WeightsFile::tensor`] lets through.
fn to_f32(dtype: Dtype, bytes: &[u8]) -> Vec<f32> {
    let pairs = || bytes.as_chunks::<2>().0.iter();
    match dtype {
        Dtype::BF16 => pairs()
            .map(|&b| f32::from_bits(u32::from(u16::from_le_bytes(b)) << 16))
            .collect(),
        Dtype::F16 => pairs()
            .map(|&b| half::f16::from_le_bytes(b).to_f32())
            .collect(),
        _ => bytes
            .as_chunks::<4>()
            .0
            .iter()
            .map(|&b| f32::from_le_bytes(b))
            .collect(),
    }
}

#[cfg(test)]
mod tests {
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
        let (_, declarations) = Gpt::new(&GptConfig::gpt2(3, 4, 1, 1, 2)).unwrap();
        let refused = load_weights(&Device::reference(), declarations, &path).unwrap_err();
        assert!(
            matches!(&refused, Error::MissingTensor { name, .. } if name.contains(".wpe.")),
            "{refused}"
        );
        let config = GptConfig::gpt2(1 << 16, 4, 96, 1, 1 << 13);
        let (_, declarations) = Gpt::new(&config).unwrap();
        let refused = load_weights(&Device::reference(), declarations, &path).unwrap_err();
        assert!(matches!(refused, Error::TensorShape { .. }), "{refused}");
    }
}
