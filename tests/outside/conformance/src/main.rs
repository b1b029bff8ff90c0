//! A wrapper backend that counts what it is asked for, and is held to the meaning by the suite
//! (`cargo test` here).

use latimer_tensor::{Backend, Buffer, Device, DeviceInfo, Op, Handled, Result, Tensor};
use latimer_tensor::{Reference, View, ViewMut};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// The reference backend with a counter before it.
#[derive(Debug, Default)]
struct Counted(Reference, AtomicU64);

impl Backend for Counted {
    fn info(&self) -> DeviceInfo {
        let mut info = self.0.info();
        info.detail = format!("{} operations so far", self.1.load(Relaxed));
        info
    }
    fn alloc(&self, bytes: usize) -> Result<Box<dyn Buffer>> {
        self.0.alloc(bytes)
    }
    fn upload(&self, src: &[u8], dst: ViewMut<'_>) -> Result<()> {
        self.0.upload(src, dst)
    }
    fn download(&self, src: View<'_>, dst: &mut [u8]) -> Result<()> {
        self.0.download(src, dst)
    }
    fn run(&self, op: &mut Op<'_>) -> Result<Handled> {
        self.1.fetch_add(1, Relaxed);
        self.0.run(op)
    }
}

fn main() -> Result<()> {
    let device = Device::new(Counted::default());
    let x = Tensor::from_slice(&device, &[1.0f32, 2.0, 3.0, 4.0], [2, 2])?;
    println!("softmax(x·x) = {}", x.matmul(&x)?.softmax(1.0)?);
    println!("{}; `cargo test` holds them to their meaning", device.info().detail);
    Ok(())
}

#[cfg(test)]
latimer_conformance::suite!(|| latimer_tensor::Device::new(crate::Counted::default()));
