//! Prints which operations a backend runs natively, and what the suite reports for a wrong
//! operation.
//!
//! `cargo run -p latimer-conformance --example what_is_native`
#![expect(clippy::print_stdout, reason = "an example prints")]

use latimer_conformance::{Subject, Support, check};
use latimer_tensor::{Backend, Buffer, Device, DeviceInfo, Handled, Op, Reference};
use latimer_tensor::{Result, View, ViewMut};

/// The reference backend with a "faster" softmax, which forgets to compute anything.
#[derive(Debug)]
struct Hasty(Reference);

impl Backend for Hasty {
    fn info(&self) -> DeviceInfo {
        self.0.info()
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
        match op {
            Op::Softmax(_) => Ok(Handled::Done),
            _ => Ok(Handled::Unsupported),
        }
    }
}

fn main() {
    let device = Device::new(Hasty(Reference));
    println!("{}", Support::of(&device));
    let subject = Subject::new(device);
    for op in ["softmax", "matmul"] {
        match check::agrees(op, &subject) {
            Ok(()) => println!("{op} agrees with its meaning"),
            Err(failure) => println!("{failure}"),
        }
    }
}
