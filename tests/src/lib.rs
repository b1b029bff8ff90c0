//! Code that the tests across crates share: reading the golden files.

use latimer_autograd::{AdamW, Params, Slab};
use latimer_nn::{Activation, Gpt, GptConfig};
use latimer_tensor::Device;
use latimer_trainer::config::Config;
use safetensors::{Dtype, SafeTensors};
use std::path::PathBuf;

/// One golden file: numbers that PyTorch computed once (`golden/make_golden.py`).
#[derive(Debug)]
pub struct Golden {
    bytes: Vec<u8>,
    /// The model that the numbers belong to.
    pub config: GptConfig,
    adamw: AdamW,
}

impl Golden {
    /// The file of the model with GELU by tanh, a tied head and all biases.
    #[must_use]
    pub fn gelu_tied() -> Self {
        Self::open(
            "gelu_tied",
            GptConfig {
                n_layer: 2,
                n_head: 3,
                n_embd: 24,
                block_size: 11,
                ..GptConfig::gpt2(29)
            },
        )
    }

    /// The file of the model with ReLU, an untied head with a bias, and no biases of queries, keys
    /// and values.
    #[must_use]
    pub fn relu_untied() -> Self {
        let config = GptConfig {
            activation: Activation::Relu,
            qkv_bias: false,
            tie: false,
            head_bias: true,
            n_layer: 2,
            n_head: 3,
            n_embd: 24,
            block_size: 11,
            ..GptConfig::gpt2(29)
        };
        Self::open("relu_untied", config)
    }

    /// One of the small files, by its name: the activation, `tied` or `untied`, `biased` or
    /// `unbiased`. Biases are all on (the head's too, where it is untied) or all off.
    ///
    /// # Panics
    /// When the name consists of other words.
    #[must_use]
    pub fn small(name: &str) -> Self {
        let (rest, bias) = match name.rsplit_once('_') {
            Some((rest, "biased")) => (rest, true),
            Some((rest, "unbiased")) => (rest, false),
            _ => panic!("{name}: biased or unbiased?"),
        };
        let (activation, tie) = match rest.rsplit_once('_') {
            Some((activation, "tied")) => (activation, true),
            Some((activation, "untied")) => (activation, false),
            _ => panic!("{name}: tied or untied?"),
        };
        let config = GptConfig {
            activation: match activation {
                "gelu" => Activation::GeluTanh,
                "gelu_erf" => Activation::Gelu,
                "relu" => Activation::Relu,
                _ => panic!("{name}: which activation?"),
            },
            bias,
            qkv_bias: bias,
            tie,
            head_bias: bias && !tie,
            n_layer: 2,
            n_head: 2,
            n_embd: 10,
            block_size: 7,
            ..GptConfig::gpt2(17)
        };
        Self::open(name, config)
    }

    /// A model of the ladder with its preset's switches in smaller sizes, under its preset's AdamW.
    ///
    /// # Panics
    /// When no preset has the name.
    #[must_use]
    pub fn ladder(name: &str) -> Self {
        let Config {
            mut model, train, ..
        } = Config::preset(name).expect("a preset");
        (model.n_embd, model.block_size) = (6, 5);
        Self {
            adamw: AdamW {
                lr: Self::LR,
                beta1: train.beta1 as f32,
                beta2: train.beta2 as f32,
                eps: train.eps as f32,
                weight_decay: train.weight_decay as f32,
                decay_all: train.decay_all,
                grad_clip: train.grad_clip as f32,
            },
            ..Self::open(name, model.with_vocab(13))
        }
    }

    fn open(name: &str, config: GptConfig) -> Self {
        let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("golden");
        let bytes = std::fs::read(folder.join(format!("{name}.safetensors")));
        Self {
            bytes: bytes.expect("golden files are committed"),
            config,
            adamw: AdamW {
                lr: Self::LR,
                beta1: 0.9,
                beta2: 0.99,
                eps: 1e-8,
                weight_decay: 0.1,
                decay_all: false,
                grad_clip: 1.0,
            },
        }
    }

    /// A tensor's values, widened.
    ///
    /// # Panics
    /// When the file has no such tensor.
    #[must_use]
    pub fn get(&self, name: &str) -> Vec<f64> {
        self.find(name)
            .unwrap_or_else(|| panic!("golden file has no {name}"))
    }

    /// A tensor's values, widened, or `None` if the file does not have it.
    ///
    /// # Panics
    /// When the file is damaged.
    #[must_use]
    pub fn find(&self, name: &str) -> Option<Vec<f64>> {
        let file = SafeTensors::deserialize(&self.bytes).expect("golden files are well formed");
        let tensor = file.tensor(name).ok()?;
        let (fours, eights) = (
            tensor.data().as_chunks::<4>().0,
            tensor.data().as_chunks::<8>().0,
        );
        Some(match tensor.dtype() {
            Dtype::F32 => fours
                .iter()
                .map(|&b| f64::from(f32::from_le_bytes(b)))
                .collect(),
            Dtype::F64 => eights.iter().map(|&b| f64::from_le_bytes(b)).collect(),
            Dtype::I64 => eights
                .iter()
                .map(|&b| i64::from_le_bytes(b) as f64)
                .collect(),
            other => panic!("golden file holds {other:?}"),
        })
    }

    /// Token ids.
    #[must_use]
    pub fn ids(&self, name: &str) -> Vec<u32> {
        self.get(name).into_iter().map(|x| x as u32).collect()
    }

    /// The model with the file's initial weights, ready to train.
    ///
    /// # Panics
    /// When the file lacks a weight.
    #[must_use]
    pub fn model(&self, device: &Device) -> (Gpt, Params) {
        let (gpt, declarations) = Gpt::new(&self.config).expect("a valid configuration");
        let mut params = Params::new(device, declarations, 1).expect("memory for a small model");
        params.enable_training().expect("memory for a small model");
        let names: Vec<_> = params
            .iter()
            .map(|(p, info)| (p, info.name().to_owned()))
            .collect();
        for (param, name) in names {
            let values: Vec<f32> = self
                .get(&format!("weights/{name}"))
                .into_iter()
                .map(|x| x as f32)
                .collect();
            params
                .set(Slab::Values, param, &values)
                .expect("the golden shape");
        }
        (gpt, params)
    }

    /// The optimizer the file was made with.
    #[must_use]
    pub fn adamw(&self) -> AdamW {
        self.adamw
    }

    /// The learning rate of the ten updates.
    const LR: f32 = 8e-3;
}

/// Runs the README's example as a test.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
#[derive(Debug)]
pub struct Readme;
