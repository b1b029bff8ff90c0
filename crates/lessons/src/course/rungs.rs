//! The rungs of the ladder: the model, the new idea and the result of each.

use latimer_nn::{Activation, GptConfig, MlpKind, NormKind, PositionKind, WeightInit};

/// One model of the ladder.
pub(super) struct Rung {
    pub(super) preset: &'static str,
    /// The new idea, and the reason for it.
    pub(super) idea: &'static str,
    /// The result.
    pub(super) lesson: &'static str,
    /// Loss over the whole validation split after 5,000 steps: the mean of three seeds with
    /// Latimer, the same with PyTorch for the same model, and the tutorial's one run. See
    /// `docs/ladder.md`.
    pub(super) losses: [&'static str; 3],
    /// The equation of the new part: in plain text, and as LaTeX.
    pub(super) equation: (&'static str, &'static str),
    /// The model.
    pub(super) shape: fn() -> GptConfig,
}

/// The losses of the whole ladder, so that each lesson shows its place.
pub(super) const LADDER: [Rung; 6] = [
    Rung {
        preset: "lm0",
        idea: "The smallest language model with attention: an embedding for every character, one head, \
               and a linear layer from what the head found to a score for each next character. Every \
               position may look at every other.",
        lesson: "The loss looks good, and the text is nonsense, because the model is cheating. To \
                 predict the character after position i it may look at position i + 1, where that \
                 character stands. When it writes, there is nothing to look at. Measured so that \
                 no answer is in sight (`eval --stride 1`), the loss of a trained model was 3.33, \
                 as much as letter frequencies alone give.",
        losses: ["2.199", "2.167", "2.262"],
        equation: (
            "P(next) = softmax( softmax(Q·Kᵀ / √D)·V·W + b )",
            r"P(\mathrm{next}) = \mathrm{softmax}\left(\mathrm{softmax}\left(\frac{Q K^\top}{\sqrt{D}}\right) V W + b\right)",
        ),
        shape: lm0,
    },
    Rung {
        preset: "lm1",
        idea: "The same model with a mask: a position sees itself and what came before. Nothing is added; \
               something is taken away.",
        lesson: "The loss is worse, and honest. Without positions the head sees a bag of \
                 characters, and gets no further than a table of which letter follows which: 2.51.",
        losses: ["2.505", "2.504", "2.512"],
        equation: (
            "softmax(Q·Kᵀ / √D + M)·V,  M = 0 up to the diagonal, −∞ beyond",
            r"\mathrm{softmax}\left(\frac{Q K^\top}{\sqrt{D}} + M\right) V, \quad M_{ij} = \begin{cases} 0 & j \le i \\ -\infty & j > i \end{cases}",
        ),
        shape: lm1,
    },
    Rung {
        preset: "lm2",
        idea: "Two heads of half the width ask two questions at once, a projection mixes their answers, and \
               a vector for each of the 16 places is added to the embeddings, so that order counts.",
        lesson: "Both help: heads alone reached 2.48. It is the first model that knows where a character \
                 stands.",
        losses: ["2.386", "2.410", "2.383"],
        equation: (
            "xᵢ = E(tokenᵢ) + P(i),  y = [head₁(x), head₂(x)]·W^O + b",
            r"x_i = E(\mathrm{token}_i) + P(i), \quad y = \left[\mathrm{head}_1(x), \mathrm{head}_2(x)\right] W^O + b",
        ),
        shape: lm2,
    },
    Rung {
        preset: "lm3",
        idea: "After attention each position passes through a layer and a ReLU by itself: attention fetches, \
               this thinks about what was fetched.",
        lesson: "A small gain at best: seeds differ by more than this step changes the loss. In \
                 the tutorial's own run the loss got worse (2.539), which did not happen in any of \
                 eleven runs here. What attention found now has no way past the layer; the next \
                 step gives it one.",
        losses: ["2.361", "2.372", "2.539"],
        equation: ("z = max(0, y·W + b)", r"z = \max(0,\, y W + b)"),
        shape: lm3,
    },
    Rung {
        preset: "lm4",
        idea: "Attention and a wider feed-forward part make a block, and four blocks stand on top of each \
               other. Each part's result is added to its input, so that a gradient has a straight way from \
               the loss to every layer.",
        lesson: "The largest step of the ladder: depth, which only residuals make trainable.",
        losses: ["2.085", "2.085", "2.090"],
        equation: (
            "y = x + Attention(x),  z = y + max(0, y·W₁ + b₁)·W₂ + b₂",
            r"y = x + \mathrm{Attention}(x), \quad z = y + \max(0,\, y W_1 + b_1)\, W_2 + b_2",
        ),
        shape: lm4,
    },
    Rung {
        preset: "lm5",
        idea: "Layer norm before each part and before the head keeps numbers near 1, however deep the model. \
               The tutorial adds dropout layers too, at rate 0, and has two blocks here instead of four.",
        lesson: "A little worse than lm4, but not because of the norms: lm4 with two blocks gave \
                 2.15, lm5 with four 2.05. Norms gained about 0.03, and the two blocks given up \
                 cost about 0.07.",
        losses: ["2.126", "2.124", "2.102"],
        equation: (
            "norm(x) = γ·(x − mean(x)) / √(var(x) + ε) + β,  y = x + f(norm(x))",
            r"\mathrm{norm}(x) = \gamma \cdot \frac{x - \mathrm{mean}(x)}{\sqrt{\mathrm{var}(x) + \varepsilon}} + \beta, \quad y = x + f(\mathrm{norm}(x))",
        ),
        shape: lm5,
    },
];

fn lm0() -> GptConfig {
    let small = GptConfig {
        n_layer: 1,
        n_head: 1,
        n_embd: 32,
        block_size: 16,
        ..GptConfig::gpt2(65)
    };
    // lesson: begin lm0
    GptConfig {
        activation: Activation::Relu,
        init: WeightInit::Torch,
        mlp: MlpKind::None,
        ff_proj: false,
        attn_proj: false,
        qkv_bias: false,
        head_bias: true,
        tie: false,
        causal: false, // nothing is hidden
        positions: PositionKind::None,
        residual: false,
        norm: NormKind::None,
        ..small // 65 characters, 16 at a time, 32 numbers for each
    }
    // lesson: end
}

fn lm1() -> GptConfig {
    let lm0 = lm0();
    // lesson: begin lm1
    GptConfig {
        causal: true,
        ..lm0
    }
    // lesson: end
}

fn lm2() -> GptConfig {
    let lm1 = lm1();
    // lesson: begin lm2
    GptConfig {
        n_head: 2,
        attn_proj: true,
        positions: PositionKind::Learned,
        ..lm1
    }
    // lesson: end
}

fn lm3() -> GptConfig {
    let lm2 = lm2();
    // lesson: begin lm3
    GptConfig {
        mlp: MlpKind::Plain, // as wide as a token's numbers
        ..lm2
    }
    // lesson: end
}

fn lm4() -> GptConfig {
    let lm3 = lm3();
    // lesson: begin lm4
    GptConfig {
        n_layer: 4,
        ff_proj: true, // four times as wide, and back
        residual: true,
        ..lm3
    }
    // lesson: end
}

fn lm5() -> GptConfig {
    let lm4 = lm4();
    // lesson: begin lm5
    GptConfig {
        n_layer: 2,
        norm: NormKind::Layer,
        ..lm4
    }
    // lesson: end
}

#[cfg(test)]
mod tests {
    use super::*;
    use latimer_trainer::config::Config;
    #[test]
    fn what_is_shown_is_what_is_trained() {
        for rung in &LADDER {
            let config = Config::preset(rung.preset).unwrap();
            let trained = config.model.with_vocab(65);
            assert_eq!((rung.shape)(), trained, "{}", rung.preset);
        }
    }
}
