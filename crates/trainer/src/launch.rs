//! How the operations of a step reach the device: one by one, or recorded once and repeated.

use crate::Result;
use latimer_tensor::{CapturedStep, Device};

/// Steps that run one by one before one is recorded: after the first the pool holds what a step
/// needs, and the second shows that it suffices.
const WARM_UP: u32 = 2;

/// The way that steps take.
#[derive(Debug, Default)]
pub(crate) struct Launch {
    /// One by one for ever: asked for, or because this device cannot repeat.
    plain: bool,
    /// Steps done one by one.
    warm: u32,
    captured: Option<CapturedStep>,
}

impl Launch {
    /// Enqueues every step one by one from now on.
    pub(crate) fn always_plain(&mut self) {
        self.plain = true;
        self.captured = None;
    }

    /// Whether steps are repeated from a recording.
    pub(crate) fn is_captured(&self) -> bool {
        self.captured.is_some()
    }

    /// Has the device do `step`, whose shapes are those of the steps before; by calling it, or
    /// without.
    pub(crate) fn run(
        &mut self,
        device: &Device,
        step: &mut dyn FnMut() -> Result<()>,
    ) -> Result<()> {
        if let Some(captured) = &self.captured {
            return Ok(captured.launch()?);
        }
        if self.plain {
            return step();
        }
        if self.warm < WARM_UP {
            let before = device.fallbacks();
            step()?;
            self.warm += 1;
            // What needs the host cannot be recorded.
            self.plain = device.fallbacks() > before;
            return Ok(());
        }
        match device.capture(step)? {
            Some(captured) => {
                captured.launch()?;
                self.captured = Some(captured);
                Ok(())
            }
            None => {
                self.plain = true;
                step()
            }
        }
    }
}
