//! The reference device rounds once, so it must pass everything.

use latimer_tensor::Device;

latimer_conformance::suite!(Device::reference, same_bits = [Device::reference]);
