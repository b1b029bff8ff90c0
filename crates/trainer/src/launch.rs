//! How the operations of a step reach the device: one by one, or recorded once and repeated.

use crate::{Error, Result};
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
    /// Why the device did not record a step that it should have been able to.
    refusal: Option<String>,
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

    /// A sentence on why steps are enqueued one by one though the device records steps. Given once.
    pub(crate) fn take_capture_failure(&mut self) -> Option<String> {
        self.refusal.take()
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
        match device.capture(step) {
            Ok(Some(captured)) => {
                captured.launch()?;
                self.captured = Some(captured);
                return Ok(());
            }
            Ok(None) => {}
            // The same operations one by one give the same bits, later. A failure that is the step's own,
            // or a device that is lost, shows again below.
            Err(error) => match device_failure(&error) {
                Some(reason) => self.refusal = Some(refusal(reason)),
                None => return Err(error),
            },
        }
        self.plain = true;
        step()
    }
}

fn refusal(reason: &str) -> String {
    format!(
        "the device could not record a training step ({reason}): steps are enqueued operation by \
         operation, with the same bits and more slowly"
    )
}

/// What the device says, if it is the device that failed.
fn device_failure(error: &Error) -> Option<&str> {
    use latimer_nn::Error as Model;
    match error {
        Error::Model(Model::Autograd(latimer_autograd::Error::Tensor(
            latimer_tensor::Error::Device { message, .. },
        ))) => Some(message),
        _ => None,
    }
}
