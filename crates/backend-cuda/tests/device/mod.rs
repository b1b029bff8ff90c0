#![allow(unsafe_code, reason = "sets an environment variable")]
//! The device that this crate's tests run on.

use latimer_backend_cuda::Cuda;
use latimer_cuda_shim::{Error, Options, build};
use latimer_tensor::Device;
use std::sync::OnceLock;

/// Set where a GPU must be there: what cannot run is then a failure.
const REQUIRED: &str = "GPU_REQUIRED";
const DRIVER: &str = "LATIMER_CUDA_DRIVER";

/// A CUDA device: the GPU when `GPU_REQUIRED` is set, else the CPU shim, whose device `n` runs
/// threads in the order of seed `n`.
#[allow(dead_code, reason = "not every test program uses it")]
pub(crate) fn cuda(ordinal: usize) -> Device {
    prepare();
    let ordinal = if std::env::var_os(REQUIRED).is_some() {
        0
    } else {
        ordinal
    };
    Device::new(Cuda::new(ordinal).expect("the device opens"))
}

/// Points the backend at the shim, unless a GPU or another driver is asked for.
pub(crate) fn prepare() {
    static SHIM: OnceLock<()> = OnceLock::new();
    SHIM.get_or_init(|| {
        if std::env::var_os(REQUIRED).is_some() || std::env::var_os(DRIVER).is_some() {
            return;
        }
        match build(&Options::default()) {
            // SAFETY: nothing reads the environment at the same time: every test comes here first.
            Ok(path) => unsafe { std::env::set_var(DRIVER, path) },
            Err(Error::NoCompiler) => {
                eprintln!(
                    "skipped: there is no GPU, and no C++ compiler to build the CPU shim with"
                );
                std::process::exit(0);
            }
            Err(error) => panic!("{error}"),
        }
    });
}
