//! Which files of a folder hold a model's weights.

use super::json;
use crate::{Error, Result};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// All weights in one file.
pub(super) const WEIGHTS: &str = "model.safetensors";
/// The list of several files' tensors.
const INDEX: &str = "model.safetensors.index.json";
/// What messages call that list.
const INDEX_IS: &str = "index of weights";

/// The bytes of the files that hold a model's weights.
#[derive(Debug)]
pub(super) struct WeightsBytes {
    /// The file that names all tensors: the only one, or the index.
    pub(super) path: PathBuf,
    pub(super) files: Vec<(PathBuf, Vec<u8>)>,
    /// The file of each tensor, as the index has it.
    pub(super) index: Option<BTreeMap<String, usize>>,
    /// What a person should know, a sentence each.
    pub(super) notes: Vec<String>,
}

impl WeightsBytes {
    /// One file.
    pub(super) fn of_file(path: &Path) -> Result<Self> {
        Ok(Self {
            path: path.to_owned(),
            files: vec![(path.to_owned(), read(path)?)],
            index: None,
            notes: Vec::new(),
        })
    }

    /// The weights of a folder. With both [`WEIGHTS`] and an [`INDEX`], the file is read, as
    /// transformers does, and a note says so.
    pub(super) fn of_folder(folder: &Path) -> Result<Self> {
        let (weights, index) = (folder.join(WEIGHTS), folder.join(INDEX));
        if is_there(&weights) {
            let mut bytes = Self::of_file(&weights)?;
            if is_there(&index) {
                let (index, weights) = (index.display(), weights.display());
                bytes
                    .notes
                    .push(format!("{index} is not read, because {weights} exists"));
            }
            return Ok(bytes);
        }
        match is_there(&index) {
            true => Self::of_index(folder, &index),
            false => Err(Error::NoWeights {
                path: folder.to_owned(),
                found: others(folder),
            }),
        }
    }

    fn of_index(folder: &Path, path: &Path) -> Result<Self> {
        let malformed = |reason: String| Error::Malformed {
            path: path.to_owned(),
            what: INDEX_IS,
            reason,
        };
        let object = json::read_object(path, INDEX_IS)?;
        // `metadata` is a remark on the whole: sizes in bytes, which the files themselves tell.
        if let Some(key) = object
            .keys()
            .find(|key| !["metadata", "weight_map"].contains(&key.as_str()))
        {
            return Err(malformed(format!(
                "it has a key {key}, but only metadata and weight_map are known"
            )));
        }
        let map = object.get("weight_map").and_then(|map| map.as_object());
        let map = map.ok_or_else(|| malformed("it has no weight_map, an object".to_owned()))?;
        if map.is_empty() {
            return Err(malformed("its weight_map lists no tensor".to_owned()));
        }
        let (mut names, mut places) = (Vec::<&str>::new(), BTreeMap::new());
        for (tensor, file) in map {
            let name = file.as_str().filter(|name| is_bare(name)).ok_or_else(|| {
                malformed(format!(
                    "it puts {tensor} into {file}, but must name a .safetensors file of its own \
                         folder, without a path"
                ))
            })?;
            let place = names.iter().position(|&other| other == name);
            let place = place.unwrap_or_else(|| {
                names.push(name);
                names.len() - 1
            });
            places.insert(tensor.clone(), place);
        }
        if let Some(missing) = names.iter().find(|name| !is_there(&folder.join(name))) {
            return Err(Error::MissingShard {
                path: path.to_owned(),
                name: (*missing).to_owned(),
            });
        }
        let files = names.iter().map(|name| {
            let path = folder.join(name);
            let bytes = read(&path)?;
            Ok((path, bytes))
        });
        Ok(Self {
            path: path.to_owned(),
            files: files.collect::<Result<_>>()?,
            index: Some(places),
            notes: Vec::new(),
        })
    }
}

/// Whether a name is that of a file in a folder and cannot be one outside it, on any system.
fn is_bare(name: &str) -> bool {
    name.ends_with(".safetensors")
        && !name.contains(['/', '\\', ':', '\0'])
        && !name.starts_with('.')
}

/// Whether a folder lists a name. A link to nowhere is there too, and cannot be read.
fn is_there(path: &Path) -> bool {
    path.symlink_metadata().is_ok()
}

fn read(path: &Path) -> Result<Vec<u8>> {
    std::fs::read(path).map_err(|source| Error::Io {
        action: "read",
        path: path.to_owned(),
        source,
    })
}

/// What a folder without weights that are read holds instead, and what to do about it.
fn others(folder: &Path) -> String {
    const PYTORCH: &str = "import glob, torch; from safetensors.torch import save_file; \
        w = {k: v.contiguous().clone() for f in glob.glob('pytorch_model*.bin') \
        for k, v in torch.load(f, map_location='cpu', weights_only=True).items()}; \
        save_file(w, 'model.safetensors', {'format': 'pt'})";
    const OTHERS: [&str; 10] = [
        ".bin", ".pt", ".pth", ".ckpt", ".h5", ".msgpack", ".gguf", ".npz", ".onnx", ".ot",
    ];
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let mut names: Vec<String> = entries
        .filter_map(|entry| entry.file_name().into_string().ok())
        .collect();
    names.sort();
    let of = |fits: &dyn Fn(&str) -> bool| -> Vec<&str> {
        names
            .iter()
            .map(String::as_str)
            .filter(|&n| fits(n))
            .collect()
    };
    let pytorch = of(&|n| n.starts_with("pytorch_model") && n.ends_with(".bin"));
    if !pytorch.is_empty() {
        return format!(
            "it holds {}, PyTorch's pickled weights, which are not read: convert them with this \
             command, run in that folder: python -c \"{PYTORCH}\"",
            pytorch.join(", ")
        );
    }
    let safetensors = of(&|n| n.ends_with(".safetensors"));
    match safetensors[..] {
        [] => (),
        [one] => return format!("if {one} holds its weights, call that file {WEIGHTS}"),
        _ => {
            return format!(
                "it holds {}, but not the {INDEX} that lists their tensors",
                safetensors.join(", ")
            );
        }
    }
    let others = of(&|n| OTHERS.iter().any(|end| n.ends_with(end)));
    match others[..] {
        [] => format!("it has neither {WEIGHTS} nor {INDEX}"),
        _ => format!(
            "it holds {}, which cannot be read: save the model with safetensors, as {WEIGHTS}",
            others.join(", ")
        ),
    }
}

/// What a file is, if it is not a safetensors file; `None` if its header is complete JSON.
pub(super) fn instead(bytes: &[u8]) -> Option<String> {
    let begins = |magic: &[u8]| bytes.starts_with(magic);
    let said = if bytes.is_empty() {
        "it is empty"
    } else if begins(b"version https://git-lfs") {
        "it is a pointer of Git LFS: fetch the file itself by `git lfs pull`"
    } else if begins(b"PK\x03\x04") || begins(b"\x80\x02") {
        "it is a file of PyTorch (a pickle): save it again with safetensors.torch.save_file"
    } else if begins(b"GGUF") {
        "it is a GGUF file"
    } else if begins(b"\x89HDF") {
        "it is an HDF5 file, as Keras writes them"
    } else if begins(b"<") && bytes.get(8) != Some(&b'{') {
        "it is a web page, not the file that should have been downloaded"
    } else if let Some((length, rest)) = bytes.split_first_chunk::<8>() {
        let length = u64::from_le_bytes(*length);
        if rest.first().is_some_and(|&first| first != b'{') {
            "it does not begin with a header's length and a header"
        } else if length > rest.len() as u64 {
            return Some(format!(
                "it ends after {} bytes, within its header of {length}: was it cut short?",
                bytes.len()
            ));
        } else {
            return None;
        }
    } else {
        "it is too short for any header: was it cut short?"
    };
    Some(said.to_owned())
}
