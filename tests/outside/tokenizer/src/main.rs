//! A file through each tokenizer and back: its own source, or the file that you name.

use latimer_tokenizer::{CharTokenizer, Tokenizer, WordTokenizer, load};
use std::error::Error;

fn main() -> Result<(), Box<dyn Error>> {
    let path = std::env::args().nth(1).unwrap_or(file!().into());
    // `file!` is seen from the package; from elsewhere the source itself will do.
    let text = std::fs::read_to_string(path).unwrap_or(include_str!("main.rs").into());
    let kinds: [Box<dyn Tokenizer>; 2] =
        [Box::new(CharTokenizer::fit(&text)?), Box::new(WordTokenizer::fit(&text)?)];
    for tokenizer in kinds {
        let ids = tokenizer.encode(&text)?;
        println!(
            "{}: {} bytes are {} ids of a vocabulary of {}",
            tokenizer.kind(),
            text.len(),
            ids.len(),
            tokenizer.vocab_size()
        );
        // What is saved is read again as the same tokenizer.
        let file = std::env::temp_dir().join(format!("outside-{}.json", std::process::id()));
        tokenizer.save(&file)?;
        let again = load(&file)?;
        std::fs::remove_file(&file)?;
        assert_eq!(again.encode(&text)?, ids);
        let back = again.decode(&ids)?;
        // Words lose what their normal form loses (runs of spaces); characters lose nothing.
        println!("  back to the byte: {}", if back == text { "yes" } else { "no, normalised" });
        assert!(back == text || !again.is_lossless());
    }
    Ok(())
}
