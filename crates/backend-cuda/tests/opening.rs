//! What a user is told when there is no device, or one that fails: on the CPU shim, which is asked to
//! behave so. Each question is put to a process of its own, as the driver is opened once a process.

mod device;

use latimer_backend_cuda::Cuda;
use latimer_cuda_shim::{DRIVER, GPU_REQUIRED};
use latimer_tensor::{DType, Device, Tensor};
use std::process::Command;

/// What the child process prints before its answer.
const ANSWER: &str = "answer: ";

/// Runs this program's test `child` with these variables; what it answered.
fn asked(variables: &[(&str, &str)]) -> String {
    latimer_cuda_shim::use_as_driver();
    let mut command = Command::new(std::env::current_exe().expect("this program has a path"));
    command
        .args(["--exact", "child", "--nocapture", "--include-ignored"])
        .envs(variables.iter().copied());
    let output = command.output().expect("it starts");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let errors = String::from_utf8_lossy(&output.stderr);
    let answer = said.lines().find_map(|line| line.split_once(ANSWER));
    answer
        .unwrap_or_else(|| panic!("no answer: {said}{errors}"))
        .1
        .to_owned()
}

/// Opens a device, allocates, runs a kernel, waits.
fn use_device() -> Result<(), Box<dyn std::error::Error>> {
    let device = Device::new(Cuda::new(0)?);
    let x = Tensor::full(&device, [1000], DType::F32, 2.0)?;
    let y = Tensor::zeros(&device, [1 << 20], DType::F32)?;
    assert_eq!(x.to_vec::<f32>()?, [2.0; 1000]);
    drop(y);
    Ok(())
}

#[test]
#[ignore = "what `asked` runs"]
#[allow(clippy::print_stdout, reason = "the parent process reads it")]
fn child() {
    match use_device() {
        Ok(()) => println!("\n{ANSWER}all is well"),
        Err(error) => println!("\n{ANSWER}{error}"),
    }
}

/// Whether the shim may be asked to misbehave.
fn on_shim() -> bool {
    let on_shim = std::env::var_os(GPU_REQUIRED).is_none();
    if !on_shim {
        eprintln!("skipped: a GPU cannot be asked to misbehave");
    }
    on_shim
}

#[test]
fn a_device_opens() {
    assert_eq!(asked(&[]), "all is well");
    let info = device::cuda(0).info();
    assert_eq!(info.backend, "cuda");
    if on_shim() {
        assert_eq!(info.name, "cpu-shim", "it never passes for a GPU");
    }
}

#[test]
fn what_is_missing_is_named() {
    if !on_shim() {
        return;
    }
    for (variable, value, expected) in [
        (
            DRIVER,
            "/nowhere/libcuda.so",
            "LATIMER_CUDA_DRIVER names /nowhere/libcuda.so, which cannot be loaded: ",
        ),
        ("SHIM_INIT", "100", "the NVIDIA driver sees no GPU"),
        (
            "SHIM_INIT",
            "999",
            "the NVIDIA driver's cuInit failed: CUDA_ERROR_UNKNOWN",
        ),
        (
            "SHIM_DRIVER",
            "12020",
            "the NVIDIA driver supports CUDA 12.2, but 12.4 is needed",
        ),
        (
            "SHIM_CAPABILITY",
            "70",
            "cpu-shim has compute capability 7.0, but 7.5",
        ),
    ] {
        let answer = asked(&[(variable, value)]);
        assert!(answer.starts_with(expected), "{variable}={value}: {answer}");
    }
}

#[test]
fn no_room_says_how_much_is_free() {
    if !on_shim() {
        return;
    }
    let answer = asked(&[("SHIM_MEMORY", "1000000")]);
    for part in [
        "cpu-shim (0.00 of 0.00 GiB free",
        "cannot allocate 4194304 bytes",
    ] {
        assert!(answer.contains(part), "{answer}");
    }
}

#[test]
fn a_failed_kernel_is_named() {
    if !on_shim() {
        return;
    }
    let answer = asked(&[("SHIM_FAIL_KERNEL", "fill_4")]);
    assert!(
        answer.starts_with("cpu-shim: fill_4 failed (CUDA_ERROR_LAUNCH_FAILED"),
        "{answer}"
    );
}

#[test]
fn a_device_that_is_not_there_is_counted() {
    if !on_shim() {
        return;
    }
    latimer_cuda_shim::use_as_driver();
    let error = Cuda::new(9).expect_err("there are four");
    assert_eq!(
        error.to_string(),
        "there is no GPU number 9: the driver sees 4, numbered from 0"
    );
}
