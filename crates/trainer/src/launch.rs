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

    /// Runs `step`, by calling it or by replaying a recording of an earlier step. Its shapes must
    /// be those of the earlier steps.
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
        let recorded = device.capture(step).and_then(|captured| {
            // A first launch that fails has enqueued nothing.
            captured.as_ref().map_or(Ok(()), CapturedStep::launch)?;
            Ok(captured)
        });
        match recorded {
            Ok(Some(captured)) => {
                self.captured = Some(captured);
                return Ok(());
            }
            Ok(None) => {}
            // The same operations one by one give the same bits, later. An error of the step's own,
            // or a device that is lost, shows again below.
            // mutant: a_capture_that_fails_ends_the_run
            Err(error) => self.refusal = Some(refusal(&error)),
        }
        self.plain = true;
        step()
    }
}

fn refusal(error: &Error) -> String {
    use latimer_nn::Error as Model;
    // Of a device its own words, as the sentence names the device already.
    let reason = match error {
        Error::Model(Model::Autograd(latimer_autograd::Error::Tensor(
            latimer_tensor::Error::Device { message, .. },
        ))) => message.clone(),
        error => error.to_string(),
    };
    format!(
        "the device could not record a training step ({reason}): steps are enqueued operation by \
         operation, more slowly but with the same bits"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use latimer_tensor::{
        Backend, Buffer, DeviceInfo, Error as Failure, Graph, Reference, Result as Done, View,
        ViewMut,
    };

    /// How a recording ends.
    type Capture = fn(&mut dyn FnMut() -> Done<()>) -> Done<Option<Box<dyn Graph>>>;

    /// A device that records as it is asked to.
    #[derive(Debug)]
    struct Recorder(Reference, Capture);

    impl Backend for Recorder {
        fn info(&self) -> DeviceInfo {
            self.0.info()
        }
        fn alloc(&self, bytes: usize) -> Done<Box<dyn Buffer>> {
            self.0.alloc(bytes)
        }
        fn upload(&self, src: &[u8], dst: ViewMut<'_>) -> Done<()> {
            self.0.upload(src, dst)
        }
        fn download(&self, src: View<'_>, dst: &mut [u8]) -> Done<()> {
            self.0.download(src, dst)
        }
        fn capture(&self, step: &mut dyn FnMut() -> Done<()>) -> Done<Option<Box<dyn Graph>>> {
            self.1(step)
        }
    }

    /// A recording that is not launched.
    #[derive(Debug)]
    struct Broken;

    impl Graph for Broken {
        fn launch(&self) -> Done<()> {
            Err(lost("launching a graph failed"))
        }
    }

    fn lost(message: &str) -> Failure {
        Failure::Device {
            device: "stub".into(),
            message: message.into(),
        }
    }

    /// Four steps on a device that records so: how often the step was called, and what was said.
    fn four_steps(capture: Capture, fails_at: u32) -> (Vec<Result<()>>, u32, Option<String>) {
        let device = Device::new(Recorder(Reference, capture));
        let (mut launch, mut calls) = (Launch::default(), 0);
        let results = (1..=4).map(|_| {
            launch.run(&device, &mut || {
                calls += 1;
                match calls >= fails_at {
                    true => Err(lost("the step failed").into()),
                    false => Ok(()),
                }
            })
        });
        let results = results.collect();
        (results, calls, launch.take_capture_failure())
    }

    #[test]
    fn whatever_the_recording_fails_with_steps_go_on_one_by_one() {
        let cases: [(Capture, u32, &str); 4] = [
            (|_| Err(lost("it failed")), 4, "(it failed)"),
            (
                |step| {
                    step()?;
                    Err(Failure::OutOfMemory {
                        device: "stub".into(),
                        requested: 5,
                        in_use: 7,
                    })
                },
                5,
                "cannot allocate 5 bytes",
            ),
            (
                |_| {
                    Err(Failure::InCapture {
                        device: "stub".into(),
                        what: "a copy",
                    })
                },
                4,
                "a copy",
            ),
            (
                |step| step().map(|()| Some(Box::new(Broken) as Box<dyn Graph>)),
                5,
                "(launching a graph failed)",
            ),
        ];
        for (capture, expected, words) in cases {
            let (results, calls, said) = four_steps(capture, u32::MAX);
            assert!(results.iter().all(Result::is_ok), "{words}: {results:?}");
            assert_eq!(calls, expected, "{words}");
            let said = said.unwrap_or_else(|| panic!("{words}: nothing was said"));
            assert!(said.contains(words), "{said}");
        }
    }

    #[test]
    fn an_error_of_the_steps_own_is_the_one_that_is_told() {
        let (results, calls, _) = four_steps(|step| step().map(|()| None), 3);
        let told = results[2].as_ref().map_err(ToString::to_string);
        assert_eq!(results.iter().filter(|result| result.is_ok()).count(), 2);
        assert!(told.is_err_and(|told| told.contains("the step failed")));
        // While it was recorded, once more for its error, and in the step after.
        assert_eq!(calls, 5);
    }
}
