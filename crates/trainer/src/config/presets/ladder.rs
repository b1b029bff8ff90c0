//! The ladder: six models, each the one before with parts added, from a single head of attention
//! to a small GPT.
//!
//! All train alike, on the same text, so that a difference in their losses is a difference between
//! the models. Where a rung changes several switches at once, the tutorial's does.

use super::{tutorial_model, tutorial_train};
use crate::config::{DataConfig, TrainConfig};
use latimer_nn::{GptConfig, MlpKind, NormKind, PositionKind};

type Run = (GptConfig, TrainConfig, DataConfig);

/// One head between embedding and logits, which sees the whole window: what comes next, too.
fn bare_head() -> GptConfig {
    GptConfig {
        mlp: MlpKind::None,
        ff_proj: false,
        attn_proj: false,
        causal: false,
        positions: PositionKind::None,
        residual: false,
        norm: NormKind::None,
        ..tutorial_model(1, 1, 32, 16)
    }
}

fn masked_head() -> GptConfig {
    GptConfig {
        causal: true,
        ..bare_head()
    }
}

fn two_heads() -> GptConfig {
    GptConfig {
        n_head: 2,
        positions: PositionKind::Learned,
        attn_proj: true,
        ..masked_head()
    }
}

fn feed_forward() -> GptConfig {
    GptConfig {
        mlp: MlpKind::Plain,
        ..two_heads()
    }
}

fn residual_blocks() -> GptConfig {
    GptConfig {
        n_layer: 4,
        ff_proj: true,
        residual: true,
        ..feed_forward()
    }
}

/// Half as many blocks as before.
fn normed_blocks() -> GptConfig {
    GptConfig {
        n_layer: 2,
        norm: NormKind::Layer,
        ..residual_blocks()
    }
}

fn run(model: GptConfig) -> Run {
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
