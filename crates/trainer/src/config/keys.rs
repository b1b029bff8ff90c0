//! The table of keys: each name, the kind of its value, one line of help.

use super::value::{Setting, Value};
use super::{Config, Dtype, Order, Schedule, nearest};
use latimer_nn::{Activation, MlpKind, NormKind, PositionKind, WeightInit};

/// One key of a configuration.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct Key {
    /// Its table in TOML: `model`, `train` or `data`.
    pub section: &'static str,
    /// Its name, unique over all sections.
    pub name: &'static str,
    /// What values it takes.
    pub value: KeyKind,
    /// What it means, in one line without a full stop.
    pub help: &'static str,
    /// For a choice that was a switch: what `false` and `true` stand for.
    was_switch: Option<[&'static str; 2]>,
    get: fn(&Config) -> Value,
    set: fn(&mut Config, Value) -> Option<()>,
}

/// The kind of a key's value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum KeyKind {
    /// A whole number, 0 or more.
    Integer,
    /// A number.
    Float,
    /// `true` or `false`; a bare flag means `true`.
    Bool,
    /// One of these names.
    Choice(&'static [&'static str]),
    /// Any text.
    Text,
    /// One text or several; as a flag it may be repeated.
    TextList,
    /// Numbers; as a flag, with commas between them or repeated.
    FloatList,
}

/// A row of [`KEYS`]: the compiler checks that the field exists.
macro_rules! key {
    ($section:ident.$name:ident, $kind:expr, $help:literal) => {
        Key {
            section: stringify!($section),
            name: stringify!($name),
            value: $kind,
            help: $help,
            was_switch: None,
            get: |config| Setting::to_value(&config.$section.$name),
            set: |config, value| {
                config.$section.$name = Setting::from_value(value)?;
                Some(())
            },
        }
    };
}

use KeyKind::{Bool, Choice, Float, FloatList, Integer, Text, TextList};

/// Every key, in the order of the structs' fields.
pub const KEYS: &[Key] = &[
    key!(model.n_layer, Integer, "transformer blocks"),
    key!(
        model.n_head,
        Integer,
        "attention heads a block; divides n_embd"
    ),
    key!(model.n_embd, Integer, "embedding width"),
    key!(model.block_size, Integer, "longest context, in tokens"),
    key!(
        model.norm,
        Choice(NormKind::NAMES),
        "normalisation before attention, feed-forward and head"
    ),
    key!(model.norm_eps, Float, "epsilon of the norms"),
    Key {
        was_switch: Some(["none", "learned"]),
        ..key!(
            model.positions,
            Choice(PositionKind::NAMES),
            "how the model knows the order of its tokens"
        )
    },
    key!(
        model.mlp,
        Choice(MlpKind::NAMES),
        "feed-forward part of a block"
    ),
    key!(
        model.ff_width,
        Integer,
        "feed-forward width; 0 = 4 * n_embd, or n_embd without ff_proj"
    ),
    key!(
        model.ff_proj,
        Bool,
        "map the feed-forward's inner layer back to n_embd"
    ),
    key!(
        model.attn_proj,
        Bool,
        "end attention with a linear layer over the joined heads"
    ),
    key!(
        model.init,
        Choice(WeightInit::NAMES),
        "initialisation of the weights"
    ),
    key!(
        model.dropout,
        Float,
        "chance that an element is dropped in training, in [0, 1)"
    ),
    key!(
        model.activation,
        Choice(Activation::NAMES),
        "the feed-forward's activation"
    ),
    key!(
        model.bias,
        Bool,
        "biases of norms and of linear layers other than q/k/v and head"
    ),
    key!(
        model.qkv_bias,
        Bool,
        "biases of q, k and v, independent of bias"
    ),
    key!(
        model.head_bias,
        Bool,
        "bias of the head, independent of bias"
    ),
    key!(
        model.tie,
        Bool,
        "use the token embedding as the head's weight"
    ),
    key!(
        model.causal,
        Bool,
        "let a position see only itself and earlier ones"
    ),
    key!(
        model.residual,
        Bool,
        "add attention's and feed-forward's output to their input"
    ),
    key!(train.max_iters, Integer, "optimizer steps"),
    key!(train.batch_size, Integer, "rows per micro-batch"),
    key!(
        train.grad_accum,
        Integer,
        "micro-batches averaged in one optimizer step"
    ),
    key!(
        train.learning_rate,
        Float,
        "learning rate after the warm-up"
    ),
    key!(
        train.min_lr,
        Float,
        "learning rate that a falling schedule ends at"
    ),
    key!(
        train.warmup_iters,
        Integer,
        "optimizer steps of linear warm-up"
    ),
    key!(
        train.schedule,
        Choice(Schedule::NAMES),
        "course of the learning rate after the warm-up"
    ),
    key!(
        train.decay_iters,
        Integer,
        "last optimizer steps, over which schedule wsd decays"
    ),
    key!(train.weight_decay, Float, "AdamW's decoupled weight decay"),
    key!(
        train.decay_all,
        Bool,
        "decay every parameter, not only those of rank 2 and more"
    ),
    key!(
        train.beta1,
        Float,
        "AdamW's decay of the mean gradient, in [0, 1)"
    ),
    key!(
        train.beta2,
        Float,
        "AdamW's decay of the mean squared gradient, in [0, 1)"
    ),
    key!(train.eps, Float, "AdamW's epsilon, added to the divisor"),
    key!(
        train.grad_clip,
        Float,
        "largest L2 norm of the whole gradient; 0 = no limit"
    ),
    key!(
        train.skip_outliers,
        Float,
        "skip steps this many deviations above the recent mean; 0 = never"
    ),
    key!(
        train.patience,
        Integer,
        "end the run after this many evaluations without a lower loss; 0 = never"
    ),
    key!(
        train.overfit_one_batch,
        Bool,
        "train every step on the first step's rows"
    ),
    key!(
        train.order,
        Choice(Order::NAMES),
        "order in which an epoch visits the windows of a text"
    ),
    key!(
        train.eval_interval,
        Integer,
        "optimizer steps between sampled losses; 0 = at the end only"
    ),
    key!(
        train.eval_iters,
        Integer,
        "batches that a sampled loss averages, at most the whole split once"
    ),
    key!(
        train.val_fraction,
        Float,
        "part of the text kept for validation, in [0, 1)"
    ),
    key!(
        train.sample_interval,
        Integer,
        "optimizer steps between samples; 0 = no samples"
    ),
    key!(
        train.checkpoint_interval,
        Integer,
        "optimizer steps between checkpoints; 0 = at the end only"
    ),
    key!(
        train.keep_last,
        Integer,
        "number of newest checkpoints to keep; 0 = all"
    ),
    key!(
        train.keep_best,
        Bool,
        "also keep the checkpoint with the lowest validation loss"
    ),
    key!(train.seed, Integer, "seed of all random numbers"),
    key!(
        train.dtype,
        Choice(Dtype::NAMES),
        "number type of activations and of the weights they are multiplied with"
    ),
    key!(
        data.data,
        TextList,
        "corpus names, text files, folders, patterns such as src/**/*.py, joined in this order"
    ),
    key!(
        data.data_weights,
        FloatList,
        "proportions of rows from the names in data, such as 3,1; none = join the names"
    ),
    key!(
        data.extensions,
        TextList,
        "endings of the files to read in a folder, such as py,rs; none = txt, text, md, markdown"
    ),
    key!(
        data.tokenizer,
        Text,
        "char, word, ngram, bpe, or a tokenizer file"
    ),
    key!(
        data.max_vocab_size,
        Integer,
        "largest size of a learnt vocabulary; 0 = no limit"
    ),
];

/// The key that gives the feed-forward's width as a multiple of `n_embd`, whichever of the two is
/// given first.
pub(super) const FF_FACTOR: &str = "ff_factor";

/// Keys of earlier versions. Files, flags and `--set` may still give them; nothing writes or lists
/// them.
pub const OLD_KEYS: &[Key] = &[
    Key {
        section: "model",
        name: "layer_norm",
        value: Bool,
        help: "replaced by norm: true is layer, false is none",
        was_switch: None,
        get: |config| Value::Bool(config.model.norm != NormKind::None),
        set: |config, value| {
            config.model.norm = match bool::from_value(value)? {
                true => NormKind::Layer,
                false => NormKind::None,
            };
            Some(())
        },
    },
    Key {
        section: "model",
        name: FF_FACTOR,
        value: Integer,
        help: "replaced by mlp and ff_width: 0 is no feed-forward, else a multiple of n_embd",
        was_switch: None,
        get: |config| {
            let model = &config.model;
            Value::Integer((model.inner_width() / model.n_embd.max(1)) as u64)
        },
        set: |config, value| {
            config.model.set_ff_factor(usize::from_value(value)?);
            Some(())
        },
    },
];

/// The sections, in order.
pub(super) const SECTIONS: &[&str] = &["model", "train", "data"];

/// What other programs call some of our keys.
const ELSEWHERE: &[(&str, &str)] = &[
    ("batch", "batch_size"),
    ("context_length", "block_size"),
    ("d_model", "n_embd"),
    ("depth", "n_layer"),
    ("gradient_accumulation_steps", "grad_accum"),
    ("hidden_size", "n_embd"),
    ("lr", "learning_rate"),
    ("lr_scheduler", "schedule"),
    ("max_seq_len", "block_size"),
    ("max_steps", "max_iters"),
    ("micro_batch", "batch_size"),
    ("n_positions", "block_size"),
    ("num_heads", "n_head"),
    ("num_layers", "n_layer"),
    ("probabilities", "data_weights"),
    ("seq_len", "block_size"),
    ("steps", "max_iters"),
    ("tie_weights", "tie"),
    ("vocab_size", "max_vocab_size"),
    ("weights", "data_weights"),
];

impl Key {
    /// `section.name`, as messages and `--set` write it.
    #[must_use]
    pub fn path(&self) -> String {
        format!("{}.{}", self.section, self.name)
    }

    /// `--name`, with dashes.
    #[must_use]
    pub fn flag(&self) -> String {
        format!("--{}", self.name.replace('_', "-"))
    }

    /// The key of that name, of this version or an earlier one, with or without its section; dashes
    /// stand for underscores.
    #[must_use]
    pub fn find(name: &str) -> Option<&'static Self> {
        let name = name.replace('-', "_");
        match name.split_once('.') {
            Some((section, name)) => Self::exact(section, name),
            None => Self::all().find(|key| key.name == name),
        }
    }

    /// The key of exactly that section and name.
    pub(super) fn exact(section: &str, name: &str) -> Option<&'static Self> {
        Self::all().find(|key| key.section == section && key.name == name)
    }

    /// Every key that is read, those of earlier versions last.
    pub fn all() -> impl Iterator<Item = &'static Self> {
        KEYS.iter().chain(OLD_KEYS)
    }

    /// The value that the flag without a value stands for.
    #[must_use]
    pub fn bare_value(&self) -> Option<&'static str> {
        match (self.value, self.was_switch) {
            (Bool, _) => Some("true"),
            (_, Some([_, on])) => Some(on),
            _ => None,
        }
    }

    /// The key that an unknown name most likely meant.
    #[must_use]
    pub fn nearest(name: &str) -> Option<&'static Self> {
        let name = name.replace('-', "_");
        let name = name
            .rsplit_once('.')
            .map_or(name.as_str(), |(_, last)| last);
        // A known name was written in another key's section: it is its own nearest.
        Self::called_elsewhere(name).or_else(|| {
            let ours = nearest(name, KEYS.iter().map(|key| key.name));
            KEYS.iter().find(|key| Some(key.name) == ours)
        })
    }

    /// The key that other programs call by that name: `lr` is `learning_rate`.
    #[must_use]
    pub fn called_elsewhere(name: &str) -> Option<&'static Self> {
        let name = name.replace('-', "_");
        let (_, ours) = ELSEWHERE.iter().find(|(theirs, _)| *theirs == name)?;
        KEYS.iter().find(|key| key.name == *ours)
    }

    /// What a value must be, to follow "it must be".
    pub(super) fn expected(&self) -> String {
        let range = super::validate::range_of(&self.path());
        range.unwrap_or_else(|| self.value.expected())
    }

    pub(super) fn get(&self, config: &Config) -> Value {
        (self.get)(config)
    }

    /// `None` if the value is not of this key's kind.
    pub(super) fn set(&self, config: &mut Config, value: Value) -> Option<()> {
        let value = match (self.was_switch, value) {
            (Some([_, on]), Value::Text(name)) if name == "true" => Value::Text(on.to_owned()),
            (Some([off, _]), Value::Text(name)) if name == "false" => Value::Text(off.to_owned()),
            (_, value) => value,
        };
        (self.set)(config, value)
    }
}

impl KeyKind {
    /// What a value must be, to follow "it must be".
    #[must_use]
    pub fn expected(self) -> String {
        match self {
            Integer => "a whole number, 0 or more".to_owned(),
            Float => "a number".to_owned(),
            Bool => "true or false".to_owned(),
            Choice(names) => format!("one of {}", names.join(", ")),
            Text => "a text".to_owned(),
            TextList => "a text or a list of texts".to_owned(),
            FloatList => "a list of numbers such as [3, 1]".to_owned(),
        }
    }
}
