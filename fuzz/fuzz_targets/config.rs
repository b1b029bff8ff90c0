//! A run's configuration in TOML: what is accepted is sound, and is read back as it is written.
#![no_main]

use latimer_trainer::config::{Config, diff};
use libfuzzer_sys::fuzz_target;
use std::path::Path;

fuzz_target!(|text: &str| {
    let path = Path::new("run.toml");
    match Config::from_toml(text, path) {
        Ok(config) => {
            config.validate().expect("what is accepted is sound");
            let written = config.to_commented_toml();
            let again = Config::from_toml(&written, path).expect("what is written is read");
            assert!(diff(&config, &again).is_empty() && config.preset == again.preset, "{written}");
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
});
