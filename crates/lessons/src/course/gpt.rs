//! Lesson 12: from the dictionary to a GPT.

use super::settings::CHARACTERS;
use super::{Corpus, Setting, answer, equation, next, output, table, text};
use crate::snippet::{code, source};
use crate::translate::words;
use crate::{Curve, Matrix, Part, Result, Sentence, Translator};
use latimer_autograd::{Declarations, Params, Pass};
use latimer_nn::{Generator, Gpt, Sampling};
use latimer_phrasebook as phrasebook;
use latimer_tensor::Tensor;
use latimer_tokenizer::Tokenizer;
use latimer_trainer::config::Config;
use latimer_trainer::data::Windows;
use latimer_trainer::data::corpora::load_text;
use latimer_trainer::{Training, corpus, mean_loss, sampler};
use std::collections::HashSet;

/// The prompt for the model trained on the plays.
const PROMPT: &str = "thou shall not";
/// The prompt for the model trained on the phrasebook's English.
const PROMPT_OF_ENGLISH: &str = "the cat is";
/// Number of characters that the model adds to the prompt.
const SAMPLE: usize = 60;
/// Steps without `--full`, which take a few seconds.
const STEPS: usize = 1000;
/// Number of steps whose mean is one point of the curve.
const POINT: usize = 10;

/// For each part of the earlier lessons: what replaces it in a GPT, and why.
const PARTS: [[&str; 3]; 8] = [
    [
        "one-hot vectors",
        "token embeddings",
        "the vectors are learned",
    ],
    [
        "a bag of words",
        "position embeddings",
        "so that order counts",
    ],
    [
        "every word sees all",
        "a causal mask",
        "only what was written before is seen",
    ],
    ["one head", "several heads", "several questions at once"],
    [
        "a mixture of values",
        "feed-forward",
        "room to think about what was found",
    ],
    [
        "one step",
        "blocks with residuals",
        "each adds to what is there",
    ],
    [
        "small numbers",
        "layer norm",
        "keeps them small, however deep",
    ],
    [
        "decode",
        "language-model head",
        "a probability for every next token",
    ],
];

pub(super) fn gpt(setting: &Setting<'_>) -> Result<Vec<Part>> {
    let parts = PARTS.map(|row| row.map(str::to_owned));
    let corpus = setting.corpus();
    let characters = characters(corpus)?;
    let mut shown = vec![
        text(
            "A dictionary answers words. A language model answers a harder question: what comes \
             next? A model that can say what comes after `le chat est sous la table =` can \
             translate, and can do much else. You have already seen nearly everything it needs; \
             here is where each part goes.",
        ),
        Part::Table(table("parts", ["you know", "a GPT has", "because"], parts)),
        text(
            "The new idea is the mask. Every position predicts the next token at the same time, so \
             none may look at what comes after it: that would be copying the answer. The weights of \
             later positions are set to 0 before a row is shared out.",
        ),
        equation(
            "softmax(Q·Kᵀ / √D + mask)·V,  mask = 0 up to the diagonal, −∞ beyond",
            r"\mathrm{softmax}\left(\frac{Q K^\top}{\sqrt{D}} + M\right) V, \quad M_{ij} = \begin{cases} 0 & j \le i \\ -\infty & j > i \end{cases}",
        ),
        Part::Matrix(masked(setting)?),
        code(source!("course/gpt.rs"), "mask"),
        text(&format!(
            "The loss is the cross-entropy: the mean of −log of the probability that was given to \
             the token that really came. A model that knows nothing and spreads its probability \
             evenly over {characters} characters has a loss of ln {characters} = {:.2}.",
            (characters as f64).ln()
        )),
    ];
    let (learns, of) = match corpus {
        Corpus::Plays(_) => ("to write Shakespeare", "the plays"),
        Corpus::English => ("to write such sentences", "this text"),
    };
    shown.extend(corpus.instead());
    shown.push(text(&format!(
        "Lesson 0's settings describe such a model. Here it learns {learns}, one character after \
         the other, and it has fewer parameters, because it needs only the {characters} characters \
         of {of}:"
    )));
    shown.push(parameters(characters)?);
    shown.extend(training(setting, corpus, "seed", STEPS)?);
    let never_shown = match setting.text_given() {
        None => " It is never shown this one.".to_owned(),
        Some(_) => of_learner(setting.sentence())?,
    };
    shown.push(text(&format!(
        "And the sentence that we began with? The preset `phrasebook` trains the same kind of model on \
         sentences of a small grammar, written as `french = english`.{never_shown}"
    )));
    match &setting.gpt {
        Some(gpt) => {
            shown.push(output("sentence", setting.sentence()));
            shown.push(answer("translation", gpt.translate(setting.sentence())));
            shown.push(code(source!("translate/gpt.rs"), "gpt"));
        }
        None => shown.push(text(
            "There is no such model here yet. `latimer train` makes one in about two minutes on two \
             cores; this lesson then ends with its translation.",
        )),
    }
    shown.push(next(&[
        ("latimer train", "a GPT that translates"),
        (
            "latimer translate --method gpt --explain \"le chat est sous la table\"",
            "where it looks",
        ),
        ("latimer lesson 12 --full", "the tutorial's 5000 steps"),
    ]));
    Ok(shown)
}

/// Shows what a learner's sentence looks like to training.
fn of_learner(sentence: &str) -> Result<String> {
    let sentences = Sentence::all(sentence)?;
    let shown = |text: &str| match phrasebook::structure_of(text) {
        None => "is not a sentence of that grammar",
        Some(structure) if structure.is_held_out() || phrasebook::is_held_out(text) => {
            "is never shown in training"
        }
        Some(_) => "is one that training may show",
    };
    let said = sentences.iter().map(|sentence| {
        let text = sentence.text();
        format!(" `{text}` {}.", shown(&text))
    });
    Ok(said.collect())
}

/// The weights of the sentence's words over each other if all scores are equal, under the mask.
fn masked(setting: &Setting<'_>) -> Result<Matrix> {
    let words = words(setting.sentence())?;
    let params = Params::new(setting.device, Declarations::new(), 0)?;
    let pass = Pass::evaluate(&params);
    let n = words.len();
    let scores = Tensor::from_slice(setting.device, &vec![0.0f32; n * n], [n, n])?;
    // lesson: begin mask
    let causal = true;
    let weights = pass.softmax(&scores, 1.0, causal)?; // [T, T], 0 above the diagonal
    // lesson: end
    Matrix::new("masked weights", &words, &words, &weights)
}

/// The number of different characters in a text.
pub(super) fn characters(corpus: Corpus<'_>) -> Result<usize> {
    if let Corpus::Plays(_) = corpus {
        return Ok(CHARACTERS);
    }
    let text = load_text(corpus.name(), corpus.library())?;
    Ok(text.chars().collect::<HashSet<_>>().len())
}

/// The number of parameters of lesson 0's model with this many characters.
fn parameters(characters: usize) -> Result<Part> {
    let config = Config::preset("seed").map_err(latimer_trainer::Error::from)?;
    let (_, declarations) = Gpt::new(&config.model.with_vocab(characters))?;
    let parameters = declarations.num_parameters();
    Ok(output("parameters", parameters.to_string()))
}

/// Trains a preset on a text by character, for `steps` steps, or for all of them with `--full`.
pub(super) fn training(
    setting: &Setting<'_>,
    text_of: Corpus<'_>,
    preset: &str,
    steps: usize,
) -> Result<Vec<Part>> {
    let keys = [("tokenizer", "char"), ("data", text_of.name())];
    let keys = keys.map(|(k, v)| (k.to_owned(), v.to_owned()));
    let config =
        Config::resolve(Some(preset), None, &keys).map_err(latimer_trainer::Error::from)?;
    let steps = match setting.steps {
        Some(steps) => steps,
        None if setting.full => config.train.max_iters as usize,
        None => steps,
    };
    let (tokenizer, source) = corpus(&config, text_of.library())?;
    let shape = config.model.with_vocab(tokenizer.vocab_size());
    let mut training = Training::new(setting.device, &shape, &config.train)?;
    let tokenizer = &*tokenizer;
    let usual = match text_of {
        Corpus::Plays(_) => PROMPT,
        Corpus::English => PROMPT_OF_ENGLISH,
    };
    // Use a learner's words unless they contain characters that the text does not have.
    let prompt = tokenizer
        .encode(setting.text_or(usual))
        .or_else(|_| tokenizer.encode(usual))?;
    let before = (
        validation(&training, source.validation())?,
        sample(&training, tokenizer, &prompt)?,
    );
    let mut losses = Vec::new();
    setting.device.enter(|| -> Result<()> {
        for _ in 0..steps {
            // lesson: begin step
            let step = training.next_step(&*source)?; // forward, backward, AdamW
            losses.push(f64::from(step.loss));
            // lesson: end
        }
        Ok(())
    })?;
    let after = (
        validation(&training, source.validation())?,
        sample(&training, tokenizer, &prompt)?,
    );
    let points = losses.chunks(POINT).enumerate().map(|(i, some)| {
        let mean = some.iter().sum::<f64>() / some.len() as f64;
        (((i * POINT) + some.len()) as f64, mean)
    });
    let curve = Curve {
        name: "training loss".to_owned(),
        of: "step".to_owned(),
        points: points.collect(),
    };
    Ok(vec![
        text(&format!(
            "It is trained for {steps} steps of {} characters. Before and after, it continues the \
             words `{}`:",
            config.train.batch_size * config.model.block_size,
            tokenizer.decode(&prompt)?
        )),
        output("steps", steps.to_string()),
        output("validation loss before", before.0),
        output("sample before", before.1),
        code(source!("course/gpt.rs"), "step"),
        Part::Curve(curve),
        output("validation loss after", after.0),
        output("sample after", after.1),
    ])
}

/// The loss on windows of the validation split.
fn validation(training: &Training, windows: Windows<'_>) -> Result<String> {
    /// This many windows are enough for two digits.
    const WINDOWS: usize = 256;
    let windows: Vec<_> = windows.collect();
    let every = (windows.len() / WINDOWS).max(1);
    let (gpt, params) = (training.gpt(), training.params());
    let loss = mean_loss(gpt, params, windows.iter().step_by(every))?;
    Ok(loss.map_or_else(String::new, |loss| format!("{loss:.4}")))
}

/// The text that the model adds to the prompt.
fn sample(training: &Training, tokenizer: &dyn Tokenizer, prompt: &[u32]) -> Result<String> {
    let mut generator = Generator::new(training.gpt(), training.params(), prompt)?;
    let mut sampler = sampler(tokenizer, training.gpt(), Sampling::default(), 0)?;
    for _ in 0..SAMPLE {
        generator.next_id(&mut sampler)?;
    }
    Ok(tokenizer.decode(generator.ids())?)
}
