//! The presets: runs that have a name.
//!
//! Where a preset follows another program, its values are that program's, so that losses and
//! speeds can be laid side by side.

mod ladder;

use super::{
    Config, ConfigError, DataConfig, Dtype, Order, Origin, Result, Schedule, TrainConfig, nearest,
};
use latimer_nn::{Activation, GptConfig, WeightInit};

/// The preset of a run that names none.
pub const DEFAULT_PRESET: &str = "phrasebook";

/// A run that has a name.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct Preset {
    /// Its name.
    pub name: &'static str,
    /// What it trains, in one line without a full stop.
    pub help: &'static str,
    values: fn() -> (GptConfig, TrainConfig, DataConfig),
}

/// Every preset.
pub const PRESETS: &[Preset] = &[
    Preset {
        name: "phrasebook",
        help: "French to English on a built-in corpus, in about two minutes on two cores",
        values: phrasebook,
    },
    Preset {
        name: "seed",
        help: "the tutorial's settings: two tiny blocks on Shakespeare",
        values: seed,
    },
    Preset {
        name: "lm0",
        help: "the ladder's first model: one attention head that sees what it must predict",
        values: ladder::lm0,
    },
    Preset {
        name: "lm1",
        help: "lm0 with a mask: a position sees only itself and earlier ones",
        values: ladder::lm1,
    },
    Preset {
        name: "lm2",
        help: "lm1 with two heads, a projection of them, and positions",
        values: ladder::lm2,
    },
    Preset {
        name: "lm3",
        help: "lm2 with a feed-forward layer",
        values: ladder::lm3,
    },
    Preset {
        name: "lm4",
        help: "four blocks, each part added to its input, with a wider feed-forward",
        values: ladder::lm4,
    },
    Preset {
        name: "lm5",
        help: "lm4 with two blocks and layer norms: the ladder's last",
        values: ladder::lm5,
    },
    Preset {
        name: "scaled",
        help: "the tutorial's larger model, 10.8 million parameters",
        values: scaled,
    },
    Preset {
        name: "baby",
        help: "nanoGPT's settings for a CPU: Shakespeare by characters, 0.8 million parameters",
        values: baby,
    },
    Preset {
        name: "char10m",
        help: "nanoGPT's settings for a GPU: Shakespeare by characters, 10.8 million parameters",
        values: char10m,
    },
    Preset {
        name: "char10m-b8",
        help: "char10m in batches of 8",
        values: char10m_b8,
    },
    Preset {
        name: "gpt2-124m",
        help: "GPT-2 small, on your own data",
        values: gpt2_124m,
    },
];

impl Config {
    /// The preset of that name.
    ///
    /// # Errors
    /// [`ConfigError::UnknownPreset`].
    pub fn preset(name: &str) -> Result<Self> {
        Self::preset_from(name, Origin::Call)
    }

    pub(super) fn preset_from(name: &str, origin: Origin) -> Result<Self> {
        let names = || PRESETS.iter().map(|preset| preset.name);
        let Some(preset) = PRESETS.iter().find(|preset| preset.name == name) else {
            return Err(ConfigError::UnknownPreset {
                name: name.to_owned(),
                nearest: nearest(name, names()),
                known: names().collect::<Vec<_>>().join(", "),
                origin,
            });
        };
        let (model, train, data) = (preset.values)();
        Ok(Self {
            preset: preset.name.to_owned(),
            model,
            train,
            data,
        })
    }
}

// ---- models

/// GPT-2's in these sizes; the tokenizer decides the vocabulary.
fn gpt2_model(n_layer: usize, n_head: usize, n_embd: usize, block_size: usize) -> GptConfig {
    GptConfig {
        n_layer,
        n_head,
        n_embd,
        block_size,
        ..GptConfig::gpt2(0)
    }
}

/// The tutorial notebook's: ReLU, q/k/v without bias, a head of its own with bias, and what
/// PyTorch's layers begin with. The ladder's models are this one with parts switched off.
fn tutorial_model(n_layer: usize, n_head: usize, n_embd: usize, block_size: usize) -> GptConfig {
    GptConfig {
        init: WeightInit::Torch,
        activation: Activation::Relu,
        qkv_bias: false,
        head_bias: true,
        tie: false,
        ..gpt2_model(n_layer, n_head, n_embd, block_size)
    }
}

// ---- training

/// The tutorial notebook's: constant rate, PyTorch's AdamW by its defaults.
fn tutorial_train() -> TrainConfig {
    TrainConfig {
        max_iters: 5000,
        batch_size: 64,
        grad_accum: 1,
        learning_rate: 3e-4,
        min_lr: 0.0,
        warmup_iters: 0,
        schedule: Schedule::Constant,
        decay_iters: 0,
        weight_decay: 0.01,
        decay_all: true,
        beta1: 0.9,
        beta2: 0.999,
        eps: 1e-8,
        grad_clip: 0.0,
        skip_outliers: 0.0,
        patience: 0,
        overfit_one_batch: false,
        order: Order::Spread,
        eval_interval: 200,
        eval_iters: 100,
        val_fraction: 0.2,
        sample_interval: 1000,
        checkpoint_interval: 1000,
        keep_last: 0,
        keep_best: false,
        seed: SEED,
        dtype: Dtype::F32,
    }
}

/// What nanoGPT trains Shakespeare by characters with (`config/train_shakespeare_char.py`).
fn nanogpt_train() -> TrainConfig {
    TrainConfig {
        max_iters: 5000,
        batch_size: 64,
        grad_accum: 1,
        learning_rate: 1e-3,
        min_lr: 1e-4,
        warmup_iters: 100,
        schedule: Schedule::Cosine,
        decay_iters: 0,
        weight_decay: 0.1,
        decay_all: false,
        beta1: 0.9,
        beta2: 0.99,
        eps: 1e-8,
        grad_clip: 1.0,
        skip_outliers: 0.0,
        patience: 0,
        overfit_one_batch: false,
        order: Order::Spread,
        eval_interval: 250,
        eval_iters: 200,
        val_fraction: 0.1,
        sample_interval: 500,
        checkpoint_interval: 500,
        keep_last: 0,
        keep_best: false,
        seed: SEED,
        dtype: Dtype::F32,
    }
}

/// The seed that nanoGPT and the tutorials around it share.
const SEED: u64 = 1337;

fn data(data: &[&str], tokenizer: &str, max_vocab_size: usize) -> DataConfig {
    DataConfig {
        data: data.iter().map(|&name| name.to_owned()).collect(),
        tokenizer: tokenizer.to_owned(),
        data_weights: Vec::new(),
        extensions: Vec::new(),
        max_vocab_size,
    }
}

// ---- runs

fn phrasebook() -> (GptConfig, TrainConfig, DataConfig) {
    let model = gpt2_model(3, 4, 96, 64);
    let train = TrainConfig {
        max_iters: 2500,
        batch_size: 32,
        learning_rate: 2e-3,
        min_lr: 2e-4,
        eval_iters: 20,
        // The corpus keeps its own sentences from training.
        val_fraction: 0.0,
        ..nanogpt_train()
    };
    (model, train, data(&["phrasebook"], "word", 0))
}

fn seed() -> (GptConfig, TrainConfig, DataConfig) {
    let model = GptConfig {
        tie: false,
        ..gpt2_model(2, 2, 32, 16)
    };
    (
        model,
        tutorial_train(),
        data(&["shakespeare"], "ngram", 256),
    )
}

fn scaled() -> (GptConfig, TrainConfig, DataConfig) {
    let model = GptConfig {
        dropout: 0.2,
        ..tutorial_model(6, 6, 384, 256)
    };
    (model, tutorial_train(), data(&["shakespeare"], "char", 0))
}

/// nanoGPT's `README.md`, "I only have a macbook".
fn baby() -> (GptConfig, TrainConfig, DataConfig) {
    let train = TrainConfig {
        max_iters: 2000,
        batch_size: 12,
        eval_iters: 20,
        ..nanogpt_train()
    };
    (
        gpt2_model(4, 4, 128, 64),
        train,
        data(&["shakespeare"], "char", 0),
    )
}

fn char10m() -> (GptConfig, TrainConfig, DataConfig) {
    let model = GptConfig {
        dropout: 0.2,
        ..gpt2_model(6, 6, 384, 256)
    };
    (model, nanogpt_train(), data(&["shakespeare"], "char", 0))
}

fn char10m_b8() -> (GptConfig, TrainConfig, DataConfig) {
    let (model, train, data) = char10m();
    (
        model,
        TrainConfig {
            batch_size: 8,
            ..train
        },
        data,
    )
}

/// nanoGPT's `config/train_gpt2.py`, in batches that one small machine can hold. An optimizer
/// step there sees 491,520 tokens: `grad_accum = 120` here.
fn gpt2_124m() -> (GptConfig, TrainConfig, DataConfig) {
    let train = TrainConfig {
        max_iters: 600_000,
        batch_size: 4,
        learning_rate: 6e-4,
        min_lr: 6e-5,
        warmup_iters: 2000,
        beta2: 0.95,
        eval_interval: 1000,
        val_fraction: 0.0005,
        sample_interval: 1000,
        checkpoint_interval: 1000,
        ..nanogpt_train()
    };
    (
        gpt2_model(12, 12, 768, 1024),
        train,
        data(&[], "bpe", 50_257),
    )
}
