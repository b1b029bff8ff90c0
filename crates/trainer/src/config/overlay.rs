//! Lays a file and flags over a preset.

use std::ops::Range;
use std::path::Path;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::keys::{FF_FACTOR, SECTIONS};
use super::value::Value;
use super::{Config, ConfigError, DEFAULT_PRESET, Key, KeyKind, Origin, Result, nearest};

impl Config {
    /// The configuration of a run: preset < file < flags, then [`Config::validate`].
    ///
    /// The preset is `preset`, else the one that the file names, else [`DEFAULT_PRESET`].
    /// `overrides` are pairs of key and value as typed; a key stands with its section
    /// (`train.learning_rate`, and messages say `--set`) or without (`learning_rate`, and
    /// messages say `--learning-rate`). The last of several wins, but lists are gathered:
    /// `--data a --data b` is both.
    ///
    /// # Errors
    /// Any [`ConfigError`] except [`ConfigError::NoData`]; the first mistake found.
    pub fn resolve(
        preset: Option<&str>,
        file: Option<&Path>,
        overrides: &[(String, String)],
    ) -> Result<Self> {
        let text = match file {
            Some(path) => Some((path, latimer_text::read(path)?)),
            None => None,
        };
        let file = text.as_ref().map(|(path, text)| (*path, text.as_str()));
        let config = Self::overlay(preset, file, overrides)?;
        config.validate()?;
        Ok(config)
    }

    /// [`Config::resolve`] of a file that is already read; `path` is its name in messages.
    ///
    /// # Errors
    /// As [`Config::resolve`].
    pub fn from_toml(text: &str, path: &Path) -> Result<Self> {
        let config = Self::overlay(None, Some((path, text)), &[])?;
        config.validate()?;
        Ok(config)
    }

    /// This configuration under overrides, as [`Config::resolve`] lays them over a preset and a
    /// file: for a run that is resumed, whose preset and file are in it already.
    ///
    /// # Errors
    /// As [`Config::resolve`].
    pub fn with_overrides(&self, overrides: &[(String, String)]) -> Result<Self> {
        let mut laid = Laid::over(self.clone());
        laid.apply_overrides(overrides)?;
        let config = laid.finish();
        config.validate()?;
        Ok(config)
    }

    fn overlay(
        preset: Option<&str>,
        file: Option<(&Path, &str)>,
        overrides: &[(String, String)],
    ) -> Result<Self> {
        let file = file
            .map(|(path, text)| File::parse(path, text))
            .transpose()?;
        let preset = match (preset, &file) {
            (Some(name), _) => Self::preset_from(name, Origin::Flag("--preset".to_owned()))?,
            (
                None,
                Some(File {
                    preset: Some((name, origin)),
                    ..
                }),
            ) => Self::preset_from(name, origin.clone())?,
            (None, _) => Self::preset(DEFAULT_PRESET)?,
        };
        let mut laid = Laid::over(preset);
        for assignment in file.into_iter().flat_map(|file| file.assignments) {
            laid.apply(assignment)?;
        }
        laid.apply_overrides(overrides)?;
        Ok(laid.finish())
    }
}

/// A configuration over which keys are laid.
struct Laid {
    config: Config,
    /// The feed-forward's width as a multiple of `n_embd`, which a later key may still change.
    ff_factor: Option<Value>,
}

impl Laid {
    fn over(config: Config) -> Self {
        let ff_factor = None;
        Self { config, ff_factor }
    }

    fn finish(mut self) -> Config {
        if let (Some(factor), Some(key)) = (self.ff_factor, Key::find(FF_FACTOR)) {
            // It was set once already, so it can be.
            let _ = key.set(&mut self.config, factor);
        }
        self.config
    }

    fn apply(&mut self, assignment: Assignment) -> Result<()> {
        match assignment.key.name {
            FF_FACTOR => self.ff_factor = assignment.value.clone(),
            "ff_width" | "mlp" => self.ff_factor = None,
            _ => (),
        }
        assignment.apply(&mut self.config)
    }

    fn apply_overrides(&mut self, overrides: &[(String, String)]) -> Result<()> {
        let mut gathered: Vec<&Key> = Vec::new();
        for (name, text) in overrides {
            let origin = flag_origin(name);
            let key = Key::find(name).ok_or_else(|| unknown_key(name, origin.clone()))?;
            let mut value = parse_flag(key.value, text);
            if let Some(value) = &mut value {
                if gathered.iter().any(|seen| seen.name == key.name) {
                    value.prepend(key.get(&self.config));
                }
                gathered.push(key);
            }
            self.apply(Assignment {
                key,
                value,
                text: text.clone(),
                origin,
            })?;
        }
        Ok(())
    }
}

/// One key given a value.
struct Assignment {
    key: &'static Key,
    /// `None`: it could not be read as the key's kind.
    value: Option<Value>,
    /// As it was written.
    text: String,
    origin: Origin,
}

impl Assignment {
    fn apply(self, config: &mut Config) -> Result<()> {
        let Self {
            key,
            value,
            text,
            origin,
        } = self;
        value
            .and_then(|value| key.set(config, value))
            .ok_or_else(|| {
                let nearest = match key.value {
                    KeyKind::Choice(names) => nearest(&text, names.iter().copied()),
                    _ => None,
                };
                let value = shortened(&text);
                ConfigError::BadValue {
                    key: key.path(),
                    value,
                    expected: key.expected(),
                    nearest,
                    origin,
                }
            })
    }
}

// ---- flags

fn flag_origin(name: &str) -> Origin {
    Origin::Flag(match name.contains('.') {
        true => format!("--set {name}"),
        false => format!("--{}", name.replace('_', "-")),
    })
}

fn parse_flag(kind: KeyKind, text: &str) -> Option<Value> {
    match kind {
        KeyKind::Integer => text.replace('_', "").parse().ok().map(Value::Integer),
        KeyKind::Float => text.replace('_', "").parse().ok().map(Value::Float),
        KeyKind::Bool => text.parse().ok().map(Value::Bool),
        KeyKind::Choice(_) | KeyKind::Text => Some(Value::Text(text.to_owned())),
        KeyKind::TextList => Some(Value::TextList(match text {
            "" => Vec::new(),
            text => toml_list(text).unwrap_or_else(|| vec![text.to_owned()]),
        })),
        KeyKind::FloatList => float_list(text).map(Value::FloatList),
    }
}

/// `["a", "b"]`, written as TOML does; anything else is a name.
fn toml_list(text: &str) -> Option<Vec<String>> {
    if !text.starts_with('[') {
        return None;
    }
    let value = DeValue::parse(text).ok()?;
    text_list(value.get_ref().as_array()?.iter())
}

/// `3,1`, with or without the brackets that TOML has around it.
fn float_list(text: &str) -> Option<Vec<f64>> {
    let inner = text
        .strip_prefix('[')
        .and_then(|text| text.strip_suffix(']'))
        .unwrap_or(text)
        .trim();
    if inner.is_empty() {
        return Some(Vec::new());
    }
    let numbers = inner.split(',').map(|number| number.trim().parse().ok());
    numbers.collect()
}

// ---- files

/// A file, read but not yet applied.
struct File {
    preset: Option<(String, Origin)>,
    assignments: Vec<Assignment>,
}

impl File {
    fn parse(path: &Path, text: &str) -> Result<Self> {
        let line = |span: Range<usize>| {
            1 + text
                .bytes()
                .take(span.start)
                .filter(|&byte| byte == b'\n')
                .count()
        };
        let root = DeTable::parse(text).map_err(|source| ConfigError::Toml {
            path: path.to_owned(),
            line: line(source.span().unwrap_or_default()),
            source: Box::new(source),
        })?;
        let origin = |span| Origin::File {
            path: path.to_owned(),
            line: line(span),
        };
        let written =
            |value: &Spanned<DeValue<'_>>| text.get(value.span()).unwrap_or("").to_owned();

        let mut file = Self {
            preset: None,
            assignments: Vec::new(),
        };
        for (name, value) in root.get_ref() {
            let (name, origin_here) = (name.get_ref().as_ref(), origin(name.span()));
            let bad = |expected: &str| ConfigError::BadValue {
                key: name.to_owned(),
                value: shortened(&written(value)),
                expected: expected.to_owned(),
                nearest: None,
                origin: origin_here.clone(),
            };
            if name == "preset" {
                let preset = value
                    .get_ref()
                    .as_str()
                    .ok_or_else(|| bad("a preset's name"))?;
                file.preset = Some((preset.to_owned(), origin_here));
            } else if SECTIONS.contains(&name) {
                let table = value.get_ref().as_table().ok_or_else(|| bad("a section"))?;
                for (key, value) in table {
                    let origin = origin(key.span());
                    let path = format!("{name}.{}", key.get_ref());
                    // In a file names are exact: no dashes, and in their section.
                    let key = Key::exact(name, key.get_ref())
                        .ok_or_else(|| unknown_key(&path, origin.clone()))?;
                    let text = match (key.value, value.get_ref()) {
                        // Without its quotes a name can be compared with the choices.
                        (KeyKind::Choice(_), DeValue::String(text)) => text.clone().into_owned(),
                        _ => written(value),
                    };
                    let value = parse_value(key.value, value.get_ref());
                    file.assignments.push(Assignment {
                        key,
                        value,
                        text,
                        origin,
                    });
                }
            } else if value.get_ref().is_table() {
                return Err(ConfigError::UnknownSection {
                    section: name.to_owned(),
                    nearest: nearest(name, SECTIONS.iter().copied()),
                    origin: origin_here,
                });
            } else {
                return Err(unknown_key(name, origin_here));
            }
        }
        // The parser sorts by name, a person reads from the top: of several values that are
        // wrong, the topmost is reported.
        file.assignments
            .sort_by_key(|assignment| match &assignment.origin {
                Origin::File { line, .. } => *line,
                _ => 0,
            });
        Ok(file)
    }
}

fn parse_value(kind: KeyKind, value: &DeValue<'_>) -> Option<Value> {
    match (kind, value) {
        (KeyKind::Integer | KeyKind::Float, DeValue::Integer(value)) => {
            u64::from_str_radix(value.as_str(), value.radix())
                .ok()
                .map(Value::Integer)
                .or_else(|| match kind {
                    // Below 0 or above 2^64: a number all the same, if not a whole one.
                    KeyKind::Float => value.as_str().parse().ok().map(Value::Float),
                    _ => None,
                })
        }
        (KeyKind::Float, DeValue::Float(value)) => value.as_str().parse().ok().map(Value::Float),
        (KeyKind::Bool, DeValue::Boolean(value)) => Some(Value::Bool(*value)),
        (KeyKind::Choice(_) | KeyKind::Text | KeyKind::TextList, DeValue::String(text)) => {
            Some(Value::Text(text.clone().into_owned()))
        }
        // A choice may have been a switch.
        (KeyKind::Choice(_), DeValue::Boolean(on)) => Some(Value::Text(on.to_string())),
        (KeyKind::TextList, DeValue::Array(values)) => {
            text_list(values.iter()).map(Value::TextList)
        }
        (KeyKind::FloatList, DeValue::Array(values)) => {
            let number = |value: &Spanned<DeValue<'_>>| match parse_value(
                KeyKind::Float,
                value.get_ref(),
            )? {
                Value::Float(number) => Some(number),
                Value::Integer(number) => Some(number as f64),
                _ => None,
            };
            let numbers: Option<_> = values.iter().map(number).collect();
            numbers.map(Value::FloatList)
        }
        _ => None,
    }
}

fn text_list<'a, 'i: 'a>(
    values: impl Iterator<Item = &'a Spanned<DeValue<'i>>>,
) -> Option<Vec<String>> {
    values
        .map(|value| value.get_ref().as_str().map(str::to_owned))
        .collect()
}

// ---- messages

fn unknown_key(name: &str, origin: Origin) -> ConfigError {
    let nearest = Key::nearest(name).map(Key::path);
    ConfigError::UnknownKey {
        key: name.to_owned(),
        nearest,
        origin,
    }
}

/// Values are quoted in messages; a long one by its beginning.
fn shortened(text: &str) -> String {
    const LONGEST: usize = 60;
    let line = text.lines().next().unwrap_or("");
    let start: String = line.chars().take(LONGEST).collect();
    if start.len() < text.len() {
        format!("{start}…")
    } else {
        start
    }
}
