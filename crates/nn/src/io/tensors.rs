//! The tensors of one or several safetensors files, by name.

use super::files::{WeightsBytes, instead};
use super::json;
use crate::{Error, Result};
use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors};
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::Path;

/// What messages call such a file.
const WHAT: &str = "safetensors file";

/// Tensors whose headers have been read.
#[derive(Debug)]
pub(super) struct Tensors<'b> {
    /// The file that names all of them.
    pub(super) path: &'b Path,
    files: Vec<(&'b Path, SafeTensors<'b>)>,
    /// The file of each.
    places: BTreeMap<String, usize>,
}

impl<'b> Tensors<'b> {
    /// Reads the headers. What an index says must be what its files hold.
    pub(super) fn of(bytes: &'b WeightsBytes) -> Result<Self> {
        let mut files: Vec<(&Path, SafeTensors<'_>)> = Vec::new();
        for (path, bytes) in &bytes.files {
            files.push((path, parse(path, bytes)?));
        }
        let mut places = BTreeMap::new();
        for (place, (path, file)) in files.iter().enumerate() {
            for name in file.names() {
                if let Some(first) = places.insert(name.to_owned(), place) {
                    let first = files[first].0.display();
                    let reason = format!("{first} holds it too");
                    return Err(refuse(path, name, &reason));
                }
            }
        }
        if let Some(index) = &bytes.index {
            for (name, &place) in index {
                if places.get(name) != Some(&place) {
                    let shard = files[place].0;
                    let reason = match places.get(name) {
                        Some(&other) => format!(
                            "it should be in {}, but is in {}",
                            shard.display(),
                            files[other].0.display()
                        ),
                        None => format!("{}, which should hold it, does not", shard.display()),
                    };
                    return Err(refuse(&bytes.path, name, &reason));
                }
            }
            if let Some((name, &place)) = places.iter().find(|(name, _)| !index.contains_key(*name))
            {
                let index = bytes.path.display();
                let reason = format!("{index} does not list it");
                return Err(refuse(files[place].0, name, &reason));
            }
        }
        Ok(Self {
            path: &bytes.path,
            files,
            places,
        })
    }

    /// A tensor and its file.
    pub(super) fn get(&self, name: &str) -> Option<(&'b Path, TensorView<'b>)> {
        let (path, file) = &self.files[*self.places.get(name)?];
        Some((path, file.tensor(name).ok()?))
    }

    /// All names, in order.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.places.keys().map(String::as_str)
    }

    /// The error of a tensor that is not there, by what is there instead. `short` is its name
    /// without what some files leave out.
    pub(super) fn missing(&self, name: &str, short: &str) -> Error {
        let path = self.path.to_owned();
        let ends =
            |other: &&str| other.len() > name.len().min(short.len()) && other.ends_with(short);
        if let Some(example) = self.names().find(ends) {
            let end = if example.ends_with(name) { name } else { short };
            let prefix = &example[..example.len() - end.len()];
            let begins = self.names().filter(|other| other.starts_with(prefix));
            return Error::WrappedNames {
                path,
                prefix: prefix.to_owned(),
                having: begins.count(),
                of: self.places.len(),
                example: example.to_owned(),
            };
        }
        let found = match self.names().next() {
            None => "it holds no tensor".to_owned(),
            Some(first) if self.places.len() == 1 => format!("it holds {first} alone"),
            Some(first) => format!("it holds {} others, {first} for one", self.places.len()),
        };
        Error::MissingTensor {
            path,
            name: name.to_owned(),
            found,
        }
    }
}

fn malformed(path: &Path, reason: String) -> Error {
    Error::Malformed {
        path: path.to_owned(),
        what: WHAT,
        reason,
    }
}

/// The refusal of a tensor.
pub(super) fn refuse(path: &Path, name: &str, reason: &str) -> Error {
    Error::BadTensor {
        path: path.to_owned(),
        name: name.to_owned(),
        reason: reason.to_owned(),
    }
}

fn parse<'b>(path: &Path, bytes: &'b [u8]) -> Result<SafeTensors<'b>> {
    if let Some(reason) = instead(bytes) {
        return Err(malformed(path, reason));
    }
    let (length, rest) = bytes.split_first_chunk::<8>().unwrap_or((&[0; 8], &[]));
    let length = u64::from_le_bytes(*length) as usize; // at most what there is, `instead` has seen to it
    let header = json::object(&rest[..length], path, WHAT)?;
    let mut end = 0;
    for (name, tensor) in &header {
        if name == "__metadata__" {
            check_metadata(path, tensor)?;
            continue;
        }
        if serde_json::from_value::<Dtype>(tensor["dtype"].clone()).is_err() {
            let reason = format!("its type {} is unknown", tensor["dtype"]);
            return Err(refuse(path, name, &reason));
        }
        end = end.max(tensor["data_offsets"][1].as_u64().unwrap_or(0));
    }
    let held = (rest.len() - length) as u64;
    if held != end {
        return Err(malformed(
            path,
            match held < end {
                true => {
                    format!("its tensors need {end} bytes, but it has {held}: was it cut short?")
                }
                false => format!("its tensors need {end} bytes, but it has {held}"),
            },
        ));
    }
    SafeTensors::deserialize(bytes)
        .map_err(|error| malformed(path, format!("its header is invalid: {error}")))
}

/// `format` says whose layout the tensors have; other keys are remarks.
fn check_metadata(path: &Path, metadata: &Value) -> Result<()> {
    match metadata.get("format").map(|format| format.as_str()) {
        None | Some(Some("pt" | "np")) => Ok(()),
        Some(_) => Err(malformed(
            path,
            format!(
                "its tensors are laid out for {}, not for PyTorch (\"pt\")",
                metadata["format"]
            ),
        )),
    }
}

/// Whether a type is read.
pub(super) fn is_read(dtype: Dtype) -> bool {
    matches!(dtype, Dtype::F32 | Dtype::F16 | Dtype::BF16)
}

/// Elements of any type that [`is_read`].
pub(super) fn to_f32(tensor: &TensorView<'_>) -> Vec<f32> {
    let bytes = tensor.data();
    let pairs = || bytes.as_chunks::<2>().0.iter();
    match tensor.dtype() {
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

/// The place of the first element that is NaN or infinite, of any type that [`is_read`].
pub(super) fn first_not_finite(tensor: &TensorView<'_>) -> Option<usize> {
    fn narrow(bytes: &[u8], exponent: u16) -> Option<usize> {
        let bad = |&b: &[u8; 2]| u16::from_le_bytes(b) & exponent == exponent;
        let elements = bytes.as_chunks::<2>().0;
        // A fold looks at all, many at a time; nearly always there is nothing to find.
        let any = elements.iter().fold(false, |any, b| any | bad(b));
        any.then(|| elements.iter().position(bad))?
    }
    match tensor.dtype() {
        Dtype::BF16 => narrow(tensor.data(), 0x7F80),
        Dtype::F16 => narrow(tensor.data(), 0x7C00),
        _ => {
            const EXPONENT: u32 = 0x7F80_0000;
            let bad = |&b: &[u8; 4]| u32::from_le_bytes(b) & EXPONENT == EXPONENT;
            let elements = tensor.data().as_chunks::<4>().0;
            let any = elements.iter().fold(false, |any, b| any | bad(b));
            any.then(|| elements.iter().position(bad))?
        }
    }
}
