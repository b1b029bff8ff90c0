//! Devices by kind: the one place of the library where backends are known.

use crate::Result;
use latimer_tensor::Device;

/// Opens devices: `Device::auto()`, `Device::cpu(threads)`, `Device::cuda(ordinal)`.
///
/// A trait, because [`Device`] belongs to a crate that knows no backend; the prelude brings it.
///
/// ```
/// use latimer::prelude::*;
///
/// let device = Device::auto()?; // a GPU if one answers, else the CPU
/// let one = Tensor::from_slice(&Device::cpu(1)?, &[1.0f32], [1])?;
/// println!("{}: {}", device.info().name, one);
/// # Ok::<(), latimer::Error>(())
/// ```
pub trait OpenDevice: Sized {
    /// The first GPU if it can be used, else the CPU with a thread for each core.
    ///
    /// # Errors
    /// Neither can be used: the CPU's reason.
    fn auto() -> Result<Self>;

    /// The CPU, with this many worker threads; 0 for one per core.
    ///
    /// # Errors
    /// The threads could not be started, or `LATIMER_SIMD` names no level.
    fn cpu(threads: usize) -> Result<Self>;

    /// An NVIDIA GPU by its number, from 0.
    ///
    /// # Errors
    /// Why it cannot be used: no driver, an old one, no such device; or the program was built
    /// without the feature `cuda`.
    fn cuda(ordinal: usize) -> Result<Self>;
}

impl OpenDevice for Device {
    fn auto() -> Result<Self> {
        Self::cuda(0).or_else(|_| Self::cpu(0))
    }

    fn cpu(threads: usize) -> Result<Self> {
        Ok(Self::new(latimer_backend_cpu::Cpu::new(threads)?))
    }

    #[cfg(feature = "cuda")]
    fn cuda(ordinal: usize) -> Result<Self> {
        Ok(Self::new(latimer_backend_cuda::Cuda::new(ordinal)?))
    }

    #[cfg(not(feature = "cuda"))]
    fn cuda(_ordinal: usize) -> Result<Self> {
        Err(crate::Error::NoCuda)
    }
}
