//! Hugging Face GPT-2 folders, as transformers writes them and as older versions did: every key
//! that changes numbers is used. Each must give the numbers of transformers itself
//! (`golden/make_hf.py`).

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use latimer_autograd::{AdamW, Optimizer, Params, Pass, Slab};
use latimer_backend_cpu::Cpu;
use latimer_nn::io::{ModelOnDisk, load_model};
use latimer_nn::{Generator, Gpt, GptConfig, attention_weights};
use latimer_tensor::{Device, Tensor};
use safetensors::SafeTensors;
use std::path::{Path, PathBuf};

/// Unit roundoff of f32.
const U: f64 = f32::EPSILON as f64 / 2.0;

/// The error, relative to the largest value, by which two orders of the same f32 sums may differ.
const TOLERANCE: f64 = 3e-6;

const NAMES: [&str; 12] = [
    "plain",
    "epsilon",
    "inner",
    "by_layer",
    "unscaled",
    "upcast",
    "untied",
    "embedding_under_the_heads_name",
    "sharded",
    "half",
    "old",
    "everything",
];

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("golden/hf")
        .join(name)
}

fn devices() -> [Device; 3] {
    let cpu = |threads| Device::new(Cpu::new(threads).unwrap());
    [Device::reference(), cpu(1), cpu(2)]
}

/// The numbers that transformers computed.
struct Expected(Vec<u8>);

impl Expected {
    fn of(name: &str) -> Self {
        Self(std::fs::read(folder(name).join("expected.safetensors")).unwrap())
    }

    fn get(&self, name: &str) -> Vec<f64> {
        let file = SafeTensors::deserialize(&self.0).unwrap();
        let tensor = file.tensor(name).unwrap();
        let (fours, eights) = (
            tensor.data().as_chunks::<4>().0,
            tensor.data().as_chunks::<8>().0,
        );
        match tensor.dtype() {
            safetensors::Dtype::F32 => fours
                .iter()
                .map(|&b| f32::from_le_bytes(b).into())
                .collect(),
            safetensors::Dtype::F64 => eights.iter().map(|&b| f64::from_le_bytes(b)).collect(),
            _ => eights
                .iter()
                .map(|&b| i64::from_le_bytes(b) as f64)
                .collect(),
        }
    }

    fn ids(&self) -> Vec<u32> {
        self.get("ids").into_iter().map(|id| id as u32).collect()
    }
}

fn batch(device: &Device, gpt: &Gpt, ids: &[u32]) -> Tensor {
    let seq_len = gpt.config().block_size;
    Tensor::from_slice(device, ids, [ids.len() / seq_len, seq_len]).unwrap()
}

fn logits(gpt: &Gpt, params: &Params, ids: &[u32]) -> Vec<f64> {
    let device = params.device();
    let pass = Pass::evaluate(params);
    let logits = gpt.logits(&pass, &batch(device, gpt, ids)).unwrap();
    widen(logits.to_vec().unwrap())
}

fn widen(values: Vec<f32>) -> Vec<f64> {
    values.into_iter().map(f64::from).collect()
}

/// The greatest difference, relative to the greatest value.
fn error(got: &[f64], want: &[f64]) -> f64 {
    assert_eq!(got.len(), want.len());
    let greatest = |x: &mut dyn Iterator<Item = f64>| x.map(f64::abs).fold(0.0, f64::max);
    greatest(&mut got.iter().zip(want).map(|(g, w)| g - w)) / greatest(&mut want.iter().copied())
}

fn assert_close(what: &str, got: &[f64], want: &[f64]) {
    let error = error(got, want);
    assert!(
        error <= TOLERANCE,
        "{what}: off by {error:.2e} of the largest"
    );
}

#[test]
fn logits_are_those_of_transformers() {
    for name in NAMES {
        let (expected, want) = (Expected::of(name), Expected::of(name).get("logits"));
        for device in devices() {
            let what = format!("{name} on {}", device.info().name);
            let ModelOnDisk { gpt, params, notes } = load_model(&device, &folder(name)).unwrap();
            assert_close(&what, &logits(&gpt, &params, &expected.ids()), &want);
            let unties = ["untied", "everything"].contains(&name);
            assert_eq!(notes.len(), usize::from(unties), "{what}: {notes:?}");
            assert!(
                notes.iter().all(|note| note.contains("lm_head.weight")),
                "{notes:?}"
            );
        }
    }
}

/// If a switch were ignored, the numbers would show it.
#[test]
fn every_switch_changes_the_logits() {
    let device = Device::new(Cpu::new(1).unwrap());
    for (name, key, default) in [
        ("epsilon", "layer_norm_epsilon", "1e-5"),
        ("by_layer", "scale_attn_by_inverse_layer_idx", "false"),
        ("unscaled", "scale_attn_weights", "true"),
        ("sharded", "activation_function", "\"gelu_new\""),
        ("everything", "layer_norm_epsilon", "1e-5"),
        ("everything", "scale_attn_by_inverse_layer_idx", "false"),
        ("everything", "scale_attn_weights", "true"),
        ("everything", "activation_function", "\"gelu_new\""),
    ] {
        let copy = tempfile::tempdir().unwrap();
        for entry in std::fs::read_dir(folder(name)).unwrap() {
            let path = entry.unwrap().path();
            std::fs::copy(&path, copy.path().join(path.file_name().unwrap())).unwrap();
        }
        let config = copy.path().join("config.json");
        let text = std::fs::read_to_string(&config).unwrap();
        let lines = text.lines().map(|line| match line.contains(key) {
            true => format!("  \"{key}\": {default},"),
            false => line.to_owned(),
        });
        std::fs::write(&config, lines.collect::<Vec<_>>().join("\n")).unwrap();
        let ModelOnDisk { gpt, params, .. } = load_model(&device, copy.path()).unwrap();
        let expected = Expected::of(name);
        let off = error(
            &logits(&gpt, &params, &expected.ids()),
            &expected.get("logits"),
        );
        assert!(
            off > 3.0 * TOLERANCE,
            "{name} with {key} {default}: off by {off:.2e}"
        );
    }
}

/// Decodes token by token over a cache, and computes step by step with visible attention weights.
#[test]
fn decoding_and_attention_weights_are_those_of_transformers() {
    for name in NAMES {
        let expected = Expected::of(name);
        for device in devices() {
            let what = format!("{name} on {}", device.info().name);
            let ModelOnDisk { gpt, params, .. } = load_model(&device, &folder(name)).unwrap();
            let (ids, want) = (expected.ids(), expected.get("logits"));
            let seq_len = gpt.config().block_size;
            let mut decoded = Vec::new();
            for row in ids.chunks(seq_len) {
                let mut generator = Generator::new(&gpt, &params, &row[..1]).unwrap();
                for t in 0..seq_len {
                    decoded.extend(widen(generator.logits().unwrap().to_vec()));
                    if let Some(&id) = row.get(t + 1) {
                        generator.push(id).unwrap();
                    }
                }
            }
            assert_close(&format!("{what}, decoded"), &decoded, &want);
            let all = attention_weights(&gpt, &params, &batch(&device, &gpt, &ids)).unwrap();
            for (layer, weights) in all.iter().enumerate() {
                let want = expected.get(&format!("attention/{layer}"));
                let got = widen(weights.to_vec().unwrap());
                assert_close(&format!("{what}, attention/{layer}"), &got, &want);
            }
        }
    }
}

/// In bf16 every switch matters too: the logits are far nearer to those in f32 than the logits of
/// the same weights without the switch.
#[test]
fn bf16_uses_the_switches() {
    let device = Device::new(Cpu::new(1).unwrap());
    let expected = Expected::of("everything");
    let (ids, want) = (expected.ids(), expected.get("logits"));
    let ModelOnDisk {
        gpt, mut params, ..
    } = load_model(&device, &folder("everything")).unwrap();
    params.enable_bf16().unwrap();
    let narrow = error(&logits(&gpt, &params, &ids), &want);
    let config = gpt.config();
    let eps = GptConfig {
        norm_eps: GptConfig::NORM_EPS,
        ..config.clone()
    };
    let by_layer = GptConfig {
        scale_attn_by_inverse_layer_idx: false,
        ..config.clone()
    };
    let scaled = GptConfig {
        scale_attn_weights: true,
        ..config.clone()
    };
    for other in [eps, by_layer, scaled] {
        let (other, _) = Gpt::new(&other).unwrap();
        let off = error(&logits(&other, &params, &ids), &want);
        assert!(narrow < off, "{narrow:.2e} with, {off:.2e} without");
    }
}

/// Training such a model follows the same switches: gradients by flash-attention's rule, at most
/// twice as far from f64 as PyTorch's own f32, plus a rounding.
#[test]
fn gradients_are_those_of_transformers() {
    let expected = Expected::of("everything");
    for device in devices() {
        let ModelOnDisk {
            gpt, mut params, ..
        } = load_model(&device, &folder("everything")).unwrap();
        params.enable_training().unwrap();
        let (ids, seq_len) = (expected.ids(), gpt.config().block_size);
        // transformers shifts labels itself: the last position predicts nothing.
        let part = |first: usize| -> Vec<u32> {
            let rows = ids.chunks(seq_len);
            rows.flat_map(|row| row[first..][..seq_len - 1].to_vec())
                .collect()
        };
        let tensor = |ids: &[u32]| {
            Tensor::from_slice(&device, ids, [ids.len() / (seq_len - 1), seq_len - 1]).unwrap()
        };
        let optimizer = Optimizer::new(&mut params, AdamW::default()).unwrap();
        let pass = optimizer.pass(&params);
        let loss = gpt
            .loss(&pass, &tensor(&part(0)), &tensor(&part(1)))
            .unwrap();
        pass.backward(loss).unwrap();
        let c = gpt.config().n_embd;
        // Biases of keys have gradient 0 except for rounding: a softmax is invariant to shifts.
        let meaningful = |name: &str, values: Vec<f64>| match name.ends_with("c_attn.bias") {
            true => [&values[..c], &values[2 * c..]].concat(),
            false => values,
        };
        let wanted = |kind: &str, name: &str| {
            meaningful(name, expected.get(&format!("{kind}gradients/{name}")))
        };
        let torch = params
            .iter()
            .map(|(_, info)| error(&wanted("", info.name()), &wanted("f64/", info.name())))
            .fold(0.0, f64::max);
        for (param, info) in params.iter() {
            let got = widen(params.get(Slab::Gradients, param).unwrap());
            let off = error(&meaningful(info.name(), got), &wanted("f64/", info.name()));
            assert!(
                off <= 2.0 * torch + U,
                "{} on {}: {off:.2e}, PyTorch {torch:.2e}",
                info.name(),
                device.info().name
            );
        }
    }
}
