//! PTX on its way into the repository and back: one archive for each target, `compute_75.zst`.
//!
//! An archive is a row of zstd frames, so `zstd -dc` prints all of it. The first frame is the table
//! of contents, and each other frame is the PTX of one kernel file, in the table's order. The table
//! has a line for each file (its name, the bytes of its frame, the bytes of its PTX) and below it,
//! after a tab, one for each kernel (its name, the types of its parameters):
//!
//! ```text
//! fill 472 2176
//!     fill_2 u64 u64 u64
//! ```
//!
//! The CUDA backend reads it in `crates/backend-cuda/src/ptx.rs`.

use crate::make::{Files, ptx_path};
use crate::ptx;
use std::fmt::Write;
use zstd::{bulk, zstd_safe};

/// The extension of an archive's name.
pub(crate) const EXTENSION: &str = "zst";
/// The slowest and densest: an archive is written rarely and read often.
const LEVEL: i32 = 22;

/// The archive of a target's PTX among `files`; `None` if there is no such PTX.
pub(crate) fn pack(files: &Files, target: &str) -> Result<Option<Vec<u8>>, String> {
    let failed = |error| format!("cannot compress the PTX for {target}: {error}");
    let (mut table, mut frames) = (String::new(), Vec::new());
    for (path, text) in files {
        let Some(stem) = stem_of(path, target) else {
            continue;
        };
        let frame = bulk::compress(text.as_bytes(), LEVEL).map_err(failed)?;
        table += &lines(stem, frame.len(), text);
        frames.push(frame);
    }
    if frames.is_empty() {
        return Ok(None);
    }
    frames.insert(0, bulk::compress(table.as_bytes(), LEVEL).map_err(failed)?);
    Ok(Some(frames.concat()))
}

/// Adds what an archive holds to `files`. The table of contents must be what [`pack`] would write.
pub(crate) fn unpack(archive: &[u8], target: &str, files: &mut Files) -> Result<(), String> {
    let damaged = || format!("{target}.{EXTENSION} is damaged");
    let mut rest = archive;
    let mut frames = Vec::new();
    while !rest.is_empty() {
        let bytes = zstd_safe::find_frame_compressed_size(rest).map_err(|_| damaged())?;
        let (frame, behind) = rest.split_at_checked(bytes).ok_or_else(damaged)?;
        let size = zstd_safe::get_frame_content_size(frame).ok().flatten();
        let size = usize::try_from(size.ok_or_else(damaged)?).map_err(|_| damaged())?;
        let text = bulk::decompress(frame, size).map_err(|_| damaged())?;
        frames.push((bytes, String::from_utf8(text).map_err(|_| damaged())?));
        rest = behind;
    }
    let mut frames = frames.into_iter();
    let (_, table) = frames.next().ok_or_else(damaged)?;
    let stems = table.lines().filter(|line| !line.starts_with('\t'));
    let stems: Vec<_> = stems.filter_map(|line| line.split(' ').next()).collect();
    if stems.len() != frames.len() {
        return Err(damaged());
    }
    let mut expected = String::new();
    for (stem, (bytes, text)) in stems.into_iter().zip(frames) {
        expected += &lines(stem, bytes, &text);
        files.insert(ptx_path(target, stem), text);
    }
    match table == expected {
        true => Ok(()),
        false => Err(format!(
            "the contents that {target}.{EXTENSION} lists are not what it holds"
        )),
    }
}

/// A kernel file's lines in the table of contents.
fn lines(stem: &str, packed: usize, text: &str) -> String {
    let mut lines = format!("{stem} {packed} {}\n", text.len());
    for entry in ptx::entries(text) {
        let _ = writeln!(lines, "\t{} {}", entry.name, entry.params.join(" "));
    }
    lines
}

/// `matmul` of `compute_75/matmul.ptx`, if that is the target.
fn stem_of<'p>(path: &'p str, target: &str) -> Option<&'p str> {
    let name = path.strip_prefix(target)?.strip_prefix('/')?;
    name.strip_suffix(".ptx")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files() -> Files {
        let ptx =
            |name: &str| format!(".visible .entry {name}(\n\t.param .u64 {name}_param_0\n)\n");
        let files = [
            ("compute_75/gelu.ptx", ptx("gelu_forward_f32")),
            ("compute_75/softmax.ptx", ptx("softmax_f32").repeat(100)),
            ("compute_80/gelu_bf16.ptx", ptx("gelu_forward_bf16")),
            ("report.txt", "a report".into()),
        ];
        files.map(|(name, text)| (name.into(), text)).into()
    }

    #[test]
    fn what_is_packed_is_unpacked() {
        let files = files();
        let mut read = Files::new();
        for target in ["compute_75", "compute_80"] {
            let archive = pack(&files, target).unwrap().unwrap();
            unpack(&archive, target, &mut read).unwrap();
        }
        let ptx = files.into_iter().filter(|(name, _)| name != "report.txt");
        assert_eq!(read, ptx.collect());
        assert_eq!(pack(&read, "compute_90a"), Ok(None));
    }

    #[test]
    fn damage_is_noticed() {
        let archive = pack(&files(), "compute_75").unwrap().unwrap();
        let read = |bytes: &[u8]| unpack(bytes, "compute_75", &mut Files::new());
        assert_eq!(read(&archive), Ok(()));
        for bytes in [&[][..], &archive[1..], &archive[..archive.len() - 1]] {
            assert_eq!(read(bytes).unwrap_err(), "compute_75.zst is damaged");
        }
        // A whole frame is missing; a table of contents of other files.
        let first = zstd_safe::find_frame_compressed_size(&archive).unwrap();
        assert_eq!(
            read(&archive[..first]).unwrap_err(),
            "compute_75.zst is damaged"
        );
        let other = bulk::compress(b"gelu 1 2\nsoftmax 3 4\n", LEVEL).unwrap();
        let said = read(&[&other, &archive[first..]].concat()).unwrap_err();
        assert!(said.contains("are not what it holds"), "{said}");
    }
}
