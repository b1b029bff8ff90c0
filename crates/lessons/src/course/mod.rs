//! The lessons as data: everything that each says and shows.
//!
//! A lesson is an [`Entry`] of [`LESSONS`]: a name, a title, and a function that computes its
//! [`Part`]s on the device of a [`Setting`]. To add a lesson, write such a function in a file here
//! and add its entry; terminal, LaTeX, JSON and book output then need no further work.

mod gpt;
mod head;
mod ladder;
mod matrices;
mod rungs;
mod settings;
mod softmax;
mod thread;
mod tokens;
mod words;

use crate::{Error, GptTranslator, Part, Result};
use latimer_phrasebook::ENGLISH;
use latimer_tensor::Device;
use latimer_trainer::data::corpora::Library;
use serde_json::{Map, Value};
use std::path::Path;

/// The tutorial that the lessons follow; the ladder follows its part 2.
pub const TUTORIAL: &str = "LLMs from dummies, part 1";
/// The address where it is published, with slides, notebook and video.
pub const TUTORIAL_URL: &str = "https://github.com/pcingola/llms_from_dummies";

/// The tutorial's sentence.
pub const SENTENCE: &str = "le chat est sous la table";

/// The settings that a lesson is computed with.
///
/// ```
/// use latimer_lessons::course::{Entry, Setting};
/// use latimer_tensor::Device;
///
/// let device = Device::reference();
/// let setting = Setting { text: Some("la table"), ..Setting::new(&device) };
/// let lesson = Entry::find("7")?.build(&setting)?;
/// assert_eq!(lesson.outputs()["translation"], "the table");
/// # Ok::<(), latimer_lessons::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Setting<'a> {
    /// The device to compute on.
    pub device: &'a Device,
    /// The learner's own words, which replace the tutorial's.
    pub text: Option<&'a str>,
    /// The folder that holds `shakespeare.txt`, if there is one. Without it, lessons that train use
    /// the phrasebook's English, which the program generates.
    pub cache: Option<&'a Path>,
    /// A GPT trained on the phrasebook, if there is one.
    pub gpt: Option<GptTranslator<'a>>,
    /// Whether trainings that take longer than half a minute may run to their end.
    pub full: bool,
    /// Number of steps for lesson 12 and the ladder, in place of their own.
    pub steps: Option<usize>,
}

impl<'a> Setting<'a> {
    /// The tutorial's words on this device, without a corpus or a GPT.
    #[must_use]
    pub fn new(device: &'a Device) -> Self {
        Self {
            device,
            text: None,
            cache: None,
            gpt: None,
            full: false,
            steps: None,
        }
    }

    /// The learner's own words, if there are any.
    fn text_given(&self) -> Option<&'a str> {
        self.text.filter(|text| !text.trim().is_empty())
    }

    /// The words to work on: the learner's, or `default`.
    fn text_or(&self, default: &'a str) -> &'a str {
        self.text_given().unwrap_or(default)
    }

    /// The text to train on: the plays if they are available, otherwise the generated text.
    fn corpus(&self) -> Corpus<'a> {
        self.cache.map_or(Corpus::English, Corpus::Plays)
    }

    /// The sentence to work on: the learner's, or the tutorial's.
    fn sentence(&self) -> &'a str {
        self.text_or(SENTENCE)
    }
}

/// The text that lessons train on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Corpus<'a> {
    /// Shakespeare's plays, in this cache.
    Plays(&'a Path),
    /// The phrasebook's English.
    English,
}

impl Corpus<'_> {
    /// Its name for `--data`.
    fn name(self) -> &'static str {
        match self {
            Self::Plays(_) => "shakespeare",
            Self::English => ENGLISH,
        }
    }

    /// Where its name is looked up. The phrasebook's English is written among temporary files:
    /// nothing may appear in the folder that a learner works in.
    fn library(self) -> Library {
        latimer_phrasebook::library(match self {
            Self::Plays(cache) => cache.to_owned(),
            Self::English => std::env::temp_dir().join("latimer"),
        })
    }

    /// For a text that is not the tutorial's: says which text it is, and how to get the tutorial's.
    fn instead(self) -> Option<Part> {
        (self == Self::English).then(|| {
            text(
                "The tutorial takes Shakespeare's plays here, which are not on this machine. This \
                 lesson uses a text that the program makes itself: 30,000 English sentences of the \
                 phrasebook, one per line. `latimer data get shakespeare` downloads the plays, 1.1 \
                 MB; then run the lesson again.",
            )
        })
    }
}

/// A lesson in the list.
#[derive(Clone, Copy, Debug)]
pub struct Entry {
    /// Its name: `0` to `12`, or a word.
    pub id: &'static str,
    /// Its title.
    pub title: &'static str,
    /// Its subject, in one line without a full stop.
    pub about: &'static str,
    /// Whether [`Setting::text`] changes anything in it.
    pub takes_words: bool,
    build: fn(&Setting<'_>) -> Result<Vec<Part>>,
}

/// A lesson after its computation.
#[derive(Clone, Debug, PartialEq)]
pub struct Lesson {
    /// Its name.
    pub id: &'static str,
    /// Its title.
    pub title: &'static str,
    /// Its subject.
    pub about: &'static str,
    /// Its text and figures, in order.
    pub parts: Vec<Part>,
}

macro_rules! lessons { ($($id:literal $build:path: $title:literal, $about:literal $(, $fixed:ident)?;)*) => {
    /// Every lesson, in the tutorial's order.
    pub const LESSONS: &[Entry] = &[$(Entry {
        id: $id,
        title: $title,
        about: $about,
        takes_words: true $(&& !$fixed)?,
        build: $build,
    }),*];
} }
/// Marks a lesson without words that a learner could change.
const FIXED: bool = true;
lessons! {
    "0" settings::settings: "Settings", "the numbers that describe a model and its training", FIXED;
    "1" matrices::latex: "Matrices on paper", "a helper that writes a matrix as LaTeX", FIXED;
    "2" words::literal: "A literal translation", "look every word up in a dictionary";
    "3" words::nearest: "The nearest key", "an unknown word, and the key with the fewest edits";
    "4" words::vocabularies: "Vocabularies", "give every word a number";
    "5" matrices::one_hot: "One-hot vectors", "turn a number into a vector";
    "6" matrices::two_matrices: "A dictionary is two matrices", "look up by multiplying: q·Kᵀ·V";
    "7" matrices::decode: "From vector to word", "the word whose vector is most similar";
    "8" softmax::softmax: "Soft attention", "softmax(q·Kᵀ)·V, how a scale breaks it, and the fix";
    "9" softmax::all_at_once: "All words at once", "one product for a sentence, and the wrong axis";
    "10" head::head: "A head that learns", "the dictionary, learned by gradient descent";
    "11" tokens::tokens: "Pieces of words", "byte-pair encoding, by hand and on a large text";
    "12" gpt::gpt: "From here to a GPT", "a mask, a stack of blocks, and a next word";
    "lm0" ladder::lm0: "A head that cheats", "one head of attention that sees the answer";
    "lm1" ladder::lm1: "The mask", "the same head without a view of what comes later";
    "lm2" ladder::lm2: "Heads and positions", "two heads, and a vector for every place";
    "lm3" ladder::lm3: "Feed-forward", "a layer for each position alone";
    "lm4" ladder::lm4: "Blocks and residuals", "four blocks, each adding to what is there";
    "lm5" ladder::lm5: "Layer norm", "numbers kept small, and half the blocks";
    "thread" thread::thread: "What each idea buys", "one exam for every translator", FIXED;
}

impl Entry {
    /// The lesson of this name.
    ///
    /// # Errors
    /// [`Error::UnknownLesson`].
    pub fn find(id: &str) -> Result<&'static Self> {
        let entry = LESSONS.iter().find(|entry| entry.id == id);
        entry.ok_or_else(|| Error::UnknownLesson {
            id: id.to_owned(),
            known: LESSONS.iter().map(|e| e.id).collect::<Vec<_>>().join(", "),
        })
    }

    /// Computes the lesson.
    ///
    /// ```
    /// use latimer_lessons::course::{Entry, Setting};
    /// use latimer_tensor::Device;
    ///
    /// let device = Device::reference();
    /// let lesson = Entry::find("2")?.build(&Setting::new(&device))?;
    /// assert_eq!(lesson.outputs()["translation"], "the cat is under the table");
    /// # Ok::<(), latimer_lessons::Error>(())
    /// ```
    ///
    /// # Errors
    /// Any error of its computations.
    pub fn build(&self, setting: &Setting<'_>) -> Result<Lesson> {
        Ok(Lesson {
            id: self.id,
            title: self.title,
            about: self.about,
            parts: (self.build)(setting)?,
        })
    }
}

impl Lesson {
    /// Every result by name, as JSON.
    #[must_use]
    pub fn outputs(&self) -> Map<String, Value> {
        self.parts.iter().filter_map(Part::output).collect()
    }
}

// ---- how lessons write their parts

fn text(text: &str) -> Part {
    Part::Text(text.to_owned())
}

fn equation(plain: &str, latex: &str) -> Part {
    Part::Equation {
        plain: plain.to_owned(),
        latex: latex.to_owned(),
    }
}

fn output(name: &str, value: impl Into<String>) -> Part {
    Part::Output {
        name: name.to_owned(),
        value: value.into(),
    }
}

/// A translator's answer, or the reason why it has none: both are worth showing.
fn answer(name: &str, translation: Result<crate::Translation>) -> Part {
    output(
        name,
        translation.map_or_else(|error| format!("error: {error}"), |english| english.text),
    )
}

fn next(commands: &[(&str, &str)]) -> Part {
    let owned = |&(command, shows): &(&str, &str)| (command.to_owned(), shows.to_owned());
    Part::Try(commands.iter().map(owned).collect())
}

/// Rows of strings under a header.
fn table<const N: usize>(
    name: &str,
    header: [&str; N],
    rows: impl IntoIterator<Item = [String; N]>,
) -> crate::Table {
    crate::Table {
        name: name.to_owned(),
        header: header.map(str::to_owned).into(),
        rows: rows.into_iter().map(Into::into).collect(),
        winning_row: None,
    }
}
