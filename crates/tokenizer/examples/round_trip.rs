//! Fits a tokenizer of each kind on a text, shows how it cuts a sentence, and joins it again.
//!
//! `cargo run -p latimer-tokenizer --example round_trip -- "le chat est sous la table"`
#![allow(clippy::print_stdout, reason = "an example shows its result")]

use std::process::ExitCode;

use latimer_tokenizer::{
    CharTokenizer, NgramOptions, NgramTokenizer, Result, StreamDecoder, Tokenizer, WordTokenizer,
};

const TEXT: &str = "le chat est sous la table = the cat is under the table\n\
                    l'eau n'est pas froide = the water is not cold\n";

fn main() -> ExitCode {
    let sentence = std::env::args().nth(1);
    match show(sentence.as_deref().unwrap_or("l'eau est sous la table")) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn show(sentence: &str) -> Result<()> {
    // A small vocabulary, mostly of pieces, so that words are seen to be cut.
    let ngrams = NgramOptions {
        pct_bpe: 0.8,
        ..NgramOptions::language_model(50)
    };
    let kinds: [Box<dyn Tokenizer>; 3] = [
        Box::new(WordTokenizer::fit(TEXT)?),
        Box::new(NgramTokenizer::fit_with([TEXT], ngrams)?),
        Box::new(CharTokenizer::fit(TEXT)?),
    ];
    for tokenizer in &kinds {
        println!(
            "{}: {} tokens in the vocabulary",
            tokenizer.kind(),
            tokenizer.vocab_size()
        );
        let mut stream = StreamDecoder::new(tokenizer.as_ref());
        let mut joined = String::new();
        for id in tokenizer.encode(sentence)? {
            let piece = stream.push(id)?;
            println!("{id:>5} {piece:?}");
            joined += piece;
        }
        joined += stream.finish();
        println!("      {joined:?}\n");
    }
    Ok(())
}
