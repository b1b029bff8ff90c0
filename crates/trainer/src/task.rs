//! A corpus with a purpose: its own tokenizer and rows, prompts shown while training, and a score
//! at the end. Text files need none of it.

use crate::data::Source;
use crate::evaluate::NEVER;
use crate::sampling::{line_end, sampler};
use crate::{Error, Result};
use latimer_autograd::Params;
use latimer_nn::{Generator, Gpt, Sampling};
use latimer_tokenizer::Tokenizer;
use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};
use std::fmt::Debug;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Longest answer to a prompt, in tokens, unless the task says otherwise.
const LONGEST: usize = 100;

/// What a model is trained for. [`Run::with_task`](crate::Run::with_task) trains on it; the example
/// `adding` has one of 40 lines.
pub trait Task: Debug + Send + Sync {
    /// Text to ids.
    fn tokenizer(&self) -> Arc<dyn Tokenizer>;

    /// The rows to train on, and the validation split.
    fn source(&self) -> Box<dyn Source>;

    /// Prompts that the model answers while it is trained, as they are shown. Without any, it
    /// writes from a line's beginning.
    fn prompts(&self) -> Vec<String> {
        Vec::new()
    }

    /// The answer to one of [`Task::prompts`]. Unless a task says otherwise, the rest of the line
    /// that begins with the prompt.
    ///
    /// # Errors
    /// As [`Writer::line`].
    fn answer(&self, model: &dyn Writer, prompt: &str) -> Result<String> {
        Ok(model.line(prompt, LONGEST)?.text)
    }

    /// What is measured at the end of a run: fields of the `done` event.
    ///
    /// # Errors
    /// As [`Writer::line`].
    fn score(&self, model: &dyn Writer) -> Result<Scores>;
}

/// A model as a task sees it.
pub trait Writer {
    /// Continues `prompt`, which stands at a line's beginning, by the likeliest token each time,
    /// until the line ends or it has `longest` tokens more.
    ///
    /// # Errors
    /// [`Error::Tokenizer`] for a prompt that has no ids; [`Error::NoLineEnd`]; [`Error::Stopped`]
    /// where the run is stopped; the device's failure.
    fn line(&self, prompt: &str, longest: usize) -> Result<Line>;
}

/// The rest of a line, and how sure the model was of each token.
#[derive(Clone, Debug, PartialEq)]
pub struct Line {
    /// The text, without white space around it.
    pub text: String,
    /// Its tokens, without the end of the line.
    pub ids: Vec<u32>,
    /// The probability that the model gave each token, and then the end of the line if it came.
    pub probabilities: Vec<f64>,
    /// True if the end of the line came; else the text was cut off.
    pub ended: bool,
}

/// A GPT that writes.
#[derive(Clone, Copy, Debug)]
pub struct GptWriter<'a> {
    gpt: &'a Gpt,
    params: &'a Params,
    tokenizer: &'a dyn Tokenizer,
    stop: &'a AtomicBool,
}

impl<'a> GptWriter<'a> {
    /// Writes with this model's weights and tokenizer.
    #[must_use]
    pub fn new(gpt: &'a Gpt, params: &'a Params, tokenizer: &'a dyn Tokenizer) -> Self {
        Self {
            gpt,
            params,
            tokenizer,
            stop: &NEVER,
        }
    }

    /// The same, but [`Error::Stopped`] at the next token after `stop` is set.
    pub(crate) fn until(self, stop: &'a AtomicBool) -> Self {
        Self { stop, ..self }
    }
}

impl Writer for GptWriter<'_> {
    fn line(&self, prompt: &str, longest: usize) -> Result<Line> {
        let Self {
            gpt,
            params,
            tokenizer,
            stop,
        } = *self;
        let newline = line_end(tokenizer)?;
        let prompt = tokenizer.encode(&format!("\n{prompt}"))?;
        params.device().enter(|| -> Result<Line> {
            let mut generator = Generator::new(gpt, params, &prompt)?;
            let mut sampler = sampler(tokenizer, gpt, Sampling::greedy(), 0)?;
            let (mut probabilities, mut ended) = (Vec::new(), false);
            while probabilities.len() < longest && !ended {
                if stop.load(Ordering::Relaxed) {
                    return Err(Error::Stopped);
                }
                let logits = generator.logits()?;
                let id = sampler.sample(logits)?;
                probabilities.push(probability(logits, id));
                ended = id == newline;
                if !ended {
                    generator.push(id)?;
                }
            }
            let ids = generator.ids()[prompt.len()..].to_vec();
            Ok(Line {
                text: tokenizer.decode(&ids)?.trim().to_owned(),
                ids,
                probabilities,
                ended,
            })
        })
    }
}

/// The share that a softmax over `logits` gives to `id`.
fn probability(logits: &[f32], id: u32) -> f64 {
    let of = f64::from(logits[id as usize]);
    let sum: f64 = logits.iter().map(|&x| (f64::from(x) - of).exp()).sum();
    1.0 / sum
}

/// Names and numbers, in the order in which they were given.
///
/// ```
/// use latimer_trainer::Scores;
/// let scores = Scores::default().with("right", 0.75).with("tried", 40);
/// assert_eq!(scores.get("right"), Some(0.75));
/// assert_eq!(serde_json::to_string(&scores)?, r#"{"right":0.75,"tried":40}"#);
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Scores(Vec<(String, Score)>);

/// One number of [`Scores`].
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(untagged)]
#[non_exhaustive]
pub enum Score {
    /// A whole number.
    Count(u64),
    /// Any other, such as a share from 0 to 1.
    Real(f64),
}

impl From<f64> for Score {
    fn from(value: f64) -> Self {
        Self::Real(value)
    }
}

impl From<usize> for Score {
    fn from(value: usize) -> Self {
        Self::Count(value as u64)
    }
}

impl Scores {
    /// These and one more.
    #[must_use]
    pub fn with(mut self, name: impl Into<String>, value: impl Into<Score>) -> Self {
        self.0.push((name.into(), value.into()));
        self
    }

    /// The number of that name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<f64> {
        let (_, score) = self.0.iter().find(|(known, _)| known == name)?;
        Some(match *score {
            Score::Count(count) => count as f64,
            Score::Real(value) => value,
        })
    }

    /// Every name with its number.
    pub fn iter(&self) -> impl Iterator<Item = (&str, Score)> {
        self.0.iter().map(|(name, score)| (name.as_str(), *score))
    }
}

impl Serialize for Scores {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let mut map = to.serialize_map(Some(self.0.len()))?;
        for (name, score) in self.iter() {
            map.serialize_entry(name, &score)?;
        }
        map.end()
    }
}
