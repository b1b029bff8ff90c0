//! A corpus: read, cut into a training and a validation part, tokenized. The first byte says how.
#![no_main]

use latimer_fuzz::folder;
use latimer_tokenizer::{CharTokenizer, Tokenizer, WordTokenizer};
use latimer_trainer::data::{RowKey, Source, Split, TextTokens, corpora};
use libfuzzer_sys::fuzz_target;
use std::path::{Path, PathBuf};

thread_local! {
    static FILE: PathBuf = folder().join("corpus.txt");
}

fuzz_target!(|input: &[u8]| {
    let Some((&how, bytes)) = input.split_first() else { return };
    let name = FILE.with(|file| {
        std::fs::write(file, bytes).expect("there is room for a file");
        file.display().to_string()
    });
    let text = match corpora::load_text(&name, Path::new("no-cache")) {
        Ok(text) => text,
        Err(error) => return assert!(!error.to_string().is_empty()),
    };
    // Byte-order marks are no part of a text.
    assert!(bytes.ends_with(text.as_bytes()));
    let (words, val_fraction) = (how & 1 > 0, f64::from(how >> 4) / 16.0);
    let block_size = 1 + usize::from(how >> 1 & 7);
    let fitted: latimer_tokenizer::Result<Box<dyn Tokenizer>> = if words {
        WordTokenizer::fit(&text).map(|t| Box::new(t) as _)
    } else {
        CharTokenizer::fit(&text).map(|t| Box::new(t) as _)
    };
    let Ok(tokenizer) = fitted else { return };
    let Ok(tokens) = TextTokens::new(&text, &*tokenizer, val_fraction, block_size) else { return };
    let vocab_size = tokenizer.vocab_size() as u32;
    let mut ids = vec![0; block_size + 1];
    let mut splits = vec![Split::Train];
    splits.extend((tokens.validation_tokens() > block_size).then_some(Split::Validation));
    for split in splits {
        for (estimate, step) in [(false, 1), (true, 2), (false, u64::MAX)] {
            tokens.row(7, RowKey { split, estimate, step, row: 1, rows: 2 }, &mut ids);
            assert!(ids.iter().all(|&id| id < vocab_size));
        }
    }
    let windows: usize = tokens.validation().map(|window| window.len() - 1).sum();
    assert_eq!(windows, tokens.validation_tokens().saturating_sub(1));
});
