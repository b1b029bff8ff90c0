//! Device memory, the workspace, and copies to and from the host.

#![allow(unsafe_code, reason = "calls of the driver")]

use crate::Arg;
use crate::captures;
use crate::driver::Driver;
use cudarc::driver::{DriverError, result, sys};
use latimer_tensor::{Buffer, Error, Result, View, ViewMut};
use std::ffi::c_void;
use std::sync::{Arc, Mutex, PoisonError};

/// A piece of device memory, freed on drop.
#[derive(Debug)]
pub(crate) struct CudaMemory {
    pointer: sys::CUdeviceptr,
    bytes: usize,
    driver: Arc<Driver>,
}

impl Buffer for CudaMemory {}

impl CudaMemory {
    /// New memory, its content unspecified.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`], with the free memory.
    pub(crate) fn new(driver: &Arc<Driver>, bytes: usize) -> Result<Self> {
        let bound = driver.context.bind_to_thread();
        // SAFETY: the memory is uninitialised, and nothing reads it before it is written.
        let allocated = bound.and_then(|()| unsafe { result::malloc_sync(bytes.max(256)) });
        let pointer = allocated.map_err(|error| match error {
            DriverError(sys::CUresult::CUDA_ERROR_OUT_OF_MEMORY) => out_of_memory(driver, bytes),
            other => driver.error(&format!("allocating {bytes} bytes"), other),
        })?;
        Ok(Self {
            pointer,
            bytes,
            driver: Arc::clone(driver),
        })
    }

    pub(crate) fn pointer(&self) -> sys::CUdeviceptr {
        self.pointer
    }
}

/// The error for a failed allocation. It appends the free and the total memory to the device's
/// name, because the reader wants to know them.
fn out_of_memory(driver: &Driver, requested: usize) -> Error {
    let gib = |bytes: usize| bytes as f64 / f64::from(1 << 30);
    let device = match result::mem_get_info() {
        Ok((free, total)) => format!(
            "{} ({:.2} of {:.2} GiB free; a smaller batch_size or block_size needs less)",
            driver.name,
            gib(free),
            gib(total)
        ),
        Err(_) => driver.name.clone(),
    };
    Error::OutOfMemory {
        device,
        requested,
        in_use: 0,
    }
}

impl Drop for CudaMemory {
    fn drop(&mut self) {
        let (pointer, driver) = (self.pointer, Arc::clone(&self.driver));
        captures::destroy(move || {
            // Freeing waits for the work that uses the memory. After a failure nothing more can be
            // done here: the next call reports what is wrong with the device.
            let bound = driver.context.bind_to_thread();
            // SAFETY: the pointer came from `malloc_sync`, and this was its only owner.
            let _ = bound.and_then(|()| unsafe { result::free_sync(pointer) });
        });
    }
}

/// The device address of a view's first element.
///
/// # Errors
/// [`Error::ForeignBuffer`].
pub(crate) fn pointer(view: View<'_>) -> Result<u64> {
    let memory: &CudaMemory = view.buffer()?;
    debug_assert!(view.offset() + view.bytes() <= memory.bytes.max(256));
    Ok(memory.pointer + view.offset() as u64)
}

/// The kernel argument for an operand that is read.
///
/// # Errors
/// [`Error::ForeignBuffer`].
pub(crate) fn input(view: View<'_>) -> Result<Arg> {
    pointer(view).map(Arg::Pointer)
}

/// The kernel argument for an operand that is read, or a null pointer if it is missing.
///
/// # Errors
/// [`Error::ForeignBuffer`].
pub(crate) fn input_or_null(view: Option<View<'_>>) -> Result<Arg> {
    view.map_or(Ok(Arg::Pointer(0)), input)
}

/// The kernel argument for an operand that is written.
///
/// # Errors
/// [`Error::ForeignBuffer`].
pub(crate) fn output(view: &mut ViewMut<'_>) -> Result<Arg> {
    pointer(view.as_view()).map(Arg::Pointer)
}

/// The kernel argument for an operand that is written, or a null pointer if it is missing.
///
/// # Errors
/// [`Error::ForeignBuffer`].
pub(crate) fn output_or_null(view: &mut Option<ViewMut<'_>>) -> Result<Arg> {
    view.as_mut().map_or(Ok(Arg::Pointer(0)), output)
}

/// Memory that an operation uses while it runs. Operations run in order, so the next one may reuse
/// it.
///
/// The workspace only grows, and keeps memory that became too small: a recorded graph may hold its
/// address.
#[derive(Debug, Default)]
pub(crate) struct Workspace(Mutex<Vec<CudaMemory>>);

impl Workspace {
    /// The address of at least `bytes` bytes, aligned to 256.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`].
    pub(crate) fn get(&self, driver: &Arc<Driver>, bytes: usize) -> Result<u64> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match all.last() {
            Some(last) if last.bytes >= bytes => Ok(last.pointer),
            _ => {
                // A power of two, so that all smaller pieces together are no larger than this one.
                let bytes = bytes.next_power_of_two().max(1 << 20);
                let memory = CudaMemory::new(driver, bytes)?;
                let pointer = memory.pointer;
                all.push(memory);
                Ok(pointer)
            }
        }
    }
}

/// Bytes of one staging buffer, without those of a [`Note`].
const STAGE: usize = 1 << 20;

/// The bytes that are also copied to the host whenever it waits for the device: see
/// [`crate::faults`].
pub(crate) type Note = [u8; NOTE_BYTES];

/// Bytes of a [`Note`].
pub(crate) const NOTE_BYTES: usize = 24;

/// Page-locked host memory that copies go through: the device reads and writes it directly.
#[derive(Debug)]
pub(crate) struct Staging {
    stages: Mutex<[Stage; 2]>,
    driver: Arc<Driver>,
}

/// One buffer, and the event after which it may be used again.
#[derive(Clone, Copy, Debug)]
struct Stage {
    memory: *mut u8,
    free: sys::CUevent,
}

// SAFETY: the memory and the event belong to the stage alone, and the driver's calls may come from
// any thread.
unsafe impl Send for Stage {}

impl Staging {
    /// # Errors
    /// When the host has no memory to lock.
    pub(crate) fn new(driver: &Arc<Driver>) -> Result<Self> {
        let stage = || {
            driver.call("locking host memory", || {
                // SAFETY: plain memory, freed in `drop`; flags 0: cached, so that it can be read.
                let memory = unsafe { result::malloc_host(STAGE + NOTE_BYTES, 0) }?;
                let free = result::event::create(sys::CUevent_flags::CU_EVENT_DISABLE_TIMING)?;
                Ok(Stage {
                    memory: memory.cast(),
                    free,
                })
            })
        };
        Ok(Self {
            stages: Mutex::new([stage()?, stage()?]),
            driver: Arc::clone(driver),
        })
    }

    /// Copies host bytes to the device, in order with its work; `src` is read before this returns.
    ///
    /// # Errors
    /// The device's failure.
    pub(crate) fn upload(&self, src: &[u8], to: u64) -> Result<()> {
        let mut stages = self.stages.lock().unwrap_or_else(PoisonError::into_inner);
        let stream = self.driver.stream.cu_stream();
        for (i, piece) in src.chunks(STAGE).enumerate() {
            let stage = &mut stages[i % 2];
            self.driver.call("copying to the device", || {
                // SAFETY: the event is alive; it is recorded after the last copy from this stage.
                unsafe { result::event::synchronize(stage.free) }?;
                // SAFETY: the stage has room for a piece, and no copy reads it any more.
                let staged = unsafe {
                    std::ptr::copy_nonoverlapping(piece.as_ptr(), stage.memory, piece.len());
                    std::slice::from_raw_parts(stage.memory, piece.len())
                };
                // SAFETY: the caller's view has room for all of `src`, on this device.
                unsafe { result::memcpy_htod_async(to + (i * STAGE) as u64, staged, stream) }?;
                // SAFETY: both are alive.
                unsafe { result::event::record(stage.free, stream) }
            })?;
        }
        // The next upload begins with the stage that was used longest ago.
        if !src.len().div_ceil(STAGE).is_multiple_of(2) {
            stages.swap(0, 1);
        }
        Ok(())
    }

    /// Waits for the device's work, then copies device bytes to the host, and with the last of them
    /// the note at `note`. It waits once for each [`STAGE`] bytes, and at least once.
    ///
    /// # Errors
    /// The device's failure.
    pub(crate) fn download(&self, from: u64, dst: &mut [u8], note: u64) -> Result<Note> {
        let mut stages = self.stages.lock().unwrap_or_else(PoisonError::into_inner);
        let stream = self.driver.stream.cu_stream();
        let stage = &mut stages[0];
        let mut noted = [0; NOTE_BYTES];
        let pieces = dst.len().div_ceil(STAGE).max(1);
        for i in 0..pieces {
            let end = dst.len().min((i + 1) * STAGE);
            let piece = &mut dst[i * STAGE..end];
            self.driver.call("copying from the device", || {
                // SAFETY: the event is alive; no upload reads the stage after it.
                unsafe { result::event::synchronize(stage.free) }?;
                // SAFETY: the stage has room for a piece and a note, and is nobody else's.
                let staged = unsafe {
                    std::slice::from_raw_parts_mut(stage.memory, piece.len() + NOTE_BYTES)
                };
                let (staged, staged_note) = staged.split_at_mut(piece.len());
                if !piece.is_empty() {
                    // SAFETY: the caller's view has as many bytes on this device.
                    unsafe {
                        result::memcpy_dtoh_async(staged, from + (i * STAGE) as u64, stream)?;
                    }
                }
                if i + 1 == pieces {
                    // SAFETY: the note is memory of this device, as long as this.
                    unsafe { result::memcpy_dtoh_async(staged_note, note, stream) }?;
                }
                // SAFETY: the stream is alive.
                unsafe { result::stream::synchronize(stream) }?;
                piece.copy_from_slice(staged);
                if i + 1 == pieces {
                    noted.copy_from_slice(staged_note);
                }
                Ok(())
            })?;
        }
        Ok(noted)
    }
}

impl Drop for Staging {
    fn drop(&mut self) {
        let stages = self
            .stages
            .get_mut()
            .unwrap_or_else(PoisonError::into_inner);
        for stage in *stages {
            let driver = Arc::clone(&self.driver);
            captures::destroy(move || {
                let stage = stage;
                let bound = driver.context.bind_to_thread();
                // SAFETY: made in `new`, and nothing uses them any more once the stream is done.
                let _ = bound.and_then(|()| unsafe {
                    result::stream::synchronize(driver.stream.cu_stream())?;
                    result::event::destroy(stage.free)?;
                    result::free_host(stage.memory.cast::<c_void>())
                });
            });
        }
    }
}
