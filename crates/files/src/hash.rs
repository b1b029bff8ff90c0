//! Hashes of bytes.

/// FNV-1a, 64 bits (Fowler, Noll and Vo; <https://datatracker.ietf.org/doc/html/rfc9923>): quick,
/// and no protection against anybody.
#[must_use]
pub fn fnv1a(bytes: &[u8]) -> u64 {
    const OFFSET_BASIS: u64 = 0xcbf2_9ce4_8422_2325;
    const PRIME: u64 = 0x0000_0100_0000_01b3;
    bytes.iter().fold(OFFSET_BASIS, |hash, &byte| {
        (hash ^ u64::from(byte)).wrapping_mul(PRIME)
    })
}

/// SHA-256 in hexadecimal.
#[cfg(feature = "sha256")]
#[must_use]
pub fn sha256(bytes: &[u8]) -> String {
    use sha2::{Digest, Sha256};
    hexadecimal(&Sha256::digest(bytes))
}

/// Length in bytes and SHA-256 in hexadecimal of a file, which is read piece by piece.
///
/// # Errors
/// What the system says.
#[cfg(feature = "sha256")]
pub fn sha256_of_file(path: &std::path::Path) -> std::io::Result<(u64, String)> {
    use sha2::{Digest, Sha256};
    use std::io::Read;
    let (mut file, mut hash) = (std::fs::File::open(path)?, Sha256::new());
    let (mut piece, mut bytes) = (vec![0; 1 << 20], 0);
    loop {
        let n = file.read(&mut piece)?;
        if n == 0 {
            return Ok((bytes, hexadecimal(&hash.finalize())));
        }
        hash.update(&piece[..n]);
        bytes += n as u64;
    }
}

#[cfg(feature = "sha256")]
fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fnv1a_gives_the_published_values() {
        assert_eq!(fnv1a(b""), 0xcbf2_9ce4_8422_2325);
        assert_eq!(fnv1a(b"a"), 0xaf63_dc4c_8601_ec8c);
        assert_eq!(fnv1a(b"foobar"), 0x8594_4171_f739_67e8);
    }

    #[cfg(feature = "sha256")]
    #[test]
    fn sha256_gives_the_published_value_of_bytes_and_files() {
        let abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(sha256(b"abc"), abc);
        let file = tempfile::NamedTempFile::new();
        let written = file.and_then(|file| {
            std::fs::write(file.path(), b"abc")?;
            sha256_of_file(file.path())
        });
        assert_eq!(written.ok(), Some((3, abc.to_owned())));
    }
}
