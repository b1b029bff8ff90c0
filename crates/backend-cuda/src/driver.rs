//! Opening the driver and one device, in the one order that never panics.
//!
//! Everything in cudarc panics without `libcuda`, even printing an error, so the library is looked
//! for first; then the version, then the device. One explicit stream does all the work: memory is
//! used on it alone, so cudarc's events per slice are not needed.

#![allow(unsafe_code, reason = "calls of the driver")]

use crate::{Error, captures};
use cudarc::driver::{CudaContext, CudaStream, DriverError, result, sys};
use latimer_tensor::Result as TensorResult;
use std::ffi::OsStr;
use std::mem::ManuallyDrop;
use std::sync::{Arc, OnceLock};

/// The oldest driver that knows PTX 8.4, the language of the kernels: CUDA 12.4, driver 550.
const DRIVER_NEEDED: i32 = 12040;
/// Turing: the oldest compute capability that the plain kernels are compiled for.
const CAPABILITY_NEEDED: (i32, i32) = (7, 5);
/// This variable names another driver library, for example the CPU shim's.
const DRIVER_PATH: &str = "LATIMER_CUDA_DRIVER";
/// The driver's own variable: with 1, every launch is waited for.
const BLOCKING: &str = "CUDA_LAUNCH_BLOCKING";

/// An open device.
#[derive(Debug)]
pub(crate) struct Driver {
    pub(crate) context: ManuallyDrop<Arc<CudaContext>>,
    pub(crate) stream: ManuallyDrop<Arc<CudaStream>>,
    pub(crate) name: String,
    pub(crate) capability: (i32, i32),
    /// The driver's version: 12040 is CUDA 12.4.
    pub(crate) version: i32,
    pub(crate) memory_bytes: usize,
    pub(crate) multiprocessors: u32,
    /// Shared memory that one block may ask for.
    pub(crate) shared_bytes: u32,
    /// Whether the driver waits for each launch, so that a fault shows at the kernel that made it.
    pub(crate) is_blocking: bool,
    /// The call that reported a fault; after it the device does not work any more.
    lost: OnceLock<String>,
}

impl Drop for Driver {
    fn drop(&mut self) {
        // SAFETY: both are taken here alone, and nothing uses them after this.
        let (stream, context) = unsafe {
            (
                ManuallyDrop::take(&mut self.stream),
                ManuallyDrop::take(&mut self.context),
            )
        };
        captures::destroy(move || {
            drop(stream);
            drop(context);
        });
    }
}

/// A driver call's failure as an error of opening.
fn failed(call: &'static str) -> impl Fn(DriverError) -> Error {
    move |error| Error::Driver {
        call,
        message: message(error),
    }
}

/// The driver's text for an error: `CUDA_ERROR_OUT_OF_MEMORY: out of memory`.
pub(crate) fn message(error: DriverError) -> String {
    let text = |found: Result<&std::ffi::CStr, DriverError>| {
        found.map_or_else(|_| "?".into(), |text| text.to_string_lossy().into_owned())
    };
    format!(
        "{}: {}",
        text(error.error_name()),
        text(error.error_string())
    )
}

impl Driver {
    /// Opens device `ordinal`.
    pub(crate) fn open(ordinal: usize) -> Result<Self, Error> {
        load_named_library()?;
        load_library()?;
        match result::init() {
            Err(DriverError(sys::CUresult::CUDA_ERROR_NO_DEVICE)) => return Err(Error::NoDevice),
            done => done.map_err(failed("cuInit"))?,
        }
        let mut version = 0;
        // SAFETY: the pointer is to a live integer.
        let asked = unsafe { sys::cuDriverGetVersion(&raw mut version) }.result();
        asked.map_err(failed("cuDriverGetVersion"))?;
        if version < DRIVER_NEEDED {
            return Err(Error::OldDriver {
                found: version,
                needed: DRIVER_NEEDED,
            });
        }
        let count = result::device::get_count().map_err(failed("cuDeviceGetCount"))?;
        if count == 0 {
            return Err(Error::NoDevice);
        }
        if ordinal >= count as usize {
            let count = count as usize;
            return Err(Error::NoSuchDevice { ordinal, count });
        }
        let context = CudaContext::new(ordinal).map_err(failed("cuDevicePrimaryCtxRetain"))?;
        let name = context.name().map_err(failed("cuDeviceGetName"))?;
        let capability = context.compute_capability();
        let capability = capability.map_err(failed("cuDeviceGetAttribute"))?;
        if capability < CAPABILITY_NEEDED {
            return Err(Error::OldDevice { name, capability });
        }
        // SAFETY: all memory is used on the one stream made below.
        unsafe { context.disable_event_tracking() };
        let stream = context.new_stream().map_err(failed("cuStreamCreate"))?;
        let attribute = |attribute| {
            let value = context.attribute(attribute);
            value
                .map(|value| value as u32)
                .map_err(failed("cuDeviceGetAttribute"))
        };
        use sys::CUdevice_attribute as Attribute;
        let multiprocessors = attribute(Attribute::CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT)?;
        let shared_bytes =
            attribute(Attribute::CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN)?;
        let memory_bytes = context.total_mem().map_err(failed("cuDeviceTotalMem"))?;
        Ok(Self {
            context: ManuallyDrop::new(context),
            stream: ManuallyDrop::new(stream),
            name,
            capability,
            version,
            memory_bytes,
            multiprocessors,
            shared_bytes,
            is_blocking: std::env::var_os(BLOCKING).is_some_and(|value| value == "1"),
            lost: OnceLock::new(),
        })
    }

    /// Makes the device current on this thread and runs `call`; a failure becomes the device's
    /// error, which names `what` was done.
    ///
    /// # Errors
    /// [`latimer_tensor::Error::Device`].
    pub(crate) fn call<T>(
        &self,
        what: &str,
        call: impl FnOnce() -> Result<T, DriverError>,
    ) -> TensorResult<T> {
        let bound = self.context.bind_to_thread();
        bound
            .and_then(|()| call())
            .map_err(|error| self.error(what, error))
    }

    pub(crate) fn error(&self, what: &str, error: DriverError) -> latimer_tensor::Error {
        self.error_with(what, error, "")
    }

    /// The error of [`Self::error`], with `more` at the end of its message.
    pub(crate) fn error_with(
        &self,
        what: &str,
        error: DriverError,
        more: &str,
    ) -> latimer_tensor::Error {
        let hint = if is_fault(error) {
            self.fault_found(what)
        } else {
            String::new()
        };
        latimer_tensor::Error::Device {
            device: self.name.clone(),
            message: format!("{what} failed ({}){hint}{more}", message(error)),
        }
    }

    /// Advice for finding the kernel whose fault a call reports: launches are not waited for, so
    /// the driver may report a fault at any later call.
    pub(crate) fn fault_found(&self, what: &str) -> String {
        let mut first = false;
        let told = self.lost.get_or_init(|| {
            first = true;
            what.to_owned()
        });
        match first {
            false => format!(
                ": the device was lost before this, when {told} failed; only a new process can use it again"
            ),
            true if self.is_blocking => String::new(),
            true => format!(
                ": a kernel that was launched before may have caused this; {BLOCKING}=1 waits for \
                 each launch, and the error then names the kernel"
            ),
        }
    }
}

/// Whether an error means that some earlier kernel failed on the device.
fn is_fault(DriverError(code): DriverError) -> bool {
    use sys::CUresult as Code;
    matches!(
        code,
        Code::CUDA_ERROR_ILLEGAL_ADDRESS
            | Code::CUDA_ERROR_LAUNCH_TIMEOUT
            | Code::CUDA_ERROR_ASSERT
            | Code::CUDA_ERROR_HARDWARE_STACK_ERROR
            | Code::CUDA_ERROR_ILLEGAL_INSTRUCTION
            | Code::CUDA_ERROR_MISALIGNED_ADDRESS
            | Code::CUDA_ERROR_INVALID_ADDRESS_SPACE
            | Code::CUDA_ERROR_INVALID_PC
            | Code::CUDA_ERROR_LAUNCH_FAILED
            | Code::CUDA_ERROR_ECC_UNCORRECTABLE
    )
}

/// Loads the library that the environment names, under the name that cudarc will ask for.
fn load_named_library() -> Result<(), Error> {
    let Some(path) = std::env::var_os(DRIVER_PATH).filter(|path| !path.is_empty()) else {
        return Ok(());
    };
    match open_library(&path) {
        Ok(_) => Ok(()),
        Err(reason) => Err(Error::BadDriverPath {
            path: path.to_string_lossy().into_owned(),
            reason,
        }),
    }
}

/// Loads the driver's library by the names, and in the order, in which cudarc then asks for it.
fn load_library() -> Result<(), Error> {
    let names = ["cuda", "nvcuda"].map(cudarc::get_lib_name_candidates);
    let mut broken = None;
    for name in names.iter().flatten() {
        match open_library(name.as_ref()) {
            Ok(_) => return Ok(()),
            Err(reason) if is_absent(name, &reason) => {}
            Err(reason) => broken = broken.or(Some(reason)),
        }
    }
    Err(broken.map_or(Error::NoDriver, |reason| Error::BrokenDriver { reason }))
}

/// A library that is never unloaded.
pub(crate) type Loaded = ManuallyDrop<libloading::Library>;

/// Loads a library for good; the error is the loader's message.
pub(crate) fn open_library(path: &OsStr) -> Result<Loaded, String> {
    // SAFETY: the user, or the system, vouches for the library; loading it runs its constructors.
    match unsafe { libloading::Library::new(path) } {
        // As it stays loaded, later requests for its name get this library.
        Ok(library) => Ok(ManuallyDrop::new(library)),
        // The loader's message is the source of this error.
        Err(error) => Err(std::error::Error::source(&error)
            .map_or_else(|| error.to_string(), ToString::to_string)),
    }
}

/// Whether the loader's message means that there is no library of this name, rather than that this
/// library exists and another one that it needs is missing.
pub(crate) fn is_absent(name: &str, reason: &str) -> bool {
    let rest = reason.strip_prefix(name);
    rest.is_some_and(|rest| rest.starts_with(": cannot open shared object file: No such file"))
}
