//! The left operand in tiles, packed as the kernel reads it.
//!
//! As stored, a tile's rows are as far apart as the operand is wide, often a multiple of the page
//! size: their lines compete for the same few sets of the cache, and their pages for the TLB's
//! entries. Packed, a tile is one stretch of memory, which stays in the nearest cache.

#![expect(unsafe_code, reason = "elements that interleave with others'")]

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;

use super::kernel::Left;
use crate::simd::{Level, level};

/// Elements behind the last tile that [`pack`] may write.
pub(super) const SLACK: usize = 8;

/// Packs `rows` rows of `terms` terms each into tiles of `height` rows, at most [`tile_rows`]:
/// element `(i, l)` of a tile is at `l·height + i`. The last tile may have fewer rows; the places
/// of its missing rows hold unspecified values.
///
/// # Safety
/// - [`has_tiles`] must be true.
/// - All these elements of `a` lie in memory that may be read; `a.row` or `a.column` is 1.
/// - `to` has `terms·height` elements for every tile and [`SLACK`] more, which may be written and
///   overlap nothing.
///
/// [`has_tiles`]: super::kernel::has_tiles
/// [`tile_rows`]: super::kernel::tile_rows
pub(super) unsafe fn pack(a: Left, rows: usize, terms: usize, height: usize, to: *mut f32) {
    match level() {
        // SAFETY: the CPU has the features (`level`); the rest is the caller's promise.
        #[cfg(target_arch = "x86_64")]
        Level::Avx512 => unsafe { avx512::pack(a, rows, terms, height, to) },
        // SAFETY: as above.
        #[cfg(target_arch = "x86_64")]
        Level::Avx2 => unsafe { avx2::pack(a, rows, terms, height, to) },
        _ => unreachable!("packed elsewhere: {a:?} {rows} {terms} {height} {to:?}"),
    }
}
