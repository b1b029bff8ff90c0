//! A tensor calculator: a dictionary is q·Kᵀ·V.
//!
//! Each word is a one-hot row; a question q meets every key of K, and V holds the answers. With the
//! products alone the look-up is exact; with a softmax between them it is attention, and a question
//! that is two words at once gets both answers.

use latimer_tensor::{Device, Result, Tensor};

const FRENCH: [&str; 4] = ["le", "chat", "est", "noir"];
const ENGLISH: [&str; 4] = ["the", "black", "cat", "is"];
/// The place in `ENGLISH` of each French word's translation.
const ANSWERS: [u32; 4] = [0, 2, 3, 1];

fn one_hot(device: &Device, ids: &[u32]) -> Result<Tensor> {
    let mut rows = vec![0.0f32; ids.len() * 4];
    for (row, &id) in ids.iter().enumerate() {
        rows[4 * row + id as usize] = 1.0;
    }
    Tensor::from_slice(device, &rows, [ids.len(), 4])
}

fn main() -> Result<()> {
    let device = Device::reference(); // exact and slow: every operation in f64 on the host
    let q = one_hot(&device, &[0, 1, 2, 3])?; // [words, 4]: le chat est noir
    let k = one_hot(&device, &[0, 1, 2, 3])?; // [4, 4]: the dictionary's left column
    let v = one_hot(&device, &ANSWERS)?; // [4, 4]: its right column
    let exact = q.matmul(&k.t()?)?.matmul(&v)?; // [words, 4]
    for (word, id) in FRENCH.iter().zip(exact.argmax()?.to_vec::<u32>()?) {
        println!("{word:>5} = {}", ENGLISH[id as usize]);
    }
    // Sharper and sharper attention approaches the look-up.
    let both = Tensor::from_slice(&device, &[0.0f32, 1.0, 0.0, 1.0], [1, 4])?; // chat and noir
    for scale in [1.0, 4.0, 16.0] {
        let soft = both.matmul(&k.t()?)?.softmax(scale)?.matmul(&v)?; // [1, 4]
        println!("chat + noir, scale {scale:>2}: {ENGLISH:?} {soft}");
    }
    Ok(())
}
