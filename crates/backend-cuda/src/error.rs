//! The errors of opening a CUDA device.

/// The reason why a device cannot be opened. Once it is open, failures are
/// [`latimer_tensor::Error`]s.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    // ---- the driver
    /// The driver's library is not there.
    #[error(
        "no NVIDIA driver was found (libcuda cannot be loaded): install the driver, or use --backend cpu"
    )]
    NoDriver,
    /// The driver's library exists, but the loader cannot load it.
    #[error(
        "the NVIDIA driver's library cannot be loaded ({reason}): reinstall the driver, or use \
         --backend cpu"
    )]
    BrokenDriver {
        /// The loader's reason.
        reason: String,
    },
    /// The library that `LATIMER_CUDA_DRIVER` names does not load.
    #[error("LATIMER_CUDA_DRIVER names {path}, which cannot be loaded: {reason}")]
    BadDriverPath {
        /// The path.
        path: String,
        /// The loader's reason.
        reason: String,
    },
    /// The driver is older than the kernels.
    #[error(
        "the NVIDIA driver supports CUDA {}.{}, but {}.{} is needed: install driver 550 or newer, or use --backend cpu",
        found / 1000, found % 1000 / 10, needed / 1000, needed % 1000 / 10
    )]
    OldDriver {
        /// The driver's version: 12040 is CUDA 12.4.
        found: i32,
        /// The oldest version that the kernels can use.
        needed: i32,
    },
    /// A call of the driver failed.
    #[error("the NVIDIA driver's {call} failed: {message}")]
    Driver {
        /// The call.
        call: &'static str,
        /// The driver's message.
        message: String,
    },

    // ---- devices
    /// The driver works, but sees no device.
    #[error("the NVIDIA driver sees no GPU (is CUDA_VISIBLE_DEVICES empty?): use --backend cpu")]
    NoDevice,
    /// There are devices, but not this one.
    #[error("there is no GPU number {ordinal}: the driver sees {count}, numbered from 0")]
    NoSuchDevice {
        /// The number that was requested.
        ordinal: usize,
        /// The number of devices.
        count: usize,
    },
    /// The device is older than the kernels.
    #[error(
        "{name} has compute capability {}.{}, but 7.5 (Turing) or newer is needed: use --backend cpu",
        capability.0, capability.1
    )]
    OldDevice {
        /// The device's name.
        name: String,
        /// The device's compute capability.
        capability: (i32, i32),
    },
}
