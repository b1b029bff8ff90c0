//! Lesson 0: the model's numbers.

use super::{Setting, equation, next, output, table, text};
use crate::snippet::{code, source};
use crate::{Part, Result};
use latimer_nn::{Gpt, GptConfig};
use latimer_trainer::config::Config;
/// Number of different characters in Shakespeare's plays.
pub(super) const CHARACTERS: usize = 65;

pub(super) fn settings(setting: &Setting<'_>) -> Result<Vec<Part>> {
    let config = Config::preset("seed").map_err(latimer_trainer::Error::from)?;
    let (model, train) = (&config.model, &config.train);
    let shape = model.with_vocab(config.data.max_vocab_size);
    let rows = [
        (
            "device",
            setting.device.info().backend.to_string(),
            "where to compute; --backend",
        ),
        (
            "learning_rate",
            train.learning_rate.to_string(),
            "length of a step",
        ),
        (
            "batch_size",
            train.batch_size.to_string(),
            "rows looked at together",
        ),
        ("max_iters", train.max_iters.to_string(), "steps"),
        (
            "eval_interval",
            train.eval_interval.to_string(),
            "steps between two estimates",
        ),
        (
            "eval_iters",
            train.eval_iters.to_string(),
            "batches an estimate is the mean of",
        ),
        (
            "val_fraction",
            train.val_fraction.to_string(),
            "share kept to measure on",
        ),
        (
            "max_vocab_size",
            config.data.max_vocab_size.to_string(),
            "tokens at most",
        ),
        (
            "block_size",
            model.block_size.to_string(),
            "tokens that the model looks back on",
        ),
        (
            "n_embd",
            model.n_embd.to_string(),
            "numbers that stand for a token",
        ),
        (
            "n_head",
            model.n_head.to_string(),
            "attentions side by side",
        ),
        (
            "n_layer",
            model.n_layer.to_string(),
            "blocks on top of each other",
        ),
        (
            "ff_width",
            model.inner_width().to_string(),
            "numbers that a block thinks in",
        ),
        (
            "dropout",
            model.dropout.to_string(),
            "share left out at random in training",
        ),
    ];
    let rows = rows.map(|(key, value, what)| [key.to_owned(), value, what.to_owned()]);
    // lesson: begin settings
    let odd = GptConfig {
        n_head: 3,
        ..shape.clone()
    };
    let refused = odd.check().err(); // 32 columns cannot be shared by three heads
    // lesson: end
    let refused = refused.map_or_else(String::new, |error| error.to_string());
    let (_, small) = Gpt::new(&shape)?;
    let scaled = Config::preset("scaled").map_err(latimer_trainer::Error::from)?;
    let (_, large) = Gpt::new(&scaled.model.with_vocab(CHARACTERS))?;
    Ok(vec![
        text(
            "A handful of numbers describes a model and how it is trained. Here they are all, with \
             the tutorial's values; the lessons that follow explain them one by one. Each is a key \
             of a TOML file and a flag of `train`.",
        ),
        Part::Table(table("settings", ["key", "value", "what it is"], rows)),
        text("The heads of a layer share its columns evenly, so `n_head` must divide `n_embd`:"),
        equation(
            "head_dim = n_embd / n_head",
            r"\mathrm{head\_dim} = \frac{\mathrm{n\_embd}}{\mathrm{n\_head}}",
        ),
        output("head_dim", shape.head_dim().to_string()),
        text("Three heads cannot share 32 columns, and say so:"),
        output("three heads", refused),
        code(source!("course/settings.rs"), "settings"),
        text(
            "The same keys with other values are another model. The tutorial names a larger one, \
             the preset `scaled`: 256 tokens to look back on, 384 columns, six heads, six layers.",
        ),
        output("parameters of seed", small.num_parameters().to_string()),
        output("parameters of scaled", large.num_parameters().to_string()),
        next(&[
            (
                "latimer train --preset seed --print-config",
                "every key, explained",
            ),
            (
                "latimer train --n-embd 32 --n-head 3",
                "the same error, from a flag",
            ),
        ]),
    ])
}
