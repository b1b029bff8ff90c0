//! Weights in safetensors files, under GPT-2's names.

use crate::{Error, Result};
use latimer_autograd::{Param, Params, Slab};
use latimer_tensor::dtype::bytes_of;
use safetensors::{Dtype, SafeTensors, View};
use std::borrow::Cow;
use std::cell::Cell;
use std::collections::HashMap;
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

/// Reads what [`write_slabs`] wrote.
///
/// # Errors
/// As [`read_weights`].
pub fn read_slabs(params: &mut Params, slabs: &[(Slab, &str)], path: &Path) -> Result<()> {
    let io = |source| Error::Io {
        action: "read",
        path: path.to_owned(),
        source,
    };
    let bytes = std::fs::read(path).map_err(io)?;
    let malformed = |reason: String| Error::Malformed {
        path: path.to_owned(),
        what: "safetensors file",
        reason,
    };
    let file = SafeTensors::deserialize(&bytes).map_err(|error| malformed(error.to_string()))?;
    // Checked as a whole before anything is overwritten.
    let mut found: Vec<(Slab, Param, Vec<f32>)> = Vec::new();
    let mut known = Vec::new();
    for &(slab, prefix) in slabs {
        for (param, info) in params.iter() {
            let full = format!("{prefix}{}", info.name());
            let short = full.replacen("transformer.", "", 1);
            let Some(name) = [full.clone(), short]
                .into_iter()
                .find(|n| file.tensor(n).is_ok())
            else {
                return Err(Error::MissingTensor {
                    path: path.to_owned(),
                    name: full,
                });
            };
            let tensor = file
                .tensor(&name)
                .map_err(|error| malformed(error.to_string()))?;
            let expected = info.shape().dims().to_vec();
            if tensor.shape() != expected {
                let got = tensor.shape().to_vec();
                return Err(Error::TensorShape {
                    path: path.to_owned(),
                    name,
                    expected,
                    got,
                });
            }
            let values = to_f32(tensor.dtype(), tensor.data()).ok_or_else(|| {
                malformed(format!(
                    "{name} is {:?}, not F32, F16 or BF16",
                    tensor.dtype()
                ))
            })?;
            known.push(name);
            found.push((slab, param, values));
        }
    }
    let expected_extra = |name: &str| {
        name.ends_with(".attn.bias")
            || name.ends_with(".attn.masked_bias")
            || name == "lm_head.weight"
    };
    if let Some(name) = file
        .names()
        .into_iter()
        .find(|n| !known.iter().any(|k| k == n) && !expected_extra(n))
    {
        return Err(Error::UnknownTensor {
            path: path.to_owned(),
            name: name.to_owned(),
        });
    }
    for (slab, param, values) in found {
        params.set(slab, param, &values)?;
    }
    Ok(())
}

fn to_f32(dtype: Dtype, bytes: &[u8]) -> Option<Vec<f32>> {
    let pairs = || bytes.as_chunks::<2>().0.iter();
    Some(match dtype {
        Dtype::F32 => bytes
            .as_chunks::<4>()
            .0
            .iter()
            .map(|&b| f32::from_le_bytes(b))
            .collect(),
        Dtype::BF16 => pairs()
            .map(|&b| f32::from_bits(u32::from(u16::from_le_bytes(b)) << 16))
            .collect(),
        Dtype::F16 => pairs()
            .map(|&b| half::f16::from_le_bytes(b).to_f32())
            .collect(),
        _ => return None,
    })
}
