//! Lessons 2 to 4: looking up words as words.

use super::{Setting, answer, equation, next, output, table, text};
use crate::snippet::{code, source};
use crate::translate::words;
use crate::{
    Dictionary, ExactTranslator, FuzzyTranslator, Part, Result, Translator, Vocabulary, Widget,
};

/// The dictionary, as a table.
fn entries(dictionary: &Dictionary) -> Part {
    let rows = dictionary.iter().map(|(k, v)| [k.to_owned(), v.to_owned()]);
    Part::Table(table("dictionary", ["French", "English"], rows))
}

pub(super) fn literal(setting: &Setting<'_>) -> Result<Vec<Part>> {
    let exact = ExactTranslator::new(Dictionary::tutorial());
    let sentence = setting.sentence();
    Ok(vec![
        text(
            "The plainest translator there is: cut the sentence at its spaces, look every word up, \
             and write down what stands beside it. It needs no mathematics and makes no mistakes, \
             as long as every word has an entry and both languages put their words in the same \
             order.",
        ),
        equation(
            "translation(w₁ w₂ … wₙ) = D(w₁) D(w₂) … D(wₙ)",
            r"\mathrm{translation}(w_1 w_2 \dots w_n) = D(w_1)\, D(w_2) \dots D(w_n)",
        ),
        entries(&Dictionary::tutorial()),
        output("sentence", sentence),
        answer("translation", exact.translate(sentence)),
        code(source!("translate/by_words.rs"), "translate"),
        text("Outside the dictionary it has nothing to say, not even about a plural:"),
        answer("tables", exact.translate("tables")),
        next(&[
            (
                "latimer lesson 2 --try \"la table est sous le chat\"",
                "another order",
            ),
            (
                "latimer translate --method exact tables",
                "an error, with the nearest key",
            ),
            ("latimer lesson 3", "what to do about `tables`"),
        ]),
    ])
}

pub(super) fn nearest(setting: &Setting<'_>) -> Result<Vec<Part>> {
    let dictionary = Dictionary::tutorial();
    let text_given = setting.text_or("tables");
    let mut parts = vec![
        text(
            "`tables` is no key, but nearly one. Levenshtein's distance makes `nearly` a number: \
             how many letters must be inserted, deleted or replaced to turn one word into the \
             other. We take the key with the smallest distance, and the first in the dictionary if \
             several are equally near.",
        ),
        equation(
            "d(i, j) = min( d(i-1, j) + 1, d(i, j-1) + 1, d(i-1, j-1) + [aᵢ ≠ bⱼ] )",
            r"d_{i,j} = \min\left(d_{i-1,j} + 1,\; d_{i,j-1} + 1,\; d_{i-1,j-1} + [a_i \ne b_j]\right)",
        ),
    ];
    let given = words(text_given)?;
    for word in &given {
        let nearest = dictionary.nearest(word);
        let distances = dictionary.distances(word);
        let rows = dictionary.keys().zip(&distances);
        let mut distances = table(
            &format!("distances of {word}"),
            ["key", "edits"],
            rows.map(|(key, edits)| [key.to_owned(), edits.to_string()]),
        );
        distances.winning_row = Some(nearest.index);
        parts.push(Part::Table(distances));
    }
    let fuzzy = FuzzyTranslator::new(dictionary.clone());
    parts.extend([
        answer("translation", fuzzy.translate(text_given)),
        Part::Widget(Widget::Levenshtein {
            word: given[0].clone(),
            keys: dictionary.keys().map(str::to_owned).collect(),
        }),
        code(source!("dictionary.rs"), "nearest"),
        text(
            "Now every word has an answer, which is not the same as a good one. `chien` is a dog, \
             but the nearest key is a cat:",
        ),
        answer("chien", fuzzy.translate("chien")),
        next(&[
            (
                "latimer lesson 3 --try \"tabel chats sus\"",
                "other slips of the finger",
            ),
            (
                "latimer translate --method fuzzy --explain \"les chats\"",
                "the edits of each word",
            ),
        ]),
    ]);
    Ok(parts)
}

pub(super) fn vocabularies(setting: &Setting<'_>) -> Result<Vec<Part>> {
    let dictionary = Dictionary::tutorial();
    let rows = |vocabulary: &Vocabulary| -> Vec<[String; 2]> {
        let words = vocabulary.words().iter().enumerate();
        words
            .map(|(i, word)| [i.to_string(), word.clone()])
            .collect()
    };
    let sentence = setting.sentence();
    let input = Vocabulary::new(dictionary.keys());
    let output_words = Vocabulary::new(dictionary.values());
    Ok(vec![
        text(
            "A network computes with numbers, so every word gets one: its place in the sorted list \
             of all words, none twice. There are two lists, one for each language. Six French \
             words, but five English ones, because `le` and `la` are both `the`. Remember that: it \
             will matter in lesson 8.",
        ),
        equation(
            "number(w) = how many words of the list come before w",
            r"\mathrm{number}(w) = |\{\, v \in V : v < w \,\}|",
        ),
        Part::Table(table("input", ["number", "French"], rows(&input))),
        Part::Table(table("output", ["number", "English"], rows(&output_words))),
        output(
            "sizes",
            format!("{} and {}", input.len(), output_words.len()),
        ),
        code(source!("vocabulary.rs"), "vocabulary"),
        text(
            "A sentence is now a row of numbers. A word outside the list has none, and is shown as a \
             question mark:",
        ),
        output("sentence", sentence),
        output("numbers", numbers(&input, &words(sentence)?)),
        next(&[
            (
                "latimer lesson 4 --try \"la table est verte\"",
                "your own words as numbers",
            ),
            ("latimer lesson 5", "numbers as vectors"),
            ("latimer lesson 11", "how a real vocabulary is made"),
        ]),
    ])
}

/// The numbers of words.
fn numbers(input: &Vocabulary, words: &[String]) -> String {
    let number = |word: &String| {
        let number = input.index(word);
        number.map_or_else(|| "?".to_owned(), |number| number.to_string())
    };
    words.iter().map(number).collect::<Vec<_>>().join(" ")
}
