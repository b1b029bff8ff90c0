//! Model folders made by hand: what is read, and what each refusal says.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

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

#[test]
fn sharded_weights_are_those_of_one_file() {
    assert_eq!(Folder::sharded().logits(), Folder::of(&weights()).logits());
}

#[test]
fn an_index_names_files_of_its_own_folder() {
    for name in [
        "../a.safetensors",
        "/tmp/a.safetensors",
        "sub/a.safetensors",
        "sub\\a.safetensors",
        "C:a.safetensors",
        "..",
        "",
        ".safetensors",
        "a.bin",
        "a\0.safetensors",
    ] {
        let folder = Folder::sharded();
        folder.index(|index| index["weight_map"][WTE] = name.into());
        let said = folder.said();
        assert!(
            said.starts_with("model.safetensors.index.json is no index of weights: it puts")
                && said.contains("of its own folder"),
            "{name}: {said}"
        );
    }
    let folder = Folder::sharded();
    folder.index(|index| index["weight_map"][WTE] = json!(["a.safetensors"]));
    assert!(folder.said().contains("of its own folder"));
}

#[test]
fn an_index_and_its_files_agree() {
    let folder = Folder::sharded();
    fs::remove_file(folder.path("b.safetensors")).unwrap();
    let said = "model.safetensors.index.json names b.safetensors, which is not in its folder";
    assert_eq!(folder.said(), said);

    // In the other file, in none, in both, unlisted, listed twice.
    let folder = Folder::sharded();
    folder.index(|index| index["weight_map"][WTE] = "a.safetensors".into());
    let said = folder.said();
    assert!(
        said.contains("it should be in a.safetensors, but is in b.safetensors"),
        "{said}"
    );
    let folder = Folder::sharded();
    folder.index(|index| index["weight_map"]["more"] = "a.safetensors".into());
    let said = folder.said();
    assert!(
        said.contains("more is not read: a.safetensors, which should hold it, does not"),
        "{said}"
    );
    let folder = Folder::sharded();
    fs::copy(folder.path("a.safetensors"), folder.path("c.safetensors")).unwrap();
    folder.index(|index| index["weight_map"][WTE] = "c.safetensors".into());
    assert!(folder.said().contains("holds it too"), "{}", folder.said());
    let folder = Folder::sharded();
    folder.index(|index| {
        index["weight_map"].as_object_mut().unwrap().remove(WTE);
    });
    assert!(
        folder.said().contains("index.json does not list it"),
        "{}",
        folder.said()
    );
    let folder = Folder::sharded();
    let text = fs::read_to_string(folder.path(INDEX)).unwrap();
    folder.put(
        INDEX,
        text.replacen(
            "{\"transformer",
            "{\"transformer.wte.weight\": \"a.safetensors\", \"transformer",
            1,
        ),
    );
    assert!(
        folder
            .said()
            .contains("transformer.wte.weight stands twice"),
        "{}",
        folder.said()
    );
}

#[test]
fn an_index_that_is_none_says_so() {
    for (text, words) in [
        ("", "it is empty"),
        ("{}", "it has no weight_map"),
        (r#"{"weight_map": []}"#, "it has no weight_map"),
        (r#"{"weight_map": {}}"#, "lists no tensor"),
        (
            r#"{"weight_map": {"x": "a.safetensors"}, "shards": 2}"#,
            "a key shards",
        ),
    ] {
        let folder = Folder::sharded();
        folder.put(INDEX, text);
        assert!(folder.said().contains(words), "{}", folder.said());
    }
}

#[test]
fn of_a_file_and_an_index_the_file_is_read_and_a_note_says_so() {
    let folder = Folder::sharded();
    let mut other = weights();
    other.insert(WTE.to_owned(), Stored::f32(&[5, 2], vec![0.25; 10]));
    write(&folder.path("model.safetensors"), &other);
    let notes = folder.load().unwrap().notes;
    assert!(
        notes.len() == 1 && notes[0].contains("index.json is not read"),
        "{notes:?}"
    );
    assert_eq!(folder.logits(), Folder::of(&other).logits());
}

#[test]
fn folders_without_weights_say_what_they_hold() {
    let folder = Folder::new();
    let said = "FOLDER holds no weights: it has neither model.safetensors nor \
        model.safetensors.index.json";
    assert_eq!(folder.said(), said);
    folder.put("tf_model.h5", "x");
    assert!(
        folder
            .said()
            .contains("it holds tf_model.h5, of which none is read")
    );
    folder.put("gpt2.safetensors", "x");
    assert!(
        folder
            .said()
            .contains("if gpt2.safetensors holds its weights, call that file")
    );
    folder.put("b.safetensors", "x");
    assert!(
        folder
            .said()
            .contains("but not the model.safetensors.index.json that lists")
    );
    folder.put("pytorch_model.bin", "x");
    let said = folder.said();
    assert!(
        said.contains("it holds pytorch_model.bin, PyTorch's pickled weights")
            && said.contains("python -c \"import glob, torch;")
            && !said.contains('\n'),
        "{said}"
    );
    fs::remove_file(folder.path("config.json")).unwrap();
    let said = folder.load().unwrap_err();
    assert!(matches!(said, Error::Io { .. }), "{said}");
}

#[test]
fn files_that_are_no_safetensors_say_what_they_are() {
    let whole = Folder::of(&weights());
    let bytes = fs::read(whole.path("model.safetensors")).unwrap();
    let header = 8 + u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
    let later = [&bytes[..], b"x"].concat();
    let lfs = b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n";
    for (bytes, words) in [
        (&b""[..], "it is empty"),
        (b"\x01\x02", "too short for any header"),
        (lfs, "a pointer of Git LFS"),
        (b"PK\x03\x04 and more", "a file of PyTorch"),
        (b"\x80\x02 and more bytes", "a file of PyTorch"),
        (b"GGUF\x03\0\0\0 and more", "a GGUF file"),
        (b"<!DOCTYPE html><html></html>", "a web page"),
        (
            b"any bytes that one may find",
            "does not begin with a header's length",
        ),
        (&bytes[..header - 5], "within its header of"),
        (&bytes[..bytes.len() - 4], "was it cut short?"),
        (&later, "bytes, but it has"),
        (b"\x02\0\0\0\0\0\0\0{]", "key must be a string"),
    ] {
        let folder = Folder::new();
        folder.put("model.safetensors", bytes);
        let said = folder.said();
        let begins = "model.safetensors is no safetensors file: ";
        assert!(said.starts_with(begins) && said.contains(words), "{said}");
    }
    let with_header = |header: &str| {
        let folder = Folder::new();
        let length = (header.len() as u64).to_le_bytes();
        folder.put("model.safetensors", [&length, header.as_bytes()].concat());
        folder.said()
    };
    let said = with_header(r#"{"a":{"dtype":"Q4","shape":[0],"data_offsets":[0,0]}}"#);
    assert!(
        said.contains("a is not read: its type \"Q4\" is unknown"),
        "{said}"
    );
    let said = with_header(r#"{"__metadata__":{"format":"tf"}}"#);
    assert!(said.contains("laid out for \"tf\""), "{said}");
    let one = r#""a":{"dtype":"F32","shape":[0],"data_offsets":[0,0]}"#;
    assert!(with_header(&format!("{{{one},{one}}}")).contains("a stands twice"));
    assert!(with_header("{}").ends_with("which this model needs: it holds no tensor"));
}

#[test]
fn types_that_are_not_read_are_named() {
    for dtype in [
        Dtype::F64,
        Dtype::I8,
        Dtype::BOOL,
        Dtype::I64,
        Dtype::F8_E4M3,
    ] {
        let mut weights = weights();
        weights.insert(WTE.to_owned(), Stored::zeros(dtype, &[5, 2]));
        let said = Folder::of(&weights).said();
        let words =
            format!("model.safetensors: {WTE} is of type {dtype:?}, but weights are read from");
        assert!(said.starts_with(&words), "{said}");
    }
    for dtype in [Dtype::F16, Dtype::BF16] {
        let mut weights = weights();
        weights.insert(WTE.to_owned(), Stored::zeros(dtype, &[5, 2]));
        Folder::of(&weights).load().unwrap();
    }
}

#[test]
fn a_wrappers_prefix_is_named() {
    let renamed = |name: &dyn Fn(&str) -> String| -> Weights {
        let all = weights().into_iter();
        all.map(|(key, stored)| (name(&key), stored)).collect()
    };
    let short = |name: &str| name.replacen("transformer.", "", 1);
    for prefix in [
        "model.",
        "module.",
        "_orig_mod.",
        "_orig_mod.module.",
        "mine",
    ] {
        for short_names in [false, true] {
            let weights = renamed(&|name| match short_names {
                true => format!("{prefix}{}", short(name)),
                false => format!("{prefix}{name}"),
            });
            let said = Folder::of(&weights).said();
            let words = format!("16 of 16 tensors have names that begin with `{prefix}`");
            assert!(said.contains(&words), "{said}");
        }
    }
    // All but the head, which a wrapper of the body alone leaves as it is.
    let mut body = renamed(&|name| format!("model.{name}"));
    body.insert(HEAD.to_owned(), weights()[WTE].clone());
    let said = Folder::of(&body).said();
    assert!(said.contains("16 of 17 tensors"), "{said}");
    // Without the prefix of GPT-2's own files all is read.
    let plain = Folder::of(&renamed(&short));
    assert_eq!(plain.logits(), Folder::of(&weights()).logits());
    // A model of another kind has no prefix, but other tensors.
    let other = BTreeMap::from([("embed.weight".to_owned(), Stored::f32(&[1], vec![1.0]))]);
    let said = Folder::of(&other).said();
    assert!(
        said.ends_with("has no tensor transformer.wte.weight, which this model needs: it holds embed.weight alone"),
        "{said}"
    );
}

#[test]
fn tensors_that_are_no_parameters_are_checked() {
    let with = |name: &str, stored: Stored| {
        let mut weights = weights();
        weights.insert(name.to_owned(), stored);
        Folder::of(&weights)
    };
    let mask = |later: f32| {
        let element = |at: usize| if at % 4 <= at / 4 { 1.0 } else { later };
        Stored::f32(&[1, 1, 4, 4], (0..16).map(element).collect())
    };
    with(MASK, mask(0.0)).load().unwrap();
    with(
        "transformer.h.0.attn.masked_bias",
        Stored::f32(&[], vec![-1e4]),
    )
    .load()
    .unwrap();
    let bools = Stored {
        dtype: Dtype::BOOL,
        shape: vec![1, 1, 2, 2],
        bytes: vec![1, 0, 1, 1],
    };
    with(MASK, bools).load().unwrap();
    let all = with(MASK, mask(1.0)).said();
    assert!(
        all.ends_with("it is not the causal mask that GPT-2 has"),
        "{all}"
    );
    let flat = with(MASK, Stored::f32(&[2], vec![1.0; 2])).said();
    assert!(
        flat.ends_with("it is not the causal mask that GPT-2 has"),
        "{flat}"
    );
    let low = with(
        "transformer.h.0.attn.masked_bias",
        Stored::f32(&[], vec![-1.0]),
    )
    .said();
    assert!(low.contains("not as low as GPT-2's"), "{low}");
    for name in [
        "transformer.h.1.attn.bias", // of a layer that is not
        "score.weight",
        "transformer.h.0.crossattention.c_attn.weight",
        "lm_head.bias",
        "x.attn.bias",
    ] {
        let said = with(name, mask(0.0)).said();
        let words = format!("has a tensor {name}, which this model does not know");
        assert!(said.ends_with(&words), "{said}");
    }
    // Both names of one parameter.
    let said = with("wte.weight", Stored::f32(&[5, 2], vec![0.0; 10])).said();
    assert!(
        said.ends_with("has a tensor wte.weight, which this model does not know"),
        "{said}"
    );
}

#[test]
fn a_head_beside_a_tie_is_used_where_it_differs() {
    let head = Stored::f32(
        &[5, 2],
        vec![0.5, -0.5, 1.0, 1.0, 0.0, 2.0, 0.1, 0.2, 3.0, -3.0],
    );
    let mut weights = weights();
    let tied = Folder::of(&weights);
    // A copy of the embedding changes nothing; nor does one in another type of the same values.
    weights.insert(HEAD.to_owned(), weights[WTE].clone());
    let copied = Folder::of(&weights);
    assert_eq!(copied.logits(), tied.logits());
    assert!(copied.load().unwrap().notes.is_empty());
    weights.insert(HEAD.to_owned(), head.clone());
    let differs = Folder::of(&weights);
    let notes = differs.load().unwrap().notes;
    assert!(
        notes.len() == 1 && notes[0].contains("another lm_head.weight"),
        "{notes:?}"
    );
    let untied = Folder::of(&weights);
    let mut said_so = config();
    said_so["tie_word_embeddings"] = false.into();
    untied.put("config.json", said_so.to_string());
    assert_eq!(differs.logits(), untied.logits());
    assert!(untied.load().unwrap().notes.is_empty());
    // A head of another shape is no head of this model; nor is one without numbers.
    weights.insert(HEAD.to_owned(), Stored::f32(&[4, 2], vec![0.0; 8]));
    let said = Folder::of(&weights).said();
    assert!(
        said.contains("lm_head.weight has shape [4, 2], but this model needs [5, 2]"),
        "{said}"
    );
    // The embedding under the head's name alone.
    let embedding = weights.remove(WTE).unwrap();
    weights.insert(HEAD.to_owned(), embedding);
    assert_eq!(Folder::of(&weights).logits(), tied.logits());
    // Without a tie, the head may not be missing.
    let mut without = self::weights();
    without.remove(HEAD);
    let folder = Folder::of(&without);
    folder.put("config.json", said_so.to_string());
    assert!(
        folder.said().contains("has no tensor lm_head.weight"),
        "{}",
        folder.said()
    );
}

/// A file of ours that ties and has another head contradicts itself.
#[test]
fn our_own_files_do_not_untie() {
    let mut weights = weights();
    weights.insert(HEAD.to_owned(), Stored::f32(&[5, 2], vec![0.5; 10]));
    let folder = Folder::of(&weights);
    let ours = latimer_nn::GptConfig::gpt2(5, 4, 1, 1, 2);
    folder.put("config.json", latimer_nn::io::config_to_json(&ours));
    let said = folder.said();
    assert!(
        said.contains("lm_head.weight is not read: it differs from the token embedding"),
        "{said}"
    );
}

#[test]
fn a_weight_that_is_not_finite_is_named() {
    for (name, shape) in SHAPES {
        for (dtype, bytes) in [
            (Dtype::F32, f32::NAN.to_le_bytes().to_vec()),
            (Dtype::F32, f32::INFINITY.to_le_bytes().to_vec()),
            (Dtype::F16, 0xFC00u16.to_le_bytes().to_vec()),
            (Dtype::BF16, 0x7FC0u16.to_le_bytes().to_vec()),
        ] {
            let mut weights = weights();
            let mut stored = Stored::zeros(dtype, shape);
            let end = stored.bytes.len() - bytes.len();
            let at = end / bytes.len();
            stored.bytes[end..].copy_from_slice(&bytes);
            weights.insert(name.to_owned(), stored);
            let said = Folder::of(&weights).said();
            let words = format!("model.safetensors: element {at} of {name} is ");
            assert!(said.starts_with(&words), "{said}");
        }
    }
    let mut weights = weights();
    let mut head = weights[WTE].clone();
    head.bytes[..4].copy_from_slice(&f32::NAN.to_le_bytes());
    weights.insert(HEAD.to_owned(), head);
    let said = Folder::of(&weights).said();
    assert!(
        said.contains("element 0 of lm_head.weight is NaN"),
        "{said}"
    );
}
