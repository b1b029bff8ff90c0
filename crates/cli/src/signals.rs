//! What Ctrl-C (SIGINT) and SIGTERM do.
//!
//! They end the process at once, with exit status 128 plus the signal's number: whatever a command
//! writes, it writes aside and renames, so nothing half done is left under its name. A command that
//! has something to save or to take away first asks to be told instead ([`Signals::defer`]); a second
//! signal then ends the process all the same.

use crate::error::{Error, Result};
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

/// What the exit status of a process that a signal ended begins at, as shells have it.
const SIGNALLED: i32 = 128;
/// Time between two looks for a signal.
const GLANCE: Duration = Duration::from_millis(50);
/// Time that a command has to end by itself.
const MOMENT: Duration = Duration::from_millis(500);

/// The signals that this process has got.
#[derive(Clone, Debug, Default)]
pub(crate) struct Signals {
    /// Whether the next one ends the process.
    at_once: Arc<AtomicBool>,
    /// Whether one has come.
    come: Arc<AtomicBool>,
    /// The last one's number.
    number: Arc<AtomicUsize>,
}

impl Signals {
    /// Listens from now on.
    ///
    /// # Errors
    /// [`Error::Signals`] when the system does not let us.
    pub(crate) fn listen() -> Result<Self> {
        let signals = Self::default();
        signals.at_once.store(true, Ordering::Relaxed);
        for signal in [SIGINT, SIGTERM] {
            let (at_once, come) = (&signals.at_once, &signals.come);
            // In this order: whether the process ends is asked before the same signal says so.
            flag::register_conditional_shutdown(signal, SIGNALLED + signal, at_once.clone())
                .and_then(|_| flag::register_usize(signal, signals.number.clone(), signal as usize))
                .and_then(|_| flag::register(signal, come.clone()))
                .and_then(|_| flag::register(signal, at_once.clone()))
                .map_err(Error::Signals)?;
        }
        Ok(signals)
    }

    /// Lets the first signal set a flag and do no more: the flag.
    pub(crate) fn defer(&self) -> Arc<AtomicBool> {
        self.at_once.store(false, Ordering::Relaxed);
        self.come.clone()
    }

    /// As [`Signals::defer`], but where the command has not ended half a second after the first
    /// signal, be it in a system call that waits or in a long computation, `clean` is called and the
    /// process ended.
    pub(crate) fn defer_for_a_moment(
        &self,
        clean: impl FnOnce() + Send + 'static,
    ) -> Arc<AtomicBool> {
        let come = self.defer();
        let signals = self.clone();
        std::thread::spawn(move || {
            while !signals.come.load(Ordering::Relaxed) {
                std::thread::sleep(GLANCE);
            }
            std::thread::sleep(MOMENT);
            clean();
            std::process::exit(signals.number());
        });
        come
    }

    /// The exit status of a command that a signal stopped.
    pub(crate) fn status(&self) -> ExitCode {
        ExitCode::from(self.number() as u8)
    }

    fn number(&self) -> i32 {
        match self.number.load(Ordering::Relaxed) {
            0 => SIGNALLED + SIGINT,
            number => SIGNALLED + number as i32,
        }
    }
}
