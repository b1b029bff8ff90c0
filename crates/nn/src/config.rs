//! The shape of a GPT: the one description that code, checkpoints, TOML files and flags share.

use crate::choices;
use crate::{Error, Result};
use latimer_tensor::op::UnaryKind;
use serde::{Deserialize, Serialize, Serializer};
use std::ops::RangeInclusive;

choices! {
    /// The norm before attention, before the feed-forward part and before the head.
    NormKind {
        /// No norm.
        None = "none",
        /// Layer norm. Ba et al. 2016.
        Layer = "layer",
    }
}

choices! {
    /// How a model knows the order of its tokens.
    PositionKind {
        /// Not at all.
        None = "none",
        /// A learned vector for each position, added to the token embedding.
        Learned = "learned",
    }
}

choices! {
    /// The feed-forward part of a block.
    MlpKind {
        /// No feed-forward part.
        None = "none",
        /// A linear layer, the activation, a linear layer.
        Plain = "plain",
    }
}

choices! {
    /// The non-linearity of the feed-forward part.
    Activation {
        /// GELU by GPT-2's tanh formula.
        GeluTanh = "gelu_tanh",
        /// GELU by the error function.
        Gelu = "gelu",
        /// `max(x, 0)`.
        Relu = "relu",
    }
}

impl Activation {
    /// The operation.
    #[must_use]
    pub const fn kind(self) -> UnaryKind {
        match self {
            Self::GeluTanh => UnaryKind::GeluTanh,
            Self::Gelu => UnaryKind::GeluErf,
            Self::Relu => UnaryKind::Relu,
        }
    }
}

choices! {
    /// The distribution of initial weights.
    WeightInit {
        /// GPT-2's: normal of 0.02, residual projections of `0.02/√(2L)`, biases 0.
        Gpt2 = "gpt2",
        /// PyTorch's defaults: linear layers uniform in `±1/√in`, embeddings standard normal.
        Torch = "torch",
    }
}

/// The shape of a GPT. [`GptConfig::gpt2`] is GPT-2 small; every field may depart from it.
///
/// Three fields decide the biases, and none overrules another: `qkv_bias` those of queries, keys
/// and values, `head_bias` that of the head, `bias` all others.
///
/// ```
/// use latimer_nn::GptConfig;
/// let config = GptConfig { n_layer: 6, n_head: 6, n_embd: 192, ..GptConfig::gpt2(65) };
/// assert_eq!((config.head_dim(), config.inner_width()), (32, 768));
/// config.check()?;
/// # Ok::<(), latimer_nn::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GptConfig {
    /// `V`. 0 while it is not known: in a run's configuration, where the tokenizer decides it.
    #[serde(default, skip_serializing_if = "is_default")]
    pub vocab_size: usize,
    /// `Vp`: rows the vocabulary's tables have in memory, at least `V`.
    #[serde(default, skip_serializing_if = "is_default")]
    pub padded_vocab_size: usize,
    /// Blocks, `L`.
    pub n_layer: usize,
    /// Attention heads of a block, `NH`; divides `n_embd`.
    pub n_head: usize,
    /// Embedding width, `C`.
    pub n_embd: usize,
    /// The longest context, in tokens.
    pub block_size: usize,
    /// The norm before attention, feed-forward part and head.
    pub norm: NormKind,
    /// The epsilon of all norms.
    #[serde(serialize_with = "as_shortest")]
    pub norm_eps: f32,
    /// How a model knows the order of its tokens.
    pub positions: PositionKind,
    /// The feed-forward part.
    pub mlp: MlpKind,
    /// Width of the feed-forward part's inner layer. 0 takes the usual one: `4 · C`, or `C` without
    /// `ff_proj`, where no other is possible. [`GptConfig::inner_width`] is what it comes to.
    pub ff_width: usize,
    /// True if the feed-forward part maps its inner layer back to `C`.
    pub ff_proj: bool,
    /// True if attention ends with a linear layer over the joined heads.
    pub attn_proj: bool,
    /// The distribution of initial weights.
    pub init: WeightInit,
    /// Share of elements dropped in training: after embeddings, in attention, after both
    /// projections.
    #[serde(serialize_with = "as_shortest")]
    pub dropout: f32,
    /// The non-linearity of the feed-forward part.
    pub activation: Activation,
    /// True if projections, feed-forward layers and norms have biases.
    pub bias: bool,
    /// True if queries, keys and values have biases.
    pub qkv_bias: bool,
    /// True if the head has a bias; a tied head may have one too.
    pub head_bias: bool,
    /// True if the head's weight is the token embedding.
    pub tie: bool,
    /// True if a position sees only itself and those before it.
    pub causal: bool,
    /// True if each part is added to its input (`x + f(x)`), false if it replaces it.
    pub residual: bool,
    /// True if scores of attention are divided by `√D`.
    #[serde(default = "yes", skip_serializing_if = "is_true")]
    pub scale_attn_weights: bool,
    /// True if scores of attention are divided by their layer's number, counted from 1.
    #[serde(default, skip_serializing_if = "is_default")]
    pub scale_attn_by_inverse_layer_idx: bool,
}

/// Vocabulary, context, heads and widths at most.
const MAX_SIZE: usize = 1 << 24;
/// Elements of all parameters at most, 8 TiB: sizes multiply without overflow.
const MAX_PARAMETERS: u128 = 1 << 41;
/// Rows that padding may add to any vocabulary; a larger one may double.
const PADDING: usize = 1024;
/// Rows that a large vocabulary's tables are padded to a multiple of, so that products over it
/// have full tiles (nanoGPT and llm.c pad GPT-2's 50257 to 50304).
const VOCAB_MULTIPLE: usize = 128;
/// Vocabularies up to this are not padded: the padding would be a noticeable part of them.
const SMALL_VOCAB: usize = 4096;

impl GptConfig {
    /// The range of every size, by the field's name. A model outside of them is refused wherever it
    /// is described: in code, in a checkpoint, in a TOML file, by a flag. GPT-3 has 96 blocks of
    /// width 12,288.
    pub const SIZES: [(&'static str, RangeInclusive<usize>); 6] = [
        ("vocab_size", 1..=MAX_SIZE),
        ("n_layer", 1..=1024),
        ("n_head", 1..=MAX_SIZE),
        ("n_embd", 1..=MAX_SIZE),
        ("block_size", 1..=MAX_SIZE),
        ("ff_width", 0..=MAX_SIZE),
    ];

    /// GPT-2's epsilon, and PyTorch's.
    pub const NORM_EPS: f32 = 1e-5;

    /// GPT-2 small for a vocabulary: 12 blocks of 12 heads, width 768, context 1024. Radford et al.
    /// 2019.
    #[must_use]
    pub fn gpt2(vocab_size: usize) -> Self {
        Self {
            vocab_size,
            padded_vocab_size: padded(vocab_size),
            n_layer: 12,
            n_head: 12,
            n_embd: 768,
            block_size: 1024,
            norm: NormKind::Layer,
            norm_eps: Self::NORM_EPS,
            positions: PositionKind::Learned,
            mlp: MlpKind::Plain,
            ff_width: 0,
            ff_proj: true,
            attn_proj: true,
            init: WeightInit::Gpt2,
            dropout: 0.0,
            activation: Activation::GeluTanh,
            bias: true,
            qkv_bias: true,
            head_bias: false,
            tie: true,
            causal: true,
            residual: true,
            scale_attn_weights: true,
            scale_attn_by_inverse_layer_idx: false,
        }
    }

    /// The same shape for a vocabulary of `vocab_size` tokens. The tables of a vocabulary above
    /// 4096 have rows up to the next multiple of 128.
    #[must_use]
    pub fn with_vocab(&self, vocab_size: usize) -> Self {
        Self {
            vocab_size,
            padded_vocab_size: padded(vocab_size),
            ..self.clone()
        }
    }

    /// `D`, the width of a head.
    #[must_use]
    pub fn head_dim(&self) -> usize {
        self.n_embd / self.n_head.max(1)
    }

    /// `F`, the width of the feed-forward part's inner layer: `ff_width`, or the usual width where
    /// that is 0; 0 without a feed-forward part.
    #[must_use]
    pub fn inner_width(&self) -> usize {
        match (self.mlp, self.ff_width) {
            (MlpKind::None, _) => 0,
            (MlpKind::Plain, 0) => self.usual_width(),
            (MlpKind::Plain, width) => width,
        }
    }

    fn usual_width(&self) -> usize {
        match self.ff_proj {
            true => self.n_embd.saturating_mul(4),
            false => self.n_embd,
        }
    }

    /// Takes the feed-forward part's width as a multiple of `n_embd`, as older files and flags give
    /// it; 0 stands for no feed-forward part.
    pub fn set_ff_factor(&mut self, factor: usize) {
        let width = self.n_embd.saturating_mul(factor);
        self.mlp = match factor {
            0 => MlpKind::None,
            _ => MlpKind::Plain,
        };
        self.ff_width = match width == self.usual_width() {
            true => 0,
            false => width,
        };
    }

    /// The factor of the scores `q·k` in a layer, counted from 0: `1/√D` in GPT-2.
    #[must_use]
    pub fn attention_scale(&self, layer: usize) -> f32 {
        let scale = match self.scale_attn_weights {
            true => 1.0 / (self.head_dim() as f32).sqrt(),
            false => 1.0,
        };
        match self.scale_attn_by_inverse_layer_idx {
            true => scale / (layer as f32 + 1.0),
            false => scale,
        }
    }

    /// Checks that this describes a model.
    ///
    /// # Errors
    /// [`Error::InvalidConfig`] names the first field that does not fit.
    pub fn check(&self) -> Result<()> {
        for (key, range) in Self::SIZES {
            let got = match key {
                "vocab_size" => self.vocab_size,
                "n_layer" => self.n_layer,
                "n_head" => self.n_head,
                "n_embd" => self.n_embd,
                "block_size" => self.block_size,
                _ => self.ff_width,
            };
            must(range.contains(&got), key, got, || {
                format!("it must be from {} to {}", range.start(), range.end())
            })?;
        }
        let (n_embd, n_head) = (self.n_embd, self.n_head);
        must(n_embd.is_multiple_of(n_head), "n_embd", n_embd, || {
            format!("it must be divisible by n_head = {n_head}")
        })?;
        let (padded, least) = (self.padded_vocab_size, self.vocab_size);
        let most = least + least.max(PADDING);
        let fits = (least..=most).contains(&padded);
        must(fits, "padded_vocab_size", padded, || {
            format!("it must be from vocab_size = {least} to {most}")
        })?;
        let width = self.inner_width();
        let fits = self.ff_proj || width == 0 || width == n_embd;
        must(fits, "ff_width", width, || {
            format!("without ff_proj it must be n_embd = {n_embd}")
        })?;
        let most = self.most_parameters();
        must(most <= MAX_PARAMETERS, "n_embd", n_embd, || {
            format!(
                "with n_layer = {} that gives about {most} parameters, above the limit of \
                 {MAX_PARAMETERS}: lower n_embd or n_layer",
                self.n_layer
            )
        })?;
        let rate = self.dropout;
        must((0.0..1.0).contains(&rate), "dropout", rate, || {
            "it must be in [0, 1)".to_owned()
        })?;
        let eps = self.norm_eps;
        must(eps > 0.0 && eps.is_finite(), "norm_eps", eps, || {
            "it must be finite and above 0".to_owned()
        })
    }

    /// At least as many elements as all parameters have together, with every part switched on.
    fn most_parameters(&self) -> u128 {
        let [c, v, t] = [self.n_embd, self.padded_vocab_size, self.block_size].map(|n| n as u128);
        let [layers, f] = [self.n_layer, self.inner_width()].map(|n| n as u128);
        // q, k, v and their projection; in and out of the inner layer; biases and norms.
        let block = 4 * c * c + 2 * f * c + 9 * c + f;
        2 * v * c + v + t * c + layers * block + 2 * c
    }
}

fn padded(vocab_size: usize) -> usize {
    match vocab_size > SMALL_VOCAB {
        true => vocab_size.checked_next_multiple_of(VOCAB_MULTIPLE),
        false => None,
    }
    .unwrap_or(vocab_size)
}

fn must(
    holds: bool,
    key: &'static str,
    got: impl ToString,
    reason: impl FnOnce() -> String,
) -> Result<()> {
    match holds {
        true => Ok(()),
        false => Err(Error::InvalidConfig {
            key,
            got: got.to_string(),
            reason: reason(),
        }),
    }
}

// ---- serde

fn yes() -> bool {
    true
}

fn is_true(flag: &bool) -> bool {
    *flag
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// The double that has the shortest digits of `value`: files say 0.2, not 0.20000000298023224.
#[doc(hidden)]
#[must_use]
pub fn shortest(value: f32) -> f64 {
    match value.to_string().parse::<f64>() {
        // Rounding twice may end beside `value`; then its own digits have to do.
        Ok(short) if short as f32 == value => short,
        _ => f64::from(value),
    }
}

fn as_shortest<S: Serializer>(value: &f32, to: S) -> Result<S::Ok, S::Error> {
    shortest(*value).serialize(to)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Gpt;

    /// The bound is checked before anything is allocated, so it must not lie below what is.
    #[test]
    fn no_model_has_more_parameters_than_the_bound() {
        let mut largest = GptConfig {
            block_size: 16,
            n_layer: 3,
            n_head: 2,
            n_embd: 24,
            tie: false,
            ..GptConfig::gpt2(70)
        };
        let counted = |config: &GptConfig| {
            let (_, declarations) = Gpt::new(config).unwrap();
            declarations.num_parameters() as u128
        };
        for mlp in [MlpKind::None, MlpKind::Plain] {
            for width in [0, 24, 96, 100] {
                (largest.mlp, largest.ff_width) = (mlp, width);
                let (most, counted) = (largest.most_parameters(), counted(&largest));
                assert!(counted <= most, "{width}: {counted} > {most}");
            }
        }
    }

    #[test]
    fn padding_may_be_as_large_as_the_vocabulary_or_a_tile() {
        for (vocab_size, most) in [(PADDING - 1, 2 * PADDING - 1), (3 * PADDING, 6 * PADDING)] {
            let mut config = GptConfig::gpt2(vocab_size);
            config.padded_vocab_size = most;
            config.check().unwrap();
            config.padded_vocab_size = most + 1;
            let error = config.check().unwrap_err().to_string();
            let range = format!("it must be from vocab_size = {vocab_size} to {most}");
            assert!(error.ends_with(&range), "{error}");
        }
    }

    #[test]
    fn large_vocabularies_are_padded() {
        for (vocab_size, padded) in [(65, 65), (4096, 4096), (4097, 4224), (50257, 50304)] {
            let config = GptConfig::gpt2(vocab_size);
            assert_eq!(config.padded_vocab_size, padded);
            assert_eq!(GptConfig::gpt2(1).with_vocab(vocab_size), config);
        }
        let error = GptConfig::gpt2(usize::MAX).check().unwrap_err().to_string();
        assert!(error.ends_with("it must be from 1 to 16777216"), "{error}");
    }

    /// A width that is not given follows `n_embd`; one that is given as a multiple does, too.
    #[test]
    fn the_inner_width_follows_the_width() {
        let gpt2 = GptConfig {
            n_embd: 24,
            ..GptConfig::gpt2(70)
        };
        let width = |change: &dyn Fn(&mut GptConfig)| {
            let mut config = gpt2.clone();
            change(&mut config);
            config.inner_width()
        };
        assert_eq!(width(&|_| ()), 96);
        assert_eq!(width(&|c| c.ff_proj = false), 24);
        assert_eq!(width(&|c| c.ff_width = 7), 7);
        assert_eq!(width(&|c| (c.mlp, c.ff_width) = (MlpKind::None, 7)), 0);
        for (factor, ff_proj, ff_width) in
            [(4, true, 0), (1, true, 24), (1, false, 0), (2, true, 48)]
        {
            let mut config = GptConfig {
                ff_proj,
                ..gpt2.clone()
            };
            config.set_ff_factor(factor);
            assert_eq!(
                (config.ff_width, config.inner_width()),
                (ff_width, 24 * factor)
            );
        }
        assert_eq!(width(&|c| c.set_ff_factor(0)), 0);
    }
}
