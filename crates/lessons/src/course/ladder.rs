//! The lessons of the ladder: six language models, from one attention head to a small GPT.

use super::gpt::{characters, training};
use super::rungs::{LADDER, Rung};
use super::{Corpus, Setting, equation, next, output, table, text};
use crate::snippet::{code, source};
use crate::{Part, Result};
use latimer_nn::{Gpt, NormKind, PositionKind};
use latimer_phrasebook::ENGLISH;

/// Steps without `--full`, which take a second or a few.
const STEPS: usize = 500;

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
        equation: (plain, latex),
        ..
    } = &LADDER[which];
    let shape = (LADDER[which].shape)();
    let (_, declarations) = Gpt::new(&shape)?;
    let yes = |has: bool| if has { "yes" } else { "no" }.to_owned();
    let switches = [
        ["causal mask".to_owned(), yes(shape.causal)],
        [
            "positions".to_owned(),
            yes(shape.positions != PositionKind::None),
        ],
        ["heads".to_owned(), shape.n_head.to_string()],
        [
            "feed-forward, in widths".to_owned(),
            (shape.inner_width() / shape.n_embd).to_string(),
        ],
        ["residuals".to_owned(), yes(shape.residual)],
        ["layer norm".to_owned(), yes(shape.norm == NormKind::Layer)],
        ["blocks".to_owned(), shape.n_layer.to_string()],
    ];
    let mut parts = vec![
        text(idea),
        equation(plain, latex),
        code(source!("course/rungs.rs"), preset),
        Part::Table(table("switches", ["part", "has"], switches)),
        output("parameters", declarations.num_parameters().to_string()),
    ];
    let corpus = setting.corpus();
    parts.extend(corpus.instead());
    if corpus == Corpus::English {
        let characters = characters(corpus)?;
        let (_, own) = Gpt::new(&shape.with_vocab(characters))?;
        parts.push(text(&format!(
            "The parameters above are those for the 65 characters of the plays. For the {characters} \
             characters of this text the model has fewer:"
        )));
        parts.push(output("parameters here", own.num_parameters().to_string()));
    }
    parts.extend(training(setting, corpus, preset, STEPS)?);
    let rows = LADDER.iter().map(|rung| {
        let [ours, torch, tutorial] = rung.losses.map(str::to_owned);
        [rung.preset.to_owned(), ours, torch, tutorial]
    });
    let header = ["model", "Latimer", "PyTorch", "tutorial"];
    let mut losses = table("losses after 5000 steps", header, rows);
    losses.winning_row = Some(which);
    let (train, generate, after) = match corpus {
        Corpus::Plays(_) => (
            format!("latimer train --preset {preset}"),
            "latimer generate --prompt \"ROMEO:\"",
            "After",
        ),
        Corpus::English => (
            format!("latimer train --preset {preset} --data {ENGLISH}"),
            "latimer generate --prompt \"the cat \"",
            "On Shakespeare's plays, after",
        ),
    };
    let eval = format!(
        "latimer eval --data {} --max-tokens 20000 --stride 1",
        corpus.name()
    );
    parts.extend([
        text(&format!(
            "{after} the tutorial's 5,000 steps, in nats a character over the whole validation split, means \
             of three seeds (the tutorial's column is one run of its own):"
        )),
        Part::Table(losses),
        text(lesson),
        next(&[
            (&train, "all 5,000 steps"),
            (generate, "what it writes then"),
            (&eval, "its loss with no answer in sight"),
        ]),
    ]);
    Ok(parts)
}
