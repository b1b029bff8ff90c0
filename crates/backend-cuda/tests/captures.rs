#![allow(unsafe_code, reason = "asks the fake driver")]
//! Captures beside other threads that destroy devices, and captures whose step fails or panics.

mod device;

use device::cuda;
use latimer_cuda_shim::{DRIVER, GPU_REQUIRED};
use latimer_tensor::{DType, Device, Error, Result, Tensor};
use std::ffi::{CString, c_char, c_long};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Mutex, PoisonError, mpsc};
use std::thread;

/// Held by every test, as the fake driver counts what is alive of all.
static ALONE: Mutex<()> = Mutex::new(());

/// How many graphs, or executable ones, are alive; 0 on a GPU, which does not tell.
fn live(what: &str) -> c_long {
    if std::env::var_os(GPU_REQUIRED).is_some() {
        return 0;
    }
    let driver = std::env::var_os(DRIVER).expect("the shim is named by it");
    // SAFETY: the library is loaded already; this only counts it once more.
    let library = unsafe { libloading::Library::new(driver) }.expect("it is loaded");
    type Live = unsafe extern "C" fn(*const c_char) -> c_long;
    // SAFETY: that is the function's type.
    let count = unsafe { library.get::<Live>(b"shim_live") }.expect("the fake counts");
    let what = CString::new(what).expect("it holds no 0");
    // SAFETY: it reads the text and changes nothing.
    unsafe { count(what.as_ptr()) }
}

/// `y = x + x`, for a step that is recorded.
fn double(x: &Tensor) -> Result<Tensor> {
    x.try_add(x)
}

fn ones(device: &Device) -> Tensor {
    Tensor::full(device, [64], DType::F32, 1.0).expect("there is room")
}

#[test]
fn another_thread_may_destroy_a_device_meanwhile() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let (device, other) = (cuda(0), cuda(1));
    let x = ones(&device);
    // Kernels are loaded before, memory is in the pool.
    double(&x).expect("it runs");
    let of_other = double(&ones(&other)).expect("it runs");
    let (go, begin) = mpsc::channel::<()>();
    let (done, end) = mpsc::channel::<()>();
    let destroyer = thread::spawn(move || {
        begin.recv().expect("it is told to begin");
        drop(of_other);
        drop(other);
        done.send(()).expect("it is waited for");
    });
    let mut y = None;
    let captured = device.capture::<Error>(&mut || {
        y = Some(double(&x)?);
        go.send(()).expect("it waits for this");
        // Destroying must not wait for the capture, nor harm it.
        end.recv().expect("it is done");
        Ok(())
    });
    destroyer.join().expect("it ends");
    let captured = captured
        .expect("the capture is whole")
        .expect("CUDA records");
    captured.launch().expect("it runs");
    let y = y
        .expect("the step ran")
        .to_vec::<f32>()
        .expect("it is read");
    assert_eq!(y, [2.0; 64]);
}

#[test]
fn a_step_that_fails_or_panics_leaves_nothing_behind() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let device = cuda(0);
    let x = ones(&device);
    double(&x).expect("it runs");
    let before = [live("graphs"), live("execs")];

    let failed = device.capture::<Error>(&mut || {
        double(&x)?;
        x.matmul(&x).map(drop)
    });
    assert!(failed.is_err(), "a vector is no matrix");
    let panicked = catch_unwind(AssertUnwindSafe(|| {
        device.capture::<Error>(&mut || {
            double(&x)?;
            panic!("in the middle of a step");
        })
    }));
    assert!(panicked.is_err());
    assert_eq!([live("graphs"), live("execs")], before);

    // The device works, and records.
    assert_eq!(
        double(&x).and_then(|y| y.to_vec::<f32>()).expect("it runs"),
        [2.0; 64]
    );
    let mut y = None;
    let captured = device.capture::<Error>(&mut || {
        y = Some(double(&x)?);
        Ok(())
    });
    let captured = captured
        .expect("nothing is being recorded")
        .expect("CUDA records");
    captured.launch().expect("it runs");
    drop(captured);
    assert_eq!(
        [live("graphs"), live("execs")],
        before,
        "the graph is freed"
    );
}
