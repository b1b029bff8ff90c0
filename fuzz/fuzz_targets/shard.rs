//! A file of tokens: what is accepted has rows at any step.
#![no_main]

use latimer_fuzz::folder;
use latimer_tokenizer::CharTokenizer;
use latimer_trainer::data::{RowKey, ShardTokens, Source, Split, is_prepared};
use libfuzzer_sys::fuzz_target;
use std::path::PathBuf;

struct Place {
    folder: PathBuf,
    tokenizer: CharTokenizer,
}

thread_local! {
    static PLACE: Place = {
        let folder = folder().join("shards");
        std::fs::create_dir_all(&folder).expect("a folder in memory can be made");
        Place { folder, tokenizer: CharTokenizer::fit("ab\n").expect("it has characters") }
    };
}

fuzz_target!(|bytes: &[u8]| {
    PLACE.with(|Place { folder, tokenizer }| {
        std::fs::write(folder.join("shard-00000.bin"), bytes).expect("there is room for a file");
        assert!(is_prepared(folder));
        match ShardTokens::open(folder, tokenizer, 0.2, 2) {
            Ok(tokens) => {
                let mut ids = [0; 3];
                for (split, step) in [(Split::Train, 1), (Split::Train, u64::MAX), (Split::Validation, 7)] {
                    let key = RowKey { split, estimate: false, step, row: 3, rows: 4 };
                    tokens.row(1, key, &mut ids);
                }
                assert!(tokens.validation().next().is_some());
                assert_ne!(tokens.fingerprint(), 0, "0 would say that nothing is known");
            }
            Err(error) => assert!(!error.to_string().is_empty()),
        }
    });
});
