//! The conformance suite in figures, on a CUDA device: cases, types, edges, closeness, seconds.
//!
//! `cargo run --release -p latimer-backend-cuda --example conformance`; `LATIMER_CASES=1000` for
//! more. On the CPU shim, under three orders of threads, unless `GPU_REQUIRED` is set.

#![allow(clippy::print_stdout, reason = "an example")]

use latimer_backend_cuda::Cuda;
use latimer_conformance::{Coverage, Subject, Support};
use latimer_cuda_shim::{GPU_REQUIRED, use_as_driver};
use latimer_tensor::{Backend, Device};
use std::error::Error;

fn main() -> Result<(), Box<dyn Error>> {
    use_as_driver();
    let on_gpu = std::env::var_os(GPU_REQUIRED).is_some();
    let cuda = |ordinal| Cuda::new(if on_gpu { 0 } else { ordinal });
    println!("{}", cuda(0)?.info().name);
    let device = |ordinal| Ok::<_, Box<dyn Error>>(Device::new(cuda(ordinal)?));
    let subject = Subject::new(device(0)?)
        .same_bits(device(1)?)
        .same_bits(device(2)?);
    println!("{}\n", Support::of(subject.device()));
    println!("{}", Coverage::of(&subject)?);
    Ok(())
}
