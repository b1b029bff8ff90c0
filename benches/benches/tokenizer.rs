//! Byte-pair encoding: learning a vocabulary, encoding with it, decoding.

use latimer_benches::Bench;
use latimer_tokenizer::{BpeTokenizer, BpeTrainer, Pattern, Result, Tokenizer};

/// Words of the text, which is about six times as many bytes.
const WORDS: usize = 200_000;

fn main() -> Result<()> {
    let bench = Bench::from_args();
    let text = text();
    let megabytes = text.len() as f64 * 1e-6;
    bench.measure("tokenizer train bpe 1024", megabytes, "MB", || {
        learn(&text).expect("the text is long enough");
    });
    let tokenizer = learn(&text)?;
    let ids = tokenizer.encode(&text)?;
    bench.measure("tokenizer encode bpe 1024", megabytes, "MB", || {
        let ids = tokenizer.encode(&text);
        std::hint::black_box(ids.expect("any text has ids"));
    });
    bench.measure("tokenizer decode bpe 1024", megabytes, "MB", || {
        let text = tokenizer.decode(&ids);
        std::hint::black_box(text.expect("the ids came from a text"));
    });
    Ok(())
}

fn learn(text: &str) -> Result<BpeTokenizer> {
    BpeTrainer::new(1024, Pattern::Gpt2).train(&[text], &mut |_| {})
}

/// Made-up words, short ones more often than long ones, twelve to a line.
fn text() -> String {
    const SYLLABLES: [&str; 16] = [
        "la", "ti", "mer", "on", "to", "ken", "a", "re", "st", "ing", "the", "or", "u", "né", "qu",
        "sol",
    ];
    let mut state = 1u64;
    let mut draw = |below: u64| {
        // Knuth's generator; its high bits are the good ones.
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        (state >> 33) % below
    };
    let mut text = String::new();
    for word in 1..=WORDS {
        let syllables = 1 + draw(4).min(draw(4));
        for _ in 0..syllables {
            // Small numbers come more often, as some words of a language do.
            text.push_str(SYLLABLES[draw(16).min(draw(16)) as usize]);
        }
        text.push(if word % 12 == 0 { '\n' } else { ' ' });
    }
    text
}
