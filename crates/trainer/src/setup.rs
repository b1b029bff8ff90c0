//! From a configuration to everything a run needs.

use crate::config::{self, Config};
use crate::data::corpora::Library;
use crate::data::{DataFiles, Mixture, ShardTokens, Source, TextTokens, join, shard};
use crate::task::Task;
use crate::{Error, Result};
use latimer_tokenizer::{
    BpeTrainer, CharTokenizer, NgramOptions, NgramTokenizer, Pattern, Tokenizer, WordOptions,
    WordTokenizer,
};
use std::path::Path;
use std::sync::Arc;

/// Names of tokenizers that are fitted to a text.
const FITTED: [&str; 4] = ["char", "word", "ngram", "bpe"];
/// Tokens of a fitted vocabulary of pieces if `max_vocab_size` does not say: the package `bpe`'s
/// own default for n-grams, half of that for bytes, of which a text has many.
const NGRAM_VOCAB: usize = 8192;
const BPE_VOCAB: usize = 4096;

/// What a run is trained on.
#[derive(Debug)]
pub(crate) struct Material {
    /// Where it was read from.
    pub(crate) files: DataFiles,
    pub(crate) task: Option<Box<dyn Task>>,
    pub(crate) tokenizer: Arc<dyn Tokenizer>,
    pub(crate) source: Box<dyn Source>,
}

impl Material {
    /// What a configuration names.
    pub(crate) fn of(config: &Config, library: &Library) -> Result<Self> {
        config.require_data()?;
        if let [name] = &config.data.data[..]
            && let Some((_, make)) = library.task(name)
        {
            return Ok(Self::of_task(make(config)?));
        }
        let files = data_files(config, library)?;
        let (tokenizer, source) = of_files(config, &files)?;
        Ok(Self {
            files,
            task: None,
            tokenizer,
            source,
        })
    }

    pub(crate) fn of_task(task: Box<dyn Task>) -> Self {
        Self {
            files: DataFiles::default(),
            tokenizer: task.tokenizer(),
            source: task.source(),
            task: Some(task),
        }
    }
}

/// The corpus of a configuration under its tokenizer, which is fitted to the corpus unless it is a
/// file, or the data a folder of tokens with the tokenizer that made them.
///
/// # Errors
/// What reading the data gives; [`Error::UnusableTokenizer`]; [`Error::TooShort`].
pub fn corpus(
    config: &Config,
    library: impl Into<Library>,
) -> Result<(Arc<dyn Tokenizer>, Box<dyn Source>)> {
    let material = Material::of(config, &library.into())?;
    Ok((material.tokenizer, material.source))
}

/// The files that a configuration's data means; none for what the program makes itself.
///
/// # Errors
/// As [`DataFiles::find`]; [`ConfigError::NoData`](config::ConfigError::NoData).
pub fn data_files(config: &Config, library: impl Into<Library>) -> Result<DataFiles> {
    config.require_data()?;
    let (names, library) = (&config.data.data, library.into());
    match &names[..] {
        [name] if library.task(name).is_some() => Ok(DataFiles::default()),
        _ => DataFiles::find(names, &config.data.extensions, library),
    }
}

/// The corpus of files that are found already.
fn of_files(config: &Config, files: &DataFiles) -> Result<(Arc<dyn Tokenizer>, Box<dyn Source>)> {
    if !config.data.data_weights.is_empty() {
        return mixture(config, files);
    }
    if let Some(tokens) = files.names().iter().find(|named| named.is_tokens) {
        let path = Path::new(&tokens.name);
        return match files.names().len() {
            1 => prepared(config, path),
            _ => Err(Error::JoinedTokens {
                path: path.to_owned(),
            }),
        };
    }
    let text = files.text()?;
    let tokenizer = fit(&config.data.tokenizer, config.data.max_vocab_size, &text)?;
    let (fraction, block_size) = (config.train.val_fraction, config.model.block_size);
    let tokens = TextTokens::new(&text, &*tokenizer, fraction, block_size)?;
    Ok((tokenizer, Box::new(tokens.in_order(config.train.order))))
}

/// Texts and folders of tokens, each with a share of the rows. Tokens know their tokenizer, which
/// is then that of the texts, too; where there are only texts, it is fitted to all of them.
fn mixture(config: &Config, files: &DataFiles) -> Result<(Arc<dyn Tokenizer>, Box<dyn Source>)> {
    config.validate()?;
    let names = files.names();
    let kind = config.data.tokenizer.as_str();
    let tokens = names.iter().find(|named| named.is_tokens);
    // Each is read once: a pipe gives its text only once.
    let texts = names
        .iter()
        .map(|named| match named.is_tokens {
            true => Ok(None),
            false => named.text().map(Some),
        })
        .collect::<Result<Vec<_>>>()?;
    let tokenizer = match tokens {
        Some(folder) if FITTED.contains(&kind) => shard::tokenizer(Path::new(&folder.name))?,
        None if FITTED.contains(&kind) => {
            let text = join(texts.iter().flatten().map(|text| Ok(text.as_str())))?;
            fit(kind, config.data.max_vocab_size, &text)?
        }
        None if FITTED.contains(&kind) => fit(kind, config.data.max_vocab_size, &files.text()?)?,
        _ => named_tokenizer(kind)?,
    };
    let (fraction, block_size) = (config.train.val_fraction, config.model.block_size);
    let order = config.train.order;
    let source = |name: &String, text: &Option<String>| -> Result<Box<dyn Source>> {
        let Some(text) = text else {
            let tokens = ShardTokens::open(Path::new(name), &*tokenizer, fraction, block_size)?;
            return Ok(Box::new(tokens.in_order(order)));
        };
        let tokens = TextTokens::new(text, &*tokenizer, fraction, block_size)?;
        Ok(Box::new(tokens.in_order(order)))
    };
    let sources = names.iter().zip(&texts).map(|(named, text)| {
        let name = &named.name;
        let source = source(name, text).map_err(|error| match error {
            // Of several, which one: other errors name a file.
            Error::TooShort { .. } | Error::Tokenizer(_) => Error::InPart {
                name: name.clone(),
                source: Box::new(error),
            },
            error => error,
        })?;
        Ok((name.clone(), source))
    });
    let mixture = Mixture::new(sources.collect::<Result<_>>()?, &config.data.data_weights);
    Ok((tokenizer, Box::new(mixture)))
}

/// A folder of tokens, under the tokenizer that made them.
fn prepared(config: &Config, folder: &Path) -> Result<(Arc<dyn Tokenizer>, Box<dyn Source>)> {
    let name = config.data.tokenizer.as_str();
    let tokenizer = if FITTED.contains(&name) {
        shard::tokenizer(folder)?
    } else {
        named_tokenizer(name)?
    };
    let (fraction, block_size) = (config.train.val_fraction, config.model.block_size);
    let tokens = ShardTokens::open(folder, &*tokenizer, fraction, block_size)?;
    Ok((tokenizer, Box::new(tokens.in_order(config.train.order))))
}

/// A tokenizer of kind `kind` that knows a text, of at most `most` tokens where that is not 0.
///
/// # Errors
/// [`Error::UnknownTokenizer`] for an unknown kind, and the errors of fitting.
pub(crate) fn fit(kind: &str, most: usize, text: &str) -> Result<Arc<dyn Tokenizer>> {
    match kind {
        "char" if most == 0 => Ok(Arc::new(CharTokenizer::fit(text)?)),
        "char" => Ok(Arc::new(CharTokenizer::fit_at_most([text], most)?)),
        "word" => {
            let max_vocab_size = (most > 0).then_some(most);
            let options = WordOptions {
                max_vocab_size,
                unknown: most > 0,
            };
            Ok(Arc::new(WordTokenizer::fit_with([text], options)?))
        }
        "ngram" => {
            let options = NgramOptions::language_model(if most > 0 { most } else { NGRAM_VOCAB });
            let lines = text.split('\n');
            Ok(Arc::new(NgramTokenizer::fit_with(lines, options)?))
        }
        "bpe" => {
            let vocab_size = if most > 0 { most } else { BPE_VOCAB };
            // A pair that stands once is no use to a model.
            let trainer = BpeTrainer::new(vocab_size, Pattern::Gpt2).min_frequency(2);
            Ok(Arc::new(trainer.train(&[text], &mut |_| {})?))
        }
        other => named_tokenizer(other),
    }
}

/// The tokenizer of a file or folder.
///
/// # Errors
/// [`Error::UnknownTokenizer`] for a name that is neither, with the nearest kind; what reading it
/// gives.
pub fn named_tokenizer(name: &str) -> Result<Arc<dyn Tokenizer>> {
    let path = Path::new(name);
    if !path.exists() && !name.contains(['/', '\\', '.']) {
        let nearest = config::nearest(name, FITTED);
        let hint = nearest.map_or(String::new(), |n| format!(": did you mean {n}?"));
        return Err(Error::UnknownTokenizer {
            name: name.to_owned(),
            hint,
        });
    }
    crate::load_tokenizer(path, None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_vocabulary_is_as_large_as_asked() {
        let text = "the cat sat on the mat and the dog lay on the rug\n".repeat(20);
        let size = |kind, most| fit(kind, most, &text).unwrap().vocab_size();
        // Words with what stands between them; letters, the space and the line's end.
        let (letters, words) = (size("char", 0), size("word", 0));
        assert_eq!(
            (size("char", letters), size("word", words - 3)),
            (letters, words - 3)
        );
        // No letter is left out; it is asked whether that many were meant.
        assert!(fit("char", letters - 1, &text).is_err());
        // With a size given, words beyond it have a token too; without one, every word is in the
        // vocabulary.
        let unknown = |most| fit("word", most, &text).unwrap().encode("horse").is_ok();
        assert!(unknown(words - 3) && !unknown(0));
        // Merges on top of the 256 bytes, which this text needs few of.
        assert_eq!((size("bpe", 260), size("bpe", 258)), (260, 258));
        assert!(size("bpe", 0) > 260);
        assert!(size("ngram", 12) < size("ngram", 0));
    }
}
