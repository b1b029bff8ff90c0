//! Bad ids found by kernels: noted on the device, reported when the host next waits for it.

use crate::Arg;
use crate::driver::Driver;
use crate::memory::{CudaMemory, NOTE_BYTES, Staging};
use latimer_tensor::{Error, Result};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

/// The operands that hold ids, in the order of their places in the note.
const OPERANDS: [(&str, &str); 3] = [
    ("embedding", "ids"),
    ("embedding_backward", "ids"),
    ("cross_entropy", "targets"),
];

/// An operand whose ids a kernel checks.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Ids {
    /// `ids` of `Embedding`.
    Embedding,
    /// `ids` of `EmbeddingBackward`.
    EmbeddingBackward,
    /// `targets` of `CrossEntropy`.
    Targets,
}

/// The note: one `u64` per operand, `position << 32 | id` of the first bad id; all ones if there is
/// no bad id. Kernels write the least value by an integer `atomic_min`.
#[derive(Debug)]
pub(crate) struct Faults {
    note: CudaMemory,
    /// The largest legal id of the last launch, by operand.
    last: [AtomicU32; OPERANDS.len()],
}

/// The note of an operand without a bad id: all ones.
const NONE: u64 = u64::MAX;
const _: () = assert!(NOTE_BYTES == 8 * OPERANDS.len());

impl Faults {
    /// # Errors
    /// The device's lack of memory.
    pub(crate) fn new(driver: &Arc<Driver>, staging: &Staging) -> Result<Self> {
        let note = CudaMemory::new(driver, NOTE_BYTES)?;
        staging.upload(&[0xff; NOTE_BYTES], note.pointer())?;
        Ok(Self {
            note,
            last: Default::default(),
        })
    }

    /// The argument of a kernel that checks `ids` against `rows`: the address where it notes a bad
    /// id.
    pub(crate) fn place(&self, ids: Ids, rows: usize) -> Arg {
        self.last[ids as usize].store(rows.saturating_sub(1) as u32, Ordering::Relaxed);
        Arg::Pointer(self.note.pointer() + 8 * ids as u64)
    }

    /// Waits for the device, copies bytes to the host and returns an error if a bad id was noted;
    /// the note is then empty again. With no bytes to copy it only waits.
    ///
    /// # Errors
    /// [`Error::IdOutOfRange`], or the device's failure.
    pub(crate) fn download(&self, staging: &Staging, from: u64, dst: &mut [u8]) -> Result<()> {
        let note = staging.download(from, dst, self.note.pointer())?;
        let words = note.chunks_exact(8).map(|bytes| {
            let mut word = [0; 8];
            word.copy_from_slice(bytes);
            u64::from_le_bytes(word)
        });
        let Some((which, word)) = words.enumerate().find(|(_, word)| *word != NONE) else {
            return Ok(());
        };
        staging.upload(&[0xff; NOTE_BYTES], self.note.pointer())?;
        let (op, operand) = OPERANDS[which];
        Err(Error::IdOutOfRange {
            op,
            operand,
            id: word & 0xffff_ffff,
            position: (word >> 32) as usize,
            last: self.last[which].load(Ordering::Relaxed) as usize,
        })
    }
}
