//! A model's `config.json`, ours or GPT-2's: what is accepted can be declared, and is written as
//! it was read.
#![no_main]

use latimer_nn::{Gpt, io};
use libfuzzer_sys::fuzz_target;
use std::path::Path;

fuzz_target!(|text: &str| {
    let path = Path::new("config.json");
    match io::config_from_json(text, path) {
        Ok(config) => {
            let again = io::config_from_json(&io::config_to_json(&config), path);
            assert_eq!(again.expect("what is written is read"), config);
            let (_, declarations) = Gpt::new(&config).expect("what is accepted can be declared");
            assert!(declarations.num_parameters() > 0);
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
});
