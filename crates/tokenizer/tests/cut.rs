//! A text cut where [`Tokenizer::cut`] says has the same ids as the whole text.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use latimer_tokenizer::{
    BpeTrainer, CharTokenizer, NgramOptions, NgramTokenizer, Pattern, Tokenizer, WordOptions,
    WordTokenizer,
};
use proptest::prelude::*;

const PARTS: [&str; 22] = [
    "a", "b", "the", "Cat", "ll", "'", "'s", " ", "  ", "\n", "\n\n", "\r\n", "\t", "1", "234",
    ".", "!", "/", "\u{e9}", "\u{4e2d}", "\u{3000}", "\u{3a3}",
];

/// One tokenizer of each kind; each can encode every text made of [`PARTS`].
fn tokenizers() -> Vec<Box<dyn Tokenizer>> {
    let all = PARTS.concat();
    let mut found: Vec<Box<dyn Tokenizer>> = vec![
        Box::new(CharTokenizer::fit(&all).unwrap()),
        Box::new(
            WordTokenizer::fit_with(
                [&all],
                WordOptions {
                    max_vocab_size: None,
                    unknown: true,
                },
            )
            .unwrap(),
        ),
        Box::new(NgramTokenizer::fit_with([&all], NgramOptions::language_model(64)).unwrap()),
        Box::new(NgramTokenizer::fit([&all]).unwrap()),
    ];
    for pattern in Pattern::ALL {
        let trainer = BpeTrainer::new(300, pattern);
        let text = format!("{all} the cat\n\n the Cat'll 234234\n  a");
        found.push(Box::new(trainer.train(&[text], &mut |_| {}).unwrap()));
    }
    found
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]
    #[test]
    fn the_halves_are_the_whole(
        parts in prop::collection::vec(prop::sample::select(PARTS.to_vec()), 0..40),
    ) {
        thread_local!(static KINDS: Vec<Box<dyn Tokenizer>> = tokenizers());
        let text = parts.concat();
        KINDS.with(|kinds| -> Result<(), TestCaseError> {
            for tokenizer in kinds {
                // Cut again and again, as far as possible.
                let mut left = text.as_str();
                while let cut @ 1.. = tokenizer.cut(left) {
                    let (head, tail) = text.split_at(cut);
                    let halves = [tokenizer.encode(head).unwrap(), tokenizer.encode(tail).unwrap()];
                    let whole = tokenizer.encode(&text).unwrap();
                    prop_assert_eq!(halves.concat(), whole, "{:?} at {}", tokenizer, cut);
                    let mut last = head.chars();
                    last.next_back();
                    left = last.as_str();
                }
            }
            Ok(())
        })?;
    }
}

#[test]
fn usual_text_is_cut_late() {
    let text = "First Citizen:\nBefore we proceed any further, hear me speak.\n".repeat(3);
    for tokenizer in tokenizers() {
        // Test also a text that is one long line.
        for text in [&text, &text.replace('\n', " ")] {
            let cut = tokenizer.cut(text);
            let uncut = tokenizer.kind() == "bpe" && cut == 0;
            assert!(cut > text.len() - 10 || uncut, "{tokenizer:?}: {cut}");
        }
    }
    let uncut = tokenizers().iter().filter(|t| t.cut(&text) == 0).count();
    assert_eq!(uncut, 1, "the pattern none alone");
}
