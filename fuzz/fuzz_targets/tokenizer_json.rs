//! A tokenizer's file, of any kind: what is accepted is written as it was read, and works.
#![no_main]

use latimer_tokenizer::from_json;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|json: &str| {
    match from_json(json) {
        Ok(tokenizer) => {
            let again = from_json(&tokenizer.to_json()).expect("what is written is read");
            assert_eq!(again.fingerprint(), tokenizer.fingerprint());
            assert_eq!(again.vocab_size(), tokenizer.vocab_size());
            // Its own file as a text: characters that it may know or not.
            if let Ok(ids) = tokenizer.encode(json) {
                assert!(ids.iter().all(|&id| (id as usize) < tokenizer.vocab_size()));
                assert!(tokenizer.decode(&ids).is_ok());
            }
            let all: Vec<u32> = (0..tokenizer.vocab_size() as u32).collect();
            assert!(tokenizer.decode(&all).is_ok());
            assert!(tokenizer.decode(&[tokenizer.vocab_size() as u32]).is_err());
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
});
