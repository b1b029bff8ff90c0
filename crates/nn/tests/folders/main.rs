//! Model folders made by hand: what is read, and what each refusal says.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod files;
mod shards;
mod tensors;

use latimer_nn::io::{ModelOnDisk, load_model};
use latimer_nn::{Error, Generator};
use latimer_tensor::Device;
use safetensors::Dtype;
use safetensors::tensor::TensorView;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// Shapes of a GPT-2 of one layer: V = 5, T = 4, C = 2, F = 8.
const SHAPES: [(&str, &[usize]); 16] = [
    ("transformer.wte.weight", &[5, 2]),
    ("transformer.wpe.weight", &[4, 2]),
    ("transformer.h.0.ln_1.weight", &[2]),
    ("transformer.h.0.ln_1.bias", &[2]),
    ("transformer.h.0.attn.c_attn.weight", &[2, 6]),
    ("transformer.h.0.attn.c_attn.bias", &[6]),
    ("transformer.h.0.attn.c_proj.weight", &[2, 2]),
    ("transformer.h.0.attn.c_proj.bias", &[2]),
    ("transformer.h.0.ln_2.weight", &[2]),
    ("transformer.h.0.ln_2.bias", &[2]),
    ("transformer.h.0.mlp.c_fc.weight", &[2, 8]),
    ("transformer.h.0.mlp.c_fc.bias", &[8]),
    ("transformer.h.0.mlp.c_proj.weight", &[8, 2]),
    ("transformer.h.0.mlp.c_proj.bias", &[2]),
    ("transformer.ln_f.weight", &[2]),
    ("transformer.ln_f.bias", &[2]),
];
const WTE: &str = SHAPES[0].0;
const MASK: &str = "transformer.h.0.attn.bias";
const HEAD: &str = "lm_head.weight";
const INDEX: &str = "model.safetensors.index.json";

/// A tensor to be written.
#[derive(Clone)]
struct Stored {
    dtype: Dtype,
    shape: Vec<usize>,
    bytes: Vec<u8>,
}

impl Stored {
    fn f32(shape: &[usize], values: Vec<f32>) -> Self {
        let bytes = values.into_iter().flat_map(f32::to_le_bytes).collect();
        let (dtype, shape) = (Dtype::F32, shape.to_vec());
        Self {
            dtype,
            shape,
            bytes,
        }
    }

    /// The same zeros in another type.
    fn zeros(dtype: Dtype, shape: &[usize]) -> Self {
        let bytes = vec![0; shape.iter().product::<usize>() * dtype.bitsize() / 8];
        let shape = shape.to_vec();
        Self {
            dtype,
            shape,
            bytes,
        }
    }
}

type Weights = BTreeMap<String, Stored>;

/// Weights that differ from each other.
fn weights() -> Weights {
    let mut next = 0.0;
    let mut values = |n: usize| -> Vec<f32> {
        let some = (0..n).map(|_| {
            next += 0.37;
            f32::sin(next)
        });
        some.collect()
    };
    let all = SHAPES.iter().map(|(name, shape)| {
        let values = values(shape.iter().product());
        ((*name).to_owned(), Stored::f32(shape, values))
    });
    all.collect()
}

fn write(path: &Path, weights: &Weights) {
    let views = weights.iter().map(|(name, stored)| {
        let view = TensorView::new(stored.dtype, stored.shape.clone(), &stored.bytes);
        (name, view.unwrap())
    });
    fs::write(path, safetensors::serialize(views, None).unwrap()).unwrap();
}

fn config() -> Value {
    json!({"model_type": "gpt2", "vocab_size": 5, "n_positions": 4, "n_embd": 2, "n_layer": 1,
        "n_head": 1})
}

struct Folder(TempDir);

impl Folder {
    /// With a configuration alone.
    fn new() -> Self {
        let folder = Self(tempfile::tempdir().unwrap());
        folder.put("config.json", config().to_string());
        folder
    }

    /// With these weights too.
    fn of(weights: &Weights) -> Self {
        let folder = Self::new();
        write(&folder.path("model.safetensors"), weights);
        folder
    }

    /// With weights in two files and an index.
    fn sharded() -> Self {
        let (mut first, mut second) = (weights(), Weights::new());
        while second.len() < first.len() {
            let (name, stored) = first.pop_last().unwrap();
            second.insert(name, stored);
        }
        let folder = Self::new();
        let mut map = json!({});
        for (file, part) in [("a.safetensors", &first), ("b.safetensors", &second)] {
            write(&folder.path(file), part);
            for name in part.keys() {
                map[name] = file.into();
            }
        }
        let index = json!({"metadata": {"total_size": 1}, "weight_map": map});
        folder.put(INDEX, index.to_string());
        folder
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn put(&self, name: &str, bytes: impl AsRef<[u8]>) {
        fs::write(self.path(name), bytes).unwrap();
    }

    /// Changes the index.
    fn index(&self, change: impl FnOnce(&mut Value)) {
        let mut index: Value =
            serde_json::from_slice(&fs::read(self.path(INDEX)).unwrap()).unwrap();
        change(&mut index);
        self.put(INDEX, index.to_string());
    }

    fn load(&self) -> Result<ModelOnDisk, Error> {
        load_model(&Device::reference(), self.0.path())
    }

    fn logits(&self) -> Vec<f32> {
        let model = self.load().unwrap();
        let mut generator = Generator::new(&model.gpt, &model.params, &[1, 3]).unwrap();
        generator.logits().unwrap().to_vec()
    }

    /// What the refusal says; folders are left out of it.
    fn said(&self) -> String {
        let said = self.load().unwrap_err().to_string();
        said.replace(&format!("{}/", self.0.path().display()), "")
            .replace(&self.0.path().display().to_string(), "FOLDER")
    }
}
