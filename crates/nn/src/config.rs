//! What a GPT is made of.

use crate::{Error, Result};
use latimer_tensor::op::UnaryKind;

/// The non-linearity of the feed-forward part.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Activation {
    /// GPT-2's GELU, by tanh.
    GeluTanh,
    /// GELU by the error function.
    Gelu,
    /// ReLU.
    Relu,
}

impl Activation {
    /// All, with the names used in files and flags.
    pub const NAMES: [(&'static str, Self); 3] = [
        ("gelu_tanh", Self::GeluTanh),
        ("gelu", Self::Gelu),
        ("relu", Self::Relu),
    ];

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

/// How initial weights are drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum WeightInit {
    /// GPT-2's: normal of 0.02, residual projections of `0.02/√(2L)`, biases 0.
    Gpt2,
    /// PyTorch's defaults: linear layers uniform in `±1/√in`, embeddings standard normal.
    Torch,
}

impl WeightInit {
    /// All, with the names used in files and flags.
    pub const NAMES: [(&'static str, Self); 2] = [("gpt2", Self::Gpt2), ("torch", Self::Torch)];
}

/// The shape of a GPT. [`GptConfig::gpt2`] is GPT-2's; every switch departs from it.
#[derive(Clone, Debug, PartialEq)]
pub struct GptConfig {
    /// `V`.
    pub vocab_size: usize,
    /// `Vp`: rows the vocabulary's tables have in memory, at least `V`.
    pub padded_vocab_size: usize,
    /// The longest context.
    pub block_size: usize,
    /// `L`.
    pub n_layer: usize,
    /// `NH`; divides `n_embd`.
    pub n_head: usize,
    /// `C`.
    pub n_embd: usize,
    /// `F`, the width of the feed-forward part; 0 for none, `4 · C` in GPT-2.
    pub ff_width: usize,
    /// Whether the feed-forward part projects back; without, `ff_width` must be 0 or `n_embd`.
    pub ff_proj: bool,
    /// Whether attention's heads are projected.
    pub attn_proj: bool,
    /// The non-linearity of the feed-forward part.
    pub activation: Activation,
    /// How initial weights are drawn.
    pub init: WeightInit,
    /// Share dropped after embeddings, in attention, and after both projections.
    pub dropout: f32,
    /// Biases of projections, feed-forward layers and norms.
    pub bias: bool,
    /// Biases of queries, keys and values.
    pub qkv_bias: bool,
    /// A bias of the head.
    pub head_bias: bool,
    /// Whether the head is the token embedding.
    pub tie: bool,
    /// Whether a position sees only those before it.
    pub causal: bool,
    /// Whether positions have embeddings.
    pub positions: bool,
    /// Whether each part is added to its input.
    pub residual: bool,
    /// Whether each part's input, and the head's, is normalised.
    pub layer_norm: bool,
    /// The epsilon of all norms.
    pub layer_norm_eps: f32,
    /// Whether scores of attention are divided by `√D`.
    pub scale_attn_weights: bool,
    /// Whether scores of attention are divided by their layer's number, counted from 1.
    pub scale_attn_by_inverse_layer_idx: bool,
}

/// Blocks at most. GPT-3 has 96; and what a model declares must fit in memory.
const MAX_LAYERS: usize = 1024;
/// Vocabulary, context, heads and widths at most.
const MAX_SIZE: usize = 1 << 24;
/// Elements of all parameters at most, 8 TiB: sizes multiply without overflow.
const MAX_PARAMETERS: u128 = 1 << 41;
/// Rows that padding may add to any vocabulary; a larger one may double.
const PADDING: usize = 1024;

impl GptConfig {
    /// GPT-2's epsilon, and PyTorch's.
    pub const LAYER_NORM_EPS: f32 = 1e-5;

    /// GPT-2's architecture in these sizes. Radford et al. 2019.
    #[must_use]
    pub fn gpt2(
        vocab_size: usize,
        block_size: usize,
        n_layer: usize,
        n_head: usize,
        n_embd: usize,
    ) -> Self {
        Self {
            vocab_size,
            padded_vocab_size: vocab_size,
            block_size,
            n_layer,
            n_head,
            n_embd,
            ff_width: n_embd.saturating_mul(4),
            ff_proj: true,
            attn_proj: true,
            activation: Activation::GeluTanh,
            init: WeightInit::Gpt2,
            dropout: 0.0,
            bias: true,
            qkv_bias: true,
            head_bias: false,
            tie: true,
            causal: true,
            positions: true,
            residual: true,
            layer_norm: true,
            layer_norm_eps: Self::LAYER_NORM_EPS,
            scale_attn_weights: true,
            scale_attn_by_inverse_layer_idx: false,
        }
    }

    /// `D`, the width of a head.
    #[must_use]
    pub fn head_dim(&self) -> usize {
        self.n_embd / self.n_head.max(1)
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

    /// Whether this describes a model.
    ///
    /// # Errors
    /// [`Error::InvalidConfig`] names the first key that does not fit.
    pub fn check(&self) -> Result<()> {
        let must = |holds: bool, key, got: String, reason: &str| {
            let reason = reason.to_owned();
            if holds {
                Ok(())
            } else {
                Err(Error::InvalidConfig { key, got, reason })
            }
        };
        for (key, got) in [
            ("vocab_size", self.vocab_size),
            ("block_size", self.block_size),
            ("n_layer", self.n_layer),
            ("n_head", self.n_head),
            ("n_embd", self.n_embd),
        ] {
            must(got > 0, key, got.to_string(), "it must be at least 1")?;
            must(
                got <= MAX_SIZE,
                key,
                got.to_string(),
                "no model is that large",
            )?;
        }
        let reason = format!("it must be at most {MAX_LAYERS}");
        must(
            self.n_layer <= MAX_LAYERS,
            "n_layer",
            self.n_layer.to_string(),
            &reason,
        )?;
        let reason = format!("it must be divisible by n_head = {}", self.n_head);
        must(
            self.n_embd.is_multiple_of(self.n_head),
            "n_embd",
            self.n_embd.to_string(),
            &reason,
        )?;
        let padded = self.padded_vocab_size;
        let most = self.vocab_size + self.vocab_size.max(PADDING);
        let reason = format!("it must be from vocab_size = {} to {most}", self.vocab_size);
        must(
            (self.vocab_size..=most).contains(&padded),
            "padded_vocab_size",
            padded.to_string(),
            &reason,
        )?;
        let width = self.ff_width;
        must(
            width <= MAX_SIZE,
            "ff_width",
            width.to_string(),
            "no model is that large",
        )?;
        let reason = format!("without ff_proj it must be 0 or n_embd = {}", self.n_embd);
        must(
            self.ff_proj || width == 0 || width == self.n_embd,
            "ff_width",
            width.to_string(),
            &reason,
        )?;
        let most = self.most_parameters();
        let reason = format!("that makes some {most} parameters, and no model is that large");
        must(
            most <= MAX_PARAMETERS,
            "n_embd",
            self.n_embd.to_string(),
            &reason,
        )?;
        let rate = self.dropout;
        must(
            (0.0..1.0).contains(&rate),
            "dropout",
            rate.to_string(),
            "it must be at least 0 and below 1",
        )?;
        let eps = self.layer_norm_eps;
        must(
            eps > 0.0 && eps.is_finite(),
            "layer_norm_eps",
            eps.to_string(),
            "it must be above 0",
        )
    }

    /// At least as many elements as all parameters have together, with every part switched on.
    fn most_parameters(&self) -> u128 {
        let [c, v, t] = [self.n_embd, self.padded_vocab_size, self.block_size].map(|n| n as u128);
        let [layers, f] = [self.n_layer, self.ff_width].map(|n| n as u128);
        // q, k, v and their projection; in and out of the inner layer; biases and norms.
        let block = 4 * c * c + 2 * f * c + 9 * c + f;
        2 * v * c + v + t * c + layers * block + 2 * c
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Gpt;

    /// The bound is checked before anything is allocated, so it must not lie below what is.
    #[test]
    fn no_model_has_more_parameters_than_the_bound() {
        let mut largest = GptConfig::gpt2(70, 16, 3, 2, 24);
        largest.tie = false;
        let counted = |config: &GptConfig| {
            let (_, declarations) = Gpt::new(config).unwrap();
            declarations.num_parameters() as u128
        };
        for width in [0, 24, 96, 100] {
            largest.ff_width = width;
            let (most, counted) = (largest.most_parameters(), counted(&largest));
            assert!(counted <= most, "{width}: {counted} > {most}");
        }
    }

    #[test]
    fn padding_may_be_as_large_as_the_vocabulary_or_a_tile() {
        for (vocab_size, most) in [(PADDING - 1, 2 * PADDING - 1), (3 * PADDING, 6 * PADDING)] {
            let mut config = GptConfig::gpt2(vocab_size, 16, 1, 1, 8);
            config.padded_vocab_size = most;
            config.check().unwrap();
            config.padded_vocab_size = most + 1;
            let error = config.check().unwrap_err().to_string();
            let range = format!("it must be from vocab_size = {vocab_size} to {most}");
            assert!(error.ends_with(&range), "{error}");
        }
    }
}
