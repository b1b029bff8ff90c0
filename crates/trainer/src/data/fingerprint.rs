//! Numbers that other data has not, so that a run is not resumed on it.

use sha2::{Digest, Sha256};

/// Bytes of files that are hashed before the first step, at most: a few seconds' worth.
const HASHED: u64 = 4 << 30;
/// Of more, every second, third, … piece of this size is.
const PIECE: usize = 1 << 16;

/// A fingerprint of tokens in memory.
#[must_use]
pub fn fingerprint_of<'t>(texts: impl IntoIterator<Item = &'t [u32]>) -> u64 {
    let mut hash = Sha256::new();
    for text in texts {
        hash.update((text.len() as u64).to_le_bytes());
        for piece in text.chunks(1 << 12) {
            let bytes: Vec<u8> = piece.iter().flat_map(|id| id.to_le_bytes()).collect();
            hash.update(&bytes);
        }
    }
    first_bits(hash)
}

/// A fingerprint of files of tokens: of every byte, up to 4 GiB of them in all.
pub(super) fn fingerprint_of_files(files: &[&[u8]]) -> u64 {
    hash_of(files, HASHED)
}

/// Hashes the length of every file, and every byte if there are at most `most` in all; otherwise
/// that many bytes in evenly spread pieces, and each file's end.
fn hash_of(files: &[&[u8]], most: u64) -> u64 {
    let total: u64 = files.iter().map(|bytes| bytes.len() as u64).sum();
    let one_in = usize::try_from(total.div_ceil(most)).unwrap_or(usize::MAX);
    let mut hash = Sha256::new();
    for bytes in files {
        hash.update((bytes.len() as u64).to_le_bytes());
        for piece in bytes.chunks(PIECE).step_by(one_in.max(1)) {
            hash.update(piece);
        }
        if one_in > 1 {
            hash.update(&bytes[bytes.len().saturating_sub(PIECE)..]);
        }
    }
    first_bits(hash)
}

/// The first 64 bits of a SHA-256.
pub(super) fn first_bits(hash: Sha256) -> u64 {
    let bytes = hash.finalize();
    bytes
        .iter()
        .take(8)
        .fold(0, |bits, &byte| bits << 8 | u64::from(byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_changes_the_hash() {
        let of = |files: &[&[u8]]| hash_of(files, 1 << 20);
        let bytes: Vec<u8> = (0..PIECE + 5).map(|i| (i * i % 251) as u8).collect();
        let (one, two) = (&bytes[..70], &bytes[..]);
        let whole = of(&[one, two]);
        let mut changed = bytes.clone();
        for at in (0..70).chain([PIECE - 1, PIECE, PIECE + 4]) {
            changed[at] ^= 1;
            assert_ne!(of(&[one, &changed]), whole, "byte {at}");
            if at < one.len() {
                assert_ne!(of(&[&changed[..70], two]), whole, "byte {at}");
            }
            changed[at] ^= 1;
        }
        assert_ne!(of(&[two, one]), whole);
        assert_ne!(of(&[&bytes[..71], &bytes[..PIECE + 4]]), whole);
    }

    /// Of more bytes than are hashed: every third piece, the end of each file, and all lengths.
    #[test]
    fn of_much_data_pieces_are_hashed() {
        let mut bytes = vec![7; 6 * PIECE + 100];
        let of = |bytes: &[u8]| hash_of(&[bytes], 3 * PIECE as u64);
        let whole = of(&bytes);
        for (at, seen) in [
            (0, true),
            (PIECE, false),
            (3 * PIECE + 9, true),
            (5 * PIECE, false),
            (6 * PIECE + 99, true),
        ] {
            bytes[at] = 8;
            assert_eq!(of(&bytes) != whole, seen, "byte {at}");
            bytes[at] = 7;
        }
        bytes.push(7);
        assert_ne!(of(&bytes), whole);
    }
}
