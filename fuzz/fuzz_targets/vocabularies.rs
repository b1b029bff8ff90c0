//! Vocabularies of other programs: tiktoken's rank files, GPT-2's two files. What is accepted
//! encodes and decodes any bytes, and is written as something that is read back the same.
#![no_main]

use latimer_tokenizer::{BpeTokenizer, Pattern, Tokenizer};
use libfuzzer_sys::fuzz_target;
use std::sync::LazyLock;

/// The 256 bytes as a rank file, and as `vocab.json`: a file without them is refused at once.
static BYTES: LazyLock<(String, String)> = LazyLock::new(|| {
    let bytes = BpeTokenizer::from_merges(Pattern::Gpt2, &[], &[]).expect("bytes are a vocabulary");
    (bytes.to_tiktoken().expect("in order"), bytes.to_vocab_and_merges().0)
});

fn check(read: Result<BpeTokenizer, latimer_tokenizer::Error>, text: &[u8], also_use: bool) {
    match read {
        // A tokenizer's first use costs a thousand times what reading a small one does.
        Ok(_) if !also_use => {}
        Ok(tokenizer) => {
            let ids = tokenizer.encode_bytes(text);
            let mut back = Vec::new();
            tokenizer.decode_into(&ids, &mut back).expect("its own ids are known");
            assert_eq!(back, text);
            let json = tokenizer.to_json();
            let again = BpeTokenizer::from_hf(&json).expect("what is written is read");
            assert_eq!(again.encode_bytes(text), ids);
            assert_eq!(again.fingerprint(), tokenizer.fingerprint());
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
}

fuzz_target!(|input: (u8, &[u8])| {
    let (which, bytes) = input;
    let also_use = which >= 0xf0;
    let (ranks, vocab) = &*BYTES;
    match which % 4 {
        0 => check(BpeTokenizer::from_tiktoken(bytes, Pattern::Gpt2, &[]), bytes, also_use),
        // Most files go wrong beyond the bytes.
        1 => {
            let ranks = [ranks.as_bytes(), bytes].concat();
            check(BpeTokenizer::from_tiktoken(&ranks, Pattern::Cl100k, &[("<|a|>", 300)]), bytes, also_use);
        }
        2 => {
            let text = String::from_utf8_lossy(bytes);
            check(BpeTokenizer::from_vocab_and_merges(&text, "", Pattern::Gpt2), bytes, also_use);
        }
        // Entries of `vocab.json` up to the first empty line, then `merges.txt`.
        _ => {
            let text = String::from_utf8_lossy(bytes);
            let (entries, merges) = text.split_once("\n\n").unwrap_or((&text, ""));
            let open = vocab.trim_end().trim_end_matches('}');
            let comma = if entries.is_empty() { "" } else { "," };
            let vocab = format!("{open}{comma}{entries}}}");
            check(BpeTokenizer::from_vocab_and_merges(&vocab, merges, Pattern::Gpt2), bytes, also_use);
        }
    }
});
