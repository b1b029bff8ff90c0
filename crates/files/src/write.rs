//! Writing so that a reader, also after a crash, finds a whole file.

use std::ffi::OsString;
use std::fs::{self, File, Permissions};
use std::io::{Result, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

/// Writes a whole file and waits until it is on the disk. A crash may leave a part of it: for a
/// file in a folder that is renamed when it is complete.
///
/// # Errors
/// What the system says.
pub fn write_synced(path: &Path, bytes: &[u8]) -> Result<()> {
    let mut file = File::create(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

/// Replaces a file, or makes it, in one step: a reader finds what was there before or all of
/// `bytes`. Several threads and processes may do it at once; the last one wins. What fails leaves
/// nothing behind.
///
/// # Errors
/// What the system says.
pub fn replace(path: &Path, bytes: &[u8]) -> Result<()> {
    let temporary = beside(path);
    let placed = File::create_new(&temporary).and_then(|file| place(file, &temporary, path, bytes));
    if placed.is_err() {
        // The first error is the one to report.
        let _ = fs::remove_file(&temporary);
    }
    placed
}

/// As [`replace`], where nobody else writes this file. The bytes are first written to `.NAME.tmp`,
/// always the same name: a process that is killed leaves no more than that file, which the next
/// call replaces.
///
/// # Errors
/// What the system says.
pub fn replace_alone(path: &Path, bytes: &[u8]) -> Result<()> {
    let mut name = OsString::from(".");
    name.push(path.file_name().unwrap_or_default());
    name.push(".tmp");
    let temporary = path.with_file_name(name);
    place(File::create(&temporary)?, &temporary, path, bytes)
}

fn place(mut file: File, temporary: &Path, path: &Path, bytes: &[u8]) -> Result<()> {
    file.write_all(bytes)?;
    file.sync_all()?;
    drop(file);
    fs::rename(temporary, path)?;
    if let Some(folder) = path.parent() {
        sync_names(folder);
    }
    Ok(())
}

/// Waits until the names in a folder are on the disk. Some systems cannot open folders; there,
/// nothing is waited for.
pub fn sync_names(folder: &Path) {
    if let Ok(folder) = File::open(folder) {
        let _ = folder.sync_all();
    }
}

/// Waits until every file of a folder, and the folder, are on the disk.
///
/// # Errors
/// What the system says.
pub fn sync_folder(path: &Path) -> Result<()> {
    for entry in fs::read_dir(path)? {
        File::open(entry?.path())?.sync_all()?;
    }
    sync_names(path);
    Ok(())
}

/// The permissions that a new file gets in the folder of `path`: a library that writes through a
/// file of its own may leave others.
///
/// # Errors
/// What the system says, where no file can be made there.
pub fn usual_permissions(path: &Path) -> Result<Permissions> {
    let probe = beside(path);
    let permissions = File::create(&probe)?.metadata()?.permissions();
    fs::remove_file(&probe)?;
    Ok(permissions)
}

/// A name in the folder of `path` that no other thread or process is using; it begins with a dot.
fn beside(path: &Path) -> PathBuf {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let mut name = OsString::from(".");
    name.push(path.file_name().unwrap_or_default());
    name.push(format!(".{}-{number}.tmp", std::process::id()));
    path.with_file_name(name)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may fail wherever it stands")]

    use super::*;

    fn names(folder: &Path) -> Vec<OsString> {
        let entries = fs::read_dir(folder).unwrap();
        entries.map(|entry| entry.unwrap().file_name()).collect()
    }

    #[test]
    fn a_file_is_replaced_whole_and_nothing_else_is_left() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        // A process that was killed left this.
        fs::write(folder.path().join(".a.tmp"), b"long, and not whole").unwrap();
        for bytes in [&b"one"[..], b"longer than one"] {
            for replace in [replace, replace_alone] {
                replace(&path, bytes).unwrap();
                assert_eq!(fs::read(&path).unwrap(), bytes);
            }
        }
        assert_eq!(names(folder.path()), ["a"]);
    }

    #[test]
    fn what_cannot_be_replaced_is_as_it_was() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        fs::create_dir_all(path.join("b")).unwrap();
        // A file does not take the place of a folder that holds something.
        replace(&path, b"x").unwrap_err();
        assert_eq!(names(folder.path()), ["a"]);
        assert!(path.join("b").is_dir());
    }

    #[test]
    fn temporary_names_are_beside_and_distinct() {
        let path = Path::new("runs/a/tokenizer.json");
        let (one, two) = (beside(path), beside(path));
        assert_eq!(one.parent(), path.parent());
        assert_ne!(one, two);
    }
}
