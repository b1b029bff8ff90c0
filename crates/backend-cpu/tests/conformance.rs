//! The CPU backend holds to the f64 meaning, with the same bits for any number of threads.

use latimer_backend_cpu::Cpu;
use latimer_tensor::Device;

fn cpu(threads: usize) -> Device {
    Device::new(Cpu::new(threads).expect("threads can be started"))
}

latimer_conformance::suite!(|| cpu(1), same_bits = [|| cpu(2), || cpu(3)]);
