//! Loading families of kernels into the driver: ready machine code if there is some, otherwise PTX,
//! which the driver compiles for the device or finds in its cache.

#![allow(unsafe_code, reason = "calls of the driver")]

use crate::driver::Driver;
use crate::ptx::Family;
use cudarc::driver::{DriverError, sys};
use latimer_tensor::{Error, Result};
use std::env;
use std::ffi::c_void;
use std::path::PathBuf;

/// This variable names a folder of machine code: its `<family>.cubin` is loaded instead of the
/// family's PTX.
const CUBINS: &str = "LATIMER_CUBINS";
/// Bytes of room for the messages of the driver's compiler, which cuts off longer ones.
const LOG_BYTES: usize = 8 << 10;

/// A loaded family; never unloaded.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Module(pub(crate) sys::CUmodule);

// SAFETY: a module's handle may be used from any thread.
unsafe impl Send for Module {}
// SAFETY: as above.
unsafe impl Sync for Module {}

/// Loads a family from [`CUBINS`], or else from its PTX.
///
/// # Errors
/// [`Error::Device`]: a folder or file that cannot be read, PTX that cannot be unpacked, or the
/// driver's failure with its compiler's messages.
pub(crate) fn load(driver: &Driver, family: &Family) -> Result<Module> {
    let refused = |message| Error::Device {
        device: driver.name.clone(),
        message,
    };
    if let Some((path, mut image)) = cubin(&family.name).map_err(refused)? {
        image.push(0);
        return load_image(driver, &image).map_err(|(error, log)| {
            let what = format!(
                "loading {}, from the folder that {CUBINS} names,",
                path.display()
            );
            let hint = match error.0 {
                sys::CUresult::CUDA_ERROR_NO_BINARY_FOR_GPU => format!(
                    ": it was made for another kind of GPU than compute capability {}.{}",
                    driver.capability.0, driver.capability.1
                ),
                _ => log,
            };
            driver.error_with(
                &what,
                error,
                &format!("{hint}; unset {CUBINS} to use the kernels' PTX"),
            )
        });
    }
    let image = family.unpack().map_err(refused)?;
    load_image(driver, &image).map_err(|(error, log)| {
        let hint = match error.0 {
            sys::CUresult::CUDA_ERROR_JIT_COMPILER_NOT_FOUND => format!(
                ": the driver's compiler, libnvidia-ptxjitcompiler, is not installed or not \
                 mounted; install it, or name a folder of compiled kernels with {CUBINS}"
            ),
            _ => log,
        };
        driver.error_with(
            &format!("loading the kernels of {}", family.name),
            error,
            &hint,
        )
    })
}

/// The file of a family in [`CUBINS`], if that is set and has it.
fn cubin(family: &str) -> std::result::Result<Option<(PathBuf, Vec<u8>)>, String> {
    let Some(folder) = env::var_os(CUBINS).filter(|folder| !folder.is_empty()) else {
        return Ok(None);
    };
    let folder = PathBuf::from(folder);
    if !folder.is_dir() {
        return Err(format!(
            "{CUBINS} names {}, which is not a folder: name a folder, or unset it",
            folder.display()
        ));
    }
    let path = folder.join(format!("{family}.cubin"));
    match std::fs::read(&path) {
        Ok(image) => Ok(Some((path, image))),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(format!("cannot read {}: {error}", path.display())),
    }
}

/// Loads PTX or machine code, which ends in a 0; an error also has the compiler's messages, as a
/// hint.
fn load_image(driver: &Driver, image: &[u8]) -> std::result::Result<Module, (DriverError, String)> {
    use sys::CUjit_option_enum as Jit;
    driver
        .context
        .bind_to_thread()
        .map_err(|error| (error, String::new()))?;
    let mut log = vec![0u8; LOG_BYTES];
    let mut options = [
        Jit::CU_JIT_ERROR_LOG_BUFFER,
        Jit::CU_JIT_ERROR_LOG_BUFFER_SIZE_BYTES,
    ];
    // The driver takes numeric values in pointer arguments.
    let mut values = [
        log.as_mut_ptr().cast::<c_void>(),
        std::ptr::without_provenance_mut(LOG_BYTES),
    ];
    let mut module = std::ptr::null_mut();
    // SAFETY: the image ends in a 0, as PTX must; the two options have a value each, the first a
    // buffer of the second's size, all alive during the call.
    let done = unsafe {
        sys::cuModuleLoadDataEx(
            &raw mut module,
            image.as_ptr().cast(),
            options.len() as u32,
            options.as_mut_ptr(),
            values.as_mut_ptr(),
        )
    };
    done.result()
        .map(|()| Module(module))
        .map_err(|error| (error, said(&log)))
}

/// The compiler's messages in the buffer, as one line after a colon; empty if there are none.
fn said(log: &[u8]) -> String {
    let end = log.iter().position(|&byte| byte == 0);
    let text = String::from_utf8_lossy(&log[..end.unwrap_or(log.len())]).into_owned();
    let lines: Vec<&str> = text
        .lines()
        .map(str::trim)
        .filter(|l| !l.is_empty())
        .collect();
    match lines.is_empty() {
        true => String::new(),
        false => format!(": {}", lines.join("; ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_compilers_lines_become_one() {
        assert_eq!(said(b"\0rest"), "");
        assert_eq!(
            said(b"line 1; error\n\n  line 2\0"),
            ": line 1; error; line 2"
        );
        assert_eq!(said(b"no end"), ": no end");
    }
}
