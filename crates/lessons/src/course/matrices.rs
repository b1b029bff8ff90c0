//! Lessons 1 and 5 to 7: words as vectors, the dictionary as matrices.

use super::{SENTENCE, Setting, answer, equation, next, output, text};
use crate::snippet::{code, source};
use crate::translate::words;
use crate::{
    Dictionary, Matrix, MatrixTranslator, Part, Result, Translator, Vocabulary, attention,
    keys_and_values, latex_matrix,
};
use latimer_tensor::{DType, Tensor};

pub(super) fn latex(setting: &Setting<'_>) -> Result<Vec<Part>> {
    let vector = Tensor::from_slice(setting.device, &[1.0f32, 0.0, 0.0], [3])?;
    let values = [1.0f32, 0.0, 0.5, 0.25];
    let matrix = Tensor::from_slice(setting.device, &values, [2, 2])?;
    let cube = Tensor::from_slice(setting.device, &[0.0f32; 8], [2, 2, 2])?;
    let refused = latex_matrix(&cube).err();
    Ok(vec![
        text(
            "From here on, words become vectors and dictionaries become matrices. To put them into \
             a document of your own, a helper writes any vector or matrix as LaTeX; every lesson \
             does so with --latex.",
        ),
        equation(
            "mᵢⱼ stands in row i, column j, both counted from 0",
            r"M = \left[\begin{matrix} m_{00} & m_{01}\\ m_{10} & m_{11}\\ \end{matrix}\right]",
        ),
        Part::Matrix(Matrix::new("matrix", ["0", "1"], ["0", "1"], &matrix)?),
        Part::Source {
            name: "latex of a vector".to_owned(),
            text: latex_matrix(&vector)?,
        },
        Part::Source {
            name: "latex of the matrix".to_owned(),
            text: latex_matrix(&matrix)?,
        },
        code(source!("latex.rs"), "latex"),
        text("Paper has two dimensions. A tensor with more is refused:"),
        output(
            "three dimensions",
            refused.map_or_else(String::new, |error| error.to_string()),
        ),
        next(&[(
            "latimer lesson 6 --latex",
            "K, V and their products, to be pasted",
        )]),
    ])
}

pub(super) fn one_hot(setting: &Setting<'_>) -> Result<Vec<Part>> {
    let dictionary = Dictionary::tutorial();
    let (input, output) = (
        Vocabulary::new(dictionary.keys()),
        Vocabulary::new(dictionary.values()),
    );
    let (e_in, e_out) = (
        input.one_hots(setting.device)?,
        output.one_hots(setting.device)?,
    );
    Ok(vec![
        text(
            "A number is not enough: `table` is 5 and `chat` is 0, but a table is not five times \
             anything. So each word becomes a direction of its own. Its vector is as long as the \
             vocabulary, with a 1 in the word's place and 0 elsewhere: one-hot. All words are \
             then equally far from each other, and the dot product of two of them asks one \
             question, `are you the same?`: 1 for yes, 0 for no.",
        ),
        equation(
            "e(w)ⱼ = [j = number of w]",
            r"e(w)_j = [\,j = \mathrm{number}(w)\,]",
        ),
        Part::Matrix(Matrix::new("input", input.words(), input.words(), &e_in)?.with_winners()),
        Part::Matrix(Matrix::new("output", output.words(), output.words(), &e_out)?.with_winners()),
        code(source!("vocabulary.rs"), "one_hot"),
        text(
            "A sentence is a stack of such rows, one for each word. A word outside the vocabulary has \
             no direction, so its row is all zeros:",
        ),
        Part::Matrix(of_words(setting, &input)?),
        next(&[
            (
                "latimer lesson 5 --try \"la table est verte\"",
                "your own words as vectors",
            ),
            ("latimer lesson 6", "a dictionary made of such rows"),
        ]),
    ])
}

/// A row for each word of the sentence.
fn of_words(setting: &Setting<'_>, vocabulary: &Vocabulary) -> Result<Matrix> {
    let words = words(setting.sentence())?;
    let mut rows = Vec::new();
    for word in &words {
        rows.push(match vocabulary.one_hot(setting.device, word)? {
            Some(vector) => vector.cast(DType::F64)?.to_vec::<f64>()?,
            None => vec![0.0; vocabulary.len()],
        });
    }
    let sentence = Matrix::of("sentence", words, vocabulary.words(), rows);
    Ok(sentence.with_winners())
}

fn with_word(setting: &Setting<'_>, word: &str) -> Result<Vec<Part>> {
    let m = keys_and_values(setting.device, &Dictionary::tutorial())?;
    let keys: Vec<&str> = m.dictionary().keys().collect();
    // A learner's word may not be a key; then the nearest key is used instead.
    let key = m.dictionary().nearest(word).key;
    let q = m.query(key)?;
    let found = attention::lookup(&q, &m.k, &m.v)?;
    let product = "q·Kᵀ·V";
    let answers = m.output.decode(&found.output)?.unwrap_or("nothing");
    let instead = (key != word).then(|| {
        text(&format!(
            "`{word}` is not a key and has no vector, so the nearest key asks in its place: \
             `{key}`."
        ))
    });
    let v_rows = m.dictionary().iter().map(|(k, v)| format!("{k} → {v}"));
    let mut parts = vec![
        text(
            "Stack the vectors of the French words, in the dictionary's order, and call the matrix \
             K, for keys. Stack the vectors of their meanings and call it V, for values. These two \
             matrices are the dictionary: nothing was lost.",
        ),
        Part::Matrix(Matrix::new("K", &keys, m.input.words(), &m.k)?.with_winners()),
        Part::Matrix(Matrix::new("V", v_rows, m.output.words(), &m.v)?.with_winners()),
        code(source!("keys_and_values.rs"), "keys_and_values"),
        text(
            "And looking up is multiplying. The query q is the word's vector. q·Kᵀ compares it with \
             every key at once and finds a 1 where the entry is; times V, that row of V comes out.",
        ),
        equation("answer = q·Kᵀ·V", r"\mathrm{answer} = q K^\top V"),
    ];
    parts.extend(instead);
    parts.extend([
        Part::Matrix(Matrix::new("q", [key], m.input.words(), &q)?.with_winners()),
        Part::Matrix(Matrix::new("q·Kᵀ", [key], &keys, &found.scores)?.with_winners()),
        Part::Matrix(
            Matrix::new(product, [key], m.output.words(), &found.output)?
                .with_winners()
                .with_notes([format!("→ {answers}")]),
        ),
        code(source!("attention.rs"), "lookup"),
        output("answer", answers),
        next(&[
            (
                "latimer lesson 6 --try table",
                "another word's way through the matrices",
            ),
            ("latimer lesson 6 --latex", "the same on paper"),
        ]),
    ]);
    Ok(parts)
}

pub(super) fn two_matrices(setting: &Setting<'_>) -> Result<Vec<Part>> {
    with_word(setting, &words(setting.text_or("sous"))?[0])
}

pub(super) fn decode(setting: &Setting<'_>) -> Result<Vec<Part>> {
    let m = keys_and_values(setting.device, &Dictionary::tutorial())?;
    let sentence = setting.sentence();
    let translator = MatrixTranslator::new(m.clone());
    let translation = translator.translate(sentence);
    // A learner's word may not be a key: then the tutorial's sentence is shown.
    let (shown, instead) = match &translation {
        Ok(translation) => (translation.workings.clone(), None),
        Err(_) => (
            translator.translate(SENTENCE)?.workings,
            Some(text(&format!(
                "Your words are not all keys, so these are the products for `{SENTENCE}`:"
            ))),
        ),
    };
    let nothing = Tensor::from_slice(setting.device, &[0.0f32; 5], [5])?;
    let nothing = m.output.decode(&nothing)?;
    let mut parts = vec![
        text(
            "What comes out is a vector, and has to become a word again. We compare it with every \
             English word's vector and take the one with the greatest dot product. Vectors of \
             length 1 make that the cosine of the angle between them: 1 is the same direction, 0 \
             is a right angle.",
        ),
        equation(
            "word = argmaxⱼ y·e(j), if that is above 0",
            r"\mathrm{word} = \arg\max_j \; y \cdot e(j), \quad y \cdot e(j) > 0",
        ),
    ];
    parts.extend(instead);
    parts.extend(shown);
    parts.extend([
        output("sentence", sentence),
        answer("translation", translation),
        code(source!("vocabulary.rs"), "decode"),
        text(
            "The search begins at 0 and takes only what is greater. A vector of zeros is therefore \
             not decoded to any word, rather than to the first of the list:",
        ),
        output("decode of zeros", nothing.unwrap_or("no token")),
        next(&[
            (
                "latimer translate --method matrix --explain \"le chat\"",
                "scores and answers",
            ),
            (
                "latimer translate --method matrix tables",
                "no vector for it, so an error",
            ),
        ]),
    ]);
    Ok(parts)
}
