//! Checks that the committed PTX was made from the committed sources. It compares hashes only, so
//! that every machine can do it; `cargo xtask kernels check` also compiles.
//!
//! This reads `ptx/kernels.lock` anew, sharing nothing with the program that writes it. In a
//! published package there are no sources, and only what is in the package is checked.

use ruzstd::decoding::StreamingDecoder;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

const REMEDY: &str = "mend it with: cargo xtask kernels build";

/// Every target that kernels may be compiled for.
const TARGETS: [&str; 3] = ["compute_75", "compute_80", "compute_90a"];

/// The lock's content: values by key, by section. Keys before the first section are in section "".
type Lock = BTreeMap<String, BTreeMap<String, String>>;

fn ptx_folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("ptx")
}

/// `kernels/` of the workspace, absent from a published package.
fn kernels_folder() -> Option<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../kernels");
    folder.is_dir().then_some(folder)
}

fn lock() -> Lock {
    let path = ptx_folder().join("kernels.lock");
    let mut lock = Lock::new();
    if !path.is_file() {
        return lock;
    }
    let mut section = String::new();
    let text = fs::read_to_string(&path).expect("the lock is text");
    for line in text.lines() {
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        if let Some(name) = line.strip_prefix('[').and_then(|l| l.strip_suffix(']')) {
            section = name.into();
        } else if let Some((key, value)) = line.split_once(" = ") {
            let unquoted = |word: &str| word.trim_matches('"').to_string();
            let keys = lock.entry(section.clone()).or_default();
            keys.insert(unquoted(key), unquoted(value));
        } else {
            panic!("{}: {line} is not understood; {REMEDY}", path.display());
        }
    }
    lock
}

/// PTX files by target and stem.
fn of_kernels(lock: &Lock) -> impl Iterator<Item = (&str, &BTreeMap<String, String>)> {
    let kernels = lock.iter().filter(|(name, _)| !name.is_empty());
    kernels.filter_map(|(name, keys)| (!name.ends_with(".sources")).then_some((&**name, keys)))
}

fn assert_hash(what: &str, bytes: &[u8], expected: &str) {
    let digest = Sha256::digest(bytes);
    let found: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(
        found, expected,
        "{what} is not as kernels.lock says; {REMEDY}"
    );
}

fn assert_file(path: &Path, expected: &str) {
    let what = path.display().to_string();
    let bytes = fs::read(path).unwrap_or_else(|e| panic!("{what}: {e}; {REMEDY}"));
    assert_hash(&what, &bytes, expected);
}

/// The content of a target's archive: PTX by the kernel file's name.
fn archive(target: &str) -> BTreeMap<String, Vec<u8>> {
    let path = ptx_folder().join(target).with_extension("zst");
    if !path.is_file() {
        return BTreeMap::new();
    }
    let bytes = fs::read(&path).expect("the archive can be read");
    let mut rest = &bytes[..];
    let mut frames = Vec::new();
    while !rest.is_empty() {
        let mut frame = Vec::new();
        let mut decoder = StreamingDecoder::new(&mut rest).expect("a frame begins");
        decoder.read_to_end(&mut frame).expect("the frame is sound");
        frames.push(frame);
    }
    let table = String::from_utf8(frames.remove(0)).expect("the table of contents is text");
    let files = table.lines().filter(|line| !line.starts_with('\t'));
    let stems: Vec<_> = files.filter_map(|line| line.split(' ').next()).collect();
    assert_eq!(stems.len(), frames.len(), "frames of {}", path.display());
    stems.into_iter().map(str::to_owned).zip(frames).collect()
}

/// The names of the files with one extension in a folder, without the extension.
fn stems(folder: &Path, extension: &str) -> Vec<String> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).into_iter().flatten() {
        let path = entry.expect("the folder can be read").path();
        if let Some(stem) = path.file_stem()
            && path.extension().is_some_and(|e| e == extension)
        {
            found.push(stem.to_string_lossy().into_owned());
        }
    }
    found.sort();
    found
}

#[test]
fn every_made_file_is_as_the_lock_says() {
    let lock = lock();
    if let Some(report) = lock.get("").and_then(|keys| keys.get("report")) {
        assert_file(&ptx_folder().join("report.txt"), report);
    }
    for target in TARGETS {
        for (stem, ptx) in archive(target) {
            assert_hash(&format!("{target}: {stem}"), &ptx, &lock[&stem]["ptx"]);
        }
    }
}

#[test]
fn archives_and_the_lock_name_the_same_files() {
    let lock = lock();
    for target in TARGETS {
        let in_lock: Vec<_> = of_kernels(&lock)
            .filter(|(_, keys)| keys["target"] == target)
            .map(|(stem, _)| stem)
            .collect();
        let here: Vec<_> = archive(target).into_keys().collect();
        assert_eq!(here, in_lock, "PTX for {target}; {REMEDY}");
    }
}

#[test]
fn every_source_is_as_it_was_when_its_ptx_was_made() {
    let Some(folder) = kernels_folder() else {
        eprintln!("skipped: a published package has no kernel sources");
        return;
    };
    let lock = lock();
    let in_lock: Vec<_> = of_kernels(&lock).map(|(stem, _)| stem).collect();
    assert_eq!(stems(&folder, "cu"), in_lock, "kernels/*.cu; {REMEDY}");
    for stem in in_lock {
        let sources = &lock[&format!("{stem}.sources")];
        assert!(sources.contains_key(&format!("{stem}.cu")), "{stem}");
        for (name, hash) in sources {
            assert_file(&folder.join(name), hash);
        }
    }
}
