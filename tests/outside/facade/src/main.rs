//! The library alone, under one name: how often each letter of a sentence occurs, as one-hot rows
//! summed by a product with ones.

use latimer::prelude::*;

fn main() -> latimer::Result<()> {
    let tokenizer = CharTokenizer::fit("le chat est sous la table")?;
    let ids = tokenizer.encode("la table est sous le chat")?;
    let (n, letters) = (ids.len(), tokenizer.vocab_size());
    let mut rows = vec![0.0f32; n * letters];
    ids.iter().enumerate().for_each(|(row, &id)| rows[row * letters + id as usize] = 1.0);
    let device = Device::cpu(1)?;
    let rows = Tensor::from_slice(&device, &rows, [n, letters])?; // [n, letters]
    let ones = Tensor::from_slice(&device, &vec![1.0f32; n], [1, n])?; // [1, n]
    let counts = ones.matmul(&rows)?.to_vec::<f32>()?; // [letters]
    for (id, count) in (0..).zip(counts) {
        println!("{:?} {}", tokenizer.decode(&[id])?, "▪".repeat(count as usize));
    }
    Ok(())
}

/// The lines that the README gives are seen by the crate whose loops they are for.
#[test]
fn a_debug_build_computes_with_optimised_loops() {
    assert!(latimer::backend_cpu::is_optimized());
}
