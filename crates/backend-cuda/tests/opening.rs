//! The messages that a user gets when there is no device, or one that fails: on the CPU shim, which
//! is asked to behave so. Each case runs in a process of its own, as a process opens the driver
//! only once.

mod device;

use latimer_backend_cuda::Cuda;
use latimer_cuda_shim::{DRIVER, GPU_REQUIRED};
use latimer_tensor::{Backend, DType, Device, Tensor};
use std::process::Command;

/// What the child process prints before its answer.
const ANSWER: &str = "answer: ";

/// Runs this program's test `child` with these variables, and returns its answer.
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

/// A fault shows at a later call, which cannot name its kernel; waiting for each launch finds the
/// kernel.
#[test]
fn a_fault_that_shows_later_says_how_to_find_its_kernel() {
    if !on_shim() {
        return;
    }
    let fault = ("SHIM_FAULT_KERNEL", "fill_4");
    let answer = asked(&[fault]);
    assert!(answer.contains("(CUDA_ERROR_ILLEGAL_ADDRESS"), "{answer}");
    assert!(!answer.contains("fill_4"), "nobody knows yet: {answer}");
    assert!(
        answer.contains("CUDA_LAUNCH_BLOCKING=1 waits for each launch"),
        "{answer}"
    );

    let answer = asked(&[fault, ("CUDA_LAUNCH_BLOCKING", "1")]);
    let expected = "cpu-shim: fill_4 failed (CUDA_ERROR_ILLEGAL_ADDRESS";
    assert!(answer.starts_with(expected), "{answer}");
    assert!(
        !answer.contains("CUDA_LAUNCH_BLOCKING"),
        "it is set: {answer}"
    );
}

#[test]
fn what_the_drivers_compiler_says_is_in_the_error() {
    if !on_shim() {
        return;
    }
    let answer = asked(&[("SHIM_FAIL_MODULE", "fill_4")]);
    for part in [
        "cpu-shim: loading the kernels of fill failed (CUDA_ERROR_INVALID_PTX",
        ": ptxas shim, line 1; fatal   : fill_4 is not to be compiled",
    ] {
        assert!(answer.contains(part), "{answer}");
    }
    let answer = asked(&[("SHIM_JIT", "0")]);
    for part in [
        "(CUDA_ERROR_JIT_COMPILER_NOT_FOUND",
        "libnvidia-ptxjitcompiler",
        "LATIMER_CUBINS",
    ] {
        assert!(answer.contains(part), "{answer}");
    }
}

/// Makes a new folder with this text as `fill.cubin`.
fn cubins(name: &str, text: &str) -> std::path::PathBuf {
    let folder = std::env::temp_dir().join(format!("latimer-{name}-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a folder can be made");
    std::fs::write(folder.join("fill.cubin"), text).expect("a file can be written");
    folder
}

#[test]
fn machine_code_is_taken_before_ptx_and_says_when_it_does_not_fit() {
    if !on_shim() {
        return;
    }
    // The part of the family's PTX that the shim reads.
    let kernels = ["fill_2", "fill_4", "fill_8"];
    let entries = kernels.map(|name| format!(".visible .entry {name}(\n)\n{{\n}}\n"));
    let ptx = format!(".version 8.4\n{}", entries.concat());
    let fits = cubins("fits", &format!("shim-cubin 80\n{ptx}"));
    let other = cubins("other", &format!("shim-cubin 90\n{ptx}"));
    let broken = cubins("broken", "not machine code");
    let ask = |folder: &std::path::Path| {
        // PTX does not load without a compiler.
        let folder = folder.to_str().expect("its name is text");
        asked(&[("LATIMER_CUBINS", folder), ("SHIM_JIT", "0")])
    };
    assert_eq!(ask(&fits), "all is well");
    for (folder, parts) in [
        (
            &other,
            [
                "fill.cubin",
                "made for another kind of GPU than compute capability 8.0",
            ],
        ),
        (
            &broken,
            ["fill.cubin", "unset LATIMER_CUBINS to use the kernels' PTX"],
        ),
    ] {
        let answer = ask(folder);
        for part in parts {
            assert!(answer.contains(part), "{answer}");
        }
    }
    for folder in [fits, other, broken] {
        std::fs::remove_dir_all(folder).expect("the folder can be removed");
    }
    let answer = ask("/nowhere".as_ref());
    let expected = "LATIMER_CUBINS names /nowhere, which is not a folder: name a folder, or unset \
                    it";
    assert!(answer.contains(expected), "{answer}");
}

#[test]
fn all_kernels_load_and_the_time_is_given() {
    latimer_cuda_shim::use_as_driver();
    let cuda = Cuda::new(0).expect("the device opens");
    let first = cuda.preload().expect("they load");
    assert!(first > Some(std::time::Duration::ZERO));
    assert_eq!(cuda.preload().expect("they are loaded"), first);
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
