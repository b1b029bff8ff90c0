//! Latimer's CUDA backend: NVIDIA GPUs by the driver alone, no CUDA toolkit to build or to run.
//!
//! The kernels are committed as PTX (sources in `kernels/` at the top of the repository), which the
//! driver compiles for the device at hand: `f32` from compute capability 7.5 on, `bf16` and tensor
//! cores from 8.0. Operations on other types run by the device's fallback.
//!
//! ```no_run
//! use latimer_backend_cuda::Cuda;
//! use latimer_tensor::{Device, Tensor};
//! let device = Device::new(Cuda::new(0)?);
//! let x = Tensor::from_slice(&device, &[1.0f32, 2.0, 3.0, 4.0], [2, 2])?;
//! assert_eq!(x.matmul(&x)?.to_vec::<f32>()?, [7.0, 10.0, 15.0, 22.0]);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! | file | what is in it |
//! |---|---|
//! | `blas` | products by NVIDIA's cuBLASLt, if it is installed |
//! | `captures` | one capture at a time, and nothing destroyed during it |
//! | `driver` | opening the driver and one device |
//! | `memory` | device memory, workspace, staging |
//! | `kernel`, `module`, `ptx` | kernels by name, loaded at first use, and launches |
//! | `faults` | bad ids, reported when the host waits for the device |
//! | `graph` | a training step recorded once |
//! | `ops` | one file per family of kernels |

mod blas;
mod captures;
mod driver;
mod error;
mod faults;
mod graph;
mod kernel;
mod memory;
mod module;
mod ops;
mod ptx;

pub use error::Error;

use blas::Blas;
use driver::Driver;
use faults::Faults;
use graph::CudaGraph;
use kernel::{Arg, Geometry, Kernels};
use latimer_tensor::{
    Backend, Buffer, DType, DeviceInfo, Graph, Handled, Op, Result, SMALL_CHUNK, View, ViewMut,
    WorkReport,
};
use memory::{CudaMemory, Staging, Workspace};
use std::sync::Arc;
use std::time::Duration;

/// An NVIDIA GPU as a device.
#[derive(Debug)]
pub struct Cuda {
    driver: Arc<Driver>,
    kernels: Kernels,
    blas: Blas,
    workspace: Workspace,
    staging: Staging,
    faults: Faults,
}

impl Cuda {
    /// The GPU of this number, from 0, as the driver counts them.
    ///
    /// # Errors
    /// The reason why it cannot be used.
    pub fn new(ordinal: usize) -> Result<Self, Error> {
        let driver = Arc::new(Driver::open(ordinal)?);
        let failed = |error: latimer_tensor::Error| Error::Driver {
            call: "set-up",
            message: error.to_string(),
        };
        let staging = Staging::new(&driver).map_err(failed)?;
        let faults = Faults::new(&driver, &staging).map_err(failed)?;
        Ok(Self {
            kernels: Kernels::new(&driver),
            blas: Blas::default(),
            workspace: Workspace::default(),
            staging,
            faults,
            driver,
        })
    }

    /// Enqueues a kernel.
    fn launch(&self, name: &'static str, geometry: Geometry, args: &[Arg]) -> Result<Handled> {
        self.kernels.launch(name, geometry, args)?;
        Ok(Handled::Done)
    }

    /// The address of workspace for this operation.
    fn workspace(&self, bytes: usize) -> Result<u64> {
        self.workspace.get(&self.driver, bytes)
    }

    /// Whether tensor cores take `bf16` here (compute capability 8.0).
    fn has_bf16(&self) -> bool {
        self.driver.capability >= (8, 0)
    }
}

impl Backend for Cuda {
    fn info(&self) -> DeviceInfo {
        let driver = &self.driver;
        // `DeviceInfo` is non-exhaustive, so it cannot be written as a literal here.
        let mut info = DeviceInfo::default();
        info.backend = "cuda".into();
        info.name.clone_from(&driver.name);
        info.memory_bytes = Some(driver.memory_bytes as u64);
        info.detail = format!(
            "compute capability {}.{}, {} multiprocessors, driver for CUDA {}.{}, {}",
            driver.capability.0,
            driver.capability.1,
            driver.multiprocessors,
            driver.version / 1000,
            driver.version % 1000 / 10,
            self.blas.described()
        );
        info
    }

    fn alloc(&self, bytes: usize) -> Result<Box<dyn Buffer>> {
        Ok(Box::new(CudaMemory::new(&self.driver, bytes)?))
    }

    fn upload(&self, src: &[u8], dst: ViewMut<'_>) -> Result<()> {
        let to = memory::pointer(dst.as_view())?;
        self.staging.upload(src, to)
    }

    fn download(&self, src: View<'_>, dst: &mut [u8]) -> Result<()> {
        let from = memory::pointer(src)?;
        self.faults.download(&self.staging, from, dst)
    }

    fn run(&self, op: &mut Op<'_>) -> Result<Handled> {
        ops::run(self, op)
    }

    fn is_native(&self, dtype: DType) -> bool {
        match dtype {
            DType::F32 => true,
            DType::Bf16 => self.has_bf16(),
            _ => false,
        }
    }

    fn has_queue(&self) -> bool {
        true
    }

    fn chunk_bytes(&self) -> usize {
        chunk_bytes(self.driver.memory_bytes)
    }

    fn capture(&self, step: &mut dyn FnMut() -> Result<()>) -> Result<Option<Box<dyn Graph>>> {
        if self.driver.is_blocking {
            // The driver cannot wait for each kernel of a graph.
            return Ok(None);
        }
        Ok(Some(Box::new(CudaGraph::record(&self.driver, step)?)))
    }

    fn preload(&self) -> Result<Option<Duration>> {
        self.kernels.load_all().map(Some)
    }

    fn work_report(&self) -> WorkReport {
        self.blas.report()
    }

    fn synchronize(&self) -> Result<()> {
        self.faults.download(&self.staging, 0, &mut [])
    }
}

/// A sixteenth of the device's memory, at most 1 GiB, as a power of two: the same on all devices of
/// one kind, although drivers keep a little of the memory for themselves. The free memory must not
/// matter: a run has the same bits whatever else uses the device.
fn chunk_bytes(memory_bytes: usize) -> usize {
    let share = (memory_bytes / 16).max(1);
    (1usize << share.ilog2()).clamp(SMALL_CHUNK, 1 << 30)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_grow_with_the_memory_of_the_device() {
        let gib = |n: f64| (n * f64::from(1 << 30)) as usize;
        // An H200, an 80 GB card, a 24 GB card as its driver counts it, a 16 GB one, an 8 GB one.
        for (memory, chunk) in [
            (139.8, 1.0),
            (79.1, 1.0),
            (23.6, 1.0),
            (15.7, 0.5),
            (7.8, 0.25),
            (0.5, 0.0625),
            (0.0, 0.0625),
        ] {
            assert_eq!(chunk_bytes(gib(memory)), gib(chunk), "{memory} GiB");
        }
    }
}
