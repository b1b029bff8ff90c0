//! Captured steps: memory of their own, and nothing that needs the host.

#![allow(clippy::unwrap_used, reason = "a test may fail wherever it stands")]

use latimer_tensor::op::{Fill, Softmax};
use latimer_tensor::{
    Backend, Buffer, DType, Device, DeviceInfo, Error, Graph, Handled, Op, Result, Tensor, View,
    ViewMut,
};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// A backend that can only fill, numbers its allocations, and counts the launches of its
/// recordings.
#[derive(Clone, Debug, Default)]
struct Numbered {
    allocated: Arc<AtomicU64>,
    launched: Arc<AtomicU64>,
}

/// Memory without content, identified by a number.
#[derive(Debug)]
struct Numb(u64);
impl Buffer for Numb {}

#[derive(Debug)]
struct Launches(Arc<AtomicU64>);

impl Graph for Launches {
    fn launch(&self) -> Result<()> {
        self.0.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }
}

impl Backend for Numbered {
    fn info(&self) -> DeviceInfo {
        DeviceInfo::default()
    }

    fn alloc(&self, _bytes: usize) -> Result<Box<dyn Buffer>> {
        let number = self.allocated.fetch_add(1, Ordering::Relaxed);
        Ok(Box::new(Numb(number)))
    }

    fn upload(&self, _src: &[u8], _dst: ViewMut<'_>) -> Result<()> {
        Ok(())
    }

    fn download(&self, _src: View<'_>, _dst: &mut [u8]) -> Result<()> {
        Ok(())
    }

    fn run(&self, op: &mut Op<'_>) -> Result<Handled> {
        Ok(match op {
            Op::Fill(_) => Handled::Done,
            _ => Handled::Unsupported,
        })
    }

    fn capture(&self, step: &mut dyn FnMut() -> Result<()>) -> Result<Option<Box<dyn Graph>>> {
        step()?;
        Ok(Some(Box::new(Launches(self.launched.clone()))))
    }
}

fn address(x: &Tensor) -> u64 {
    x.view().buffer::<Numb>().unwrap().0
}

/// Requests memory of several sizes, some twice, and returns the addresses.
fn ask(device: &Device) -> Result<BTreeSet<u64>> {
    let mut seen = BTreeSet::new();
    for n in [10, 1000, 10] {
        let mut x = Tensor::empty(device, [n], DType::F32)?;
        device.run(Fill {
            y: x.view_mut()?,
            value: 1.0,
        })?;
        let kept = Tensor::empty(device, [n], DType::F32)?;
        seen.extend([address(&x), address(&kept)]);
    }
    Ok(seen)
}

#[test]
fn a_captured_step_keeps_its_memory_until_it_is_dropped() {
    let backend = Numbered::default();
    let device = Device::new(backend.clone());
    let before = ask(&device).unwrap();
    let misses = device.pool_stats().misses;
    let (mut taken, mut loss) = (BTreeSet::new(), None);
    let step = device.capture::<Error>(&mut || {
        taken = ask(&device)?;
        loss = Some(Tensor::empty(&device, [10], DType::F32)?);
        Ok(())
    });
    let (step, loss) = (step.unwrap().unwrap(), loss.unwrap());
    assert_eq!(taken, before, "what the warm-up left is what it gets");
    assert_eq!(device.pool_stats().misses, misses, "nothing was allocated");
    // The step's memory is free, but is given neither to other tensors nor back to the system.
    for _ in 0..3 {
        assert!(ask(&device).unwrap().is_disjoint(&taken));
    }
    device.trim();
    assert!(device.pool_stats().held_bytes > device.pool_stats().live_bytes);
    step.launch().unwrap();
    step.launch().unwrap();
    assert_eq!(backend.launched.load(Ordering::Relaxed), 2);
    // A second one shares nothing with the first.
    let mut others = BTreeSet::new();
    let other = device.capture::<Error>(&mut || {
        others = ask(&device)?;
        Ok(())
    });
    assert!(others.is_disjoint(&taken));
    drop(other);
    drop(step);
    // Now the memory is anybody's; so is, once it is dropped, what a tensor still holds.
    let all: BTreeSet<u64> = taken.union(&others).copied().collect();
    let address_of_loss = address(&loss);
    let again = ask(&device).unwrap();
    assert!(again.is_subset(&all) && !again.contains(&address_of_loss));
    drop(loss);
    let next = Tensor::empty(&device, [10], DType::F32).unwrap();
    assert_eq!(address(&next), address_of_loss);
}

#[test]
fn what_needs_the_host_is_refused_and_named() {
    type Work = fn(&Device, &mut Tensor, &mut Tensor) -> Result<()>;
    let device = Device::new(Numbered::default());
    let mut x = Tensor::empty(&device, [2, 2], DType::F32).unwrap();
    let mut y = Tensor::empty(&device, [2, 2], DType::F32).unwrap();
    let live = device.pool_stats().live_bytes;
    let steps: [(&str, Work); 5] = [
        ("a download", |_, x, _| x.to_vec::<f32>().map(drop)),
        ("an upload", |device, x, _| {
            device.upload(&[0; 16], x.view_mut()?)
        }),
        ("waiting for the device", |device, _, _| {
            device.synchronize()
        }),
        ("a capture", |device, _, _| {
            device.capture::<Error>(&mut || Ok(())).map(drop)
        }),
        ("softmax", |device, x, y| {
            device.run(Softmax {
                x: x.view(),
                y: y.view_mut()?,
                scale: 1.0,
                causal: false,
                valid_columns: 2,
            })
        }),
    ];
    for (named, work) in steps {
        let step = device.capture::<Error>(&mut || {
            let _kept = Tensor::empty(&device, [7], DType::F32)?;
            work(&device, &mut x, &mut y)
        });
        match step {
            Err(Error::InCapture { what, .. }) => assert_eq!(what, named),
            other => panic!("{named}: {other:?}"),
        }
        assert_eq!(device.pool_stats().live_bytes, live);
    }
    assert_eq!(device.fallbacks(), 0);
    // Everything is as if nothing had been captured, and the memory is anybody's.
    let misses = device.pool_stats().misses;
    x.to_vec::<f32>().unwrap();
    Tensor::empty(&device, [7], DType::F32).unwrap();
    assert_eq!(device.pool_stats().misses, misses);
}

#[test]
fn the_error_of_a_step_comes_back_as_it_was() {
    #[derive(Debug)]
    enum Mine {
        Own(u32),
        Device,
    }
    impl From<Error> for Mine {
        fn from(_: Error) -> Self {
            Self::Device
        }
    }
    let device = Device::new(Numbered::default());
    let step = device.capture(&mut || Err(Mine::Own(7)));
    assert!(matches!(step, Err(Mine::Own(7))), "{step:?}");
    let step = device.capture(&mut || Ok(device.synchronize()?));
    assert!(matches!(step, Err(Mine::Device)), "{step:?}");
    // A panic on the way ends the capture, too.
    let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        device
            .capture::<Error>(&mut || panic!("on the way"))
            .map(drop)
    }));
    assert!(panicked.is_err());
    device.synchronize().unwrap();
}
