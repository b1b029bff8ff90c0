//! Writes vocabularies in every format, with texts and their ids, for
//! `tests/peers/check_formats.py` to read with the programs whose formats they are.
//!
//! `cargo run --release --example bpe_files -- TEXT FOLDER [RANKS_FOLDER]`
//!
//! One vocabulary for each pattern and tie rule is trained on `TEXT`. OpenAI's encodings are added
//! if `RANKS_FOLDER` holds their `NAME.tiktoken`.

use std::error::Error;
use std::fs;
use std::path::Path;

use latimer_tokenizer::{BpeTokenizer, BpeTrainer, Encoding, Pattern, TieRule, Tokenizer};
use serde_json::json;

#[path = "../tests/texts/mod.rs"]
mod texts;

fn main() -> Result<(), Box<dyn Error>> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [text, folder, ranks @ ..] = words.as_slice() else {
        return Err("expected TEXT FOLDER [RANKS_FOLDER]".into());
    };
    let text = fs::read(text)?;
    let folder = Path::new(folder);
    fs::create_dir_all(folder)?;
    for pattern in Pattern::ALL {
        for ties in TieRule::ALL {
            let tokenizer = BpeTrainer::new(2000, pattern)
                .ties(ties)
                .special_tokens(&["<|endoftext|>", "<|user|>"])
                .train(&[&text], &mut |_| {})?;
            write(&tokenizer, folder, &format!("{pattern}.{}", ties.name()))?;
        }
    }
    for encoding in Encoding::ALL {
        let Some(path) = ranks
            .first()
            .map(|folder| Path::new(folder).join(format!("{}.tiktoken", encoding.name())))
        else {
            continue;
        };
        if path.is_file() {
            let tokenizer = BpeTokenizer::from_tiktoken(
                &fs::read(path)?,
                encoding.pattern(),
                encoding.special_tokens(),
            )?;
            write(&tokenizer, folder, encoding.name())?;
        }
    }
    Ok(())
}

fn write(tokenizer: &BpeTokenizer, folder: &Path, name: &str) -> Result<(), Box<dyn Error>> {
    let file = |end: &str| folder.join(format!("{name}{end}"));
    tokenizer.save(&file(".json"))?;
    let (vocab, merges) = tokenizer.to_vocab_and_merges();
    fs::write(file(".vocab.json"), vocab)?;
    fs::write(file(".merges.txt"), merges)?;
    if let Ok(ranks) = tokenizer.to_tiktoken() {
        fs::write(file(".tiktoken"), ranks)?;
    }
    // Hugging Face finds special tokens in every text, so the texts have none.
    let texts: Vec<String> = texts::lines(11, 2000)
        .into_iter()
        .map(|line| line.replace("<|endoftext|>", "<|end of text|>"))
        .collect();
    let ids = texts
        .iter()
        .map(|text| tokenizer.encode(text))
        .collect::<Result<Vec<_>, _>>()?;
    let special: serde_json::Map<_, _> = tokenizer
        .special_tokens()
        .map(|(name, id)| (name.to_owned(), id.into()))
        .collect();
    let case = json!({"texts": texts, "ids": ids, "special": special,
                      "regex": tokenizer.pattern().regex()});
    Ok(fs::write(file(".ids.json"), case.to_string())?)
}
