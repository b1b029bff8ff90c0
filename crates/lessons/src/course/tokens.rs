//! Lesson 11: pieces of words.

use super::{Corpus, Setting, equation, next, output, table, text};
use crate::snippet::{code, source};
use crate::{Error, Part, Result, Widget};
use latimer_tokenizer::{
    BpeTokenizer, BpeTrainer, NgramOptions, NgramTokenizer, Pattern, Tokenizer,
};
use latimer_trainer::data::corpora::load_text;
use std::collections::HashSet;

/// Our text for merging by hand: a few words that share pieces.
const SMALL: &str = "the cat sat on the mat that the cat and the rat had";
/// Number of merges in that example.
const MERGES: usize = 12;
/// Number of tokens before any merge: each byte is one.
const BYTES: usize = 256;
/// Number of characters of the plays that are shown.
const SHOWN: usize = 300;
/// Number of sub-words that are shown: as many as the tutorial prints.
const FIRST: usize = 78;
/// The words that are cut with the vocabulary of the plays.
const SPEECH: &str = "Thou shall not translate the cats";
/// The words that are cut with the vocabulary of the phrasebook's English.
const REMARK: &str = "these elephants translate the newspapers";

pub(super) fn tokens(setting: &Setting<'_>) -> Result<Vec<Part>> {
    let small = setting.text_or(SMALL);
    // lesson: begin bpe
    let trainer = BpeTrainer::new(BYTES + MERGES, Pattern::Gpt2);
    let bpe = trainer.train(&[small], &mut |_| {})?;
    let ids = bpe.encode(small)?;
    // lesson: end
    let mut parts = vec![
        text(
            "Six words are not a language. A list of all words is never complete, and a list of \
             letters makes sentences long. Byte-pair encoding finds a middle way by counting: \
             begin with single characters, find the two neighbours that stand together most often, \
             make them one piece, and repeat until the vocabulary is as large as you want. \
             Frequent words become one token, rare ones a few, and nothing is ever unknown.",
        ),
        equation(
            "(a, b) = the pair of neighbours with the greatest count;  a b becomes ab",
            r"(a, b) = \arg\max_{(x, y)} \mathrm{count}(x\,y), \qquad a\,b \to ab",
        ),
        output("text", small),
        Part::Table(merges(&bpe)),
        Part::Tokens {
            name: "cut".to_owned(),
            tokens: ids.iter().map(|&id| (piece(&bpe, id), Some(id))).collect(),
        },
        Part::Widget(Widget::Merges {
            text: small.to_owned(),
            pattern: bpe.pattern().regex().unwrap_or_default().to_owned(),
            merges: bpe.merges().collect(),
        }),
        code(source!("course/tokens.rs"), "bpe"),
    ];
    let corpus = setting.corpus();
    let loaded = load_text(corpus.name(), corpus.library())?;
    parts.extend(corpus.instead());
    parts.extend(match corpus {
        Corpus::Plays(_) => of_plays(&loaded)?,
        Corpus::English => of_english(&loaded)?,
    });
    parts.push(next(&[
        (
            "latimer lesson 11 --try \"low lower lowest slow slower\"",
            "merges of your own text",
        ),
        (
            "latimer tokenizer train --help",
            "fit a vocabulary to any file",
        ),
        ("latimer lesson 12", "what a model does with tokens"),
    ]));
    Ok(parts)
}

/// The vocabulary that the tutorial fits to the plays, and how it cuts text.
fn of_plays(plays: &str) -> Result<Vec<Part>> {
    let begin: String = plays.chars().take(SHOWN).collect();
    // lesson: begin ngram
    let tokenizer = NgramTokenizer::fit(plays.split('\n'))?;
    let subwords: Vec<(&str, u32)> = tokenizer.subwords().collect();
    // lesson: end
    let mut parts = vec![
        text(
            "The tutorial fits the Python package `bpe` to Shakespeare's plays. It is a simpler \
             cousin: it keeps the 6553 most frequent words as they are, and for all other words it \
             counts single letters and pairs of them and keeps the most frequent. Our `ngram` \
             tokenizer gives the same ids.",
        ),
        output("bytes", plays.len().to_string()),
        Part::Source {
            name: "first 300 characters".to_owned(),
            text: begin,
        },
    ];
    parts.extend(vocabulary(&tokenizer, &subwords));
    parts.extend([
        code(source!("course/tokens.rs"), "ngram"),
        text(
            "Words of the plays are one token each; other words are made of pieces. `__sow` and \
             `__eow` say where such a word starts and ends.",
        ),
        cut(&tokenizer, SPEECH)?,
    ]);
    Ok(parts)
}

/// A vocabulary of the phrasebook's English, too small for all words, and how it cuts text.
fn of_english(english: &str) -> Result<Vec<Part>> {
    let begin: String = english.chars().take(SHOWN).collect();
    let distinct: HashSet<&str> = english.split_whitespace().collect();
    // lesson: begin small_ngram
    let vocab_size = 160; // 128 words, then pieces
    let options = NgramOptions {
        vocab_size,
        ..NgramOptions::default()
    };
    let tokenizer = NgramTokenizer::fit_with(english.split('\n'), options)?;
    let subwords: Vec<(&str, u32)> = tokenizer.subwords().collect();
    // lesson: end
    let mut parts = vec![
        text(&format!(
            "The tutorial fits the Python package `bpe`. It is a simpler cousin: it keeps the most \
             frequent words as they are, and for all other words it counts single letters and pairs \
             of them and keeps the most frequent. Our `ngram` tokenizer gives the same ids. This text \
             has only {} different words. The package's own settings would keep them all and leave \
             nothing to cut, so the vocabulary has 160 ids here.",
            distinct.len()
        )),
        output("bytes", english.len().to_string()),
        Part::Source {
            name: "first 300 characters".to_owned(),
            text: begin,
        },
    ];
    parts.extend(vocabulary(&tokenizer, &subwords));
    parts.extend([
        code(source!("course/tokens.rs"), "small_ngram"),
        text(
            "Frequent words are one token each; other words are made of pieces. `__sow` and \
             `__eow` say where such a word starts and ends.",
        ),
        cut(&tokenizer, REMARK)?,
    ]);
    Ok(parts)
}

/// The number of words and pieces, and the first pieces.
fn vocabulary(tokenizer: &NgramTokenizer, subwords: &[(&str, u32)]) -> [Part; 3] {
    let rows = subwords
        .iter()
        .take(FIRST)
        .map(|&(piece, id)| [piece.to_owned(), id.to_string()]);
    [
        output("words", tokenizer.words().len().to_string()),
        output("sub-words", subwords.len().to_string()),
        Part::Table(table("first sub-words", ["sub-word", "id"], rows)),
    ]
}

/// A sentence cut with a vocabulary.
fn cut(tokenizer: &NgramTokenizer, sentence: &str) -> Result<Part> {
    let encoded = tokenizer.encode(sentence).map_err(Error::from)?;
    Ok(Part::Tokens {
        name: sentence.to_owned(),
        tokens: encoded
            .iter()
            .map(|&id| (piece(tokenizer, id), Some(id)))
            .collect(),
    })
}

/// A token in readable form, with visible spaces.
fn piece(tokenizer: &dyn Tokenizer, id: u32) -> String {
    let bytes = tokenizer.token_bytes(id).unwrap_or_default();
    String::from_utf8_lossy(bytes).replace(' ', "␣")
}

fn merges(bpe: &BpeTokenizer) -> crate::Table {
    let rows = bpe.merges().enumerate();
    table(
        "merges",
        ["merge", "left", "right", "token", "id"],
        rows.map(|(number, (a, b, id))| {
            let number = (number + 1).to_string();
            [
                number,
                piece(bpe, a),
                piece(bpe, b),
                piece(bpe, id),
                id.to_string(),
            ]
        }),
    )
}
