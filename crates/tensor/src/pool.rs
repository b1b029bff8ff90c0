//! Memory that is asked for once and used again.
//!
//! Dropping a tensor returns its buffer here in program order, which on one in-order queue is the
//! device's order too. A training step asks for the same sizes in the same order every time, so
//! from its second run on every request is served from here.

use crate::{Backend, Buffer, Error, Result};

/// What a pool has done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PoolStats {
    /// Bytes held by live tensors, after rounding to size classes.
    pub live_bytes: usize,
    /// Bytes held in all, live and free.
    pub held_bytes: usize,
    /// The most that was ever held.
    pub peak_bytes: usize,
    /// Requests served from free memory.
    pub hits: u64,
    /// Requests that went to the backend.
    pub misses: u64,
}

/// Free buffers by size class.
#[derive(Debug, Default)]
pub(crate) struct Pool {
    /// In the order of the classes: some dozens, looked for a few hundred times a step.
    free: Vec<(usize, Vec<Box<dyn Buffer>>)>,
    pub(crate) stats: PoolStats,
}

/// Rounds a request up: to 256 bytes, and to a sixteenth of its power of two, so that similar
/// sizes share buffers and at most 1/16 is wasted.
pub(crate) fn size_class(bytes: usize) -> usize {
    let step = (bytes.max(1).next_power_of_two() / 32).max(256);
    bytes.max(1).next_multiple_of(step)
}

impl Pool {
    /// Memory of a size class: free memory, or new.
    pub(crate) fn take(&mut self, backend: &dyn Backend, class: usize) -> Result<Box<dyn Buffer>> {
        if let Ok(at) = self.find(class)
            && let Some(buffer) = self.free[at].1.pop()
        {
            self.stats.hits += 1;
            self.stats.live_bytes += class;
            return Ok(buffer);
        }
        self.stats.misses += 1;
        let buffer = match backend.alloc(class) {
            Err(Error::OutOfMemory { .. }) => {
                // What lies free in other sizes may make the room.
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
        Ok(buffer)
    }

    /// Where a size class is, or would be.
    fn find(&self, class: usize) -> Result<usize, usize> {
        self.free.binary_search_by_key(&class, |(class, _)| *class)
    }

    /// Takes a buffer back.
    pub(crate) fn put(&mut self, class: usize, buffer: Box<dyn Buffer>) {
        self.stats.live_bytes -= class;
        match self.find(class) {
            Ok(at) => self.free[at].1.push(buffer),
            Err(at) => self.free.insert(at, (class, vec![buffer])),
        }
    }

    /// Gives free memory back to the backend.
    pub(crate) fn trim(&mut self) {
        for (class, buffers) in self.free.drain(..) {
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
