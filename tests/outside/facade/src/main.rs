//! The facade alone: the whole command with one more backend, or a library under one name.
//!
//! With arguments it is the command (`cargo run -- devices`); without, it computes a little.

use latimer::tensor::{Device, Reference, Result, Tensor};
use latimer::tokenizer::{CharTokenizer, Tokenizer};
use latimer::{Registry, backend_cpu::Cpu};
use std::process::ExitCode;

fn main() -> ExitCode {
    if std::env::args().len() > 1 {
        let exact = |_: &_| Ok(Device::new(Reference)); // `--backend exact`
        return latimer::main_with(Registry::builtin().with("exact", exact));
    }
    match library() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

/// The lines that the README gives are seen by the crate whose loops they are for.
#[test]
fn a_debug_build_computes_with_optimised_loops() {
    assert!(latimer::backend_cpu::is_optimized());
}

/// How often each letter of a sentence occurs: one-hot rows, summed by a product with ones.
fn library() -> Result<()> {
    let tokenizer = CharTokenizer::fit("le chat est sous la table").expect("a small vocabulary");
    let ids = tokenizer.encode("la table est sous le chat").expect("the same letters");
    let (n, letters) = (ids.len(), tokenizer.vocab_size());
    let mut rows = vec![0.0f32; n * letters];
    ids.iter().enumerate().for_each(|(row, &id)| rows[row * letters + id as usize] = 1.0);
    let device = Device::new(Cpu::new(1)?);
    let rows = Tensor::from_slice(&device, &rows, [n, letters])?; // [n, letters]
    let ones = Tensor::from_slice(&device, &vec![1.0f32; n], [1, n])?; // [1, n]
    let counts = ones.matmul(&rows)?.to_vec::<f32>()?; // [letters]
    for (id, count) in (0..).zip(counts) {
        let letter = tokenizer.decode(&[id]).expect("an id of the vocabulary");
        println!("{letter:?} {}", "▪".repeat(count as usize));
    }
    Ok(())
}
