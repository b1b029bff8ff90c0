//! A step that is recorded once and then repeated.

use crate::{Device, Error, Graph, Result};
use std::sync::{Mutex, PoisonError};

/// The operations of a step, recorded, and the memory that they work in.
///
/// What the step asked the device for while it was recorded stays with it until it is dropped: no
/// tensor that is made later gets memory that a launch would write. A tensor that outlives the
/// recording (a loss to be looked at) holds what the last launch put there.
///
/// The memory that the step finds (parameters, scalars, ids) must outlive it, unmoved: keep those
/// tensors beside it.
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
    /// Behind a lock, so that a model in training can be looked at from several threads.
    graph: Mutex<Box<dyn Graph>>,
    device: Device,
    /// Whose memory it is in the device's pool.
    number: u64,
}

impl Device {
    /// Records what `step` enqueues, without running it; `None`, without calling it, if the
    /// backend cannot. Then [`CapturedStep::launch`] runs it, as often as wanted.
    ///
    /// The step must have been run before, twice better than once, with the same shapes: then all
    /// it needs lies free in the pool, and nothing has to be allocated, compiled or chosen while it
    /// is recorded. Nobody else may use the device meanwhile.
    ///
    /// # Errors
    /// What `step` fails with; [`Error::InCapture`] when it needs the host (a copy, waiting, an
    /// operation without a native version), or when a step is being captured already; the device's
    /// failure. The pool is then as it was.
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

/// A capture under way; its end, however it comes, gives the pool back.
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
        // On one queue, whoever gets this memory writes it after the last launch has ended.
        self.device.pool().release(self.number);
    }
}
