//! A training step recorded once as a CUDA graph and launched as one.

#![allow(unsafe_code, reason = "calls of the driver")]

use crate::captures;
use crate::driver::Driver;
use cudarc::driver::{result, sys};
use latimer_tensor::{Graph, Result};
use std::mem::ManuallyDrop;
use std::sync::Arc;

/// A recorded step, ready to be launched.
#[derive(Debug)]
pub(crate) struct CudaGraph {
    exec: sys::CUgraphExec,
    driver: Arc<Driver>,
}

// SAFETY: the driver's calls on a graph may come from any thread, one at a time: `Graph` is `Send`
// and not `Sync`.
unsafe impl Send for CudaGraph {}

impl CudaGraph {
    /// Records what `step` enqueues instead of running it.
    ///
    /// # Errors
    /// The error of `step`, or the driver's failure. The recording has then ended and is discarded,
    /// as also after a panic of `step`.
    pub(crate) fn record(
        driver: &Arc<Driver>,
        step: &mut dyn FnMut() -> Result<()>,
    ) -> Result<Self> {
        let _alone = captures::begin();
        let capture = Capture::begin(driver)?;
        step()?;
        let recorded = capture.end()?;
        let exec = driver.call("instantiating a graph", || {
            let flags = sys::CUgraphInstantiate_flags(0);
            // SAFETY: the graph was just made; the executable one is a copy.
            unsafe { result::graph::instantiate(recorded.raw, flags) }
        })?;
        let graph = Self {
            exec,
            driver: Arc::clone(driver),
        };
        // Upload now, while the step can still be run without a graph, and not at the first launch.
        driver.call("uploading a graph", || {
            // SAFETY: both are alive.
            unsafe { result::graph::upload(graph.exec, driver.stream.cu_stream()) }
        })?;
        Ok(graph)
    }
}

/// A capture in progress. Dropping it, even by a panic, ends the capture and discards the graph.
#[derive(Debug)]
struct Capture<'d>(&'d Arc<Driver>);

impl<'d> Capture<'d> {
    fn begin(driver: &'d Arc<Driver>) -> Result<Self> {
        driver.call("beginning a capture", || {
            use sys::CUstreamCaptureMode as Mode;
            let mode = Mode::CU_STREAM_CAPTURE_MODE_THREAD_LOCAL;
            // SAFETY: the stream is alive and is not the default one.
            unsafe { result::stream::begin_capture(driver.stream.cu_stream(), mode) }
        })?;
        Ok(Self(driver))
    }

    fn end(self) -> Result<Recorded> {
        let driver = ManuallyDrop::new(self).0;
        Self::ended(driver)
    }

    fn ended(driver: &Arc<Driver>) -> Result<Recorded> {
        let raw = driver.call("ending a capture", || {
            // SAFETY: the stream is alive, and its capture was begun by this thread.
            unsafe { result::stream::end_capture(driver.stream.cu_stream()) }
        })?;
        let driver = Arc::clone(driver);
        Ok(Recorded { raw, driver })
    }
}

impl Drop for Capture<'_> {
    fn drop(&mut self) {
        // The step failed or panicked: drop the graph; the error has been reported already.
        // mutant: a_panic_leaves_the_capture_open
        let _ = Self::ended(self.0);
    }
}

/// The graph that a capture recorded.
#[derive(Debug)]
struct Recorded {
    raw: sys::CUgraph,
    driver: Arc<Driver>,
}

impl Drop for Recorded {
    fn drop(&mut self) {
        if self.raw.is_null() {
            return;
        }
        let _ = self.driver.call("destroying a graph", || {
            // SAFETY: this is its only owner. After a failure nothing more can be done.
            unsafe { result::graph::destroy(self.raw) }
        });
    }
}

impl Graph for CudaGraph {
    fn launch(&self) -> Result<()> {
        self.driver.call("launching a graph", || {
            // SAFETY: both are alive; what the graph reads and writes is kept by its owner.
            unsafe { result::graph::launch(self.exec, self.driver.stream.cu_stream()) }
        })
    }
}

impl Drop for CudaGraph {
    fn drop(&mut self) {
        let (exec, driver) = (Handle(self.exec), Arc::clone(&self.driver));
        captures::destroy(move || {
            let exec = exec;
            let _ = driver.call("destroying a graph", || {
                // SAFETY: made in `record`, and this was its only owner; a launch under way keeps
                // what it needs.
                unsafe { result::graph::exec_destroy(exec.0) }
            });
        });
    }
}

/// An executable graph, moved to where it is destroyed.
struct Handle(sys::CUgraphExec);

// SAFETY: the driver's calls on a graph may come from any thread.
unsafe impl Send for Handle {}
