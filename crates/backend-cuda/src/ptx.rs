//! The kernels' PTX. `cargo xtask kernels build` makes and packs it, and it is committed, so that
//! neither building nor running needs more than the driver.
//!
//! Each target has an archive. Its table of contents is read once; it names the families of kernels
//! (one kernel file each), their kernels and the kernels' parameters. The PTX of a family is
//! unpacked when the family is loaded, and dropped after that. `xtask/kernels/src/archive.rs`
//! describes the format.

use ruzstd::decoding::{FrameDecoder, StreamingDecoder};
use std::io::Read;
use std::sync::OnceLock;

/// Archives, each with the compute capability that its PTX needs.
static ARCHIVES: [((i32, i32), &[u8]); 2] = [
    ((7, 5), include_bytes!("../ptx/compute_75.zst")),
    ((8, 0), include_bytes!("../ptx/compute_80.zst")),
];

/// The kernels of one kernel file.
#[derive(Debug)]
pub(crate) struct Family {
    /// The file's name without `.cu`.
    pub(crate) name: String,
    /// The compute capability that it needs.
    pub(crate) capability: (i32, i32),
    pub(crate) kernels: Vec<Signature>,
    packed: &'static [u8],
    /// Bytes of its PTX.
    bytes: usize,
}

/// A kernel's name and the types of its parameters, as PTX names them.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Signature {
    pub(crate) name: String,
    pub(crate) parameters: Vec<String>,
}

/// All families in this program.
///
/// # Errors
/// A message, if the program's own archives cannot be read.
pub(crate) fn families() -> Result<&'static [Family], String> {
    static FAMILIES: OnceLock<Result<Vec<Family>, String>> = OnceLock::new();
    let read = || {
        let archives = ARCHIVES.iter();
        let families = archives.map(|&(capability, archive)| contents(capability, archive));
        let families: Result<Vec<_>, _> = families.collect();
        Ok(families?.into_iter().flatten().collect())
    };
    match FAMILIES.get_or_init(read) {
        Ok(families) => Ok(families),
        Err(why) => Err(why.clone()),
    }
}

impl Family {
    /// The family's PTX, ended by a 0 as the driver takes it.
    ///
    /// # Errors
    /// A message, if the archive is damaged.
    pub(crate) fn unpack(&self) -> Result<Vec<u8>, String> {
        let mut text = vec![0; self.bytes + 1];
        let unpacked = FrameDecoder::new().decode_all(self.packed, &mut text[..self.bytes]);
        match unpacked {
            Ok(bytes) if bytes == self.bytes => Ok(text),
            Ok(bytes) => Err(format!(
                "the PTX of {} has {bytes} bytes, not {}: this program is damaged",
                self.name, self.bytes
            )),
            Err(error) => Err(format!(
                "the PTX of {} cannot be unpacked ({error}): this program is damaged",
                self.name
            )),
        }
    }
}

/// The families of an archive, from its table of contents.
fn contents(capability: (i32, i32), archive: &'static [u8]) -> Result<Vec<Family>, String> {
    let damaged = || "the archive of kernels cannot be read: this program is damaged".to_owned();
    let mut rest = archive;
    let mut table = String::new();
    StreamingDecoder::new(&mut rest)
        .map_err(|_| damaged())?
        .read_to_string(&mut table)
        .map_err(|_| damaged())?;
    let mut families: Vec<Family> = Vec::new();
    for line in table.lines() {
        let mut words = line.trim_start().split(' ');
        let name = words.next().unwrap_or_default().to_owned();
        if line.starts_with('\t') {
            let parameters = words.filter(|word| !word.is_empty()).map(str::to_owned);
            let parameters = parameters.collect();
            let family = families.last_mut().ok_or_else(damaged)?;
            family.kernels.push(Signature { name, parameters });
            continue;
        }
        let mut number = || words.next()?.parse::<usize>().ok();
        let (packed, bytes) = number().zip(number()).ok_or_else(damaged)?;
        let (packed, behind) = rest.split_at_checked(packed).ok_or_else(damaged)?;
        rest = behind;
        families.push(Family {
            name,
            capability,
            kernels: Vec::new(),
            packed,
            bytes,
        });
    }
    match rest.is_empty() {
        true => Ok(families),
        false => Err(damaged()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_family_unpacks_and_has_the_kernels_that_are_listed() {
        let families = families().expect("the archives are sound");
        assert!(families.len() > 20, "{}", families.len());
        for family in families {
            let text = family.unpack().expect("the archive is sound");
            let (end, text) = text.split_last().expect("at least the 0");
            let text = std::str::from_utf8(text).expect("PTX is text");
            assert_eq!(*end, 0);
            let entries = text.split(".entry ").skip(1);
            let found: Vec<_> = entries.map(signature).collect();
            assert_eq!(found, family.kernels, "{}", family.name);
        }
    }

    /// A kernel's signature in PTX; `text` begins with the kernel's name.
    fn signature(text: &str) -> Signature {
        let (head, _) = text.split_once(')').expect("a list of parameters ends");
        let (name, list) = head.split_once('(').expect("a list of parameters begins");
        let kinds = list.split(".param .").skip(1);
        let kinds = kinds.filter_map(|parameter| parameter.split_whitespace().next());
        Signature {
            name: name.into(),
            parameters: kinds.map(str::to_owned).collect(),
        }
    }

    #[test]
    fn damage_is_an_error_and_no_panic() {
        let family = &families().expect("the archives are sound")[0];
        let broken = |packed, bytes| Family {
            name: "broken".into(),
            capability: (7, 5),
            kernels: Vec::new(),
            packed,
            bytes,
        };
        let short = &family.packed[..family.packed.len() / 2];
        let cases = [
            (short, family.bytes),
            (&[1, 2, 3], 3),
            (family.packed, family.bytes - 1),
            (family.packed, family.bytes + 1),
        ];
        for (packed, bytes) in cases {
            let said = broken(packed, bytes).unpack().expect_err("it is damaged");
            assert!(
                said.contains("broken") && said.ends_with("this program is damaged"),
                "{said}"
            );
        }
        for archive in [&[][..], &[0; 9], short] {
            assert!(contents((7, 5), archive).is_err());
        }
    }
}
