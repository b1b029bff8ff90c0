//! The ladder: six models, each the one before with parts added, from a single head of attention
//! to a small GPT.
//!
//! All train alike, on the same text, so that a difference in their losses is a difference between
//! the models. Where a rung changes several switches at once, the tutorial's does.

use super::{tutorial_model, tutorial_train};
use crate::config::{DataConfig, ModelConfig, TrainConfig};

type Run = (ModelConfig, TrainConfig, DataConfig);

/// One head between embedding and logits, which sees the whole window: what comes next, too.
fn bare_head() -> ModelConfig {
    ModelConfig {
        ff_factor: 0,
        ff_proj: false,
        attn_proj: false,
        causal: false,
        positions: false,
        residual: false,
        layer_norm: false,
        ..tutorial_model(1, 1, 32, 16)
    }
}

fn masked_head() -> ModelConfig {
    ModelConfig {
        causal: true,
        ..bare_head()
    }
}

fn two_heads() -> ModelConfig {
    ModelConfig {
        n_head: 2,
        positions: true,
        attn_proj: true,
        ..masked_head()
    }
}

fn feed_forward() -> ModelConfig {
    ModelConfig {
        ff_factor: 1,
        ..two_heads()
    }
}

fn residual_blocks() -> ModelConfig {
    ModelConfig {
        n_layer: 4,
        ff_factor: 4,
        ff_proj: true,
        residual: true,
        ..feed_forward()
    }
}

/// Half as many blocks as before.
fn normed_blocks() -> ModelConfig {
    ModelConfig {
        n_layer: 2,
        layer_norm: true,
        ..residual_blocks()
    }
}

fn run(model: ModelConfig) -> Run {
    (
        model,
        tutorial_train(),
        super::data(&["shakespeare"], "char", 0),
    )
}

pub(super) fn lm0() -> Run {
    run(bare_head())
}

pub(super) fn lm1() -> Run {
    run(masked_head())
}

pub(super) fn lm2() -> Run {
    run(two_heads())
}

pub(super) fn lm3() -> Run {
    run(feed_forward())
}

pub(super) fn lm4() -> Run {
    run(residual_blocks())
}

pub(super) fn lm5() -> Run {
    run(normed_blocks())
}
