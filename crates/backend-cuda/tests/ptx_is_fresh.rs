//! Is the committed PTX made from the committed sources? By hashes alone, so that every machine sees
//! it; `cargo xtask kernels check` compiles, too.
//!
//! This reads `ptx/kernels.lock` anew, sharing nothing with the program that writes it. In a published
//! package there are no sources, and only what is in the package is checked.

use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

const REMEDY: &str = "mend it with: cargo xtask kernels build";

/// What the lock says: values by key, by section. Keys before the first section are in section "".
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

fn assert_hash(path: &Path, expected: &str) {
    let bytes = fs::read(path).unwrap_or_else(|e| panic!("{}: {e}; {REMEDY}", path.display()));
    let digest = Sha256::digest(&bytes);
    let found: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(
        found,
        expected,
        "{} is not as kernels.lock says; {REMEDY}",
        path.display()
    );
}

/// Names of files of one extension in a folder, without it.
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
        assert_hash(&ptx_folder().join("report.txt"), report);
    }
    for (stem, keys) in of_kernels(&lock) {
        let path = ptx_folder()
            .join(&keys["target"])
            .join(format!("{stem}.ptx"));
        assert_hash(&path, &keys["ptx"]);
    }
}

#[test]
fn every_ptx_file_is_in_the_lock() {
    let lock = lock();
    for target in ["compute_75", "compute_80", "compute_90a"] {
        let in_lock: Vec<_> = of_kernels(&lock)
            .filter(|(_, keys)| keys["target"] == target)
            .map(|(stem, _)| stem)
            .collect();
        let here = stems(&ptx_folder().join(target), "ptx");
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
            assert_hash(&folder.join(name), hash);
        }
    }
}
