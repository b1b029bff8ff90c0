//! The thread that joins all lessons: one task, solved by every idea, with its score.

use super::{Setting, equation, next, table, text};
use crate::render::grouped;
use crate::snippet::{code, source};
use crate::{
    AttentionTranslator, Bars, ExactTranslator, Exam, FuzzyTranslator, HeadTraining,
    HeadTranslator, LearnedHead, MatrixTranslator, Part, Result, Score, Sharpness,
    SoftmaxTranslator, Translator, keys_and_values,
};

/// The name of the GPT in the table.
const GPT: &str = "gpt, learned";
/// Number of sentences in the exam.
const SENTENCES: usize = 200;
/// Number of updates of the head, which take a few seconds.
const STEPS: u32 = 200;
/// A temperature low enough for a few hundred words.
const SHARP: f32 = 0.1;

pub(super) fn thread(setting: &Setting<'_>) -> Result<Vec<Part>> {
    let exam = Exam::of_phrasebook(SENTENCES)?;
    let dictionary = exam.dictionary();
    let m = keys_and_values(setting.device, dictionary)?;
    let matrices = m.k.shape().numel() + m.v.shape().numel();
    let training = HeadTraining {
        n_embd: m.output.len(),
        steps: STEPS,
        ..HeadTraining::default()
    };
    let head = LearnedHead::train(setting.device, dictionary, training)?;
    let sharp = Sharpness {
        temperature: SHARP,
        ..Sharpness::default()
    };
    let entries = format!("{} entries", dictionary.len());
    let numbers = |n: usize| format!("{} numbers", grouped(&n.to_string()));
    let exact = ExactTranslator::new(dictionary.clone());
    let fuzzy = FuzzyTranslator::new(dictionary.clone());
    let matrix = MatrixTranslator::new(m.clone());
    let soft = SoftmaxTranslator::new(m.clone(), Sharpness::default());
    let attention = AttentionTranslator::new(m, sharp);
    let learned = HeadTranslator::new(&head, head.sharpness());
    let mut candidates: Vec<(&str, &dyn Translator, String)> = vec![
        ("exact", &exact, entries.clone()),
        ("fuzzy", &fuzzy, entries),
        ("matrix", &matrix, numbers(matrices)),
        ("softmax, as it is", &soft, numbers(matrices)),
        ("attention, temperature 0.1", &attention, numbers(matrices)),
        (
            "head, learned",
            &learned,
            numbers(head.params.num_parameters()),
        ),
    ];
    if let Some(gpt) = &setting.gpt {
        candidates.push((GPT, gpt, numbers(gpt.num_parameters())));
    }
    // lesson: begin exam
    let mut scores: Vec<(&str, Score, String)> = Vec::new();
    for (name, translator, cost) in candidates {
        scores.push((name, exam.sit(translator)?, cost));
    }
    // lesson: end
    let percent = |share: f64| format!("{:.1} %", 100.0 * share);
    let rows = scores.iter().map(|(name, score, cost)| {
        let Score {
            known,
            typos,
            sentences,
        } = *score;
        let [known, typos, sentences] = [known, typos, sentences].map(percent);
        [(*name).to_owned(), known, typos, sentences, cost.clone()]
    });
    let header = ["idea", "words", "typos", "sentences", "holds"];
    let [words, typos, sentences] = exam.questions();
    let bars = scores.iter().map(|(name, s, _)| {
        let shares = vec![s.known, s.typos, s.sentences];
        ((*name).to_owned(), shares)
    });
    let mut parts = vec![
        text(&format!(
            "Six words made every idea easy to see. What is each worth? The preset `phrasebook` has a \
             dictionary of {words} French words and a grammar that makes sentences of them. Every \
             translator sits the same exam: the {words} words, {typos} of them with a letter left \
             out, and {sentences} sentences that no training ever shows, right only to the letter.",
        )),
        equation(
            "score = right answers / questions",
            r"\mathrm{score} = \frac{\mathrm{right\ answers}}{\mathrm{questions}}",
        ),
        Part::Table(table("exam", header, rows)),
        Part::Bars(Bars {
            name: "right answers".to_owned(),
            series: ["words", "typos", "sentences"].map(str::to_owned).into(),
            groups: bars.collect(),
        }),
        code(source!("course/thread.rs"), "exam"),
        text(
            "The dictionary knows its words and nothing else. Edits solve the typos, at the cost \
             of looking at every key. Matrices gain nothing yet: they are the same dictionary in \
             far more numbers. Softmax as it is even loses what was known: with hundreds of keys, \
             the small weights of all the others add up to more than that of the right key, and \
             words that many keys share drown the rest, as `the` did in lesson 8. A temperature \
             restores it all.",
        ),
        text(
            "The head has learned from pairs what the others were given. It knows a word by its \
             letters alone, without their order, so it confuses some, and in so short a training \
             it has not learned all: learning costs. Its guesses at typos are its own.",
        ),
        text(
            "None of them can do sentences. Word by word, only those come out right whose English has \
             the French order, and no better dictionary will change that: word order, agreement and \
             negation are not properties of words. That is what a model of whole lines is for.",
        ),
    ];
    let gpt = scores.iter().find(|(name, ..)| *name == GPT);
    parts.push(text(match gpt {
        Some((_, gpt, _)) => of_gpt(gpt, &scores),
        None => {
            "There is no GPT here yet to sit the exam. `latimer train` makes one in about two \
             minutes on two cores; then run this lesson again."
        }
    }));
    parts.push(next(&[
        (
            "latimer translate --method fuzzy --explain \"le chta est sous la tabel\"",
            "typos, by the nearest key",
        ),
        (
            "latimer train --preset baby --data my.txt",
            "the last step: a model of your own text",
        ),
    ]));
    Ok(parts)
}

/// The conclusion from the scores of a GPT.
fn of_gpt(gpt: &Score, scores: &[(&str, Score, String)]) -> &'static str {
    let others = scores.iter().filter(|(name, ..)| *name != GPT);
    let best = others.map(|(_, score, _)| score.sentences);
    if gpt.sentences <= best.fold(0.0, f64::max) {
        "This GPT is no better at sentences than a dictionary: it has not been trained for long \
         enough. `latimer train` makes one that is."
    } else if gpt.known < 0.5 && gpt.typos == 0.0 {
        "The GPT learned sentences and is better at them than all others. It is not a dictionary: \
         a single word is a kind of line that it has never seen, and it gets none of the typos \
         right."
    } else {
        "The GPT learned sentences and is better at them than all others."
    }
}
