//! Lesson 10: a head that learns the dictionary.

use super::{Setting, answer, equation, next, output, text};
use crate::snippet::{code, source};
use crate::{
    Curve, Dictionary, HeadTraining, HeadTranslator, LearnedHead, Matrix, Part, Result, Sharpness,
    Translator, Widget,
};

pub(super) fn head(setting: &Setting<'_>) -> Result<Vec<Part>> {
    let dictionary = Dictionary::tutorial();
    let training = HeadTraining::default();
    let head = LearnedHead::train(setting.device, &dictionary, training)?;
    let sentence = setting.sentence();
    let by = |sharpness: Sharpness| HeadTranslator::new(&head, sharpness);
    let meanings = || dictionary.iter().map(|(k, v)| format!("{k} → {v}"));
    let mut steps = Vec::new();
    for snapshot in &head.snapshots {
        let decoded = head.output.decode_rows(&snapshot.answers)?;
        let notes = decoded.into_iter().map(|word| match word {
            Some(word) => format!("→ {word}"),
            None => "→ no token".to_owned(),
        });
        let name = format!("answers at step {}", snapshot.step);
        let matrix = Matrix::new(name, meanings(), head.output.words(), &snapshot.answers)?;
        let matrix = matrix.with_winners().with_notes(notes);
        steps.push((snapshot.step, f64::from(snapshot.loss), matrix));
    }
    let shown = |at: usize| {
        steps
            .get(at)
            .map(|(_, _, matrix)| Part::Matrix(matrix.clone()))
    };
    let weights = head.snapshots.last().map(|last| &last.weights);
    let weights = weights
        .map(|x| Matrix::new("weights", dictionary.keys(), dictionary.keys(), x))
        .transpose()?;
    let losses = head.losses.iter().zip(0u32..);
    let curve = Curve {
        name: "loss".to_owned(),
        of: "step".to_owned(),
        points: losses
            .map(|(&loss, step)| (step.into(), loss.into()))
            .collect(),
    };
    let mut parts = vec![
        text(
            "So far we wrote K and V ourselves. A network is given neither: it is shown pairs, le \
             and the, chat and cat, and has to find vectors that make the lookup come out right. For \
             that, attention gets three matrices of its own, W^Q, W^K and W^V, which turn whatever \
             comes in into queries, keys and values. Attention with its three maps is called a \
             head.",
        ),
        equation(
            "Attention(Q·W^Q, K·W^K, V·W^V),  scores times C^-0.5",
            r"\mathrm{Attention}(Q W^Q, K W^K, V W^V), \quad \text{scores} \cdot C^{-1/2}",
        ),
        code(source!("head.rs"), "head"),
        text(
            "A word goes in as its spelling, 32 numbers that count its letters, so that words nobody \
             has seen have a vector too. The maps begin with random numbers, and the head talks \
             nonsense:",
        ),
        code(source!("learned.rs"), "spelling"),
    ];
    parts.extend(shown(0));
    parts.extend([
        text(
            "Then gradient descent: measure how far each answer is from the truth, and find for \
             every number of the three maps the direction that would bring it closer. A tape has \
             recorded every operation; playing it backwards gives these directions. Take a small \
             step, and repeat. Every step also pulls the maps a little towards 0, which is called \
             weight decay.",
        ),
        code(source!("learned.rs"), "loss"),
        Part::Curve(curve),
    ]);
    parts.extend(shown(steps.len() - 1));
    parts.extend(weights.map(|m| Part::Matrix(m.with_winners())));
    parts.extend([
        text(
            "The dictionary is back, and nobody wrote it down. The weights show where it looks: at \
             the entry itself, except that `le` and `la` may look at each other, because they mean \
             the same and the loss cannot tell them apart. Here the formula's scale is right, \
             since the vectors are learned: the head has made them as long as it needs.",
        ),
        Part::Widget(Widget::Steps { steps }),
        output("sentence", sentence),
        answer("translation", by(head.sharpness()).translate(sentence)),
        code(source!("translate/by_head.rs"), "learned"),
        text(
            "And here are words that it has never seen. This is what weight decay is for: maps \
             that are no larger than the pairs require treat similar spellings alike. With it \
             `tables` became `table` from 995 of 1000 random starts, without it from three in \
             four.",
        ),
        answer(
            "tables chats",
            by(head.sharpness()).translate("tables chats"),
        ),
        output("loss at first", number(head.losses.first())),
        output("loss at last", number(head.losses.last())),
        next(&[
            (
                "latimer translate --method head --explain \"les chats sous les tables\"",
                "what it looks at",
            ),
            (
                "latimer translate --method head --temperature 20 \"le chat est sous la table\"",
                "too soft",
            ),
            (
                "latimer lesson 10 --html lesson10.html",
                "watch the answers emerge, step by step",
            ),
        ]),
    ]);
    Ok(parts)
}

fn number(x: Option<&f32>) -> String {
    x.map_or_else(String::new, |x| format!("{x:.6}"))
}
