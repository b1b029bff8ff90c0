//! The pool: memory that is allocated once and reused.
//!
//! Dropping a tensor returns its buffer here in program order, which on one in-order queue is the
//! device's order too. A training step requests the same sizes in the same order every time, so
//! from its second run on every request is served from here.
//!
//! While a step is captured ([`crate::CapturedStep`]), the buffers that it requests become its own:
//! when they are freed they are reserved for this step, until the captured step is dropped.

use crate::{Backend, Buffer, Error, Result};

/// What a pool holds, and how often it was asked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PoolStats {
    /// Bytes held by live tensors, after rounding to size classes.
    pub live_bytes: usize,
    /// Bytes held in all, live and free.
    pub held_bytes: usize,
    /// The most bytes held at any time.
    pub peak_bytes: usize,
    /// Requests served from free memory.
    pub hits: u64,
    /// Requests that went to the backend.
    pub misses: u64,
}

/// The owner of a buffer: to which requests it may be given.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Owner {
    /// Any request.
    #[default]
    Anybody,
    /// Only requests of the captured step of this number.
    Step(u64),
}

/// Free buffers by size class, in the order of the classes: a few dozen classes, searched a few
/// hundred times per step.
#[derive(Debug, Default)]
struct Free(Vec<(usize, Vec<Box<dyn Buffer>>)>);

impl Free {
    fn pop(&mut self, class: usize) -> Option<Box<dyn Buffer>> {
        let at = self.find(class).ok()?;
        self.0[at].1.pop()
    }

    fn push(&mut self, class: usize, buffer: Box<dyn Buffer>) {
        match self.find(class) {
            Ok(at) => self.0[at].1.push(buffer),
            Err(at) => self.0.insert(at, (class, vec![buffer])),
        }
    }

    /// The index of a size class, or the index at which it would be inserted.
    fn find(&self, class: usize) -> Result<usize, usize> {
        self.0.binary_search_by_key(&class, |(class, _)| *class)
    }
}

/// All free buffers of a device, by owner.
#[derive(Debug)]
pub(crate) struct Pool {
    free: Free,
    /// Free buffers of captured steps, by their number.
    private: Vec<(u64, Free)>,
    /// The step being captured.
    capturing: Option<u64>,
    /// How many captures have begun.
    captures: u64,
    pub(crate) stats: PoolStats,
}

impl Default for Pool {
    fn default() -> Self {
        Self {
            free: Free::default(),
            // Room for one, so that asking a backend that cannot capture allocates nothing.
            private: Vec::with_capacity(1),
            capturing: None,
            captures: 0,
            stats: PoolStats::default(),
        }
    }
}

/// Rounds a request up: to 256 bytes, and to a sixteenth of its power of two, so that similar
/// sizes share buffers and at most 1/16 is wasted.
pub(crate) fn size_class(bytes: usize) -> usize {
    let step = (bytes.max(1).next_power_of_two() / 32).max(256);
    bytes.max(1).next_multiple_of(step)
}

impl Pool {
    /// Takes memory of a size class, free or newly allocated; returns it with its owner.
    pub(crate) fn take(
        &mut self,
        backend: &dyn Backend,
        class: usize,
    ) -> Result<(Box<dyn Buffer>, Owner)> {
        let owner = self.capturing.map_or(Owner::Anybody, Owner::Step);
        let own = self.free_of(owner).and_then(|free| free.pop(class));
        // A step being captured may also take buffers that belong to anybody.
        if let Some(buffer) = own.or_else(|| self.free.pop(class)) {
            self.stats.hits += 1;
            self.stats.live_bytes += class;
            return Ok((buffer, owner));
        }
        self.stats.misses += 1;
        let buffer = match backend.alloc(class) {
            Err(Error::OutOfMemory { .. }) => {
                // Returning free buffers of other sizes may make enough room.
                self.trim();
                backend.alloc(class).map_err(|error| match error {
                    Error::OutOfMemory {
                        device, requested, ..
                    } => Error::OutOfMemory {
                        device,
                        requested,
                        in_use: self.stats.held_bytes,
                    },
                    other => other,
                })?
            }
            other => other?,
        };
        self.stats.live_bytes += class;
        self.stats.held_bytes += class;
        self.stats.peak_bytes = self.stats.peak_bytes.max(self.stats.held_bytes);
        Ok((buffer, owner))
    }

    /// The free buffers of an owner; `None` if the captured step has been released.
    fn free_of(&mut self, owner: Owner) -> Option<&mut Free> {
        match owner {
            Owner::Anybody => Some(&mut self.free),
            Owner::Step(step) => {
                let mut private = self.private.iter_mut();
                private.find(|(of, _)| *of == step).map(|(_, free)| free)
            }
        }
    }

    /// Takes a buffer back.
    pub(crate) fn put(&mut self, class: usize, buffer: Box<dyn Buffer>, owner: Owner) {
        self.stats.live_bytes -= class;
        match self.free_of(owner) {
            Some(free) => free.push(class, buffer),
            None => self.free.push(class, buffer),
        }
    }

    /// Begins a capture: from now on, requested memory belongs to the step of the returned number.
    /// `None` if another step is being captured already.
    pub(crate) fn begin_capture(&mut self) -> Option<u64> {
        if self.is_capturing() {
            return None;
        }
        self.captures += 1;
        self.private.push((self.captures, Free::default()));
        self.capturing = Some(self.captures);
        self.capturing
    }

    /// Whether a step is being captured.
    pub(crate) fn is_capturing(&self) -> bool {
        self.capturing.is_some()
    }

    /// Ends the capture: the step keeps its memory, and memory requested from now on is anybody's.
    pub(crate) fn end_capture(&mut self) {
        self.capturing = None;
    }

    /// Makes a captured step's memory available to all requests.
    pub(crate) fn release(&mut self, step: u64) {
        let Some(at) = self.private.iter().position(|(of, _)| *of == step) else {
            return;
        };
        for (class, buffers) in self.private.swap_remove(at).1.0 {
            for buffer in buffers {
                self.free.push(class, buffer);
            }
        }
    }

    /// Returns the free memory that belongs to anybody to the backend.
    pub(crate) fn trim(&mut self) {
        for (class, buffers) in self.free.0.drain(..) {
            self.stats.held_bytes -= class * buffers.len();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::size_class;

    #[test]
    fn classes_waste_at_most_a_sixteenth() {
        assert_eq!(size_class(0), 256);
        for bytes in [
            1,
            255,
            256,
            257,
            4096,
            4097,
            100_000,
            1_000_003,
            154_000_000,
        ] {
            let class = size_class(bytes);
            assert!(class >= bytes && class.is_multiple_of(256));
            assert!(class - bytes <= (bytes / 16).max(255), "{bytes} -> {class}");
            assert_eq!(size_class(class), class);
        }
    }
}
