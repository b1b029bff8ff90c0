//! Flags that several commands share, declared once, and a flag for every key.

use crate::error::{Error, Result};
use crate::numbers::whole;
use clap::{Arg, ArgAction, ArgMatches, Args, Command as Clap, FromArgMatches};
use latimer_trainer::config::{Config, Key, KeyKind, OLD_KEYS, PRESETS};
use std::path::PathBuf;

/// Flags that every command takes.
#[derive(Debug, Args)]
#[command(next_help_heading = "Common options")]
pub(crate) struct Common {
    /// Backend to compute on; auto uses cuda if a GPU answers, otherwise cpu
    #[arg(long, global = true, value_name = "NAME", default_value = "auto")]
    pub(crate) backend: String,
    /// Threads of the cpu backend (0: one per core)
    #[arg(long, global = true, value_name = "N", default_value_t = 0, value_parser = whole(0usize))]
    pub(crate) threads: usize,
    /// Write results to stdout as JSON, one object a line
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// Print only results and errors
    #[arg(long, short, global = true)]
    pub(crate) quiet: bool,
    /// Print more; give it twice for still more
    #[arg(long, short, global = true, action = ArgAction::Count)]
    pub(crate) verbose: u8,
}

/// The configuration of a run: preset < file < flags. Without `DATA`, keys of the section `data`
/// are not flags.
#[derive(Debug, Args)]
pub(crate) struct ConfigArgs<const DATA: bool> {
    /// Preset to start from
    #[arg(long, value_name = "NAME", help = preset_help())]
    pub(crate) preset: Option<String>,
    /// TOML file whose keys override the preset
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Set a key by its full name, overriding the file; may be repeated
    #[arg(long = "set", value_name = "SECTION.KEY=VALUE")]
    set: Vec<String>,
    #[command(flatten)]
    keys: KeyFlags<DATA>,
}

impl<const DATA: bool> ConfigArgs<DATA> {
    /// Resolves the whole configuration; the flags of the command line override `before`.
    pub(crate) fn resolve(&self, before: &[(&str, &str)]) -> Result<Config> {
        let overrides = self.overrides(before)?;
        let (preset, file) = (self.preset.as_deref(), self.config.as_deref());
        Ok(Config::resolve(preset, file, &overrides)?)
    }

    /// The configuration to resume a run under: a file describes it anew, while flags alone
    /// override the run's own configuration.
    pub(crate) fn resume(&self, run: &Config) -> Result<Config> {
        if self.config.is_some() {
            return self.resolve(&[]);
        }
        let mut config = run.with_overrides(&self.overrides(&[])?)?;
        if let Some(preset) = &self.preset {
            config.preset = Config::preset(preset)?.preset;
        }
        Ok(config)
    }

    /// Keys and values of the flags, preceded by those of `before`.
    fn overrides(&self, before: &[(&str, &str)]) -> Result<Vec<(String, String)>> {
        let mut overrides: Vec<_> = before
            .iter()
            .map(|&(key, value)| (key.to_owned(), value.to_owned()))
            .collect();
        for set in &self.set {
            let Some((key, value)) = set.split_once('=') else {
                return Err(Error::Usage(format!(
                    "--set takes section.key=value, not `{set}`"
                )));
            };
            overrides.push((key.trim().to_owned(), value.trim().to_owned()));
        }
        overrides.extend(self.keys.0.iter().cloned());
        Ok(overrides)
    }
}

fn preset_help() -> String {
    let names: Vec<&str> = PRESETS.iter().map(|preset| preset.name).collect();
    format!("Preset to start from: {}", names.join(", "))
}

/// Every preset with its line of help.
pub(crate) fn presets() -> String {
    let lines = PRESETS
        .iter()
        .map(|preset| format!("  {:<12} {}\n", preset.name, preset.help));
    format!("Presets:\n{}", lines.collect::<String>())
}

/// A flag for each key, those of earlier versions hidden: keys and values as typed.
#[derive(Debug, Default)]
pub(crate) struct KeyFlags<const DATA: bool>(Vec<(String, String)>);

impl<const DATA: bool> Args for KeyFlags<DATA> {
    fn augment_args(command: Clap) -> Clap {
        let keys = Key::all().filter(|key| DATA || key.section != "data");
        command.args(keys.map(|key| {
            let (value_name, help) = match key.value {
                KeyKind::Integer => ("N", key.help.to_owned()),
                KeyKind::Float => ("X", key.help.to_owned()),
                KeyKind::Bool => ("BOOL", key.help.to_owned()),
                KeyKind::Choice(names) => ("NAME", format!("{}: {}", key.help, names.join(", "))),
                KeyKind::TextList if key.name == "extensions" => ("EXT", key.help.to_owned()),
                KeyKind::TextList => ("NAME|FILE", key.help.to_owned()),
                KeyKind::FloatList => ("X,X", key.help.to_owned()),
                _ => ("NAME", key.help.to_owned()),
            };
            let heading = match key.section {
                "model" => "Keys of the model",
                "train" => "Keys of the training",
                _ => "Keys of the data",
            };
            let arg = Arg::new(key.name)
                .long(key.name.replace('_', "-"))
                .value_name(value_name)
                .help(help)
                .help_heading(heading)
                .hide(OLD_KEYS.iter().any(|old| old.name == key.name))
                .action(ArgAction::Append);
            match (key.bare_value(), key.value) {
                (Some(bare), _) => arg.num_args(0..=1).default_missing_value(bare),
                (None, KeyKind::TextList) => arg.num_args(1..),
                _ => arg,
            }
        }))
    }

    fn augment_args_for_update(command: Clap) -> Clap {
        Self::augment_args(command)
    }
}

impl<const DATA: bool> FromArgMatches for KeyFlags<DATA> {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let mut flags = Self::default();
        flags.update_from_arg_matches(matches)?;
        Ok(flags)
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        for key in Key::all() {
            // `bench` has no flags for the data, so a missing one is not an error.
            if let Ok(Some(values)) = matches.try_get_many::<String>(key.name) {
                self.0
                    .extend(values.map(|value| (key.name.to_owned(), value.clone())));
            }
        }
        Ok(())
    }
}

/// Which tokenizer a model reads and writes by.
#[derive(Debug, Args)]
pub(crate) struct ModelTokenizer {
    /// Tokenizer to use instead of the model's own: a tokenizer.json, a tiktoken rank file, a
    /// folder with a tokenizer, or a run
    #[arg(long, value_name = "FILE")]
    pub(crate) tokenizer: Option<PathBuf>,
}

/// Which model to use.
#[derive(Debug, Args)]
pub(crate) struct ModelArgs {
    /// A run, a checkpoint or a Hugging Face GPT-2 folder [default: the newest run in ./runs]
    #[arg(long, value_name = "DIR")]
    pub(crate) model: Option<PathBuf>,
    /// Number type of activations and of the weights they are multiplied with: f32 or bf16
    #[arg(
        long,
        value_name = "NAME",
        default_value = "f32",
        hide_default_value = true
    )]
    pub(crate) dtype: String,
}
