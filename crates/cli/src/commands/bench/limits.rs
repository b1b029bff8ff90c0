//! Limits of the machine, measured in the same process as the results compared with them.

use super::Times;
use super::operands::normal_values;
use crate::error::Result;
use latimer_backend_cpu::peak;
use latimer_tensor::op::Axpby;
use latimer_tensor::{DType, Device, Tensor};
use latimer_trainer::{matmul_speed, size};
use std::time::Instant;

/// A limit of the machine, and how it was measured.
#[derive(Clone, Debug)]
pub(super) struct Limit {
    /// Floating-point operations a second, or bytes a second.
    pub(super) per_s: f64,
    pub(super) by: String,
}

/// Sides of the square products whose best speed counts as the limit of a device other than the
/// CPU.
const PRODUCTS: [usize; 4] = [1024, 2048, 4096, 8192];
/// Side of the product that a step is compared with on a device without a queue.
const PRODUCT: usize = 1024;

/// The smallest buffer, in bytes: copying less would mostly measure how long threads take to start.
const SMALLEST: u64 = 32 << 20;
/// The smallest buffer on a device with a queue: many times its cache, which has 60 MB on an H200.
const SMALLEST_QUEUED: u64 = 1 << 30;
/// Number of copies between two waits on a device with a queue.
const COPIES: usize = 10;

/// Side of one large product on this device. On a device with a queue it is the largest of
/// [`PRODUCTS`] whose three matrices in `f32` fit into an eighth of the memory: a small product
/// would measure how long a launch takes.
pub(super) fn large_product(device: &Device) -> usize {
    if !device.has_queue() {
        return PRODUCT;
    }
    let room = device.info().memory_bytes.unwrap_or(0) / 8;
    let fits = |n: &usize| 3 * (n * n * DType::F32.size()) as u64 <= room;
    PRODUCTS.into_iter().rfind(fits).unwrap_or(PRODUCT)
}

/// Floating-point operations per second. On the CPU these are multiply-adds of `f32` in registers,
/// on all the threads that the device has; elsewhere the best of several products of this type.
pub(super) fn arithmetic(device: &Device, dtype: DType) -> Result<Limit> {
    let info = device.info();
    if let ("cpu", Some(threads)) = (info.backend.as_str(), info.threads) {
        return Ok(Limit {
            per_s: peak::flops_per_s(threads),
            by: "f32 multiply-adds in registers".to_owned(),
        });
    }
    let (mut per_s, largest) = (0.0f64, large_product(device).max(4096));
    for n in PRODUCTS.into_iter().filter(|n| *n <= largest) {
        per_s = per_s.max(matmul_speed(device, n, dtype)?);
    }
    Ok(Limit {
        per_s,
        by: "the best of several square products".to_owned(),
    })
}

/// Bytes per second to and from memory, or to and from a cache that holds this many bytes.
pub(super) fn bandwidth(device: &Device, bytes: u64) -> Result<Limit> {
    let info = device.info();
    let (least, copies) = if device.has_queue() {
        let room = info.memory_bytes.unwrap_or(u64::MAX) / 8;
        (SMALLEST_QUEUED.min(room).max(SMALLEST), COPIES)
    } else {
        (SMALLEST, 1)
    };
    let bytes = bytes.max(least);
    if let ("cpu", Some(threads)) = (info.backend.as_str(), info.threads) {
        return Ok(Limit {
            per_s: peak::bytes_per_s(threads, bytes as usize),
            by: format!("the better of reading and copying {}", size(bytes)),
        });
    }
    let elements = bytes as usize / DType::F32.size();
    let x = Tensor::from_slice(device, &normal_values(elements, 0), [elements])?;
    let mut y = Tensor::empty(device, [elements], DType::F32)?;
    let mut times = Vec::new();
    for _ in 0..5 {
        device.synchronize()?;
        let start = Instant::now();
        for _ in 0..copies {
            device.run(Axpby {
                alpha: 1.0,
                x: x.view(),
                beta: 0.0,
                y: y.view_mut()?,
            })?;
        }
        device.synchronize()?;
        times.push(start.elapsed().as_secs_f64() / copies as f64);
    }
    drop((x, y));
    device.trim();
    Ok(Limit {
        per_s: 2.0 * bytes as f64 / Times::of(&mut times).min,
        by: format!("copying {}", size(bytes)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// No machine that this is built for copies less than 1 MB per second, or more than 10^15
    /// bytes.
    #[test]
    fn the_speed_of_memory_is_one_that_a_machine_may_have() {
        let limit = bandwidth(&Device::reference(), 1).unwrap();
        assert!((1e6..1e15).contains(&limit.per_s), "{limit:?}");
        assert_eq!(limit.by, "copying 32.0 MiB");
    }
}
