//! Opening the driver and one device, in the one order that never panics.
//!
//! Everything in cudarc panics without `libcuda`, even printing an error, so the library is looked
//! for first; then the version, then the device. One explicit stream does all the work: memory is
//! used on it alone, so cudarc's events per slice are not needed.

#![allow(unsafe_code, reason = "calls of the driver")]

use crate::Error;
use cudarc::driver::{CudaContext, CudaStream, DriverError, result, sys};
use latimer_tensor::Result as TensorResult;
use std::sync::Arc;

/// The driver that knows PTX 8.4, the language of the kernels: CUDA 12.4, driver 550.
const DRIVER_NEEDED: i32 = 12040;
/// Turing: the oldest that the plain kernels are compiled for.
const CAPABILITY_NEEDED: (i32, i32) = (7, 5);
/// Names another driver library, the CPU shim's say.
const DRIVER_PATH: &str = "LATIMER_CUDA_DRIVER";

/// An open device.
#[derive(Debug)]
pub(crate) struct Driver {
    pub(crate) context: Arc<CudaContext>,
    pub(crate) stream: Arc<CudaStream>,
    pub(crate) name: String,
    pub(crate) capability: (i32, i32),
    /// As in 12040 for CUDA 12.4.
    pub(crate) version: i32,
    pub(crate) memory_bytes: usize,
    pub(crate) multiprocessors: u32,
    /// Shared memory that one block may ask for.
    pub(crate) shared_bytes: u32,
}

/// A driver call's failure as an error of opening.
fn failed(call: &'static str) -> impl Fn(DriverError) -> Error {
    move |error| Error::Driver {
        call,
        message: message(error),
    }
}

/// What the driver says of an error: `CUDA_ERROR_OUT_OF_MEMORY: out of memory`.
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
        // SAFETY: loading the driver runs its constructors only.
        if !unsafe { sys::is_culib_present() } {
            return Err(Error::NoDriver);
        }
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
            context,
            stream,
            name,
            capability,
            version,
            memory_bytes,
            multiprocessors,
            shared_bytes,
        })
    }

    /// Makes the device this thread's, and turns a call's failure into the device's error.
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
        latimer_tensor::Error::Device {
            device: self.name.clone(),
            message: format!("{what} failed ({})", message(error)),
        }
    }
}

/// Loads the library that the environment names, under the name that cudarc will ask for.
fn load_named_library() -> Result<(), Error> {
    let Some(path) = std::env::var_os(DRIVER_PATH).filter(|path| !path.is_empty()) else {
        return Ok(());
    };
    // SAFETY: the user vouches for the library; loading it runs its constructors.
    match unsafe { libloading::Library::new(&path) } {
        Ok(library) => {
            // It stays loaded: the loader then answers cudarc's own request with it.
            std::mem::forget(library);
            Ok(())
        }
        Err(error) => Err(Error::BadDriverPath {
            path: path.to_string_lossy().into_owned(),
            // The loader's own words are one below.
            reason: std::error::Error::source(&error)
                .map_or_else(|| error.to_string(), ToString::to_string),
        }),
    }
}
