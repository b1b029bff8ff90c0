#![allow(unsafe_code, reason = "sets an environment variable")]
//! If cuBLASLt is switched off, or the named library does not exist, our own kernels compute
//! products, and the device says why.

mod device;

use device::cuda;
use latimer_tensor::{Result, Tensor};

const LIBRARY: &str = "LATIMER_CUBLASLT";

#[test]
fn own_kernels_multiply_and_the_device_says_why() -> Result<()> {
    latimer_cuda_shim::use_as_driver();
    let empty = std::env::temp_dir().join(format!("latimer-{}", std::process::id()));
    std::fs::create_dir_all(&empty).expect("a folder can be made");
    let empty = empty.to_string_lossy().into_owned();
    for (value, reason) in [
        ("off", "(LATIMER_CUBLASLT is off)".to_owned()),
        (
            &*empty,
            format!("names {empty}: there is none of libcublasLt.so.13"),
        ),
        (
            "/no/such/libcublasLt.so",
            "names /no/such/libcublasLt.so: ".into(),
        ),
    ] {
        // SAFETY: this is the only test of this program.
        unsafe { std::env::set_var(LIBRARY, value) };
        let device = cuda(0);
        let detail = device.info().detail;
        assert!(detail.contains("products by own kernels"), "{detail}");
        assert!(detail.contains(&reason), "{detail}");
        // More rows than the kernels for few rows take.
        let ones = Tensor::from_slice(&device, &[1.0f32; 8 * 3], [8, 3])?;
        let twos = Tensor::from_slice(&device, &[2.0f32; 3 * 2], [3, 2])?;
        assert_eq!(ones.matmul(&twos)?.to_vec::<f32>()?, [6.0; 16]);
        assert_eq!(device.fallbacks(), 0);
    }
    std::fs::remove_dir(empty).expect("the folder is still empty");
    Ok(())
}
