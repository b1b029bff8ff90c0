//! Times the `ngram` tokenizer on a file, fitted and transformed line by line with the defaults.
//!
//! `cargo run --release -p latimer-tokenizer --example ngram_speed -- shakespeare.txt 5`
//!
//! The result is one line of JSON; `benches/peers/ngram_peer.py` puts it beside the Python package.
#![allow(clippy::print_stdout, reason = "an example shows its result")]

use std::error::Error;
use std::fs;
use std::time::Instant;

use latimer_tokenizer::NgramTokenizer;

fn main() -> Result<(), Box<dyn Error>> {
    let mut args = std::env::args().skip(1);
    let path = args.next().ok_or("which text file?")?;
    let times: usize = args.next().as_deref().unwrap_or("3").parse()?;
    let text = fs::read_to_string(&path)?;
    let lines: Vec<&str> = text.split('\n').collect();
    let (mut fit, mut transform) = (f64::INFINITY, f64::INFINITY);
    let mut sum = 0u64;
    for _ in 0..times.max(1) {
        let start = Instant::now();
        let tokenizer = NgramTokenizer::fit(&lines)?;
        fit = fit.min(start.elapsed().as_secs_f64());
        let start = Instant::now();
        let rows = tokenizer.transform(&lines, false, None);
        transform = transform.min(start.elapsed().as_secs_f64());
        sum = rows.iter().flatten().map(|&id| u64::from(id)).sum();
    }
    println!(
        "{{\"fit_s\": {fit:.6}, \"transform_s\": {transform:.6}, \"bytes\": {}, \"sum\": {sum}}}",
        text.len()
    );
    Ok(())
}
