//! A GPT trains on a backend from outside, which has only the four required methods and its own
//! memory.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]
use latimer_autograd::Optimizer;
use latimer_tensor::{Backend, Buffer, Device, DeviceInfo, Result, Tensor, View, ViewMut};
use latimer_tests::Golden;
use std::sync::Mutex;

#[derive(Debug)]
struct Foreign;
#[derive(Debug)]
struct Bytes(Mutex<Vec<u8>>);
impl Buffer for Bytes {}

impl Backend for Foreign {
    fn info(&self) -> DeviceInfo {
        DeviceInfo::default()
    }
    fn alloc(&self, bytes: usize) -> Result<Box<dyn Buffer>> {
        Ok(Box::new(Bytes(Mutex::new(vec![0xFF; bytes])))) // NaN: its content is unspecified
    }
    fn upload(&self, src: &[u8], dst: ViewMut<'_>) -> Result<()> {
        let mut bytes = dst.buffer::<Bytes>()?.0.lock().unwrap();
        bytes[dst.offset()..][..src.len()].copy_from_slice(src);
        Ok(())
    }
    fn download(&self, src: View<'_>, dst: &mut [u8]) -> Result<()> {
        let bytes = src.buffer::<Bytes>()?.0.lock().unwrap();
        dst.copy_from_slice(&bytes[src.offset()..][..dst.len()]);
        Ok(())
    }
}

fn losses(device: &Device) -> std::result::Result<Vec<f32>, latimer_nn::Error> {
    let golden = Golden::gelu_tied();
    let (gpt, mut params) = golden.model(device);
    let mut optimizer = Optimizer::new(&mut params, golden.adamw())?;
    let ids = Tensor::from_slice(device, &[0u32, 1, 2, 3, 4, 5], [1, 6])?;
    let targets = Tensor::from_slice(device, &[1u32, 2, 3, 4, 5, 6], [1, 6])?;
    let step = |_| {
        let loss = optimizer.step(&mut params, |pass| gpt.loss(pass, &ids, &targets))?;
        Ok(loss.to_vec::<f32>()?[0])
    };
    (1..=8).map(step).collect()
}

#[test]
fn four_methods_train_a_gpt_as_the_reference_does() {
    let got = losses(&Device::new(Foreign)).unwrap();
    assert!(got[7] < 0.5 * got[0], "{got:?}");
    assert_eq!(got, losses(&Device::reference()).unwrap());
}
