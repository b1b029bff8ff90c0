//! The lessons of the ladder: six language models, from one attention head to a small GPT.

use super::gpt::{no_plays, training};
use super::{Setting, next, output, table, text};
use crate::snippet::{code, source};
use crate::{Part, Result};
use latimer_nn::Gpt;
use latimer_trainer::config::Config;
use latimer_trainer::gpt_config;

/// Steps without `--full`: a second or a few.
const STEPS: usize = 500;
/// Characters of tiny Shakespeare.
const CHARACTERS: usize = 65;

/// One model of the ladder.
struct Rung {
    preset: &'static str,
    /// What is new in it, and why one would want that.
    idea: &'static str,
    /// What came of it.
    lesson: &'static str,
    /// Loss over the whole validation split after 5,000 steps, mean of three seeds: Latimer's,
    /// PyTorch's for the same model, and the one run of the tutorial. See `docs/ladder.md`.
    losses: [&'static str; 3],
}

/// The whole ladder's losses, so that each lesson shows where it stands.
const LADDER: [Rung; 6] = [
    Rung {
        preset: "lm0",
        idea: "The smallest language model with attention: an embedding for every character, one head, \
               and a linear layer from what the head found to a score for each next character. Every \
               position may look at every other.",
        lesson: "The loss looks good, and the text is nonsense, because the model is cheating. To predict \
                 the character after position i it may look at position i + 1, where that character \
                 stands. Writing, there is nothing to look at. Measured so that no answer is in sight \
                 (`eval --stride 1`), the loss of a trained one was 3.33: what bare letter frequencies give.",
        losses: ["2.199", "2.167", "2.262"],
    },
    Rung {
        preset: "lm1",
        idea: "The same model with a mask: a position sees itself and what came before. Nothing is added; \
               something is taken away.",
        lesson: "The loss is worse, and honest. Without positions the head sees a bag of characters, and \
                 comes no further than a table of which letter follows which would: 2.51.",
        losses: ["2.505", "2.504", "2.512"],
    },
    Rung {
        preset: "lm2",
        idea: "Two heads of half the width ask two questions at once, a projection mixes their answers, and \
               a vector for each of the 16 places is added to the embeddings, so that order counts.",
        lesson: "Both help: heads alone reached 2.48. It is the first model that knows where a character \
                 stands.",
        losses: ["2.386", "2.410", "2.383"],
    },
    Rung {
        preset: "lm3",
        idea: "After attention each position passes through a layer and a ReLU by itself: attention fetches, \
               this thinks about what was fetched.",
        lesson: "A small gain at best: seeds lie further apart than this step moves the loss, and in the \
                 tutorial's own run it was a loss (2.539), which did not come again in eleven runs here. \
                 What attention found now has no way past the layer; the next step gives it one.",
        losses: ["2.361", "2.372", "2.539"],
    },
    Rung {
        preset: "lm4",
        idea: "Attention and a wider feed-forward part make a block, and four blocks stand on top of each \
               other. Each part's result is added to its input, so that a gradient has a straight way from \
               the loss to every layer.",
        lesson: "The greatest step of the ladder: depth, which only residuals make trainable.",
        losses: ["2.085", "2.085", "2.090"],
    },
    Rung {
        preset: "lm5",
        idea: "Layer norm before each part and before the head keeps numbers near 1, however deep the model. \
               The tutorial adds dropout layers too, at rate 0, and has two blocks here instead of four.",
        lesson: "A little worse than lm4, and not for the norms: lm4 with two blocks gave 2.15, lm5 with four \
                 2.05. Norms gained about 0.03, and the two blocks given up cost about 0.07.",
        losses: ["2.126", "2.124", "2.102"],
    },
];

pub(super) fn lm0(setting: &Setting<'_>) -> Result<Vec<Part>> {
    rung(setting, 0)
}

pub(super) fn lm1(setting: &Setting<'_>) -> Result<Vec<Part>> {
    rung(setting, 1)
}

pub(super) fn lm2(setting: &Setting<'_>) -> Result<Vec<Part>> {
    rung(setting, 2)
}

pub(super) fn lm3(setting: &Setting<'_>) -> Result<Vec<Part>> {
    rung(setting, 3)
}

pub(super) fn lm4(setting: &Setting<'_>) -> Result<Vec<Part>> {
    rung(setting, 4)
}

pub(super) fn lm5(setting: &Setting<'_>) -> Result<Vec<Part>> {
    rung(setting, 5)
}

fn rung(setting: &Setting<'_>, which: usize) -> Result<Vec<Part>> {
    let Rung {
        preset,
        idea,
        lesson,
        ..
    } = &LADDER[which];
    // lesson: begin model
    let config = Config::preset(preset).map_err(latimer_trainer::Error::from)?;
    let shape = gpt_config(&config.model, CHARACTERS);
    let (_, declarations) = Gpt::new(&shape)?;
    let parameters = declarations.num_parameters();
    // lesson: end
    let yes = |has: bool| if has { "yes" } else { "no" }.to_owned();
    let switches = [
        ["causal mask".to_owned(), yes(shape.causal)],
        ["positions".to_owned(), yes(shape.positions)],
        ["heads".to_owned(), shape.n_head.to_string()],
        [
            "feed-forward, in widths".to_owned(),
            shape.ff_factor.to_string(),
        ],
        ["residuals".to_owned(), yes(shape.residual)],
        ["layer norm".to_owned(), yes(shape.layer_norm)],
        ["blocks".to_owned(), shape.n_layer.to_string()],
    ];
    let mut parts = vec![
        text(idea),
        Part::Table(table("switches", ["part", "has"], switches)),
        output("parameters of the model", parameters.to_string()),
        code(source!("course/ladder.rs"), "model"),
    ];
    match setting.cache {
        Some(cache) => parts.extend(training(setting, cache, preset, STEPS)?),
        None => parts.push(no_plays()),
    }
    let rows = LADDER.iter().map(|rung| {
        let [ours, torch, tutorial] = rung.losses.map(str::to_owned);
        [rung.preset.to_owned(), ours, torch, tutorial]
    });
    let header = ["model", "Latimer", "PyTorch", "tutorial"];
    let mut losses = table("losses after 5000 steps", header, rows);
    losses.winning_row = Some(which);
    let train = format!("latimer train --preset {preset}");
    let eval = "latimer eval --data shakespeare --max-tokens 20000 --stride 1";
    parts.extend([
        text(
            "After the tutorial's 5,000 steps, in nats a character over the whole validation split, means \
             of three seeds (the tutorial's column is one run of its own):",
        ),
        Part::Table(losses),
        text(lesson),
        next(&[
            (&train, "all 5,000 steps"),
            ("latimer generate --prompt \"ROMEO:\"", "what it writes then"),
            (eval, "its loss with no answer in sight"),
        ]),
    ]);
    Ok(parts)
}
