//! The CUDA backend holds to the f64 meaning: on the GPU where there is one, else on the CPU shim,
//! where the order of threads must not matter either.

mod device;

use device::cuda;

latimer_conformance::suite!(|| cuda(0), same_bits = [|| cuda(1), || cuda(2)]);
