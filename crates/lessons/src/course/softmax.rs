//! Lessons 8 and 9: attention.

use super::{SENTENCE, Setting, answer, equation, next, output, table, text};
use crate::snippet::{code, source};
use crate::translate::words;
use crate::{
    AttentionTranslator, Dictionary, FuzzyTranslator, KeysAndValues, Matrix, Part, Remark, Result,
    STRENGTH_PER_EDIT, Sharpness, SoftmaxTranslator, Translator, Widget, attention,
    attention_over_queries, keys_and_values,
};
use latimer_tensor::Tensor;

/// The paper's formula.
const FORMULA: (&str, &str) = (
    "Attention(Q, K, V) = softmax(Q·Kᵀ / √d)·V",
    r"\mathrm{Attention}(Q, K, V) = \mathrm{softmax}\left(\frac{Q K^\top}{\sqrt{d}}\right) V",
);

/// The answer of attention to a query of one row, as a row with its word.
fn answers(name: &str, row: &str, m: &KeysAndValues, y: &Tensor) -> Result<Part> {
    let word = m.output.decode(y)?.unwrap_or("no token");
    let matrix = Matrix::new(name, [row], m.output.words(), y)?;
    Ok(Part::Matrix(
        matrix.with_winners().with_notes([format!("→ {word}")]),
    ))
}

fn widget(text: &str, scale: f64) -> Part {
    let dictionary = Dictionary::tutorial();
    let entries = dictionary.iter();
    Part::Widget(Widget::Attention {
        text: text.to_owned(),
        entries: entries.map(|(k, v)| (k.to_owned(), v.to_owned())).collect(),
        scale,
        strength: f64::from(STRENGTH_PER_EDIT),
    })
}

/// A remark on the keys that stand in for unknown words, for use in a sentence.
fn no_keys(remarks: &[Remark]) -> String {
    let taken: Vec<String> = remarks
        .iter()
        .filter_map(|remark| match remark {
            Remark::NearestKey { word, key, .. } => Some(format!("`{key}` for `{word}`")),
            _ => None,
        })
        .collect();
    match &taken[..] {
        [] => "some signs left out".to_owned(),
        [one] => one.clone(),
        [first @ .., last] => format!("{} and {last}", first.join(", ")),
    }
}

pub(super) fn softmax(setting: &Setting<'_>) -> Result<Vec<Part>> {
    let m = keys_and_values(setting.device, &Dictionary::tutorial())?;
    let sentence = setting.sentence();
    let by = |sharpness| SoftmaxTranslator::new(m.clone(), sharpness);
    let (plain, formula) = (Sharpness::default(), Sharpness::formula(m.input.len()));
    let q = m.query("sous")?;
    let soft = attention(&q, &m.k, &m.v, plain)?;
    let scaled = attention(&q, &m.k, &m.v, formula)?;
    let near = m.near_query("tables")?;
    let found = attention(&near, &m.k, &m.v, plain)?;
    let keys = || m.dictionary().keys();
    let temperatures = [0.1f32, 0.2, 0.3, 0.5, 0.7, 1.0].map(|temperature| {
        let english = by(Sharpness {
            temperature,
            ..formula
        })
        .translate(SENTENCE);
        let english = english.map_or_else(|error| error.to_string(), |english| english.text);
        [temperature.to_string(), english]
    });
    let translation = by(plain).translate(sentence)?;
    let dictionary = FuzzyTranslator::new(m.dictionary().clone()).translate(sentence)?;
    // The nearest keys stand in for words that are no keys; say so.
    let comes_out = match (
        translation.tokens == dictionary.tokens,
        &translation.remarks[..],
    ) {
        (true, []) => "The sentence still comes out right:".to_owned(),
        (true, remarks) => format!("With {}, the sentence comes out as:", no_keys(remarks)),
        (false, _) => "And this sentence comes out wrong:".to_owned(),
    };
    Ok(vec![
        text(
            "A product of one-hot vectors says yes or no. Softmax says how much: it makes every \
             score positive and lets them sum to 1. The answer is then a mixture of all values, \
             most of it from the best key. That is what makes it learnable later: a mixture \
             changes smoothly, a yes or no jumps.",
        ),
        equation(
            "softmax(x)ⱼ = exp(xⱼ) / Σₖ exp(xₖ)",
            r"\mathrm{softmax}(x)_j = \frac{e^{x_j}}{\sum_k e^{x_k}}",
        ),
        Part::Matrix(Matrix::new("softmax(q·Kᵀ)", ["sous"], keys(), &soft.weights)?.with_winners()),
        answers("softmax(q·Kᵀ)·V", "sous", &m, &soft.output)?,
        code(source!("attention.rs"), "attention"),
        text(&format!(
            "`under` wins with 0.3522. But look at `the`: 0.2591, twice what the others have, \
             though nobody asked for it. Two keys, `le` and `la`, mean `the`, and the small \
             weights of both add up. {comes_out}",
        )),
        output("sentence", sentence),
        answer("translation", Ok(translation)),
        text(
            "The paper's formula divides the scores by √d, here √6. Now `the` gets 0.3075 and \
             `under` 0.2313, and every word becomes `the`:",
        ),
        equation(FORMULA.0, FORMULA.1),
        Part::Matrix(
            Matrix::new("softmax(q·Kᵀ/√6)", ["sous"], keys(), &scaled.weights)?.with_winners(),
        ),
        answers("softmax(q·Kᵀ/√6)·V", "sous", &m, &scaled.output)?,
        answer(
            "translation with the scale",
            by(formula).translate(SENTENCE),
        ),
        text(
            "The formula is not wrong: it is made for other vectors. Dot products of long random \
             vectors grow like √d, and without the scale the softmax would look at one key only \
             and stop learning. One-hot scores are never above 1: they need the opposite, \
             sharpening. A temperature below 1 does that, because it divides the scores too:",
        ),
        Part::Table(table(
            "temperatures under the scale 1/√6",
            ["temperature", "translation"],
            temperatures,
        )),
        widget(sentence, f64::from(formula.scale)),
        text(
            "A product of vectors can do one more thing that a lookup cannot: ask for a key \
             approximately. `tables` is one edit from `table`, so let it ask for `table` with 0.95 \
             rather than 1, a twentieth less for each edit:",
        ),
        Part::Matrix(Matrix::new("q", ["tables"], m.input.words(), &near)?.with_winners()),
        answers("answer for tables", "tables", &m, &found.output)?,
        code(source!("keys_and_values.rs"), "near_query"),
        next(&[
            (
                "latimer translate --method softmax --scale formula \"le chat est sous la table\"",
                "break the sentence",
            ),
            (
                "latimer translate --method softmax --scale formula --temperature 0.3 \"le chat est sous la table\"",
                "and mend it",
            ),
            (
                "latimer lesson 8 --html lesson8.html",
                "move temperature and scale by hand",
            ),
        ]),
    ])
}

pub(super) fn all_at_once(setting: &Setting<'_>) -> Result<Vec<Part>> {
    let m = keys_and_values(setting.device, &Dictionary::tutorial())?;
    let sentence = setting.sentence();
    let words = words(sentence)?;
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let plain = Sharpness::default();
    let translation = AttentionTranslator::new(m.clone(), plain).translate(sentence)?;
    let tokens = |y: &Tensor| -> Result<Vec<String>> {
        let words = m.output.decode_rows(y)?;
        Ok(words
            .into_iter()
            .map(|w| w.unwrap_or("no token").to_owned())
            .collect())
    };
    let wrong = attention_over_queries(&m.near_queries(&words)?, &m.k, &m.v, plain)?;
    let over_queries = tokens(&wrong.output)?;
    let every_key_once = m.dictionary().len() == words.len()
        && m.dictionary().without_entry(&words).is_empty()
        && m.dictionary().keys().all(|key| words.contains(&key));
    let luck = match (over_queries == translation.tokens, every_key_once) {
        (true, true) => {
            "For the whole sentence, where every key is asked for once, the right words come out by \
             luck:"
        }
        (true, false) => "For this sentence the same words come out, by luck:",
        (false, _) => "For this sentence other words come out:",
    };
    let chat = m.query("chat")?;
    let one_wrong = attention_over_queries(&chat, &m.k, &m.v, plain)?;
    let one_right = attention(&chat, &m.k, &m.v, plain)?;
    let keys = || m.dictionary().keys();
    let mut parts = vec![
        text(
            "Nothing so far needs one word at a time. Stack the queries of the whole sentence into \
             a matrix Q, and the same three steps translate all of it: one product compares every \
             word with every key, one softmax makes each row of it weights, one product mixes the \
             values. This is why attention is fast: there is no loop over words.",
        ),
        equation(FORMULA.0, FORMULA.1),
    ];
    parts.extend(translation.workings.clone());
    parts.extend([
        output("sentence", sentence),
        answer("translation", Ok(translation)),
        code(source!("translate/by_matrices.rs"), "all_at_once"),
        text(&format!(
            "A matrix has two axes, and the softmax must know along which to run. The answer is \
             along the keys, in each query's row, because each word asks for one answer. The \
             tutorial's notebook runs it down the columns instead: each key is shared out over the \
             words of the sentence. {luck}",
        )),
        Part::Matrix(Matrix::new("wrong axis", &words, keys(), &wrong.weights)?.with_winners()),
        output("translation over the wrong axis", over_queries.join(" ")),
        code(source!("attention.rs"), "over_queries"),
        text(
            "A sentence of one word gives it away. Each key has only `chat` to go to, so all its \
             weight goes there, every value is counted in full, and the most frequent one wins:",
        ),
        answers("chat over the wrong axis", "chat", &m, &one_wrong.output)?,
        answers("chat over the right axis", "chat", &m, &one_right.output)?,
        output("wrong", tokens(&one_wrong.output)?.join(" ")),
        output("right", tokens(&one_right.output)?.join(" ")),
        text(
            "The lesson behind the lesson: a right answer does not prove a right program. The \
             translation of a word must not depend on which other words happen to be there.",
        ),
        widget(sentence, 1.0),
        next(&[
            (
                "latimer lesson 9 --try \"le le le le chat\"",
                "the wrong axis on another sentence",
            ),
            (
                "latimer translate --method attention --explain \"les chats\"",
                "queries, weights, answers",
            ),
        ]),
    ]);
    Ok(parts)
}
