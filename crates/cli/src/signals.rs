//! The effect of Ctrl-C (SIGINT) and SIGTERM.
//!
//! By default they end the process at once, with exit status 128 plus the signal's number. That is
//! safe because a command writes a file under another name and then renames it, so nothing
//! incomplete is left under its own name. A command that must save or remove something first defers
//! the signals ([`Signals::defer`]); a second signal then still ends the process.

use crate::error::{Error, Result};
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

/// The exit status of a process that a signal ended is this plus the signal's number, as in shells.
const SIGNALLED: i32 = 128;
/// Time between two checks for a signal.
const GLANCE: Duration = Duration::from_millis(50);
/// Time that a command gets to end by itself.
const MOMENT: Duration = Duration::from_millis(500);

/// The signals that this process has received.
#[derive(Clone, Debug, Default)]
pub(crate) struct Signals {
    /// Whether the next signal ends the process.
    at_once: Arc<AtomicBool>,
    /// Whether a signal has arrived.
    come: Arc<AtomicBool>,
    /// The number of the last signal.
    number: Arc<AtomicUsize>,
}

impl Signals {
    /// Handles signals from now on.
    ///
    /// # Errors
    /// [`Error::Signals`] if the system refuses.
    pub(crate) fn listen() -> Result<Self> {
        let signals = Self::default();
        signals.at_once.store(true, Ordering::Relaxed);
        for signal in [SIGINT, SIGTERM] {
            let (at_once, come) = (&signals.at_once, &signals.come);
            // In this order: the decision to exit must be made before the same signal sets the
            // flag.
            flag::register_conditional_shutdown(signal, SIGNALLED + signal, at_once.clone())
                .and_then(|_| flag::register_usize(signal, signals.number.clone(), signal as usize))
                .and_then(|_| flag::register(signal, come.clone()))
                .and_then(|_| flag::register(signal, at_once.clone()))
                .map_err(Error::Signals)?;
        }
        Ok(signals)
    }

    /// Makes the first signal only set a flag, and returns that flag.
    pub(crate) fn defer(&self) -> Arc<AtomicBool> {
        self.at_once.store(false, Ordering::Relaxed);
        self.come.clone()
    }

    /// As [`Signals::defer`], but if the command has not ended half a second after the first
    /// signal, for example because of a blocking system call or a long computation, calls `clean`
    /// and ends the process.
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
