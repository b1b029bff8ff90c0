//! Kernels by name: their PTX is loaded when first needed; this is the only place that launches.
//!
//! A launch's arguments are compared with the kernel's own list of parameters, so a wrong number or
//! kind of arguments is an error, not a stray write.

#![allow(unsafe_code, reason = "calls of the driver")]

use crate::driver::Driver;
use crate::module::{self, Module};
use crate::ptx::{Family, Signature, families};
use cudarc::driver::{result, sys};
use latimer_tensor::{Error, Result};
use std::collections::HashMap;
use std::ffi::{CString, c_void};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

/// An argument of a kernel.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Arg {
    /// A device address; 0 is a null pointer.
    Pointer(u64),
    /// `u32`.
    U32(u32),
    /// `u64`.
    U64(u64),
    /// `float`.
    F32(f32),
}

impl From<u32> for Arg {
    fn from(x: u32) -> Self {
        Self::U32(x)
    }
}
impl From<u64> for Arg {
    fn from(x: u64) -> Self {
        Self::U64(x)
    }
}
impl From<f32> for Arg {
    fn from(x: f32) -> Self {
        Self::F32(x)
    }
}
impl From<bool> for Arg {
    fn from(x: bool) -> Self {
        Self::U32(x.into())
    }
}

impl Arg {
    fn bits(self) -> u64 {
        match self {
            Self::Pointer(x) | Self::U64(x) => x,
            Self::U32(x) => x.into(),
            Self::F32(x) => x.to_bits().into(),
        }
    }

    /// The name of the argument's type in PTX.
    fn kind(self) -> &'static str {
        match self {
            Self::Pointer(_) | Self::U64(_) => "u64",
            Self::U32(_) => "u32",
            Self::F32(_) => "f32",
        }
    }
}

/// The number of threads that run a kernel, and the shared memory of a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Geometry {
    /// Blocks along x, y, z.
    pub(crate) grid: [u32; 3],
    /// Threads of a block, a multiple of 32.
    pub(crate) block: u32,
    /// Bytes of dynamic shared memory.
    pub(crate) shared: u32,
}

impl Geometry {
    /// `blocks` blocks along x, of `block` threads each, without shared memory.
    pub(crate) fn row(blocks: usize, block: u32) -> Self {
        Self {
            grid: [blocks as u32, 1, 1],
            block,
            shared: 0,
        }
    }

    /// The same geometry with `shared` bytes of shared memory per block.
    pub(crate) fn shared(self, shared: usize) -> Self {
        Self {
            shared: shared as u32,
            ..self
        }
    }
}

/// Bytes of shared memory that a block may use without a special request.
const SHARED_WITHOUT_ASKING: u32 = 48 << 10;

/// A loaded kernel.
#[derive(Clone, Copy, Debug)]
struct Kernel {
    function: sys::CUfunction,
    signature: &'static Signature,
}

// SAFETY: a function's handle may be used from any thread.
unsafe impl Send for Kernel {}
// SAFETY: as above.
unsafe impl Sync for Kernel {}

/// The modules and kernels loaded so far.
#[derive(Debug, Default)]
struct Loaded {
    /// The modules, by the name of their family.
    modules: HashMap<&'static str, Module>,
    kernels: HashMap<&'static str, Kernel>,
    /// The time that loading all modules so far took.
    time: Duration,
}

impl Loaded {
    fn module(&mut self, driver: &Driver, family: &'static Family) -> Result<Module> {
        if let Some(module) = self.modules.get(&*family.name) {
            return Ok(*module);
        }
        let begin = Instant::now();
        let module = module::load(driver, family)?;
        self.time += begin.elapsed();
        self.modules.insert(&family.name, module);
        Ok(module)
    }
}

/// All kernels of a device.
#[derive(Debug)]
pub(crate) struct Kernels {
    driver: Arc<Driver>,
    loaded: RwLock<Loaded>,
}

impl Kernels {
    pub(crate) fn new(driver: &Arc<Driver>) -> Self {
        Self {
            driver: Arc::clone(driver),
            loaded: RwLock::default(),
        }
    }

    /// Enqueues a kernel.
    ///
    /// # Errors
    /// [`Error::Device`], naming the kernel: it is unknown, the arguments do not match its
    /// parameters, or the driver failed.
    pub(crate) fn launch(
        &self,
        name: &'static str,
        geometry: Geometry,
        args: &[Arg],
    ) -> Result<()> {
        let Geometry {
            grid,
            block,
            shared,
        } = geometry;
        if grid.contains(&0) {
            // There is nothing to compute, and the driver would refuse an empty grid.
            return Ok(());
        }
        if shared > self.driver.shared_bytes {
            return Err(self.broken(format!(
                "kernel {name} needs {shared} bytes of shared memory per block, but the GPU has {}",
                self.driver.shared_bytes
            )));
        }
        let kernel = self.kernel(name)?;
        let kinds = args.iter().map(|arg| arg.kind());
        let parameters = &kernel.signature.parameters;
        if !kinds.eq(parameters.iter().map(String::as_str)) {
            let given: Vec<_> = args.iter().map(|arg| arg.kind()).collect();
            return Err(self.broken(format!(
                "kernel {name} takes ({}), but was given ({})",
                parameters.join(", "),
                given.join(", ")
            )));
        }
        let mut bits = [0u64; MAX_ARGS];
        let mut pointers = [std::ptr::null_mut::<c_void>(); MAX_ARGS];
        for (i, arg) in args.iter().enumerate() {
            bits[i] = arg.bits();
            // All hosts that CUDA runs on are little-endian: narrow types lie at the start.
            pointers[i] = (&raw mut bits[i]).cast();
        }
        self.driver.call(name, || {
            if shared > SHARED_WITHOUT_ASKING {
                use sys::CUfunction_attribute as Attribute;
                // SAFETY: the handle is a loaded function's.
                unsafe {
                    result::function::set_function_attribute(
                        kernel.function,
                        Attribute::CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES,
                        shared as i32,
                    )
                }?;
            }
            // SAFETY: the function is loaded, the arguments have its types (compared above), and
            // each address came from a view that is alive or from the workspace; memory is freed
            // only after the stream's work.
            unsafe {
                result::launch_kernel(
                    kernel.function,
                    (grid[0], grid[1], grid[2]),
                    (block, 1, 1),
                    shared,
                    self.driver.stream.cu_stream(),
                    &mut pointers[..args.len()],
                )
            }
        })
    }

    fn broken(&self, message: String) -> Error {
        Error::Device {
            device: self.driver.name.clone(),
            message,
        }
    }

    fn kernel(&self, name: &'static str) -> Result<Kernel> {
        let loaded = self.loaded.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(kernel) = loaded.kernels.get(name) {
            return Ok(*kernel);
        }
        drop(loaded);
        let families = families().map_err(|why| self.broken(why))?;
        let found = families.iter().find_map(|family| {
            let mut kernels = family.kernels.iter();
            let signature = kernels.find(|signature| signature.name == name)?;
            Some((family, signature))
        });
        let Some((family, signature)) = found else {
            return Err(self.broken(format!("there is no kernel {name} in this program")));
        };
        let mut loaded = self.loaded.write().unwrap_or_else(PoisonError::into_inner);
        let module = loaded.module(&self.driver, family)?;
        let text = CString::new(name);
        let text = text.map_err(|_| self.broken(format!("the name {name} is damaged")))?;
        let function = self.driver.call(&format!("finding kernel {name}"), || {
            // SAFETY: the module is loaded and is never unloaded.
            unsafe { result::module::get_function(module.0, text) }
        })?;
        let kernel = Kernel {
            function,
            signature,
        };
        loaded.kernels.insert(name, kernel);
        Ok(kernel)
    }

    /// Loads every family that this device can run; returns the time that all loading took so far.
    ///
    /// # Errors
    /// [`Error::Device`], naming the family.
    pub(crate) fn load_all(&self) -> Result<Duration> {
        let mut loaded = self.loaded.write().unwrap_or_else(PoisonError::into_inner);
        for family in families().map_err(|why| self.broken(why))? {
            if self.driver.capability >= family.capability {
                loaded.module(&self.driver, family)?;
            }
        }
        Ok(loaded.time)
    }
}

/// The most arguments that a kernel may have.
const MAX_ARGS: usize = 40;

/// The name of a kernel for an element type: `NAME_f32` or `NAME_bf16`.
macro_rules! by_dtype {
    ($dtype:expr, $name:literal) => {
        match $dtype {
            latimer_tensor::DType::F32 => concat!($name, "_f32"),
            latimer_tensor::DType::Bf16 => concat!($name, "_bf16"),
            _ => return Ok(latimer_tensor::Handled::Unsupported),
        }
    };
}
pub(crate) use by_dtype;
