//! Writes weights to safetensors files, under GPT-2's names.

use crate::{Error, Result};
use latimer_autograd::{Param, Params, Slab};
use latimer_tensor::dtype::bytes_of;
use safetensors::{Dtype, View};
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
    // but it creates the file with mode 0600: restore the usual permissions.
    let written = latimer_files::usual_permissions(path).and_then(|usual| {
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
