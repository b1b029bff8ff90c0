//! Lesson 11: pieces of words.

use super::{Setting, equation, next, output, table, text};
use crate::snippet::{code, source};
use crate::{Error, Part, Result, Widget};
use latimer_tokenizer::{BpeTokenizer, BpeTrainer, NgramTokenizer, Pattern, Tokenizer};
use latimer_trainer::data::corpora::load_texts;

/// Our text for merges made by hand: a few words that share pieces.
const SMALL: &str = "the cat sat on the mat that the cat and the rat had";
/// Merges made by hand.
const MERGES: usize = 12;
/// A byte is a token before any merge.
const BYTES: usize = 256;
/// How much of the plays is shown.
const SHOWN: usize = 300;
/// Sub-words that are shown: as many as the tutorial prints.
const FIRST: usize = 78;
/// Words cut up with the vocabulary of the plays.
const SPEECH: &str = "Thou shall not translate the cats";

pub(super) fn tokens(setting: &Setting<'_>) -> Result<Vec<Part>> {
    let small = setting.text_or(SMALL);
    // lesson: begin bpe
    let trainer = BpeTrainer::new(BYTES + MERGES, Pattern::Gpt2);
    let bpe = trainer.train(&[small], &mut |_| {})?;
    let ids = bpe.encode(small)?;
    // lesson: end
    let mut parts = vec![
        text(
            "Six words are no language. A list of all words is never complete, and a list of letters \
             makes sentences long. Byte-pair encoding finds a middle way by counting: begin with \
             single characters, find the two neighbours that stand together most often, make them \
             one piece, and repeat until the vocabulary is as large as you want. Frequent words \
             become one token, rare ones a few, and nothing is ever unknown.",
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
    match setting.cache {
        Some(cache) => {
            let plays = load_texts(&["shakespeare".to_owned()], cache)?;
            parts.extend(of_plays(&plays)?);
        }
        None => parts.push(text(
            "The rest of this lesson needs Shakespeare's plays, which are not on this machine: \
             `latimer data get shakespeare` downloads them, 1.1 MB. Then give the lesson again.",
        )),
    }
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

/// The vocabulary that the tutorial fits to the plays, and how it cuts.
fn of_plays(plays: &str) -> Result<Vec<Part>> {
    let begin: String = plays.chars().take(SHOWN).collect();
    // lesson: begin ngram
    let tokenizer = NgramTokenizer::fit(plays.split('\n'))?;
    let subwords: Vec<(&str, u32)> = tokenizer.subwords().collect();
    // lesson: end
    let rows = subwords
        .iter()
        .take(FIRST)
        .map(|&(piece, id)| [piece.to_owned(), id.to_string()]);
    let encoded = tokenizer.encode(SPEECH).map_err(Error::from)?;
    Ok(vec![
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
        output("words", tokenizer.words().len().to_string()),
        output("sub-words", subwords.len().to_string()),
        Part::Table(table("first sub-words", ["sub-word", "id"], rows)),
        code(source!("course/tokens.rs"), "ngram"),
        text(
            "Words of the plays are one token; of others, only pieces are known. `__sow` and `__eow` \
             say where such a word starts and ends.",
        ),
        Part::Tokens {
            name: SPEECH.to_owned(),
            tokens: encoded
                .iter()
                .map(|&id| (piece(&tokenizer, id), Some(id)))
                .collect(),
        },
    ])
}

/// A token as it can be read: with its spaces seen.
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
