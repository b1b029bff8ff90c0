#![allow(
    unsafe_code,
    reason = "sets an environment variable, and asks the fake library"
)]
//! Products by cuBLASLt: NVIDIA's if there is a GPU, otherwise a fake one that behaves as NVIDIA
//! documents and refuses some products, which our own kernels then compute.

mod device;

use device::cuda;
use latimer_conformance::{Case, Layout, Subject, check};
use latimer_cuda_shim::{Error, build_cublaslt};
use latimer_tensor::op::Outline;
use latimer_tensor::{DType, Result, Tensor};
use std::path::PathBuf;
use std::sync::{Mutex, OnceLock, PoisonError};

const LIBRARY: &str = "LATIMER_CUBLASLT";

/// The fake library, unless there is a GPU.
fn fake() -> Option<&'static PathBuf> {
    static FAKE: OnceLock<Option<PathBuf>> = OnceLock::new();
    FAKE.get_or_init(|| {
        latimer_cuda_shim::use_as_driver();
        if std::env::var_os("GPU_REQUIRED").is_some() {
            return None;
        }
        match build_cublaslt() {
            Ok(path) => {
                // SAFETY: nothing reads the environment at the same time: every test comes here
                // first.
                unsafe { std::env::set_var(LIBRARY, &path) };
                Some(path)
            }
            Err(Error::NoCompiler) => None,
            Err(error) => panic!("{error}"),
        }
    })
    .as_ref()
}

/// Every test holds this lock, because the fake library counts the products of all tests.
static ALONE: Mutex<()> = Mutex::new(());

/// The number of products that the fake library has computed.
fn products() -> Option<u64> {
    // SAFETY: the library is loaded already; this only increments its reference count.
    let library = unsafe { libloading::Library::new(fake()?) }.expect("it is loaded");
    // SAFETY: that is the function's type.
    let count = unsafe { library.get::<unsafe extern "C" fn() -> u64>(b"fake_cublaslt_products") };
    let count = count.expect("the fake counts");
    // SAFETY: it takes nothing and changes nothing.
    Some(unsafe { count() })
}

#[test]
fn products_have_the_meaning() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    fake();
    let subject = Subject::new(cuda(0)).same_bits(cuda(1));
    check::agrees("matmul", &subject).unwrap_or_else(|failure| panic!("{failure}"));
}

#[test]
fn nan_and_infinity_spread() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    fake();
    check::spreads("matmul", &Subject::new(cuda(0))).unwrap_or_else(|failure| panic!("{failure}"));
}

#[test]
fn the_library_is_named_and_does_what_it_can() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    fake();
    let subject = Subject::new(cuda(0));
    let detail = subject.device().info().detail;
    if fake().is_some() {
        assert!(detail.ends_with("products by cuBLASLt 13.0.0"), "{detail}");
    }
    let (before, mut asked) = (products(), 0);
    for (dtype, f32_sum) in [
        (DType::F32, false),
        (DType::Bf16, false),
        (DType::Bf16, true),
    ] {
        // Bias and operands at aligned and at other addresses; the first plan is used twice.
        for (lead, k) in [(64, 24), (64, 24), (1, 24), (2, 16), (64, 26), (64, 0)] {
            for bias in [false, true] {
                let outline = Outline::of("matmul").sizes("SMNK", [2, 9, 20, k]);
                let outline = outline.give("bias", bias);
                let outline = outline.dtype("y", f32_sum.then_some(DType::F32));
                let outline = outline.set("trans_a", bias).set("trans_b", lead == 1);
                let case = Case {
                    dtype,
                    layout: Layout::Apart { lead },
                    ..outline.set("alpha", 0.5).set("beta", 1.5).into()
                };
                check::one(&subject, &case).unwrap_or_else(|failure| panic!("{failure}"));
                // The fake refuses 26; we refuse an empty sum, and a bf16 bias with an f32 y.
                asked += u64::from(k % 13 > 0 && !(bias && f32_sum));
            }
        }
    }
    assert_eq!(subject.device().fallbacks(), 0);
    if let (Some(before), Some(after)) = (before, products()) {
        // Each case runs twice at least.
        assert!(
            after - before >= 2 * asked,
            "{before} to {after}, of {asked}"
        );
    }
}

#[test]
fn a_refusal_leads_to_the_own_kernels_and_a_failure_is_an_error() -> Result<()> {
    const STATUS: &str = "FAKE_CUBLASLT_STATUS";
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let Some(before) = products() else {
        return Ok(());
    };
    let device = cuda(0);
    let ones = Tensor::from_slice(&device, &[1.0f32; 8 * 3], [8, 3])?;
    let twos = Tensor::from_slice(&device, &[2.0f32; 3 * 2], [3, 2])?;
    // SAFETY: only the fake reads it, during this test's products: the other tests wait.
    let answer = |status: &str| unsafe { std::env::set_var(STATUS, status) };
    answer("13");
    let failure = ones.matmul(&twos).and_then(|y| y.to_vec::<f32>());
    answer("15");
    let refused = ones.matmul(&twos).and_then(|y| y.to_vec::<f32>());
    // SAFETY: as above.
    unsafe { std::env::remove_var(STATUS) };
    // The refusal is remembered.
    let again = ones.matmul(&twos)?.to_vec::<f32>()?;

    let failure = failure.expect_err("the fake failed").to_string();
    assert!(
        failure.contains("cuBLASLt failed (CUBLAS_STATUS_EXECUTION_FAILED)"),
        "{failure}"
    );
    assert_eq!(refused?, [6.0; 16]);
    assert_eq!(again, [6.0; 16]);
    assert_eq!(products(), Some(before), "the fake did none of them");
    let report = device.backend().work_report();
    assert_eq!(report.products, Some([0, 2]), "the refused, twice");
    let refusal = "cuBLASLt refused f32 [8, 3] · [3, 2] (CUBLAS_STATUS_NOT_SUPPORTED)";
    assert_eq!(report.notes, [refusal]);
    assert_eq!(device.fallbacks(), 0);
    Ok(())
}
