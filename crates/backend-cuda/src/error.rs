//! Why there is no CUDA device.

/// Why a device does not open. Once it is open, failures are [`latimer_tensor::Error`]s.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    // ---- the driver
    /// The driver's library is not there.
    #[error(
        "no NVIDIA driver was found (libcuda cannot be loaded): install the driver, or use --backend cpu"
    )]
    NoDriver,
    /// The driver's library is there, and the loader does not take it.
    #[error(
        "the NVIDIA driver's library cannot be loaded ({reason}): install the driver anew, or use --backend cpu"
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
        /// Its version, as in 12040 for 12.4.
        found: i32,
        /// The oldest that will do.
        needed: i32,
    },
    /// A call of the driver failed.
    #[error("the NVIDIA driver's {call} failed: {message}")]
    Driver {
        /// The call.
        call: &'static str,
        /// What the driver said.
        message: String,
    },

    // ---- devices
    /// The driver works and sees no device.
    #[error("the NVIDIA driver sees no GPU (is CUDA_VISIBLE_DEVICES empty?): use --backend cpu")]
    NoDevice,
    /// There are devices, but not this one.
    #[error("there is no GPU number {ordinal}: the driver sees {count}, numbered from 0")]
    NoSuchDevice {
        /// The number asked for.
        ordinal: usize,
        /// How many there are.
        count: usize,
    },
    /// The device is older than the kernels.
    #[error(
        "{name} has compute capability {}.{}, but 7.5 (Turing) or newer is needed: use --backend cpu",
        capability.0, capability.1
    )]
    OldDevice {
        /// Its name.
        name: String,
        /// Its compute capability.
        capability: (i32, i32),
    },
}
