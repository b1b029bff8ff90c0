//! `latimer lesson`: the tutorial, step by step.

use crate::args::ModelArgs;
use crate::bar::Bar;
use crate::context::{Context, library, unknown};
use crate::download::{self, OTHER_TEXT};
use crate::error::{Error, Result, sentence};
use crate::terminal;
use latimer_lessons::course::{Entry, LESSONS, TUTORIAL, TUTORIAL_URL};
use latimer_lessons::{GptTranslator, Lesson, Part, Setting, render};
use latimer_phrasebook::PHRASEBOOK;
use latimer_trainer::Model;
use serde::Serialize;
use serde_json::{Map, Value};
use std::path::PathBuf;
use std::process::ExitCode;

/// The corpus that some lessons need.
const SHAKESPEARE: &str = "shakespeare";
/// The lessons that need it, and those that translate by a GPT.
const READERS: [&str; 8] = ["11", "12", "lm0", "lm1", "lm2", "lm3", "lm4", "lm5"];
const TRANSLATORS: [&str; 2] = ["12", "thread"];
/// The lessons that take more than a second.
const SLOW: [&str; 8] = ["12", "lm0", "lm1", "lm2", "lm3", "lm4", "lm5", "thread"];

/// Shows lessons of the tutorial.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// A lesson's name, `list`, or `all`
    #[arg(value_name = "N|list|all", default_value = "list")]
    lesson: String,
    /// Your own words in place of the tutorial's
    #[arg(long = "try", value_name = "WORDS", num_args = 1..)]
    words: Option<Vec<String>>,
    /// Write equations and matrices as LaTeX
    #[arg(long, conflicts_with_all = ["json", "html"])]
    latex: bool,
    /// Write a self-contained page to FILE; with `all`, a small book
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    /// Run trainings to the end even if they take longer than half a minute
    #[arg(long)]
    full: bool,
    #[command(flatten)]
    model: ModelArgs,
}

/// The results of a lesson.
#[derive(Serialize)]
struct Given<'a> {
    lesson: Value,
    title: &'a str,
    outputs: Map<String, Value>,
}

/// A lesson in the list.
#[derive(Serialize)]
struct Listed<'a> {
    lesson: Value,
    title: &'a str,
    about: &'a str,
}

/// The result of `--html`.
#[derive(Serialize)]
struct Written {
    out: String,
    lessons: usize,
    bytes: usize,
}

pub(crate) fn run(context: &Context, args: &Args) -> Result<ExitCode> {
    let entries: &[Entry] = match args.lesson.as_str() {
        "list" => {
            list(context)?;
            return Ok(ExitCode::SUCCESS);
        }
        "all" => LESSONS,
        id => {
            let at = LESSONS.iter().position(|entry| entry.id == id);
            let at = at.ok_or_else(|| no_lesson(id))?;
            &LESSONS[at..=at]
        }
    };
    let device = context.device()?;
    let text = args.words.as_ref().map(|words| words.join(" "));
    let has = |ids: &[&str]| entries.iter().any(|entry| ids.contains(&entry.id));
    let model = match has(&TRANSLATORS) {
        true => model(context, args)?,
        false => None,
    };
    let cache = has(&READERS).then(|| plays(context)).flatten();
    let tokenizer = model.as_ref().map(Model::tokenizer).transpose()?;
    let setting = Setting {
        text: text.as_deref(),
        cache: cache.as_deref(),
        gpt: model
            .as_ref()
            .zip(tokenizer)
            .map(|(model, tokenizer)| GptTranslator::new(&model.gpt, &model.params, &**tokenizer)),
        full: args.full,
        ..Setting::new(&device)
    };
    if let [entry] = entries {
        warn(context, args, entry);
    }
    let mut lessons = Vec::new();
    let mut bar = args.html.as_ref().filter(|_| entries.len() > 1).map(|_| {
        let lessons = entries.len() as u64;
        Bar::new(&context.terminal, "lessons", lessons)
    });
    for (number, entry) in entries.iter().enumerate() {
        if let Some(bar) = &mut bar {
            bar.set(number as u64);
        }
        let mut lesson = entry.build(&setting)?;
        as_typed(&mut lesson.parts);
        // A book is written at the end, everything else as soon as it is computed.
        if args.html.is_some() {
            lessons.push(lesson);
        } else {
            show(context, args, &lesson, number == 0)?;
        }
    }
    drop(bar);
    if let Some(path) = &args.html {
        write(context, path, &lessons)?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Warns beforehand of anything that a user may wonder about.
fn warn(context: &Context, args: &Args, entry: &Entry) {
    let id = entry.id;
    if args.words.is_some() && !entry.takes_words {
        let warning = format_args!("lesson {id} has no words to change: --try does nothing here");
        context.terminal.warn(warning);
    }
    if SLOW.contains(&id) {
        let note = format!("lesson {id} trains a model, which takes some seconds\n");
        context.terminal.note(terminal::dim(note));
    }
}

/// Replaces commands by what the user has to type here.
fn as_typed(parts: &mut [Part]) {
    for part in parts {
        match part {
            Part::Text(text) => *text = terminal::typed(text),
            Part::Try(commands) => {
                for (command, _) in commands {
                    if let Some(rest) = command.strip_prefix("latimer ") {
                        *command = format!("{} {rest}", terminal::called());
                    }
                }
            }
            _ => {}
        }
    }
}

fn no_lesson(id: &str) -> Error {
    let names: Vec<&str> = LESSONS.iter().map(|entry| entry.id).collect();
    match id.parse::<i64>() {
        // A number is never a misspelling of another number.
        Ok(_) => Error::Usage(format!(
            "there is no lesson {id}: there are {}",
            names.join(", ")
        )),
        Err(_) => unknown("lesson", id, &[&names[..], &["list", "all"]].concat()),
    }
}

fn list(context: &Context) -> Result<()> {
    for entry in LESSONS {
        if context.terminal.json {
            terminal::json_result(&Listed {
                lesson: name(entry.id),
                title: entry.title,
                about: entry.about,
            })?;
        } else {
            let (id, title) = (entry.id, entry.title);
            terminal::result(format_args!("{id:>6}  {title:<28}  {}", entry.about))?;
        }
    }
    if !context.terminal.json {
        terminal::result(format_args!(
            "\nThe lessons follow the tutorial \"{TUTORIAL}\", lm0 to lm5 its part 2: {TUTORIAL_URL}"
        ))?;
    }
    context.terminal.note(terminal::typed(
        "\n`latimer lesson 2` is a good start; `latimer lesson all --html book.html` writes a \
         book.",
    ));
    Ok(())
}

/// A lesson's name as JSON: a number if it is one.
fn name(id: &str) -> Value {
    id.parse::<u64>().map_or_else(|_| id.into(), Value::from)
}

fn show(context: &Context, args: &Args, lesson: &Lesson, first: bool) -> Result<()> {
    if context.terminal.json {
        return terminal::json_result(&Given {
            lesson: name(lesson.id),
            title: lesson.title,
            outputs: lesson.outputs(),
        });
    }
    let shown = if args.latex {
        render::latex(lesson)
    } else {
        render::terminal(lesson, terminal::has_colour())
    };
    let gap = if first { "" } else { "\n\n" };
    terminal::result(format_args!("{gap}{}", shown.trim_end()))
}

fn write(context: &Context, path: &PathBuf, lessons: &[Lesson]) -> Result<()> {
    let page = render::page(lessons);
    std::fs::write(path, &page).map_err(|source| Error::WriteFile {
        path: path.clone(),
        source,
    })?;
    let written = Written {
        out: path.display().to_string(),
        lessons: lessons.len(),
        bytes: page.len(),
    };
    if context.terminal.json {
        return terminal::json_result(&written);
    }
    terminal::result(format_args!("{}: open it in a browser", written.out))
}

/// The folder with Shakespeare's plays, downloaded if needed. Without it a lesson uses a text that
/// the program generates.
fn plays(context: &Context) -> Option<PathBuf> {
    let library = library();
    let published = library.find(SHAKESPEARE)?.published()?;
    match download::fetch(&published, library.cache(), &context.terminal) {
        Ok(_) => Some(library.cache().to_owned()),
        Err(error) => {
            // Lessons cannot use another text, so that hint is removed.
            let reason = sentence(&error).replace(OTHER_TEXT, "");
            let warning = format_args!(
                "without Shakespeare's plays, this lesson trains on the phrasebook's English \
                 sentences: {reason}"
            );
            context.terminal.warn(warning);
            None
        }
    }
}

/// The model that `--model` names, or the newest phrasebook run, if there is one.
fn model(context: &Context, args: &Args) -> Result<Option<Model>> {
    match context.model(&args.model, Some(PHRASEBOOK)) {
        Ok(model) => Ok(Some(model)),
        Err(error) if args.model.model.is_some() => Err(error),
        // The user did not name a model, so this is no error: the lesson says how to train one.
        Err(Error::Trainer(cause)) if matches!(*cause, latimer_trainer::Error::NoRun { .. }) => {
            Ok(None)
        }
        Err(error) => {
            context.terminal.warn(format_args!(
                "the GPT of the newest run cannot be used here: {}",
                sentence(&error)
            ));
            Ok(None)
        }
    }
}
