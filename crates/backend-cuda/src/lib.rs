//! Latimer's CUDA backend: not built yet, and it says so.
//!
//! The crate's only act is [`open`], which gives a typed error, so that `--backend cuda` and
//! `latimer devices` can say why there is no such device. The kernels come with a later version.

use latimer_tensor::Device;

/// Why there is no CUDA device.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// This version has no CUDA kernels.
    #[error(
        "this version of Latimer has no CUDA backend yet: use --backend cpu, or --backend auto"
    )]
    NotBuilt,
}

/// Opens a CUDA device.
///
/// # Errors
/// [`Error::NotBuilt`], always, for now.
pub fn open() -> Result<Device, Error> {
    Err(Error::NotBuilt)
}
