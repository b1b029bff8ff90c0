//! The conformance suite in figures: cases, types, edges, closeness, seconds.
//!
//! `cargo run --release -p latimer-backend-cpu --example conformance`; `LATIMER_CASES=1000` for more.

#![allow(clippy::print_stdout, reason = "an example")]

use latimer_backend_cpu::Cpu;
use latimer_conformance::{Coverage, Subject, Support};
use latimer_tensor::Device;
use std::error::Error;

fn main() -> Result<(), Box<dyn Error>> {
    let cpu = |threads| Ok::<_, Box<dyn Error>>(Device::new(Cpu::new(threads)?));
    let subject = Subject::new(cpu(1)?).same_bits(cpu(2)?).same_bits(cpu(3)?);
    println!("{}\n", Support::of(subject.device()));
    println!("{}", Coverage::of(&subject)?);
    Ok(())
}
