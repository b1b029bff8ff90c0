//! A step that is recorded once and then repeated.

use crate::{Device, Error, Graph, Result};
use std::sync::{Mutex, PoisonError};

/// The operations of a step, recorded, and the memory that they work in.
///
/// The memory that the step requested while it was recorded stays with it until it is dropped: no
/// tensor that is made later gets memory that a launch would write. A tensor that outlives the
/// recording (a loss to be read, for example) holds what the last launch wrote there.
///
/// The memory that the step uses but did not request (parameters, scalars, ids) must outlive it and
/// stay where it is: keep those tensors as long as the recording.
///
/// ```
/// use latimer_tensor::{Device, Error, Tensor};
/// let device = Device::reference();
/// let captured = device.capture::<Error>(&mut || Ok(()))?;
/// assert!(captured.is_none()); // the reference repeats nothing by itself
/// # Ok::<(), Error>(())
/// ```
#[derive(Debug)]
pub struct CapturedStep {
    /// Behind a lock, so that several threads can hold references to a model in training.
    graph: Mutex<Box<dyn Graph>>,
    device: Device,
    /// The step's number in the device's pool, which owns the step's memory.
    number: u64,
}

impl Device {
    /// Records the operations that `step` enqueues, without running them. [`CapturedStep::launch`]
    /// then runs them, any number of times. Returns `None`, without calling `step`, if the backend
    /// cannot record.
    ///
    /// The step must have been run before with the same shapes, better twice than once: then all
    /// the memory it needs is free in the pool, and nothing has to be allocated, compiled or chosen
    /// while it is recorded. Nobody else may use the device during the recording.
    ///
    /// # Errors
    /// The error that `step` fails with; [`Error::InCapture`] when it needs the host (a copy,
    /// waiting, an operation without a native version), or when a step is being captured already;
    /// the device's failure. After an error the pool is as it was before.
    pub fn capture<E: From<Error>>(
        &self,
        step: &mut dyn FnMut() -> Result<(), E>,
    ) -> Result<Option<CapturedStep>, E> {
        self.refuse_in_capture("a capture")?;
        let Some(number) = self.pool().begin_capture() else {
            return Ok(None);
        };
        let mut capture = Capture {
            device: self,
            number,
            kept: false,
        };
        let mut failed = None;
        let graph = self.backend().capture(&mut || {
            step().map_err(|error| {
                failed = Some(error);
                // The caller gets the step's own error; this one only ends the recording.
                Error::InCapture {
                    device: self.info().name,
                    what: "a step that fails",
                }
            })
        });
        if let Some(error) = failed {
            return Err(error);
        }
        let Some(graph) = graph? else {
            return Ok(None);
        };
        capture.kept = true;
        Ok(Some(CapturedStep {
            graph: Mutex::new(graph),
            device: self.clone(),
            number,
        }))
    }
}

/// A capture in progress. Dropping it, even by a panic, restores the pool.
struct Capture<'d> {
    device: &'d Device,
    number: u64,
    kept: bool,
}

impl Drop for Capture<'_> {
    fn drop(&mut self) {
        let mut pool = self.device.pool();
        pool.end_capture();
        if !self.kept {
            pool.release(self.number);
        }
    }
}

impl CapturedStep {
    /// Enqueues the step once more.
    ///
    /// # Errors
    /// [`Error::InCapture`] within another capture, or the device's failure.
    pub fn launch(&self) -> Result<()> {
        self.device.refuse_in_capture("a launch")?;
        let graph = self.graph.lock().unwrap_or_else(PoisonError::into_inner);
        graph.launch()
    }
}

impl Drop for CapturedStep {
    fn drop(&mut self) {
        // On one queue, the next user of this memory writes it after the last launch has ended.
        self.device.pool().release(self.number);
    }
}
