//! Whether a gradient is being computed, for those who watch a device.

use std::cell::Cell;

thread_local! {
    /// How many walks back this thread is inside of.
    static DEPTH: Cell<u32> = const { Cell::new(0) };
}

/// Whether the operations that this thread runs now make gradients: inside [`crate::Pass::backward`], and
/// for the head's in [`crate::Pass::lm_loss`]. A product looks the same in both directions, so a profiler
/// has to ask.
#[must_use]
pub fn is_walking_back() -> bool {
    DEPTH.get() > 0
}

/// A walk back until it is dropped, errors included.
#[derive(Debug)]
pub(crate) struct WalkBack;

impl WalkBack {
    pub(crate) fn begin() -> Self {
        DEPTH.set(DEPTH.get() + 1);
        Self
    }
}

impl Drop for WalkBack {
    fn drop(&mut self) {
        DEPTH.set(DEPTH.get() - 1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_lasts_as_long_as_its_outermost_guard() {
        let outer = WalkBack::begin();
        drop(WalkBack::begin());
        assert!(is_walking_back());
        assert!(!std::thread::spawn(is_walking_back).join().unwrap());
        drop(outer);
        assert!(!is_walking_back());
    }
}
