//! How fast a device multiplies, measured in moments.

use crate::Result;
use latimer_tensor::op::Matmul;
use latimer_tensor::philox::Stream;
use latimer_tensor::{DType, Device, Tensor};
use std::time::Instant;

/// Measured times; the least of them counts.
const TIMES: usize = 4;
/// Products between two waits on a device that has a queue: the wait, some microseconds, is then a
/// small part of what is measured.
const QUEUED: usize = 10;
/// Draws of normal values, repeated as often as a matrix is large.
const DRAWS: usize = 1 << 16;

/// FLOP/s of one product of two `n x n` matrices, the better of a few; of an eighth of that side
/// where the device does not know the type. The matrices are random: a processor may multiply
/// zeros, or one number over and over, at a speed that no model sees. Their memory is given back,
/// so that a step finds the pool as its plan counts on.
///
/// # Errors
/// The device's failure.
pub fn matmul_speed(device: &Device, n: usize, dtype: DType) -> Result<f64> {
    let n = if device.is_native(dtype) { n } else { n / 8 };
    let launches = if device.has_queue() { QUEUED } else { 1 };
    let seconds = device.enter(|| -> Result<f64> {
        let [a, b] = [random(device, n, 0)?, random(device, n, 1)?];
        let (a, b) = (a.cast(dtype)?, b.cast(dtype)?);
        let mut y = Tensor::empty(device, [n, n], dtype)?;
        let mut best = f64::INFINITY;
        device.synchronize()?;
        for _ in 0..TIMES {
            let start = Instant::now();
            for _ in 0..launches {
                device.run(Matmul::new(a.view(), b.view(), y.view_mut()?))?;
            }
            device.synchronize()?;
            best = best.min(start.elapsed().as_secs_f64() / launches as f64);
        }
        Ok(best)
    })?;
    device.trim();
    Ok(2.0 * (n * n * n) as f64 / seconds)
}

/// Normally distributed values, `[n, n]`, `F32`.
fn random(device: &Device, n: usize, seed: u64) -> Result<Tensor> {
    let mut stream = Stream::new(seed, 0xBE7C_0002, 0);
    let draws: Vec<f32> = (0..DRAWS.min(n * n))
        .map(|_| stream.normal() as f32)
        .collect();
    let values: Vec<f32> = draws.iter().copied().cycle().take(n * n).collect();
    Ok(Tensor::from_slice(device, &values, [n, n])?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use latimer_tensor::{Backend, Buffer, DeviceInfo, Handled, Op, Reference, View, ViewMut};
    use std::sync::{Arc, Mutex};

    /// The reference behind a queue that does nothing: it keeps what it was asked.
    #[derive(Clone, Debug, Default)]
    struct Queued(Arc<Mutex<Vec<&'static str>>>);

    impl Queued {
        fn say(&self, what: &'static str) {
            self.0.lock().unwrap().push(what);
        }
    }

    impl Backend for Queued {
        fn info(&self) -> DeviceInfo {
            Reference.info()
        }

        fn alloc(&self, bytes: usize) -> latimer_tensor::Result<Box<dyn Buffer>> {
            Reference.alloc(bytes)
        }

        fn upload(&self, src: &[u8], _dst: ViewMut<'_>) -> latimer_tensor::Result<()> {
            let mut values = src.chunks_exact(4);
            let alike = values.all(|x| x == &src[..4]);
            self.say(if alike { "alike" } else { "random" });
            Ok(())
        }

        fn download(&self, _src: View<'_>, _dst: &mut [u8]) -> latimer_tensor::Result<()> {
            unreachable!("nothing is looked at")
        }

        fn run(&self, op: &mut Op<'_>) -> latimer_tensor::Result<Handled> {
            self.say(op.name());
            Ok(Handled::Done)
        }

        fn has_queue(&self) -> bool {
            true
        }

        fn synchronize(&self) -> latimer_tensor::Result<()> {
            self.say("wait");
            Ok(())
        }
    }

    #[test]
    fn a_queue_is_filled_with_products_of_random_matrices_before_each_wait() {
        let queued = Queued::default();
        let speed = matmul_speed(&Device::new(queued.clone()), 16, DType::F32).unwrap();
        assert!(speed > 0.0);
        let said = queued.0.lock().unwrap();
        let mut parts = said.split(|what| *what == "wait");
        let mut before = parts.next().unwrap().to_vec();
        before.retain(|what| *what != "cast");
        assert_eq!(before, ["random", "random"]);
        let groups: Vec<_> = parts.filter(|group| !group.is_empty()).collect();
        assert_eq!(groups, vec![["matmul"; QUEUED]; TIMES]);
    }

    /// No machine that this is built for makes a million a second, or 10^17.
    #[test]
    fn the_speed_of_a_product_is_one_that_a_machine_may_have() {
        let device = Device::reference();
        for dtype in [DType::F32, DType::Bf16] {
            let speed = matmul_speed(&device, 128, dtype).unwrap();
            assert!((1e6..1e17).contains(&speed), "{dtype:?}: {speed}");
        }
    }
}
