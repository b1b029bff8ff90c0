//! Builds the shim and prints where it is:
//! `LATIMER_CUDA_DRIVER=$(cargo run -p latimer-cuda-shim) latimer devices`.

use latimer_cuda_shim::{Options, build};
use std::process::ExitCode;

#[allow(clippy::print_stdout, reason = "the path is this program's result")]
fn main() -> ExitCode {
    let address_sanitizer = std::env::args().any(|arg| arg == "--asan");
    let options = Options {
        address_sanitizer,
        ..Options::default()
    };
    match build(&options) {
        Ok(path) => {
            println!("{}", path.display());
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}
