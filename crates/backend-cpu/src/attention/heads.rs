//! One head of one batch row: what the loops of forward, backward and decoding work on.

use super::Lines;

/// One head of one batch row, as forward and decoding see it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Head {
    pub(super) b: usize,
    pub(super) h: usize,
    /// Width of a head.
    pub(super) d: usize,
    pub(super) q: Lines,
    pub(super) k: Lines,
    pub(super) v: Lines,
    pub(super) y: Lines,
    /// Keys in all.
    pub(super) keys: usize,
    /// Query `i` sees keys `0 ..= i + offset`; `None` for all.
    pub(super) causal: Option<usize>,
    pub(super) scale: f32,
}

impl Head {
    /// The number of keys that query `i` sees.
    pub(super) fn reach(&self, i: usize) -> usize {
        self.causal
            // mutant: decode_reaches_one_key_less
            .map_or(self.keys, |offset| (i + offset + 1).min(self.keys))
    }
}

/// One head of one batch row.
#[derive(Debug)]
pub(super) struct HeadBackward<'a> {
    pub(super) b: usize,
    pub(super) h: usize,
    pub(super) d: usize,
    pub(super) seq_len: usize,
    pub(super) q: Lines,
    pub(super) k: Lines,
    pub(super) v: Lines,
    pub(super) y: Lines,
    pub(super) dy: Lines,
    pub(super) dq: Lines,
    pub(super) dk: Lines,
    pub(super) dv: Lines,
    pub(super) lse: &'a [f32],
    pub(super) scale: f32,
    pub(super) causal: bool,
}
