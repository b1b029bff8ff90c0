//! Writes the seeds that are whole files of today's formats:
//! `cargo run --manifest-path fuzz/Cargo.toml --example seeds`. Those named by hand stay.

use latimer_fuzz::TinyRun;
use latimer_nn::{GptConfig, io};
use latimer_tokenizer::{CharTokenizer, Tokenizer, WordOptions, WordTokenizer};
use std::error::Error;
use std::path::Path;

fn main() -> Result<(), Box<dyn Error>> {
    let seeds = Path::new(env!("CARGO_MANIFEST_DIR")).join("seeds");
    let write = |target: &str, name: &str, bytes: &[u8]| {
        let folder = seeds.join(target);
        std::fs::create_dir_all(&folder)?;
        std::fs::write(folder.join(name), bytes)
    };
    let chars = CharTokenizer::fit("le chat = é\u{1F600}\n")?;
    write("tokenizer_json", "char", chars.to_json().as_bytes())?;
    let options = WordOptions { max_vocab_size: Some(6), unknown: true };
    let words = WordTokenizer::fit_with(["le chat, l'oiseau = the cat\n"], options)?;
    write("tokenizer_json", "word", words.to_json().as_bytes())?;

    let gpt = io::config_to_json(&GptConfig::gpt2(3, 4, 1, 1, 2));
    write("model_config", "ours", gpt.as_bytes())?;

    let tiny = TinyRun::train();
    for (which, path) in (0u8..).zip(tiny.files()) {
        let mut input = vec![which];
        input.extend(std::fs::read(&path)?);
        let name = path.file_stem().unwrap_or_default().to_string_lossy();
        write("checkpoint", &name, &input)?;
    }
    let folder = latimer_fuzz::folder();
    Ok(std::fs::remove_dir_all(folder)?)
}
