//! Writes the seeds that are whole files of today's formats:
//! `cargo run --manifest-path fuzz/Cargo.toml --example seeds`. Those named by hand stay.

use latimer_fuzz::TinyRun;
use latimer_nn::{GptConfig, io};
use latimer_tokenizer::{
    BpeTokenizer, CharTokenizer, NgramOptions, NgramTokenizer, Pattern, Tokenizer, WordOptions,
    WordTokenizer,
};
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
    let options = NgramOptions::language_model(12);
    let ngrams = NgramTokenizer::fit_with(["le chat est sous la table"], options)?;
    write("tokenizer_json", "ngram", ngrams.to_json().as_bytes())?;
    let python = ngrams.to_python_json()?;
    write("tokenizer_json", "python", python.as_bytes())?;
    let merges = [(b'l'.into(), b'e'.into()), (b' '.into(), 256)];
    let bpe = BpeTokenizer::from_merges(Pattern::Gpt2, &merges, &["<|end|>"])?;
    write("tokenizer_json", "bpe", bpe.to_json().as_bytes())?;
    // Which file the first byte says, see the target.
    write("vocabularies", "ranks", b"\x01bGU= 256\nIGxl 257\n")?;
    write("vocabularies", "merges", b"\x03\"le\":256,\"<|end|>\":257\n\nl e\n")?;

    let folder = latimer_fuzz::folder();
    let text = folder.join("text.txt");
    std::fs::write(&text, "abab baab\n".repeat(2).replace(' ', ""))?;
    let few = CharTokenizer::fit("ab\n")?;
    let (names, out) = ([text.display().to_string()], folder.join("prepared"));
    latimer_trainer::data::prepare(&names, &folder, &few, &out, 100, &mut |_, _| ())?;
    write("shard", "whole", &std::fs::read(out.join("shard-00000.bin"))?)?;

    let gpt = io::config_to_json(&GptConfig {
        n_layer: 1,
        n_head: 1,
        n_embd: 2,
        block_size: 4,
        ..GptConfig::gpt2(3)
    });
    write("model_config", "ours", gpt.as_bytes())?;

    let folder = latimer_fuzz::folder();
    for (which, path) in (0u8..).zip(latimer_fuzz::sharded(&folder)) {
        let mut input = vec![which];
        input.extend(std::fs::read(&path)?);
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        write("model_folder", &name.replace(".safetensors", ""), &input)?;
    }

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
