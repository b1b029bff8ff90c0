//! A training step recorded once as a CUDA graph and launched as one.

#![allow(unsafe_code, reason = "calls of the driver")]

use crate::driver::Driver;
use cudarc::driver::{result, sys};
use latimer_tensor::{Graph, Result};
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
    /// What `step` fails with, or the driver's failure; nothing is then being recorded any more.
    pub(crate) fn record(
        driver: &Arc<Driver>,
        step: &mut dyn FnMut() -> Result<()>,
    ) -> Result<Self> {
        let stream = driver.stream.cu_stream();
        driver.call("beginning a capture", || {
            use sys::CUstreamCaptureMode as Mode;
            // SAFETY: the stream is alive and is not the default one.
            unsafe {
                result::stream::begin_capture(stream, Mode::CU_STREAM_CAPTURE_MODE_THREAD_LOCAL)
            }
        })?;
        let done = step();
        let graph = driver.call("ending a capture", || {
            // SAFETY: the stream is alive; its capture was begun above.
            unsafe { result::stream::end_capture(stream) }
        });
        done?;
        let graph = graph?;
        let exec = driver.call("instantiating a graph", || {
            // SAFETY: the graph was just made.
            let exec =
                unsafe { result::graph::instantiate(graph, sys::CUgraphInstantiate_flags(0)) };
            // SAFETY: as above; the executable graph is a copy.
            unsafe { result::graph::destroy(graph) }?;
            exec
        })?;
        Ok(Self {
            exec,
            driver: Arc::clone(driver),
        })
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
        let bound = self.driver.context.bind_to_thread();
        // SAFETY: made in `record`; a launch under way keeps what it needs.
        let _ = bound.and_then(|()| unsafe { result::graph::exec_destroy(self.exec) });
    }
}
