//! The task: translate sentences that training never shows.

use crate::{Phrases, TUTORIAL_SENTENCE, Unseen, english_text, translate, unseen_pairs, words};
use latimer_tokenizer::{CharTokenizer, Tokenizer};
use latimer_trainer::config::Config;
use latimer_trainer::data::Source;
use latimer_trainer::data::corpora::{Corpus, CorpusKind, Library};
use latimer_trainer::{Error, Result, Scores, Task, Writer, named_tokenizer};
use std::path::PathBuf;
use std::sync::Arc;

/// Name of the corpus.
pub const PHRASEBOOK: &str = "phrasebook";
/// Name of the text of its English sentences, [`english_text`].
pub const ENGLISH: &str = "phrasebook-english";

/// Both corpora, as [`Library::with`] takes them.
pub const CORPORA: &[Corpus] = &[
    Corpus {
        name: PHRASEBOOK,
        about: "French sentences with their English translations, made by a grammar without end",
        kind: CorpusKind::Task(|config| Ok(Box::new(Phrasebook::new(config)?))),
    },
    Corpus {
        name: ENGLISH,
        about: "30,000 English sentences of that grammar, one per line, always the same",
        kind: CorpusKind::Text(english_text),
    },
];

/// Published corpora, which lie in `cache`, and those of this crate.
#[must_use]
pub fn library(cache: impl Into<PathBuf>) -> Library {
    Library::new(cache).with(CORPORA)
}

/// Unseen sentences that the accuracy is measured on, of each kind.
const SENTENCES: usize = 1000;
/// Unseen sentences shown while training.
const SHOWN: usize = 3;

/// Translation of the phrasebook's sentences, scored by how many are right to the letter.
#[derive(Debug)]
pub struct Phrasebook {
    tokenizer: Arc<dyn Tokenizer>,
    phrases: Phrases,
}

impl Phrasebook {
    /// The task under the tokenizer and the context that a run's configuration names.
    ///
    /// # Errors
    /// [`Error::UnusableTokenizer`], [`Error::UnknownTokenizer`], and as [`Phrases::new`].
    pub fn new(config: &Config) -> Result<Self> {
        let tokenizer = tokenizer(&config.data.tokenizer)?;
        let phrases = Phrases::new(tokenizer.clone(), config.model.block_size)?;
        Ok(Self { tokenizer, phrases })
    }
}

impl Task for Phrasebook {
    fn tokenizer(&self) -> Arc<dyn Tokenizer> {
        self.tokenizer.clone()
    }

    fn source(&self) -> Box<dyn Source> {
        Box::new(self.phrases.clone())
    }

    fn prompts(&self) -> Vec<String> {
        let unseen = unseen_pairs(Unseen::Sentences, SHOWN).into_iter();
        [TUTORIAL_SENTENCE.0.to_owned()]
            .into_iter()
            .chain(unseen.map(|pair| pair.french))
            .collect()
    }

    fn answer(&self, model: &dyn Writer, french: &str) -> Result<String> {
        Ok(translate::translate(model, french)?.text)
    }

    fn score(&self, model: &dyn Writer) -> Result<Scores> {
        let of = |which| translate::accuracy_of(model, &unseen_pairs(which, SENTENCES));
        let sentences = of(Unseen::Sentences)?;
        let structures = of(Unseen::Structures)?;
        Ok(Scores::default()
            .with("exact_match", sentences.exact_match)
            .with("exact_match_structures", structures.exact_match)
            .with("word_by_word", sentences.word_by_word)
            .with("sentences", SENTENCES))
    }
}

fn tokenizer(name: &str) -> Result<Arc<dyn Tokenizer>> {
    match name {
        "word" => Ok(Arc::new(Phrases::word_tokenizer()?)),
        "char" => Ok(Arc::new(CharTokenizer::fit(&words().join(" "))?)),
        other @ ("ngram" | "bpe") => {
            let reason = "cannot be fitted to an endless corpus: use word, char, or a tokenizer \
                          file";
            Err(Error::UnusableTokenizer {
                name: other.to_owned(),
                reason: reason.to_owned(),
            })
        }
        other => named_tokenizer(other),
    }
}
