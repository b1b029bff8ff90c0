//! `latimer translate`: one sentence, by one of the tutorial's translators.

use crate::args::ModelArgs;
use crate::context::{Context, unknown};
use crate::error::{Error, Result};
use crate::numbers::{above_zero, not_negative, whole};
use crate::terminal;
use latimer_lessons::{
    AttentionTranslator, Dictionary, ExactTranslator, FuzzyTranslator, GptTranslator, HeadTraining,
    HeadTranslator, LearnedHead, MatrixTranslator, Method, Part, Sentence, Sharpness,
    SoftmaxTranslator, Translation, Translator, keys_and_values, render,
};
use latimer_phrasebook::PHRASEBOOK;
use serde::Serialize;
use serde_json::{Map, Value};
use std::process::ExitCode;

/// What to translate, and how.
///
/// Every method takes the same text: sentences in small or capital letters, with or without
/// punctuation. The answer keeps the first capital and the final sign of each sentence and drops
/// other punctuation. Notes say what a method guessed, and how sure the GPT is of a sentence
/// outside the grammar that it was trained on.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The translator, in the tutorial's order: exact, fuzzy, matrix, softmax, attention, head, gpt
    #[arg(long, value_name = "NAME", default_value = "gpt")]
    method: String,
    /// Show intermediate results: edits, scores, weights, answers
    #[arg(long)]
    explain: bool,
    /// Temperature of softmax, attention and head: below 1 the best key gets more weight, above 1
    /// less [default: 1]
    #[arg(long, value_name = "X", value_parser = above_zero)]
    temperature: Option<f64>,
    /// Factor of the scores of softmax, attention and head, or `formula` for 1/√d [default: 1;
    /// formula for head]
    #[arg(long, value_name = "X", value_parser = scale)]
    scale: Option<Scale>,
    /// Seed of the head's initial weights
    #[arg(long, value_name = "N", default_value_t = HeadTraining::default().seed, value_parser = whole(0u64))]
    seed: u64,
    #[command(flatten)]
    model: ModelArgs,
    /// French text; capitals, punctuation and typographic apostrophes are accepted
    #[arg(value_name = "TEXT", required = true)]
    text: Vec<String>,
}

/// For a user without a model: an error that names the methods that need none.
fn without_model(error: Error) -> Error {
    match error {
        Error::Trainer(cause) if matches!(*cause, latimer_trainer::Error::NoRun { .. }) => {
            let others = Method::ALL.into_iter().filter(|&m| m != Method::Gpt);
            let others: Vec<&str> = others.map(Method::name).collect();
            let others = others.join(", ");
            Error::NoTranslator { cause, others }
        }
        other => other,
    }
}

/// The factor of scores.
#[derive(Clone, Copy, Debug)]
enum Scale {
    Formula,
    Number(f32),
}

fn scale(text: &str) -> Result<Scale, String> {
    match text {
        "formula" => Ok(Scale::Formula),
        _ => not_negative(text)
            .map(|number| Scale::Number(number as f32))
            .map_err(|what| format!("{what}, or `formula` for 1/√d")),
    }
}

/// The result of `translate`.
#[derive(Serialize)]
struct Translated<'a> {
    method: &'a str,
    text: &'a str,
    /// The tokens of the answer, each as text.
    tokens: &'a [String],
    /// Intermediate results, if they were asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    workings: Option<Map<String, Value>>,
}

pub(crate) fn run(context: &Context, args: &Args) -> Result<ExitCode> {
    let Some(method) = Method::from_name(&args.method) else {
        let names = Method::ALL.map(Method::name);
        return Err(unknown("method", &args.method, &names));
    };
    let text = args.text.join(" ");
    if let Err(nothing @ latimer_lessons::Error::EmptyText) = Sentence::all(&text) {
        return Err(Error::Usage(nothing.to_string()));
    }
    if !method.has_sharpness() && (args.temperature.is_some() || args.scale.is_some()) {
        return Err(Error::Usage(format!(
            "--temperature and --scale apply only to the methods softmax, attention and head: {} \
             has no softmax",
            method.name()
        )));
    }
    let translation = args.translate(context, method, &text)?;
    show(context, args, &translation)?;
    for remark in &translation.remarks {
        let note = terminal::dim(format_args!("note: {remark}"));
        context.terminal.note(note);
    }
    Ok(ExitCode::SUCCESS)
}

/// Prints the result: a JSON object, or the text, preceded by the intermediate results.
fn show(context: &Context, args: &Args, translation: &Translation) -> Result<()> {
    if context.terminal.json {
        let outputs = || translation.workings.iter().filter_map(Part::output);
        return terminal::json_result(&Translated {
            method: translation.method.name(),
            text: &translation.text,
            tokens: &translation.tokens,
            workings: args.explain.then(|| outputs().collect()),
        });
    }
    if args.explain {
        let shown = render::parts(&translation.workings, terminal::has_colour());
        terminal::result(format_args!("{}\n", shown.trim_matches('\n')))?;
    }
    terminal::result(&translation.text)
}

impl Args {
    fn translate(&self, context: &Context, method: Method, text: &str) -> Result<Translation> {
        let dictionary = Dictionary::tutorial();
        let matrices = || keys_and_values(&context.device()?, &dictionary).map_err(Error::from);
        let plain = Sharpness::default();
        let d = dictionary.len();
        Ok(match method {
            Method::Exact => ExactTranslator::new(dictionary).translate(text)?,
            Method::Fuzzy => FuzzyTranslator::new(dictionary).translate(text)?,
            Method::Matrix => MatrixTranslator::new(matrices()?).translate(text)?,
            Method::Softmax => {
                SoftmaxTranslator::new(matrices()?, self.sharpness(plain, d)).translate(text)?
            }
            Method::Attention => {
                AttentionTranslator::new(matrices()?, self.sharpness(plain, d)).translate(text)?
            }
            Method::Head => {
                let training = HeadTraining {
                    seed: self.seed,
                    ..HeadTraining::default()
                };
                let head = LearnedHead::train(&context.device()?, &dictionary, training)?;
                let sharpness = self.sharpness(head.sharpness(), training.n_embd);
                HeadTranslator::new(&head, sharpness).translate(text)?
            }
            Method::Gpt => {
                let model = context.model(&self.model, Some(PHRASEBOOK));
                let model = model.map_err(without_model)?;
                let tokenizer = model.tokenizer()?;
                GptTranslator::new(&model.gpt, &model.params, &**tokenizer).translate(text)?
            }
        })
    }

    /// The flags override a method's own factors; `d` is the length of its vectors.
    fn sharpness(&self, own: Sharpness, d: usize) -> Sharpness {
        Sharpness {
            scale: match self.scale {
                None => own.scale,
                Some(Scale::Formula) => Sharpness::formula(d).scale,
                Some(Scale::Number(scale)) => scale,
            },
            temperature: self.temperature.map_or(own.temperature, |t| t as f32),
        }
    }
}
