//! The device that this crate's tests run on.

use latimer_backend_cuda::Cuda;
use latimer_cuda_shim::{GPU_REQUIRED, use_as_driver};
use latimer_tensor::Device;

/// A CUDA device: the GPU when `GPU_REQUIRED` is set, else the CPU shim, whose device `n` runs
/// threads in the order of seed `n`.
pub(crate) fn cuda(ordinal: usize) -> Device {
    use_as_driver();
    let on_gpu = std::env::var_os(GPU_REQUIRED).is_some();
    Device::new(Cuda::new(if on_gpu { 0 } else { ordinal }).expect("the device opens"))
}
