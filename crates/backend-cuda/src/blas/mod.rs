//! Products by NVIDIA's cuBLASLt if it is installed; otherwise our own kernels compute them.
//!
//! A product's plan (descriptors and an algorithm) is made once and kept. The algorithm is the
//! first that the library's heuristic names among those that add up slices in their order and in
//! `f32`, so that a product has the same bits each time. `f32` products are computed in `f32`, not
//! TF32.
//!
//! cuBLASLt stores matrices by columns: a matrix stored by rows is its transpose there. So `y =
//! a·b` is requested as `yᵀ = bᵀ·aᵀ`, and a bias along the columns of `y` becomes one along the
//! rows of `yᵀ`, which is the kind that its epilogue adds.
//!
//! Source: <https://docs.nvidia.com/cuda/cublas/#using-the-cublaslt-api>

#![allow(unsafe_code, reason = "calls of cuBLASLt")]

mod api;
mod library;
mod plan;

use crate::captures;
use crate::driver::Driver;
use crate::memory::CudaMemory;
use crate::ops::{Product, Types};
use cudarc::cublaslt::result::CublasError;
use cudarc::cublaslt::sys::{self, cublasStatus_t as Status};
use latimer_tensor::{Error, Handled, Result, WorkReport};
use library::Loaded;
use plan::{Key, Plan};
use std::collections::HashMap;
use std::ptr::null_mut;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

/// Bytes of workspace that NVIDIA recommends on Hopper; older devices need less.
const WORKSPACE: usize = 32 << 20;
/// Bytes of room for a bias that has to be moved.
const BIAS_ROOM: usize = 1 << 20;
/// The epilogue only takes a bias whose address is a multiple of this, whatever alignment it is
/// told:
/// <https://github.com/pytorch/pytorch/pull/194497>
const BIAS_ALIGNMENT: u64 = 16;

/// cuBLASLt: loaded when a device is described, and opened on the device at the first product.
#[derive(Debug, Default)]
pub(crate) struct Blas {
    loaded: OnceLock<Result<Loaded, String>>,
    opened: OnceLock<Result<Lt, String>>,
    by_lt: AtomicU64,
    by_own_kernels: AtomicU64,
}

impl Blas {
    /// Enqueues a product; [`Handled::Unsupported`] if our own kernels must compute it.
    ///
    /// # Errors
    /// The library's failure, or the device's.
    pub(crate) fn product(&self, driver: &Arc<Driver>, p: &Product) -> Result<Handled> {
        let ran = match self.opened(driver) {
            Ok(lt) if fits(p) => lt.product(driver, p)?,
            _ => Handled::Unsupported,
        };
        let count = match ran {
            Handled::Done => &self.by_lt,
            Handled::Unsupported => &self.by_own_kernels,
        };
        count.fetch_add(1, Ordering::Relaxed);
        Ok(ran)
    }

    /// The number of products that cuBLASLt and our own kernels have computed so far, and those
    /// that cuBLASLt refused. Products of few rows, which always run on our own kernels, are not
    /// counted.
    pub(crate) fn report(&self) -> WorkReport {
        let mut report = WorkReport::default();
        report.products =
            Some([&self.by_lt, &self.by_own_kernels].map(|n| n.load(Ordering::Relaxed)));
        report.notes = match self.opened.get() {
            Some(Ok(lt)) => lt.refused(),
            Some(Err(reason)) => vec![format!("cuBLASLt is not used: {reason}")],
            None => Vec::new(),
        };
        report
    }

    /// A text for people: which implementation computes products. It takes no memory of the device.
    pub(crate) fn described(&self) -> String {
        let library = match self.opened.get() {
            Some(opened) => opened.as_ref().map(|lt| lt.handle.from),
            None => self.loaded().as_ref().copied(),
        };
        match library {
            Ok(Loaded { version, .. }) => format!(
                "products by cuBLASLt {}.{}.{}",
                version / 10_000,
                version / 100 % 100,
                version % 100
            ),
            Err(reason) => format!("products by own kernels ({reason})"),
        }
    }

    fn loaded(&self) -> &Result<Loaded, String> {
        self.loaded.get_or_init(library::load)
    }

    fn opened(&self, driver: &Arc<Driver>) -> &Result<Lt, String> {
        let open = || Lt::open(driver, self.loaded().clone()?);
        self.opened.get_or_init(open)
    }
}

/// Whether cuBLASLt computes this product as the operation means it.
fn fits(p: &Product) -> bool {
    // cuBLASLt has no layout for empty sums. With a factor of 0 it does not read a and b, so NaN
    // would be hidden.
    p.sizes.k > 0
        && p.alpha != 0.0
        && i32::try_from(p.sizes.batch).is_ok()
        // If y is f32, the bias must be f32, too.
        && (p.bias == 0
            || p.types != Types::Bf16ToF32 && p.sizes.n * p.types.bytes() <= BIAS_ROOM)
}

/// The open library.
#[derive(Debug)]
struct Lt {
    handle: Handle,
    /// [`WORKSPACE`], then [`BIAS_ROOM`].
    workspace: CudaMemory,
    /// A plan for each kind of product, or the library's status if it refused that kind.
    plans: Mutex<HashMap<Key, Result<Plan, Status>>>,
}

/// The library's own state on a device.
#[derive(Debug)]
struct Handle {
    raw: sys::cublasLtHandle_t,
    from: Loaded,
    driver: Arc<Driver>,
}

// SAFETY: cuBLASLt's handle may be used from any thread, and from several at a time.
unsafe impl Send for Handle {}
// SAFETY: as above.
unsafe impl Sync for Handle {}

/// The library's handle, moved to where it is destroyed.
struct Raw(sys::cublasLtHandle_t);

// SAFETY: as above.
unsafe impl Send for Raw {}

impl Drop for Handle {
    fn drop(&mut self) {
        let (raw, driver) = (Raw(self.raw), Arc::clone(&self.driver));
        let destroy_handle = self.from.api.destroy;
        captures::destroy(move || {
            let raw = raw;
            let _ = driver.context.bind_to_thread();
            // SAFETY: it was created, and plans do not need it to be destroyed. A failure leaves
            // nothing to be done.
            let _ = unsafe { destroy_handle(raw.0) };
        });
    }
}

impl Lt {
    fn open(driver: &Arc<Driver>, library: Loaded) -> Result<Self, String> {
        let bound = driver.context.bind_to_thread();
        bound.map_err(crate::driver::message)?;
        let mut raw = null_mut();
        // SAFETY: the pointer is to a live pointer, and the device is this thread's.
        let created = unsafe { (library.api.create)(&raw mut raw) }.result();
        created.map_err(|error| format!("cublasLtCreate says {:?}", error.0))?;
        let handle = Handle {
            raw,
            from: library,
            driver: Arc::clone(driver),
        };
        let workspace = CudaMemory::new(driver, WORKSPACE + BIAS_ROOM);
        Ok(Self {
            handle,
            workspace: workspace.map_err(|error| error.to_string())?,
            plans: Mutex::default(),
        })
    }

    fn product(&self, driver: &Arc<Driver>, p: &Product) -> Result<Handled> {
        let failed = |error: CublasError| Error::Device {
            device: driver.name.clone(),
            message: format!("cuBLASLt failed ({:?})", error.0),
        };
        driver.call("taking up the device", || Ok(()))?;
        // Held until the product is enqueued, as a plan's descriptor names the bias.
        let mut plans = self.plans.lock().unwrap_or_else(PoisonError::into_inner);
        let key = Key::of(p);
        let plan = match plans.get_mut(&key) {
            Some(plan) => plan,
            None => {
                let made = Plan::new(
                    self.handle.from.api,
                    self.handle.raw,
                    &key,
                    self.bias_room(),
                );
                plans.entry(key).or_insert(refused(made, failed)?)
            }
        };
        let Ok(of) = plan else {
            return Ok(Handled::Unsupported);
        };
        let bias = self.aligned_bias(driver, p)?;
        let stream = driver.stream.cu_stream().cast();
        // SAFETY: the addresses are of the product's sizes and types, the workspace is this
        // library's own, and work runs in the order of the stream.
        let done = unsafe { of.run(self.handle.raw, p, bias, self.workspace.pointer(), stream) };
        match refused(done, failed)? {
            Ok(()) => Ok(Handled::Done),
            Err(status) => {
                *plan = Err(status);
                Ok(Handled::Unsupported)
            }
        }
    }

    /// The products that were refused, with the library's status, in a fixed order.
    fn refused(&self) -> Vec<String> {
        let plans = self.plans.lock().unwrap_or_else(PoisonError::into_inner);
        let refusals = plans.iter().filter_map(|(key, plan)| {
            let status = plan.as_ref().err()?;
            Some(format!("cuBLASLt refused {key} ({status:?})"))
        });
        let mut refusals: Vec<String> = refusals.collect();
        refusals.sort();
        refusals
    }

    /// The address of the room for a bias that has to be moved.
    fn bias_room(&self) -> u64 {
        self.workspace.pointer() + WORKSPACE as u64
    }

    /// The bias's address, after moving it to an aligned place if the epilogue needs that.
    fn aligned_bias(&self, driver: &Arc<Driver>, p: &Product) -> Result<u64> {
        if p.bias.is_multiple_of(BIAS_ALIGNMENT) {
            return Ok(p.bias);
        }
        let to = self.bias_room();
        driver.call("moving a bias", || {
            let (bytes, stream) = (p.sizes.n * p.types.bytes(), driver.stream.cu_stream());
            // SAFETY: the bias has `n` elements, and there is room for them (`fits`); the product
            // that reads the last one comes before in the stream.
            unsafe { cudarc::driver::result::memcpy_dtod_async(to, p.bias, bytes, stream) }
        })?;
        Ok(to)
    }
}

/// Separates a refusal, after which our own kernels compute the product, from a failure.
fn refused<T>(
    answer: Result<T, CublasError>,
    failed: impl Fn(CublasError) -> Error,
) -> Result<Result<T, Status>> {
    match answer {
        Ok(done) => Ok(Ok(done)),
        Err(CublasError(
            status @ (Status::CUBLAS_STATUS_NOT_SUPPORTED
            | Status::CUBLAS_STATUS_INVALID_VALUE
            | Status::CUBLAS_STATUS_ARCH_MISMATCH),
        )) => Ok(Err(status)),
        Err(error) => Err(failed(error)),
    }
}
