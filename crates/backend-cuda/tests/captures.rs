#![allow(unsafe_code, reason = "asks the fake driver")]
//! Captures while other threads destroy devices and a cuBLASLt handle, captures whose step fails or
//! panics, and the number of times that the device is waited for.

mod device;

use device::cuda;
use latimer_cuda_shim::{DRIVER, GPU_REQUIRED, build_cublaslt};
use latimer_tensor::{DType, Device, Error, Result, Tensor};
use std::ffi::{CString, OsStr, c_char, c_long};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::{Mutex, OnceLock, PoisonError, mpsc};
use std::thread;

/// Every test holds this lock, because the fake driver counts the live objects of all tests.
static ALONE: Mutex<()> = Mutex::new(());

/// A device whose products run on cuBLASLt: NVIDIA's on a GPU, otherwise the fake one.
fn cuda_with_cublaslt(ordinal: usize) -> Device {
    fake_cublaslt();
    cuda(ordinal)
}

/// The fake cuBLASLt, unless there is a GPU.
fn fake_cublaslt() -> Option<&'static PathBuf> {
    static FAKE: OnceLock<Option<PathBuf>> = OnceLock::new();
    let fake = FAKE.get_or_init(|| {
        latimer_cuda_shim::use_as_driver();
        if std::env::var_os(GPU_REQUIRED).is_some() {
            return None;
        }
        let path = build_cublaslt().expect("the driver was compiled, too");
        // SAFETY: nothing reads the environment at the same time: every test comes here first.
        unsafe { std::env::set_var("LATIMER_CUBLASLT", &path) };
        Some(path)
    });
    fake.as_ref()
}

/// Opens a library that is loaded already, which only increments its reference count.
fn loaded(path: impl AsRef<OsStr>) -> libloading::Library {
    // SAFETY: its constructors ran before.
    unsafe { libloading::Library::new(path.as_ref()) }.expect("it is loaded")
}

/// The number of live graphs or executable graphs, or how often a stream was waited for; 0 on a
/// GPU, which does not report it.
fn live(what: &str) -> c_long {
    if std::env::var_os(GPU_REQUIRED).is_some() {
        return 0;
    }
    let library = loaded(std::env::var_os(DRIVER).expect("the shim is named by it"));
    type Live = unsafe extern "C" fn(*const c_char) -> c_long;
    // SAFETY: that is the function's type.
    let count = unsafe { library.get::<Live>(b"shim_live") }.expect("the fake counts");
    let what = CString::new(what).expect("it holds no 0");
    // SAFETY: it reads the text and changes nothing.
    unsafe { count(what.as_ptr()) }
}

/// The number of live cuBLASLt handles; `None` on a GPU, which does not report it.
fn live_handles() -> Option<i64> {
    let library = loaded(fake_cublaslt()?);
    type Handles = unsafe extern "C" fn() -> i64;
    // SAFETY: that is the function's type.
    let count = unsafe { library.get::<Handles>(b"fake_cublaslt_handles") };
    let count = count.expect("the fake counts");
    // SAFETY: it takes nothing and changes nothing.
    Some(unsafe { count() })
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
    let (device, other) = (cuda_with_cublaslt(0), cuda_with_cublaslt(1));
    let x = ones(&device);
    let matrix = Tensor::full(&other, [8, 8], DType::F32, 1.0).expect("there is room");
    let product = matrix.matmul(&matrix).and_then(|y| y.to_vec::<f32>());
    assert_eq!(product.expect("it runs"), [8.0; 64]);
    if fake_cublaslt().is_some() {
        let by_cublaslt = other.backend().work_report().products;
        assert_eq!(by_cublaslt, Some([1, 0]), "the other device has a handle");
    }
    let handles = live_handles();
    // Run once, so that kernels are loaded and memory is in the pool.
    double(&x).expect("it runs");
    let of_other = double(&ones(&other)).expect("it runs");
    let (go, begin) = mpsc::channel::<()>();
    let (done, end) = mpsc::channel::<()>();
    let destroyer = thread::spawn(move || {
        begin.recv().expect("the test sends the signal to begin");
        drop((of_other, matrix));
        drop(other);
        done.send(()).expect("it is waited for");
    });
    let mut y = None;
    let captured = device.capture::<Error>(&mut || {
        y = Some(double(&x)?);
        go.send(()).expect("it waits for this");
        // Destroying must not wait for the capture, nor harm it.
        end.recv().expect("it is done");
        assert_eq!(live_handles(), handles, "the handle waits to be destroyed");
        Ok(())
    });
    destroyer.join().expect("it ends");
    assert_eq!(live_handles(), handles.map(|n| n - 1), "it is destroyed");
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
    let device = cuda_with_cublaslt(0);
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

    // The device still works, and can record.
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

/// The kernels' note of bad ids comes with the copy, so a step that reads its loss waits once.
#[test]
fn a_copy_to_the_host_waits_once() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let device = cuda(0);
    let y = double(&ones(&device)).expect("it runs");
    let before = live("waits");
    assert_eq!(y.to_vec::<f32>().expect("it is read"), [2.0; 64]);
    device.synchronize().expect("it is well");
    let waits = if std::env::var_os(GPU_REQUIRED).is_some() {
        0
    } else {
        2
    };
    assert_eq!(live("waits") - before, waits, "one each");
    // 2.5 staging buffers: the bytes of all pieces arrive, the note with the last.
    let n = 5 << 17;
    let values: Vec<u32> = (0..n).collect();
    let long = Tensor::from_slice(&device, &values, [n as usize]).expect("there is room");
    assert_eq!(long.to_vec::<u32>().expect("it is read"), values);
}
